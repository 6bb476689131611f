"""Overload and deadlines: what cannot be answered in time is refused at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import grpc

from trichord.errors import DeadlineExceeded, ResourceExhausted
from trichord.server.calls import CALL
from trichord.server.handlers import HEALTH, Behaviour, Handler, Wrapper, refusing, wrapped
from trichord.server.pools import Pools
from trichord.server.settings import Settings

RETRY_AFTER_S = 0.5


class Admission(grpc.ServerInterceptor):  # type: ignore[misc]  # gRPC has no types
    """Innermost: sends each call to its pool, refuses it when too many wait there, and does not
    start what nobody waits for any more."""

    def __init__(self, settings: Settings, pools: Pools) -> None:
        self._pools = pools
        self._most_answers = settings.workers + settings.queue
        self._most_streams = settings.streams
        self._admitted = Wrapper(self._admit)
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
        if handler.request_streaming or handler.response_streaming:
            full = self._pools.streams.unfinished >= self._most_streams
            what, most = "open streams", self._most_streams
        else:
            full = self._pools.answers.unfinished >= self._most_answers
            what, most = "calls at once", self._most_answers
        if not full:
            return self._admitted(details.method, handler)
        CALL.get().refusal = ResourceExhausted(
            f"the server is busy: it takes {most} {what}; try again in {RETRY_AFTER_S} s",
            retry_after_s=RETRY_AFTER_S,
        )
        return self._refused(details.method, handler)

    def _admit(self, handler: Handler) -> Handler:
        streams = handler.request_streaming or handler.response_streaming
        pool = self._pools.streams if streams else self._pools.answers
        return wrapped(handler, _in_time, _in_time_stream, pool)


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
