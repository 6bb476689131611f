"""Attribute values as people give them -> the typed columns of the store."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from trichord.errors import InvalidInput
from trichord.filters import BUILTIN_FIELDS
from trichord.types import AttributeValue

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
TIME = pa.timestamp("us", tz="UTC")
TYPES: Mapping[str, pa.DataType] = {
    "string": pa.string(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "timestamp": TIME,
    "list<string>": pa.list_(pa.string()),
}
EXACT_FLOATS = 2**53
"""Whole numbers up to this are exact as float64."""

NAMES = {dtype: name for name, dtype in TYPES.items()}


def moment(value: Any, what: str) -> datetime | None:
    """A time in UTC from a datetime, a date or ISO 8601 text; naive times are taken as UTC."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise InvalidInput(
                f"{what} must be an ISO 8601 time such as 2026-03-01T12:00:00Z, not {value!r}"
            ) from None
    if isinstance(value, datetime):
        try:
            return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        except OverflowError:
            raise InvalidInput(f"{what} lies outside the years 1 to 9999 in UTC") from None
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    raise InvalidInput(f"{what} must be a time, not {type(value).__name__}")


def canonical(attributes: Mapping[str, Any]) -> dict[str, AttributeValue]:
    """The attributes with dates as times and sequences as lists of text.

    Raises InvalidInput for names that are reserved or malformed and values of no attribute type.
    """
    return {name: _value(_name(name), value) for name, value in attributes.items()}


def _name(name: str) -> str:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise InvalidInput(
            f"{name!r} cannot be an attribute's name: use letters, digits and _, at most 64, "
            "not starting with a digit",
            field=name,
        )
    if name in BUILTIN_FIELDS:
        raise InvalidInput(f"{name!r} is a field of every item and cannot be an attribute")
    return name


def _value(name: str, value: Any) -> AttributeValue:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str):
        return _text(name, value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise InvalidInput(f"attribute {name!r}: {value} does not fit into 64 bits")
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidInput(f"attribute {name!r} must be finite, not {value}")
        return value
    if isinstance(value, date):  # a datetime is a date too
        return moment(value, f"attribute {name!r}")
    if isinstance(value, list | tuple) and all(isinstance(member, str) for member in value):
        return [_text(name, member) for member in value]
    if isinstance(value, Decimal) and value.is_finite():
        return float(value)
    raise InvalidInput(
        f"attribute {name!r} must be text, a number, true or false, a time or a list of texts, "
        f"not {type(value).__name__}",
        field=name,
    )


def _text(name: str, value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidInput(f"attribute {name!r} is not valid Unicode text", field=name) from None
    return str(value)


def type_of(value: AttributeValue) -> pa.DataType | None:
    """The column type of one value; None for a missing one."""
    match value:
        case None:
            return None
        case bool():
            return TYPES["bool"]
        case str():
            return TYPES["string"]
        case int():
            return TYPES["int64"]
        case float():
            return TYPES["float64"]
        case datetime():
            return TIME
        case list():
            return TYPES["list<string>"]


def widen(
    stored: Mapping[str, pa.DataType],
    types: dict[str, pa.DataType],
    attributes: Mapping[str, AttributeValue],
) -> None:
    """Adds the attributes' types to `types`. Whole numbers fit into a float64 column, and a column
    that is not `stored` yet becomes float64 when both kinds of numbers come.

    Raises InvalidInput, and changes nothing, where a value cannot go into the column that is there.
    """
    added: dict[str, pa.DataType] = {}
    for name, value in attributes.items():
        wanted, there = type_of(value), types.get(name)
        if there == TYPES["float64"] and isinstance(value, int) and abs(value) > EXACT_FLOATS:
            raise InvalidInput(
                f"attribute {name!r} is of type float64 here, which does not hold the int64 "
                f"{value} exactly",
                field=name,
            )
        if wanted is None or wanted == there:
            continue
        both = {wanted, there}
        if there is None:
            added[name] = wanted
        elif both == {TYPES["int64"], TYPES["float64"]} and (
            stored.get(name) in (None, TYPES["float64"])
        ):
            added[name] = TYPES["float64"]
        else:
            raise InvalidInput(
                f"attribute {name!r} is of type {NAMES[there]} here and cannot take the "
                f"{NAMES[wanted]} {value!r}",
                field=name,
            )
    types.update(added)


def column(values: list[AttributeValue], dtype: pa.DataType) -> pa.Array:
    """One Arrow column of attribute values."""
    if dtype == TYPES["float64"]:
        return pa.array([None if v is None else float(v) for v in values], dtype)  # type: ignore[arg-type]
    return pa.array(values, dtype)
