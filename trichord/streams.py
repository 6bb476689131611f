"""Searching over one open stream: what `Client.search_stream` and `Client.searching` do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from typing import Any, Self

import grpc

from trichord.errors import DeadlineExceeded, TrichordError, Unavailable
from trichord.v1 import search_pb2
from trichord.wire.channel import Connection
from trichord.wire.streams import Answer, Asked, Questions, StreamRequest

AHEAD = 8
"""Questions under way at once, unless said otherwise."""

AGAIN_AFTER_S = (0.1, 0.2, 0.4)
"""Pauses before a question is asked again of a server that is unavailable, as for single calls."""

GOODBYE_S = 1.0
"""How long a stream that is closed waits for the server to end it."""

_END = object()


class Watch:
    """Cancels a call whose next answer does not come within `timeout_s`, a quarter of it late at
    most: gRPC has deadlines for whole streams only."""

    def __init__(
        self, timeout_s: float | None, since: Callable[[], float | None], cancel: Callable[[], Any]
    ) -> None:
        self.late = False
        self._over = threading.Event()
        if timeout_s is not None:
            watching = (timeout_s, since, cancel)
            threading.Thread(
                target=self._watch, args=watching, name="trichord-watch", daemon=True
            ).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._over.set()

    def _watch(
        self, timeout_s: float, since: Callable[[], float | None], cancel: Callable[[], Any]
    ) -> None:
        while not self._over.wait(timeout_s / 4):
            began = since()
            if began is not None and time.monotonic() - began > timeout_s:
                self.late = True
                cancel()
                return


def late(connection: Connection) -> DeadlineExceeded:
    """The error where this side gave up waiting."""
    where = connection.parsed.target
    return DeadlineExceeded(
        f"{where} did not answer within {connection.timeout_s} s: raise the timeout, or ask for "
        "less at once",
        address=where,
    )


def search_stream(
    method: Any,
    connection: Connection,
    questions: Questions,
    requests: Iterable[StreamRequest],
    ahead: int,
) -> Iterator[tuple[str, Answer]]:
    """Sends the requests, at most `ahead` of them unanswered, and yields the answers in order."""
    room = threading.Semaphore(ahead)
    over = threading.Event()
    broken: list[BaseException] = []

    def outgoing() -> Iterator[search_pb2.StreamSearchRequest]:
        try:
            coming = iter(requests)
            while True:
                room.acquire()
                given = _END if over.is_set() else next(coming, _END)
                if given is _END:
                    return
                yield questions.message(given)  # type: ignore[arg-type]  # it is not _END
        except Exception as error:  # gRPC would only say that iterating failed
            broken.append(error)
            raise

    call = method(outgoing(), metadata=connection.metadata)
    with Watch(connection.timeout_s, lambda: questions.since, call.cancel) as watch:
        try:
            for response in call:
                room.release()
                yield questions.answer(response)
        except grpc.RpcError as failed:
            if broken:
                raise broken[0] from None
            raise late(connection) if watch.late else connection.error(failed) from None
        finally:
            over.set()
            room.release()
            call.cancel()


class Ask:
    """Asks one question after the other over one open stream, at half the cost of a call each.

    Safe to use from several threads, which take turns; threads that shall not wait for each other
    each take a stream of their own. Opened by the first question, and again after it broke.
    """

    def __init__(
        self, method: Any, connection: Connection, questions: Callable[[], Questions]
    ) -> None:
        self._method = method
        self._connection = connection
        self._made = questions
        self._lock = threading.Lock()
        self._open: _OpenStream | None = None

    def __call__(self, asked: Asked, **options: Any) -> Any:
        """`Hits`, or `Answers` to a matrix of vectors; `options` differ from those of the stream.

        Raises what `Client.search` raises; ResourceExhausted where the server has no room for
        another stream.
        """
        with self._lock:
            for pause in (*AGAIN_AFTER_S, None):
                try:
                    return self._asked(("", asked, options))  # type: ignore[arg-type]
                except Unavailable:
                    if pause is None:
                        raise
                    time.sleep(pause)
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Ends the stream."""
        with self._lock:
            self._close()

    def _asked(self, given: StreamRequest) -> Answer:
        if self._open is None:
            self._open = _OpenStream(self._method, self._connection, self._made())
        try:
            _, answer = self._open.exchange(given)
        except BaseException:
            self._close(broken=True)
            raise
        if isinstance(answer, TrichordError):
            raise answer
        return answer

    def _close(self, *, broken: bool = False) -> None:
        if self._open is not None:
            self._open.close(broken=broken)
            self._open = None


class _OpenStream:
    def __init__(self, method: Any, connection: Connection, questions: Questions) -> None:
        self._connection = connection
        self._questions = questions
        self._outgoing: SimpleQueue[search_pb2.StreamSearchRequest | None] = SimpleQueue()
        self._call = method(iter(self._outgoing.get, None), metadata=connection.metadata)
        self._watch = Watch(connection.timeout_s, lambda: questions.since, self._call.cancel)

    def exchange(self, given: StreamRequest) -> tuple[str, Answer]:
        self._outgoing.put(self._questions.message(given))
        try:
            response = next(self._call, None)
        except grpc.RpcError as failed:
            given_up = self._watch.late
            error = late(self._connection) if given_up else self._connection.error(failed)
            raise error from None
        if response is None:
            raise Unavailable("the server ended the stream")
        return self._questions.answer(response)

    def close(self, *, broken: bool) -> None:
        self._watch.__exit__()
        self._outgoing.put(None)  # says that this is all, and ends the thread of gRPC that sends
        ended = threading.Event()
        if not broken and self._call.add_callback(ended.set):
            ended.wait(GOODBYE_S)
        self._call.cancel()
