"""Shapes of a server, beside one another: threads, asyncio, numbers of threads; and what embedding
queries together gains. Nothing is judged here: the figures stand in docs/serving.md.

  searches      `trichord.server` with 4, 8 and 16 worker threads; threads and grpc.aio without any
                interceptor, both over the same service; 8 and 32 clients, and 8 streams
  text queries  of eight threads at once and of one alone, through the queue and past it, and
                what was asked before (the bundled pocket model, in process)

A server process of it: `python -m benchmarks.serving_shapes SHAPE STORE DIM`.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import grpc
import numpy as np

from benchmarks import data
from benchmarks.context import Context
from benchmarks.engine_grpc import request
from benchmarks.engine_stores import OneLeg
from benchmarks.load import SEARCH, STREAM, Load, write_requests
from benchmarks.measure import Result, interleaved, ratio
from benchmarks.serving import ROOT
from trichord.catalog import Catalog
from trichord.catalog.encoding import PLAIN_TEXT, Content, ContentEncoder
from trichord.embedders.spaces import open_space
from trichord.server.app import Server
from trichord.server.calls import CALL, Call
from trichord.server.inputs import Inputs
from trichord.server.services.search import SearchService
from trichord.server.settings import Settings
from trichord.server.uris import MediaRoot
from trichord.types import Role
from trichord.v1 import search_pb2
from trichord.wire.streams import to_streamed

SHAPES = {
    "threads-4": "4 threads",
    "threads-8": "8 threads",
    "threads-16": "16 threads",
    "bare": "8 threads, bare",
    "aio": "asyncio, bare",
}
SECONDS = 2.0
TEXTS, CALLERS = 96, 8


def run(context: Context) -> Result:
    given = OneLeg(context)
    store, queries = given.store("hnsw"), given.queries
    result = Result("serving-shapes", {"rows": context.rows, "dim": context.dim})
    single = [request(queries[number : number + 1]) for number in range(len(queries))]
    unary = write_requests(
        context.work / "shapes-unary", [one.SerializeToString() for one in single]
    )
    streamed = write_requests(
        context.work / "shapes-stream",
        [search_pb2.StreamSearchRequest(request=one).SerializeToString() for one in single],
    )
    with ExitStack() as stack:
        load = stack.enter_context(Load())
        actions: dict[str, Callable[[], tuple[float, float]]] = {}
        for shape, name in SHAPES.items():
            address = stack.enter_context(_served(shape, store, context.dim))
            for kind, file, method, clients in (
                ("8 clients", unary, SEARCH, 8),
                ("32 clients", unary, SEARCH, 32),
                ("8 streams", streamed, STREAM, 8),
            ):
                actions[f"{name}, {kind}"] = _action(load, address, file, method, clients)
        times = interleaved(context.rounds, actions)
    result.add({f"{name}, seconds per search": taken for name, taken in times.items()})
    for name, taken in times.items():
        result.figure(name, 1 / taken.median, "/s")
    _text_queries(context, result)
    return result


def _action(
    load: Load, address: str, file: Path, method: str, clients: int
) -> Callable[[], tuple[float, float]]:
    def once() -> tuple[float, float]:
        told = load.closed(address, file, method=method, clients=clients, seconds=SECONDS)
        return told["seconds"] / told["calls"], told["cpu"] / told["calls"]

    return once


def _text_queries(context: Context, result: Result) -> None:
    encoder = ContentEncoder(open_space("pocket"))
    encoder.load()
    number = iter(range(1 << 30))

    def texts(count: int) -> list[Content]:
        """Others every time, so that none was asked before."""
        return [Content(PLAIN_TEXT, f"rain number {next(number)}") for _ in range(count)]

    def timed(embed: Callable[[list[Content], Role], Any], callers: int) -> tuple[float, float]:
        asked = texts(TEXTS)
        with ThreadPoolExecutor(callers) as pool:  # as in a server: never in the main thread
            began, used = time.perf_counter(), time.process_time()
            list(pool.map(lambda one: embed([one], Role.QUERY), asked))
            took, spent = time.perf_counter() - began, time.process_time() - used
        return took / TEXTS, spent / TEXTS

    known = texts(TEXTS)
    encoder.pooled(known, Role.QUERY)

    def again() -> tuple[float, float]:
        began, used = time.perf_counter(), time.process_time()
        for one in known:
            encoder.pooled([one], Role.QUERY)
        return (time.perf_counter() - began) / TEXTS, (time.process_time() - used) / TEXTS

    ways = {"through the queue": encoder.pooled, "past it": encoder._pooled}
    actions: dict[str, Callable[[], tuple[float, float] | None]] = {
        f"text queries, {callers} at once, {way}": lambda embed=embed, callers=callers: timed(  # type: ignore[misc]
            embed, callers
        )
        for callers in (1, CALLERS)
        for way, embed in ways.items()
    }
    actions["text queries, asked before"] = again
    times = interleaved(context.rounds, actions)
    result.add({f"{name}, seconds per text": taken for name, taken in times.items()})
    for callers in (1, CALLERS):
        past, through = (
            times[f"text queries, {callers} at once, {way}"]
            for way in ("past it", "through the queue")
        )
        share = ratio(past, through)
        result.figure(f"text queries, {callers} at once, times faster by the queue", share.median)


@contextmanager
def _served(shape: str, store: Path, dim: int) -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.serving_shapes", shape, str(store), str(dim)]
    with Popen(command, stdout=PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            if not address:
                raise RuntimeError(f"the server ended with {process.wait()}")
            yield address
        finally:
            process.terminate()


def main() -> None:
    shape, store, dim = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told.set())
    with Catalog.open(store, space=data.space(dim), create=False, background=True) as catalog:
        probe = np.zeros((1, dim), np.float32)
        probe[0, 0] = 1.0
        catalog.search_many(probe, limit=1)
        if shape.startswith("threads-"):
            workers = int(shape.removeprefix("threads-"))
            with Server(catalog, Settings(listen="127.0.0.1:0", workers=workers)) as server:
                print(server.address, flush=True)
                told.wait()
        elif shape == "bare":
            _bare(catalog, told)
        else:
            asyncio.run(_aio(catalog, told))


class _Bare:
    """The service behind generic handlers and nothing else."""

    def __init__(self, catalog: Catalog) -> None:
        self._service = SearchService(catalog, Inputs(MediaRoot(None, 1 << 20)))

    def search(self, asked: search_pb2.SearchRequest) -> search_pb2.SearchResponse:
        CALL.set(Call(SEARCH, "", 0.0))
        return self._service.Search(asked, None)

    def handlers(self, search: Any, stream: Any) -> Any:
        name, method = SEARCH.strip("/").split("/")
        made = {
            method: grpc.unary_unary_rpc_method_handler(
                search,
                search_pb2.SearchRequest.FromString,
                search_pb2.SearchResponse.SerializeToString,
            ),
            STREAM.rpartition("/")[2]: grpc.stream_stream_rpc_method_handler(
                stream,
                search_pb2.StreamSearchRequest.FromString,
                search_pb2.StreamSearchResponse.SerializeToString,
            ),
        }
        return (grpc.method_handlers_generic_handler(name, made),)


def _bare(catalog: Catalog, told: threading.Event) -> None:
    bare = _Bare(catalog)

    def stream(requests: Iterator[Any], context: Any) -> Iterator[Any]:
        for asked in requests:
            yield to_streamed(asked.request_id, bare.search(asked.request))

    server = grpc.server(ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers(
        bare.handlers(lambda asked, context: bare.search(asked), stream)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(f"127.0.0.1:{port}", flush=True)
    told.wait()
    server.stop(None).wait()


async def _aio(catalog: Catalog, told: threading.Event) -> None:
    bare = _Bare(catalog)

    async def search(asked: search_pb2.SearchRequest, context: Any) -> search_pb2.SearchResponse:
        return bare.search(asked)

    async def stream(requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        async for asked in requests:
            yield to_streamed(asked.request_id, bare.search(asked.request))

    server = grpc.aio.server()
    server.add_generic_rpc_handlers(bare.handlers(search, stream))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"127.0.0.1:{port}", flush=True)
    while not told.is_set():
        await asyncio.sleep(0.1)
    await server.stop(None)


if __name__ == "__main__":
    main()
