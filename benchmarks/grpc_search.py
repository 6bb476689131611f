"""One search over gRPC beside an empty call and the search in process.

A server process on the loopback, one client, one call at a time; empty calls, searches through
`Client.search` and searches through `Catalog.search` in the client's process take turns, call by
call. A search is by vector, k = 10 with ids, scores and two attributes, over one modality's HNSW.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import grpc

from benchmarks import data
from benchmarks.context import Context
from benchmarks.measure import Result, Times, Verdict, ratio, share_verdict
from benchmarks.serving import EMPTY, served
from trichord.catalog import Catalog
from trichord.client import Client
from trichord.types import F32

CALLS = 150
OPTIONS: dict[str, Any] = {"modality": "image", "limit": 10, "attributes": ("market", "year")}


def run(context: Context) -> Result:
    result = Result(
        "grpc-search",
        {"rows": context.rows, "dim": context.dim, "calls_per_round": CALLS, "limit": 10},
    )
    store = context.indexed_store
    queries = context.queries[1::3]
    with (
        Catalog.open(
            store, space=data.space(context.dim), create=False, background=True
        ) as catalog,
        served(store, context.dim) as address,
        Client(address) as client,
        grpc.insecure_channel(address) as channel,
    ):
        empty = channel.unary_unary(EMPTY)
        actions: dict[str, Callable[[F32], Any]] = {
            "empty call": lambda query: empty(b""),
            "search over gRPC": lambda query: client.search(query, **OPTIONS),
            "search in process": lambda query: catalog.search(query, **OPTIONS),
        }
        _same(client, catalog, queries)
        _calls(actions, queries[:50])  # warm
        rounds = [_calls(actions, queries) for _ in range(context.rounds)]
    middle = {name: Times([statistics.median(taken[name]) for taken in rounds]) for name in actions}
    result.add({f"{name}, p50 of each round": times for name, times in middle.items()})
    for name in actions:
        together = Times([second for taken in rounds for second in taken[name]])
        result.figure(f"{name}, p99", together.percentile(0.99) * 1e6, "µs")
    allowed = Times(
        [
            one + other
            for one, other in zip(
                middle["empty call"].values, middle["search in process"].values, strict=True
            )
        ]
    )
    result.judge(_verdict(ratio(middle["search over gRPC"], allowed)))
    return result


def _verdict(shares: Times) -> Verdict:
    return share_verdict(
        "p50 of a search over gRPC relative to an empty call plus the search in process",
        shares,
        1.5,
        at_least=False,
    )


def _calls(actions: dict[str, Callable[[F32], Any]], queries: F32) -> dict[str, list[float]]:
    """Seconds of CALLS calls of each action, taking turns."""
    taken: dict[str, list[float]] = {name: [] for name in actions}
    names = list(actions)
    for number in range(CALLS):
        query = queries[number % len(queries)]
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            began = time.perf_counter()
            actions[name](query)
            taken[name].append(time.perf_counter() - began)
    return taken


def _same(client: Client, catalog: Catalog, queries: F32) -> None:
    """Both ways must give the same answer, or comparing their time means nothing."""
    for query in queries[:5]:
        one, other = client.search(query, **OPTIONS), catalog.search(query, **OPTIONS)
        if list(one.item_ids) != list(other.item_ids) or dict(one.attributes) != dict(
            other.attributes
        ):
            raise AssertionError(f"{one!r} over gRPC, {other!r} in process")
        if not len(one):
            raise AssertionError("the search found nothing")
