"""Searching over one open stream with asyncio; see `trichord.streams`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from contextlib import suppress
from time import monotonic
from typing import Any

import grpc
import grpc.aio

from trichord.errors import TrichordError, Unavailable
from trichord.streams import AGAIN_AFTER_S, GOODBYE_S, late
from trichord.wire.channel import Connection
from trichord.wire.streams import Answer, Asked, Questions, StreamRequest

ACCEPTED_S = 1.0

_END: Any = object()


async def search_stream(
    method: Any,
    connection: Connection,
    questions: Questions,
    requests: Iterable[StreamRequest] | AsyncIterable[StreamRequest],
    ahead: int,
) -> AsyncIterator[tuple[str, Answer]]:
    """Sends the requests, at most `ahead` of them unanswered, and yields the answers in order."""
    room = asyncio.Semaphore(ahead)
    ended: list[Exception] = []  # by this side, and why
    call = method(metadata=connection.metadata)

    def end(error: Exception) -> None:
        ended.append(error)
        call.cancel()

    async def send() -> None:
        try:
            await _accepted(call)
            async for given in _arriving(requests, room):
                await call.write(questions.message(given))
            await call.done_writing()
        except (grpc.RpcError, asyncio.InvalidStateError):
            pass  # who receives learns why
        except Exception as error:
            end(error)

    async def watch(timeout_s: float) -> None:
        while True:
            await asyncio.sleep(timeout_s / 4)
            if questions.since is not None and monotonic() - questions.since > timeout_s:
                end(late(connection))

    tasks = [asyncio.create_task(send())]
    if connection.timeout_s is not None:
        tasks.append(asyncio.create_task(watch(connection.timeout_s)))
    try:
        while (response := await call.read()) is not grpc.aio.EOF:
            room.release()
            yield questions.answer(response)
    except (grpc.RpcError, asyncio.CancelledError) as failed:
        if ended:
            raise ended[0] from None
        if isinstance(failed, asyncio.CancelledError):
            raise
        raise _error(connection, failed) from None
    finally:
        for task in tasks:
            task.cancel()
        call.cancel()


async def _accepted(call: Any) -> None:
    """Waits until the server has taken the stream or refused it: what is written into one that was
    refused makes gRPC forget why."""
    with suppress(TimeoutError):  # a server that says nothing may still answer
        async with asyncio.timeout(ACCEPTED_S):
            await call.initial_metadata()


def _error(connection: Connection, failed: grpc.RpcError) -> TrichordError:
    """Why the stream ended. Where it did while a question was sent, gRPC no longer knows."""
    if failed.code() is grpc.StatusCode.INTERNAL and not failed.trailing_metadata():
        return Unavailable(f"the stream to {connection.parsed.target} ended: ask again")
    return connection.error(failed)


async def _arriving(
    requests: Iterable[StreamRequest] | AsyncIterable[StreamRequest], room: asyncio.Semaphore
) -> AsyncIterator[StreamRequest]:
    """The requests, each as soon as there is room for it."""
    following: Callable[[], Any]
    if isinstance(requests, AsyncIterable):
        later = aiter(requests)

        async def following() -> Any:
            return await anext(later, _END)

    else:
        ready, coming = isinstance(requests, list | tuple), iter(requests)

        async def following() -> Any:
            return next(coming, _END) if ready else await asyncio.to_thread(next, coming, _END)

    while True:
        await room.acquire()
        given = await following()
        if given is _END:
            return
        yield given


class AsyncAsk:
    """As `trichord.streams.Ask`, for the tasks of one event loop."""

    def __init__(
        self, method: Any, connection: Connection, questions: Callable[[], Questions]
    ) -> None:
        self._method = method
        self._connection = connection
        self._made = questions
        self._lock = asyncio.Lock()
        self._open: tuple[Any, Questions] | None = None

    async def __call__(self, asked: Asked, **options: Any) -> Any:
        async with self._lock:
            for pause in (*AGAIN_AFTER_S, None):
                try:
                    return await self._asked(("", asked, options))  # type: ignore[arg-type]
                except Unavailable:
                    if pause is None:
                        raise
                    await asyncio.sleep(pause)
        raise AssertionError("unreachable")

    async def close(self) -> None:
        """Ends the stream."""
        call = self._drop()
        with suppress(grpc.RpcError, asyncio.InvalidStateError, TimeoutError):
            async with asyncio.timeout(GOODBYE_S):
                if call is not None:
                    await call.done_writing()
                    await call.read()
        if call is not None:
            call.cancel()

    def _drop(self) -> Any:
        call = None if self._open is None else self._open[0]
        self._open = None
        return call

    async def _asked(self, given: StreamRequest) -> Answer:
        opened = self._open
        if opened is None:
            opened = self._open = self._method(metadata=self._connection.metadata), self._made()
            await _accepted(opened[0])
        call, questions = opened
        try:
            async with asyncio.timeout(self._connection.timeout_s):
                with suppress(asyncio.InvalidStateError):  # it ended before: reading says why
                    await call.write(questions.message(given))
                response = await call.read()
            if response is grpc.aio.EOF:
                raise Unavailable("the server ended the stream")
            _, answer = questions.answer(response)
        except grpc.RpcError as failed:
            self._drop()
            raise _error(self._connection, failed) from None
        except BaseException as failed:
            self._drop()
            call.cancel()
            if isinstance(failed, TimeoutError):
                raise late(self._connection) from None
            raise
        if isinstance(answer, TrichordError):
            raise answer
        return answer
