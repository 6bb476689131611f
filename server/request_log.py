"""Request ids, one line per call, counters."""

from __future__ import annotations

import logging
import re
import secrets
import threading
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

import grpc

from trichord.server.calls import CALL, Call
from trichord.server.handlers import HEALTH, Behaviour, Handler, Interceptor, wrapped

LOGGER = logging.getLogger("trichord.server.calls")
REQUEST_ID = "x-request-id"
_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Counters:
    """Calls by "/service/method CODE" since the process started."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}

    def add(self, name: str) -> None:
        with self._lock:
            self._counts[name] = self._counts.get(name, 0) + 1

    def snapshot(self) -> dict[str, int]:
        with self._lock:
            return dict(sorted(self._counts.items()))


def _given_id(metadata: Any) -> str | None:
    """The caller's request id; None where there is none that can be logged as it is."""
    for key, value in metadata:
        if key == REQUEST_ID and isinstance(value, str) and _ACCEPTED.fullmatch(value):
            return value
    return None


class RequestLog(Interceptor):
    """Outermost: takes the caller's request id or makes one, returns it in the trailing metadata,
    logs and counts every call when it ends."""

    def __init__(self, counters: Counters) -> None:
        super().__init__()
        self._counters = counters

    def intercept_service(
        self, continuation: Callable[[Any], Handler | None], details: Any
    ) -> Handler | None:
        if not details.method.startswith(HEALTH):
            given = _given_id(details.invocation_metadata) or secrets.token_hex(8)
            CALL.set(Call(details.method, given, perf_counter()))
        return super().intercept_service(continuation, details)

    def wrap(self, handler: Handler) -> Handler:
        def one(inner: Behaviour) -> Behaviour:
            def answer(request: Any, context: grpc.ServicerContext) -> Any:
                call = self._begin(context)
                try:
                    return inner(request, context)
                finally:
                    self._end(call, context)

            return answer

        def many(inner: Behaviour) -> Behaviour:
            def answers(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
                call = self._begin(context)
                try:
                    yield from inner(request, context)
                finally:
                    self._end(call, context)

            return answers

        return wrapped(handler, one, many)

    def _begin(self, context: grpc.ServicerContext) -> Call:
        call = CALL.get()
        context.set_trailing_metadata(((REQUEST_ID, call.request_id),))
        return call

    def _end(self, call: Call, context: grpc.ServicerContext) -> None:
        code = context.code()
        if code is None:
            code = grpc.StatusCode.OK if context.is_active() else grpc.StatusCode.CANCELLED
        self._counters.add(f"{call.method} {code.name}")
        if LOGGER.isEnabledFor(logging.INFO):
            LOGGER.info(
                "call method=%s code=%s ms=%.2f principal=%s peer=%s id=%s",
                call.method,
                code.name,
                call.elapsed_ms,
                call.principal.name,
                context.peer(),
                call.request_id,
            )
