"""How interceptors wrap a method: once, whatever its kind, and in which pool it runs."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

import grpc

from trichord.server.calls import CALL

Behaviour = Callable[[Any, grpc.ServicerContext], Any]
Handler: TypeAlias = Any
"""A grpc.RpcMethodHandler; gRPC has no types."""

HEALTH = "/grpc.health.v1.Health/"

_KINDS = {
    (False, False): ("unary_unary", grpc.unary_unary_rpc_method_handler),
    (False, True): ("unary_stream", grpc.unary_stream_rpc_method_handler),
    (True, False): ("stream_unary", grpc.stream_unary_rpc_method_handler),
    (True, True): ("stream_stream", grpc.stream_stream_rpc_method_handler),
}


def wrapped(
    handler: Handler,
    one: Callable[[Behaviour], Behaviour],
    many: Callable[[Behaviour], Behaviour],
    pool: ThreadPoolExecutor | None = None,
) -> Handler:
    """The handler with its behaviour replaced by `one(behaviour)`, or by `many(behaviour)` where
    it answers with a stream; it runs in `pool`, else where it ran before."""
    name, make = _KINDS[handler.request_streaming, handler.response_streaming]
    inner = getattr(handler, name)
    around = many if handler.response_streaming else one
    outer: Any = around(inner)
    pool = pool or getattr(inner, "experimental_thread_pool", None)
    if pool is not None:
        # gRPC's own way to give a method threads of its own.
        outer.experimental_thread_pool = pool
    return make(outer, handler.request_deserializer, handler.response_serializer)


class Wrapper:
    """Wraps each method once: calls are frequent, methods few."""

    def __init__(self, wrap: Callable[[Handler], Handler]) -> None:
        self._wrap = wrap
        self._made: dict[str, tuple[Handler, Handler]] = {}

    def __call__(self, method: str, handler: Handler) -> Handler:
        made = self._made.get(method)
        if made is None or made[0] is not handler:
            made = self._made[method] = handler, self._wrap(handler)
        return made[1]


class Interceptor(grpc.ServerInterceptor):  # type: ignore[misc]  # gRPC has no types
    """Base of ours: `wrap` builds the handler around another, and health calls pass untouched."""

    def __init__(self) -> None:
        self._wrapper = Wrapper(self.wrap)

    def wrap(self, handler: Handler) -> Handler:
        raise NotImplementedError  # pragma: no cover

    def intercept_service(
        self, continuation: Callable[[Any], Handler | None], details: Any
    ) -> Handler | None:
        handler = continuation(details)
        if handler is None or details.method.startswith(HEALTH):
            return handler
        return self._wrapper(details.method, handler)


def refusing(handler: Handler, pool: ThreadPoolExecutor) -> Handler:
    """A handler in place of this one that raises the `refusal` of the current call."""

    def refuse(request: Any, context: grpc.ServicerContext) -> Any:
        refusal = CALL.get().refusal
        assert refusal is not None
        raise refusal

    return wrapped(handler, lambda _: refuse, lambda _: refuse, pool)
