"""A process that only calls: `python -m benchmarks.load_process` takes one JSON command per line.

It is lean, because it shares the processors with the server that it measures: requests were made
into bytes before, answers stay bytes unless they are asked for (`parse`), every client is a thread
with a connection of its own. One process with many threads costs less per call than several
processes (about 170 µs of processor time against 230 with four, at 32 clients).
"""

from __future__ import annotations

import gc
import json
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from benchmarks.load import SEARCH, STREAM, read_requests
from benchmarks.open_loop import OpenLoop, arrivals

OPTIONS = [
    ("grpc.use_local_subchannel_pool", 1),  # or all channels would share one connection
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.max_send_message_length", 64 << 20),
]
WARM_CALLS = 3
OPEN_CHANNELS = 8
SHORTEST = 150
"""Bytes of an answer with hits; one that says why a search failed is shorter."""


def main() -> None:
    opened: OpenLoop | None = None
    channels: list[Any] = []
    for line in sys.stdin:
        told = json.loads(line)
        answer: dict[str, Any] = {}
        try:
            match told.pop("do"):
                case "closed":
                    answer = _closed(**told)
                case "begin":
                    channels = _channels(told["address"], OPEN_CHANNELS)
                    calls = [channel.unary_unary(SEARCH) for channel in channels]
                    requests = read_requests(Path(told["requests"]))
                    for call in calls:
                        call(requests[0])
                    gc.freeze()
                    opened = OpenLoop(calls, requests, arrivals(told["rate"]), _has_hits)
                case "end":
                    assert opened is not None
                    opened.stop().save(Path(told["log"]))
                    for channel in channels:
                        channel.close()
        except Exception as error:
            answer = {"failed": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


def _has_hits(answer: bytes) -> bool:
    return len(answer) >= SHORTEST


def _channels(address: str, number: int) -> list[Any]:
    return [grpc.insecure_channel(address, OPTIONS) for _ in range(number)]


def _closed(
    address: str,
    requests: str,
    method: str,
    clients: int,
    seconds: float,
    window: int,
    parse: bool,
) -> dict[str, Any]:
    given = read_requests(Path(requests))
    channels = _channels(address, clients)
    run: Callable[..., None] = _stream if method == STREAM else _unary
    shared = _Shared(clients, seconds)
    threads = [
        threading.Thread(
            target=shared.guarded,
            args=(run, channel, method, given, number * 7, window, _parser(parse)),
            daemon=True,
        )
        for number, channel in enumerate(channels)
    ]
    gc.collect()
    gc.freeze()
    for thread in threads:
        thread.start()
    try:
        shared.ready.wait()
    except threading.BrokenBarrierError:
        return {"errors": dict(shared.errors)}
    began, processed = time.perf_counter(), time.process_time()
    shared.go(began)
    for thread in threads:
        thread.join()
    took, used = time.perf_counter() - began, time.process_time() - processed
    for channel in channels:
        channel.close()
    taken = np.array(shared.taken)
    if not len(taken):
        return {"errors": dict(shared.errors) or {"no call": 1}}
    return {
        "calls": len(taken),
        "seconds": took,
        "cpu": used,
        "errors": dict(shared.errors),
        "p50": float(np.percentile(taken, 50)),
        "p99": float(np.percentile(taken, 99)),
    }


class _Shared:
    """What the clients of a closed loop have in common: they begin and end together."""

    def __init__(self, clients: int, seconds: float) -> None:
        self.ready = threading.Barrier(clients + 1)
        self._going = threading.Event()
        self._seconds = seconds
        self.stop = 0.0
        self.taken: list[float] = []
        self.errors: Counter[str] = Counter()
        self._lock = threading.Lock()

    def go(self, began: float) -> None:
        self.stop = began + self._seconds
        self._going.set()

    def begun(self) -> float:
        """Waits for the others; returns when to stop."""
        self.ready.wait()
        self._going.wait()
        return self.stop

    def add(self, taken: list[float]) -> None:
        with self._lock:
            self.taken += taken

    def guarded(self, run: Callable[..., None], *given: Any) -> None:
        try:
            run(self, *given)
        except grpc.RpcError as error:
            with self._lock:
                self.errors[f"{error.code().name}: {error.details()}"] += 1
            self.ready.abort()
        except threading.BrokenBarrierError:
            pass


def _parser(parse: bool) -> Any:
    if not parse:
        return None
    from trichord.v1 import search_pb2

    return search_pb2.SearchResponse.FromString


def _unary(
    shared: _Shared,
    channel: Any,
    method: str,
    requests: list[bytes],
    first: int,
    window: int,
    parser: Any,
) -> None:
    call = channel.unary_unary(method, response_deserializer=parser)
    for number in range(WARM_CALLS):
        call(requests[(first + number) % len(requests)])
    taken: list[float] = []
    stop = shared.begun()
    for number in count(first):
        began = time.perf_counter()
        if began >= stop:
            break
        call(requests[number % len(requests)])
        taken.append(time.perf_counter() - began)
    shared.add(taken)


def _stream(
    shared: _Shared,
    channel: Any,
    method: str,
    requests: list[bytes],
    first: int,
    window: int,
    parser: Any,
) -> None:
    room = threading.Semaphore(window)
    sent: deque[float] = deque()
    taken: list[float] = []
    warm = WARM_CALLS
    stop = float("inf")

    def asked() -> Iterator[bytes]:
        for number in count(first):
            room.acquire()
            now = time.perf_counter()
            if now >= stop:
                return
            sent.append(now)
            yield requests[number % len(requests)]

    for answer in channel.stream_stream(method)(asked()):
        if not _has_hits(answer):
            shared.errors["an answer is an error"] += 1
        began = sent.popleft()
        if warm:
            warm -= 1
            if not warm:
                stop = shared.begun()
        else:
            taken.append(time.perf_counter() - began)
        room.release()
    shared.add(taken)


if __name__ == "__main__":
    main()
