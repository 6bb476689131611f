from __future__ import annotations

import grpc
import pytest
from google.rpc import code_pb2, error_details_pb2, status_pb2

from trichord import errors
from trichord.wire.status import CODES, MAX_MESSAGE_BYTES, code_of, from_status, to_status


def every_class(base: type = errors.TrichordError) -> list[type[errors.TrichordError]]:
    return [base, *(kind for sub in base.__subclasses__() for kind in every_class(sub))]


def instance(kind: type[errors.TrichordError]) -> errors.TrichordError:
    if kind is errors.MissingExtra:
        return errors.MissingExtra("faiss", "cpu")
    return kind("what is wrong and what to do", item_id="a")


OURS = [kind for kind in every_class() if kind.__module__ == "trichord.errors"]


@pytest.mark.parametrize("kind", OURS)
def test_every_error_comes_back_as_itself(kind: type[errors.TrichordError]) -> None:
    error = instance(kind)
    back = from_status(status_pb2.Status.FromString(to_status(error).SerializeToString()))
    assert type(back) is kind
    assert (str(back), back.details, back.reason) == (str(error), error.details, error.reason)


def test_the_table_is_complete_and_its_numbers_are_googles() -> None:
    assert set(CODES) == set(OURS)
    for kind in OURS:
        code = code_of(instance(kind))
        assert to_status(instance(kind)).code == code_pb2.Code.Value(code.name)


def test_a_new_subclass_has_the_code_of_its_base() -> None:
    class Narrower(errors.MediaError):
        reason = "NARROWER"

    assert code_of(Narrower("x")) is grpc.StatusCode.INVALID_ARGUMENT
    assert type(from_status(to_status(Narrower("x")))) is errors.InvalidInput


def details(status: status_pb2.Status, kind: type) -> list:
    found = []
    for packed in status.details:
        if packed.Is(kind.DESCRIPTOR):
            message = kind()
            packed.Unpack(message)
            found.append(message)
    return found


def test_details_are_googles() -> None:
    status = to_status(errors.FilterError("unknown field", field="yeer"))
    (info,) = details(status, error_details_pb2.ErrorInfo)
    assert (info.reason, info.domain, dict(info.metadata)) == (
        "FILTER",
        "trichord",
        {"field": "yeer"},
    )
    (bad,) = details(status, error_details_pb2.BadRequest)
    assert bad.field_violations[0].field == "yeer"
    assert bad.field_violations[0].description == "unknown field"


def test_an_overload_says_when_to_come_again() -> None:
    status = to_status(errors.ResourceExhausted("busy", retry_after_s=1.5))
    (retry,) = details(status, error_details_pb2.RetryInfo)
    assert (retry.retry_delay.seconds, retry.retry_delay.nanos) == (1, 500_000_000)
    back = from_status(status)
    assert isinstance(back, errors.ResourceExhausted) and back.retry_after_s == 1.5


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (code_pb2.INVALID_ARGUMENT, errors.InvalidInput),
        (code_pb2.NOT_FOUND, errors.NotFound),
        (code_pb2.UNAVAILABLE, errors.Unavailable),
        (code_pb2.DEADLINE_EXCEEDED, errors.DeadlineExceeded),
        (code_pb2.RESOURCE_EXHAUSTED, errors.ResourceExhausted),
        (code_pb2.UNKNOWN, errors.TrichordError),
        (code_pb2.UNIMPLEMENTED, errors.TrichordError),
    ],
)
def test_without_details_the_code_decides(code: int, kind: type) -> None:
    assert type(from_status(status_pb2.Status(code=code, message="m"))) is kind


def test_foreign_details_do_not_decide() -> None:
    status = status_pb2.Status(code=code_pb2.NOT_FOUND, message="m")
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason="MEDIA", domain="elsewhere"))
    assert type(from_status(status)) is errors.NotFound


def test_a_status_fits_into_the_metadata() -> None:
    huge = errors.InvalidInput("ö" * 100_000, **{f"k{i}": "é" * 10_000 for i in range(100)})
    status = to_status(huge)
    assert len(status.message.encode()) <= MAX_MESSAGE_BYTES
    assert len(status.SerializeToString()) < 5_000
    assert str(from_status(status)).startswith("öö")
