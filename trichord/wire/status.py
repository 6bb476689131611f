"""Errors <-> google.rpc.Status, by one table that both sides share.

Every status carries an ErrorInfo with the error's reason, the domain "trichord" and its details;
bad input also a BadRequest, an overload a RetryInfo. Where the reason is unknown (a proxy's
answer, a newer server), the status code decides the class.
"""

from __future__ import annotations

import math

from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode

from trichord import errors

DOMAIN = "trichord"
MAX_MESSAGE_BYTES = 1_024
MAX_DETAIL_BYTES = 256
MAX_DETAILS = 8
"""A status travels in the trailing metadata, for which 8 KiB is the usual limit."""

CODES: dict[type[errors.TrichordError], StatusCode] = {
    errors.TrichordError: StatusCode.INTERNAL,
    errors.InvalidInput: StatusCode.INVALID_ARGUMENT,
    errors.MediaError: StatusCode.INVALID_ARGUMENT,
    errors.VectorError: StatusCode.INVALID_ARGUMENT,
    errors.FilterError: StatusCode.INVALID_ARGUMENT,
    errors.PageTokenError: StatusCode.INVALID_ARGUMENT,
    errors.NotFound: StatusCode.NOT_FOUND,
    errors.FrameMismatch: StatusCode.FAILED_PRECONDITION,
    errors.PermissionDenied: StatusCode.PERMISSION_DENIED,
    errors.Unauthenticated: StatusCode.UNAUTHENTICATED,
    errors.ResourceExhausted: StatusCode.RESOURCE_EXHAUSTED,
    errors.Unavailable: StatusCode.UNAVAILABLE,
    errors.DeadlineExceeded: StatusCode.DEADLINE_EXCEEDED,
    errors.StoreError: StatusCode.FAILED_PRECONDITION,
    errors.StoreLocked: StatusCode.ABORTED,
    errors.StoreTooNew: StatusCode.FAILED_PRECONDITION,
    errors.StoreDamaged: StatusCode.DATA_LOSS,
    errors.StorageFull: StatusCode.RESOURCE_EXHAUSTED,
    errors.EncoderMismatch: StatusCode.FAILED_PRECONDITION,
    errors.ModelError: StatusCode.FAILED_PRECONDITION,
    errors.MissingExtra: StatusCode.FAILED_PRECONDITION,
}
_BY_REASON = {kind.reason: kind for kind in CODES}
_BY_CODE: dict[int, type[errors.TrichordError]] = {
    StatusCode.INVALID_ARGUMENT.value[0]: errors.InvalidInput,
    StatusCode.OUT_OF_RANGE.value[0]: errors.InvalidInput,
    StatusCode.NOT_FOUND.value[0]: errors.NotFound,
    StatusCode.PERMISSION_DENIED.value[0]: errors.PermissionDenied,
    StatusCode.UNAUTHENTICATED.value[0]: errors.Unauthenticated,
    StatusCode.RESOURCE_EXHAUSTED.value[0]: errors.ResourceExhausted,
    StatusCode.UNAVAILABLE.value[0]: errors.Unavailable,
    StatusCode.CANCELLED.value[0]: errors.Unavailable,
    StatusCode.DEADLINE_EXCEEDED.value[0]: errors.DeadlineExceeded,
    StatusCode.FAILED_PRECONDITION.value[0]: errors.StoreError,
    StatusCode.ABORTED.value[0]: errors.StoreError,
    StatusCode.DATA_LOSS.value[0]: errors.StoreDamaged,
}


_WAITING = (errors.ResourceExhausted, errors.StoreLocked)
"""Errors that may say when to come again."""


def code_of(error: errors.TrichordError) -> StatusCode:
    """By the nearest class of the table, so that a new subclass is never an INTERNAL by chance."""
    return next(CODES[kind] for kind in type(error).__mro__ if kind in CODES)


def to_status(error: errors.TrichordError) -> status_pb2.Status:
    message = _clipped(str(error), MAX_MESSAGE_BYTES)
    status = status_pb2.Status(code=code_of(error).value[0], message=message)
    details = {
        _clipped(key, MAX_DETAIL_BYTES): _clipped(value, MAX_DETAIL_BYTES)
        for key, value in list(error.details.items())[:MAX_DETAILS]
    }
    status.details.add().Pack(
        error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=details)
    )
    if isinstance(error, errors.InvalidInput):
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=details.get("field", ""), description=message, reason=error.reason
        )
        status.details.add().Pack(error_details_pb2.BadRequest(field_violations=[violation]))
    if isinstance(error, _WAITING) and error.retry_after_s is not None:
        fraction, seconds = math.modf(error.retry_after_s)
        delay = Duration(seconds=int(seconds), nanos=int(fraction * 1e9))
        status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    return status


def from_status(status: status_pb2.Status) -> errors.TrichordError:
    kind = _BY_CODE.get(status.code, errors.TrichordError)
    details: dict[str, str] = {}
    retry_after_s: float | None = None
    for packed in status.details:
        if packed.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            info = error_details_pb2.ErrorInfo()
            packed.Unpack(info)
            if info.domain == DOMAIN:
                kind = _BY_REASON.get(info.reason, kind)
                details = dict(info.metadata)
        elif packed.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
            retry = error_details_pb2.RetryInfo()
            packed.Unpack(retry)
            retry_after_s = retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9
    return make(kind, status.message, details, retry_after_s)


def make(
    kind: type[errors.TrichordError],
    message: str,
    details: dict[str, str],
    retry_after_s: float | None = None,
) -> errors.TrichordError:
    """An error of this class as it was, whatever arguments its constructor takes."""
    error = kind.__new__(kind)
    errors.TrichordError.__init__(error, message)
    error.details = details
    if isinstance(error, _WAITING):
        error.retry_after_s = retry_after_s
    return error


def _clipped(text: str, size: int) -> str:
    data = text.encode("utf-8", "replace")
    if len(data) <= size:
        return data.decode()
    return data[: size - 4].decode("utf-8", "ignore") + " …"
