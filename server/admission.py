"""Overload and deadlines: what cannot be answered in time is refused at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc

from trichord.errors import DeadlineExceeded, ResourceExhausted
from trichord.server.calls import CALL
from trichord.server.handlers import HEALTH, Behaviour, Handler, Wrapper, refusing, wrapped
from trichord.server.pools import CountingPool, Pools
from trichord.server.settings import Settings
from trichord.server.streams import STREAM_SEARCH

RETRY_AFTER_S = 0.5


@dataclass(frozen=True, eq=False)
class Room:
    """Threads, and how many calls they and those that wait for them may be together."""

    pool: CountingPool
    most: int
    what: str


class Admission(grpc.ServerInterceptor):  # type: ignore[misc]  # gRPC has no types
    """Innermost: sends each call to its pool, refuses it when too many wait there, and does not
    start what nobody waits for any more."""

    def __init__(self, settings: Settings, pools: Pools) -> None:
        self._answers = Room(pools.answers, settings.workers + settings.queue, "calls at once")
        self._streams = Room(pools.streams, settings.streams, "open streams")
        self._searches = Room(pools.searches, settings.search_streams, "open streams of searches")
        self._admitted = {
            room: Wrapper(partial(wrapped, one=_in_time, many=_in_time_stream, pool=room.pool))
            for room in (self._answers, self._streams, self._searches)
        }
        self._refused = Wrapper(lambda handler: refusing(handler, pools.control))
        self._unhurried = Wrapper(lambda handler: wrapped(handler, _as_is, _as_is, pools.control))

    def intercept_service(
        self, continuation: Callable[[Any], Handler | None], details: Any
    ) -> Handler | None:
        handler = continuation(details)
        if handler is None:
            return None
        if details.method.startswith(HEALTH):
            # Watch answers by callbacks and takes no thread; Check must not wait behind searches.
            streams = handler.response_streaming
            return handler if streams else self._unhurried(details.method, handler)
        room = self._room(details.method, handler)
        if room.pool.unfinished < room.most:
            return self._admitted[room](details.method, handler)
        CALL.get().refusal = ResourceExhausted(
            f"the server is busy: it takes {room.most} {room.what}; try again in {RETRY_AFTER_S} s",
            retry_after_s=RETRY_AFTER_S,
        )
        return self._refused(details.method, handler)

    def _room(self, method: str, handler: Handler) -> Room:
        if not (handler.request_streaming or handler.response_streaming):
            return self._answers
        return self._searches if method == STREAM_SEARCH else self._streams


def _as_is(behaviour: Behaviour) -> Behaviour:
    return lambda request, context: behaviour(request, context)


def _in_time(inner: Behaviour) -> Behaviour:
    def answer(request: Any, context: grpc.ServicerContext) -> Any:
        _check(context)
        return inner(request, context)

    return answer


def _in_time_stream(inner: Behaviour) -> Behaviour:
    def answers(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        _check(context)
        yield from inner(request, context)

    return answers


def _check(context: grpc.ServicerContext) -> None:
    remaining = context.time_remaining()
    if remaining is not None and remaining <= 0:
        waited = CALL.get().elapsed_ms
        raise DeadlineExceeded(f"the deadline passed while the call waited for {waited:.0f} ms")
    if not context.is_active():
        context.abort(grpc.StatusCode.CANCELLED, "the caller has gone")
