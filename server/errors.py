"""Exceptions -> status codes, by the table of `trichord.wire.status`; no method has a `try`."""

from __future__ import annotations

import logging
from collections import namedtuple
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, TypeAlias, TypeVar

import grpc

from trichord.errors import TrichordError
from trichord.server.calls import CALL, Call
from trichord.server.handlers import Behaviour, Handler, Interceptor, wrapped
from trichord.server.request_log import REQUEST_ID
from trichord.wire.status import code_of, to_status

LOGGER = logging.getLogger("trichord.server")

Q = TypeVar("Q")
R = TypeVar("R")
Metadata: TypeAlias = tuple[tuple[str, str | bytes], ...]

_Status = namedtuple("_Status", ("code", "details", "trailing_metadata"))
"""What gRPC calls a grpc.Status."""


class ErrorMapping(Interceptor):
    """A TrichordError ends the call with its status and details; anything else is a bug of ours:
    INTERNAL with the request id, and the traceback in the log only."""

    def wrap(self, handler: Handler) -> Handler:
        def one(inner: Behaviour) -> Behaviour:
            def answer(request: Any, context: grpc.ServicerContext) -> Any:
                try:
                    return inner(request, context)
                except Exception as error:
                    _end(error, context)

            return answer

        def many(inner: Behaviour) -> Behaviour:
            def answers(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
                try:
                    yield from inner(request, context)
                except Exception as error:
                    _end(error, context)

            return answers

        return wrapped(handler, one, many)


def _end(error: Exception, context: grpc.ServicerContext) -> NoReturn:
    # The transport's own errors (the caller went away) and ends that were set already pass.
    if isinstance(error, grpc.RpcError) or context.code() is not None:
        raise error
    call = CALL.get()
    context.abort_with_status(_Status(*ending(told(error, call), call)))
    raise AssertionError("abort_with_status returned")


def told(error: Exception, call: Call) -> TrichordError:
    """The error as the caller learns of it."""
    if isinstance(error, TrichordError):
        return error
    LOGGER.error("unexpected error id=%s method=%s", call.request_id, call.method, exc_info=error)
    return TrichordError(
        f"the server failed; its log says more under the request id {call.request_id}",
        request_id=call.request_id,
    )


def ending(error: TrichordError, call: Call) -> tuple[grpc.StatusCode, str, Metadata]:
    """Code, message and trailing metadata of a call that ends with the error."""
    status = to_status(error)
    return (
        code_of(error),
        status.message,
        (
            ("grpc-status-details-bin", status.SerializeToString()),
            (REQUEST_ID, call.request_id),
        ),
    )


def answered(answer: Callable[[Q], R], question: Q) -> R | TrichordError:
    """The answer to one question of several, or the error in its place."""
    try:
        return answer(question)
    except grpc.RpcError:
        raise
    except Exception as error:
        return told(error, CALL.get())
