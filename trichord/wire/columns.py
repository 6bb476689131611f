"""Attribute columns of an answer <-> messages: one list per column, never a message per value."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from trichord.types import AttributeValue
from trichord.v1 import types_pb2
from trichord.wire.values import from_microseconds, microseconds


def to_column(name: str, values: Sequence[AttributeValue]) -> types_pb2.Column:
    """Values of one type, with None where there is none (all None: a column of strings).

    Raises TypeError for mixed or unknown types: a store's columns are typed.
    """
    column = types_pb2.Column(name=name)
    kinds = set(map(type, values))
    if type(None) in kinds:
        kinds.discard(type(None))
        column.null_rows.extend(row for row, value in enumerate(values) if value is None)
    kind = kinds.pop() if len(kinds) == 1 else str if not kinds else _common(name, kinds)
    full: Any = values
    if len(column.null_rows):
        zero: Any = datetime(1970, 1, 1) if issubclass(kind, datetime) else kind()
        full = [zero if value is None else value for value in values]
    if kind is str:
        column.strings.values.extend(full)
    elif kind is bool:
        column.bools.values.extend(full)
    elif kind is int:
        column.ints.values.extend(full)
    elif kind is float:
        column.doubles.values.extend(full)
    elif issubclass(kind, datetime):
        column.timestamps_us.values.extend(map(microseconds, full))
    elif kind in (list, tuple):
        column.lists.values.extend(types_pb2.StringList(values=value) for value in full)
    else:
        raise TypeError(f"the column {name!r} holds {kind.__name__}")
    if not full:
        column.strings.SetInParent()
    return column


def _common(name: str, kinds: set[type]) -> type:
    if kinds <= {int, float}:
        return float
    if all(issubclass(kind, datetime) for kind in kinds):
        return datetime
    raise TypeError(f"the column {name!r} mixes {sorted(kind.__name__ for kind in kinds)}")


def from_column(message: types_pb2.Column) -> list[AttributeValue]:
    kind = message.WhichOneof("values")
    values: list[Any] = []
    if kind is not None:
        values = list(getattr(message, kind).values)
    if kind == "timestamps_us":
        values = [from_microseconds(value) for value in values]
    elif kind == "lists":
        values = [list(value.values) for value in values]
    for row in message.null_rows:
        values[row] = None
    return values
