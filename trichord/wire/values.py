"""Attribute values and times <-> messages. Times are aware UTC, exact to the microsecond."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp

from trichord.errors import InvalidInput
from trichord.types import AttributeValue
from trichord.v1 import types_pb2

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_INT64 = range(-(2**63), 2**63)


def microseconds(time: datetime) -> int:
    """Microseconds since 1970 UTC; a time without a zone is read as UTC."""
    aware = time.replace(tzinfo=UTC) if time.tzinfo is None else time
    return (aware - EPOCH) // _MICROSECOND


def from_microseconds(count: int) -> datetime:
    try:
        return EPOCH + timedelta(microseconds=count)
    except OverflowError:
        raise InvalidInput("the time lies outside the years 1 to 9999") from None


def to_timestamp(time: datetime) -> Timestamp:
    seconds, micros = divmod(microseconds(time), 1_000_000)
    return Timestamp(seconds=seconds, nanos=micros * 1_000)


def from_timestamp(message: Timestamp) -> datetime:
    """Rounded down to the microsecond."""
    if not 0 <= message.nanos < 1_000_000_000:
        raise InvalidInput(f"a timestamp has 0 to 999999999 nanos, not {message.nanos}")
    return from_microseconds(message.seconds * 1_000_000 + message.nanos // 1_000)


def as_time(value: Any) -> datetime:
    """A datetime, a date (its midnight, UTC) or ISO 8601 text, as an aware datetime in UTC."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise InvalidInput(f"{value!r} is no ISO 8601 time such as 2024-05-01T12:00Z") from None
    if isinstance(value, datetime):
        return from_microseconds(microseconds(value))
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    raise InvalidInput(f"a time is a datetime or ISO 8601 text, not {type(value).__name__}")


def to_value(value: Any, name: str = "value") -> types_pb2.Value:
    """Raises InvalidInput for a type that is no attribute's; `name` says whose value it is."""
    if value is None:
        return types_pb2.Value()
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str):
        return types_pb2.Value(string_value=value)
    if isinstance(value, bool):
        return types_pb2.Value(bool_value=value)
    if isinstance(value, int):
        if value not in _INT64:
            raise InvalidInput(f"{name} does not fit into 64 bits: {value}", field=name)
        return types_pb2.Value(int_value=value)
    if isinstance(value, float):
        return types_pb2.Value(double_value=value)
    if isinstance(value, datetime):
        return types_pb2.Value(timestamp_value=to_timestamp(value))
    if isinstance(value, list | tuple) and all(isinstance(part, str) for part in value):
        return types_pb2.Value(list_value=types_pb2.StringList(values=value))
    raise InvalidInput(
        f"{name} has the type {type(value).__name__}; attributes are str, int, float, bool, "
        "datetime, a list of str, or None",
        field=name,
    )


def from_value(message: types_pb2.Value) -> AttributeValue:
    match message.WhichOneof("kind"):
        case "string_value":
            return message.string_value
        case "int_value":
            return message.int_value
        case "double_value":
            return message.double_value
        case "bool_value":
            return message.bool_value
        case "timestamp_value":
            return from_timestamp(message.timestamp_value)
        case "list_value":
            return list(message.list_value.values)
    return None


def write_attributes(values: Mapping[str, Any], target: Any) -> None:
    """Fills a message's `map<string, Value>` field."""
    for name, value in values.items():
        target[name].CopyFrom(to_value(value, name))


def read_attributes(source: Mapping[str, types_pb2.Value]) -> dict[str, AttributeValue]:
    return {name: from_value(source[name]) for name in sorted(source)}
