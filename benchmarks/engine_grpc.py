"""The search engine over gRPC, beside an empty call through the same interceptors and threads.

A server process on the loopback over data set A (HNSW, at a measured recall of 0.95), a load
process beside it (`benchmarks.load_process`: one process, a thread and a connection per client,
requests made before, answers left as bytes). k = 10 with ids, scores and two attributes.
  32 clients      unary searches beside empty calls
  8 clients       searches in streams beside unary ones, each client with one under way; with eight
                  under way told apart
  64, 256         queries per call, packed, four clients that parse the answers, beside the same
                  batches in process
  processes       32 clients, `trichord serve` with two processes beside one
  one client      call by call in turn: empty, search, and `Client.search` told apart
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from benchmarks import data, engine_calls
from benchmarks.context import Context
from benchmarks.engine_stores import MODALITY, OneLeg
from benchmarks.load import SEARCH, STREAM, Load, write_requests
from benchmarks.measure import (
    Clock,
    Result,
    Times,
    in_turn,
    interleaved,
    medians,
    ratio,
    share_verdict,
)
from benchmarks.serving import EMPTY, served, served_by_command
from trichord.catalog import Catalog
from trichord.client import Client
from trichord.errors import TrichordError
from trichord.query import SearchOptions
from trichord.types import F32
from trichord.v1 import search_pb2
from trichord.wire.hits import from_response
from trichord.wire.options import write_options
from trichord.wire.vectors import write_vector

SECONDS = 2.0
IN_PROCESS_SECONDS = 1.0
CALLS = 150
BATCH_CLIENTS = 4
BATCHES = {64: 0.6, 256: 0.75}
PIPELINED = 8
RECALL = 0.95
OPTIONS = engine_calls.batch_options(modality=(MODALITY,), recall=RECALL)


def run(context: Context) -> Result:
    given = OneLeg(context)
    store, queries = given.store("hnsw"), given.queries
    result = Result(
        "engine-grpc",
        {"rows": context.rows, "dim": context.dim, "limit": 10, "seconds_per_load": SECONDS},
    )
    files = _requests(context.work, queries)
    with ExitStack() as stack:
        enter = stack.enter_context
        catalog = enter(Catalog.open(store, space=data.space(context.dim), create=False))
        address = enter(served(store, context.dim))
        by_command = {n: enter(served_by_command(store, processes=n)) for n in (1, 2)}
        load = enter(Load())
        _same(catalog, [address, *by_command.values()], queries)
        one_client = _one_client(context, address, queries)
        clients = _closed(load, address, by_command, files)
        process = {
            f"{size} queries per call, in process": _in_process(catalog, queries, size)
            for size in BATCHES
        }
        times = interleaved(context.rounds, {**clients, **process})
    _report(result, times, one_client)
    return result


def _report(
    result: Result, times: Mapping[str, Times], one_client: Mapping[str, list[Times]]
) -> None:
    result.add({f"{name}, seconds per query or call": taken for name, taken in times.items()})
    for name, taken in times.items():
        result.figure(name, 1 / taken.median, "/s")
    p50 = {name: medians(rounds) for name, rounds in one_client.items()}
    result.add({f"one client, {name}, p50 of each round": taken for name, taken in p50.items()})
    for name, rounds in one_client.items():
        together = Times([second for taken in rounds for second in taken.values])
        result.figure(f"one client, {name}, p99", together.percentile(0.99) * 1e6, "µs")
    shares = [
        ("32 clients: searches/s relative to empty calls/s", "empty, 32", "unary, 32", 0.65),
        ("8 clients: searches/s in streams relative to unary", "unary, 8", "streams, 8", 1.5),
        (
            "32 clients: searches/s of two server processes relative to one",
            "1 server process, 32",
            "2 server processes, 32",
            1.25,
        ),
    ] + [
        (
            f"{size} queries per call: queries/s relative to in process",
            f"{size} queries per call, in process",
            f"{size} queries per call",
            limit,
        )
        for size, limit in BATCHES.items()
    ]
    for bar, other, mine, limit in shares:
        share = ratio(times[other], times[mine])
        result.judge(share_verdict(bar, share, limit, at_least=True))
    for name, judged in (("search", True), ("Client.search", False)):
        share = ratio(p50[name], p50["empty call"])
        bar = f"one client: p50 of {name} relative to an empty call"
        if judged:
            result.judge(share_verdict(bar, share, 1.5, at_least=False))
        else:
            result.figure(bar, share.median)


def _requests(folder: Path, queries: F32) -> dict[str, Path]:
    """Files of requests by what they are."""
    single = [request(queries[number : number + 1]) for number in range(len(queries))]
    streamed = [
        search_pb2.StreamSearchRequest(request_id=str(number), request=one).SerializeToString()
        for number, one in enumerate(single)
    ]
    kinds = {
        "empty": [b""],
        "unary": [one.SerializeToString() for one in single],
        "stream": streamed,
    }
    for size in BATCHES:
        kinds[str(size)] = [
            request(queries[start : start + size]).SerializeToString()
            for start in range(0, len(queries) - size + 1, size)
        ] or [request(queries).SerializeToString()]
    return {name: write_requests(folder / f"requests-{name}", made) for name, made in kinds.items()}


def request(queries: F32, options: SearchOptions = OPTIONS) -> search_pb2.SearchRequest:
    """Queries by vector, float32 (n, dim), packed."""
    made = search_pb2.SearchRequest()
    write_vector(queries, made.vectors)
    write_options(options, made)
    return made


def _closed(
    load: Load, address: str, by_command: Mapping[int, str], files: Mapping[str, Path]
) -> dict[str, Callable[[], tuple[float, float]]]:
    """Loads, each as an action that returns the seconds per query, by the wall and of the load
    process' processors."""

    def action(kind: str, queries: int = 1, at: str = address, **options: Any) -> Any:
        def once() -> tuple[float, float]:
            told = load.closed(at, files[kind], seconds=SECONDS, **options)
            asked = told["calls"] * queries
            return told["seconds"] / asked, told["cpu"] / asked

        return once

    actions = {
        "empty, 32": action("empty", method=EMPTY, clients=32),
        "unary, 32": action("unary", clients=32),
        "unary, 8": action("unary", clients=8),
        "streams, 8": action("stream", method=STREAM, clients=8),
        f"streams, 8, {PIPELINED} under way each": action(
            "stream", method=STREAM, clients=8, window=PIPELINED
        ),
    }
    for size in BATCHES:
        actions[f"{size} queries per call"] = action(
            str(size), queries=size, clients=BATCH_CLIENTS, parse=True
        )
    for processes, there in by_command.items():
        name = f"{processes} server process{'es' if processes > 1 else ''}, 32"
        actions[name] = action("unary", at=there, clients=32)
    return actions


def _in_process(catalog: Catalog, queries: F32, size: int) -> Callable[[], tuple[float, float]]:
    parts = [queries[start : start + size] for start in range(0, len(queries) - size + 1, size)]

    def once() -> tuple[float, float]:
        asked, clock = 0, Clock()
        while clock.read()[0] < IN_PROCESS_SECONDS:
            for part in parts or [queries]:
                engine_calls.many(catalog, part, OPTIONS)
                asked += len(part)
        took, used = clock.read()
        return took / asked, used / asked

    return once


def _one_client(context: Context, address: str, queries: F32) -> dict[str, list[Times]]:
    """One call at a time from this process; `search` sends bytes and gets bytes, as the empty call
    does."""
    asked = [request(queries[number : number + 1]).SerializeToString() for number in range(CALLS)]
    options: dict[str, Any] = {
        "modality": MODALITY,
        "limit": engine_calls.LIMIT,
        "attributes": engine_calls.ATTRIBUTES,
        "recall": RECALL,
    }
    with grpc.insecure_channel(address) as channel, Client(address) as client:
        empty, search = channel.unary_unary(EMPTY), channel.unary_unary(SEARCH)
        actions: dict[str, Callable[[int], Any]] = {
            "empty call": lambda number: empty(b""),
            "search": lambda number: search(asked[number % CALLS]),
            "Client.search": lambda number: client.search(queries[number % CALLS], **options),
        }
        in_turn(1, 50, actions)  # warm
        return in_turn(context.rounds, CALLS, actions)[0]


def _same(catalog: Catalog, addresses: list[str], queries: F32) -> None:
    """All ways must give the same answers, or comparing their time means nothing."""
    few = queries[:5]
    wanted = engine_calls.rows_of_batch(engine_calls.many(catalog, few, OPTIONS))
    if not all(len(rows) == engine_calls.LIMIT for rows in wanted):
        raise AssertionError(f"the search found {wanted}")
    for address in addresses:
        with grpc.insecure_channel(address) as channel:
            search = channel.unary_unary(
                SEARCH, response_deserializer=search_pb2.SearchResponse.FromString
            )
            stream = channel.stream_stream(
                STREAM, response_deserializer=search_pb2.StreamSearchResponse.FromString
            )
            packed = search(request(few).SerializeToString())
            single = [request(query[None, :]) for query in few]
            streamed = stream(
                search_pb2.StreamSearchRequest(request_id=str(n), request=one).SerializeToString()
                for n, one in enumerate(single)
            )
            ways = {
                "packed": _rows([packed]),
                "one by one": _rows([search(one.SerializeToString()) for one in single]),
                "streamed": _rows([answer.response for answer in streamed]),
            }
        for way, rows in ways.items():
            share = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(rows, wanted, strict=True)])
            if share < 0.8:  # batches and single queries may take different ways through an index
                raise AssertionError(f"{way}: {rows} at {address}, {wanted} in process")


def _rows(responses: list[Any]) -> list[list[int]]:
    found = []
    for answer in (answer for response in responses for answer in from_response(response)):
        if isinstance(answer, TrichordError):
            raise answer
        found.append([data.number_of(one) for one in answer.item_ids])
    return found
