"""Filters over the attribute columns in memory: a tree becomes one boolean per item.

Names and types are checked first, so that a filter on an unknown or differently typed field is an
error and never an empty or an unfiltered answer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime

import polars as pl

from trichord.errors import FilterError
from trichord.filters import (
    BUILTIN_FIELDS,
    And,
    Compare,
    Exists,
    Filter,
    Has,
    In,
    Not,
    Op,
    Or,
    Scalar,
    check,
    fields,
)
from trichord.types import Bool, Modality

TYPE_NAMES: Mapping[object, str] = {
    pl.String(): "string",
    pl.Int64(): "int64",
    pl.Float64(): "float64",
    pl.Boolean(): "bool",
    pl.Datetime("us", "UTC"): "timestamp",
    pl.List(pl.String()): "list<string>",
}

NEVER = pl.col("item_id").is_null()
"""False for every item: all have an id."""

INT64 = range(-(2**63), 2**63)

Schema = Mapping[str, pl.DataType]


def type_name(dtype: pl.DataType) -> str:
    """The name that people see: string, int64, float64, bool, timestamp or list<string>."""
    return TYPE_NAMES[dtype]


def mask(tree: Filter, frame: pl.DataFrame, *, lenient: bool = False) -> Bool:
    """Which rows of the frame pass, bool (n,).

    Raises FilterError for a value whose type the column cannot have, and for a field that is no
    column (`lenient`: its values are all missing).
    """
    check(tree)
    schema = {name: dtype for name, dtype in frame.schema.items() if not name.startswith("#")}
    unknown = sorted({name for name in fields(tree) if name not in schema})
    if unknown and not lenient:
        known = sorted(name for name in schema if name not in BUILTIN_FIELDS)
        raise FilterError(
            f"the filter names {', '.join(map(repr, unknown))}, which no item has; attributes "
            f"here: {', '.join(known) or 'none'}; always there: {', '.join(BUILTIN_FIELDS)}",
            field=unknown[0],
        )
    wanted = frame.select(_expression(tree, schema).alias("pass"))["pass"]
    return wanted.to_numpy().astype(bool, copy=False)


def _expression(tree: Filter, schema: Schema) -> pl.Expr:
    match tree:
        case And(terms):
            return pl.all_horizontal([_expression(term, schema) for term in terms])
        case Or(terms):
            return pl.any_horizontal([_expression(term, schema) for term in terms])
        case Not(term):
            return ~_expression(term, schema)
    if tree.field not in schema:
        return NEVER
    match tree:
        case Exists(name):
            return pl.col(name).is_not_null()
        case Has(name, value):
            return _has(name, value, schema[name])
        case In(name, values):
            return _in(name, values, schema[name])
        case Compare(name, operator, value):
            typed = _typed(name, operator, value, schema[name])
            return _compare(name, operator, typed, schema[name]).fill_null(False)


def _has(name: str, value: object, dtype: pl.DataType) -> pl.Expr:
    if type_name(dtype) != "list<string>":
        raise FilterError(
            f"`has` needs a list, {name!r} is of type {type_name(dtype)}: write {name} = 'value'",
            field=name,
        )
    if not isinstance(value, str):
        raise FilterError(f"the members of {name!r} are texts, not {value!r}", field=name)
    return pl.col(name).list.contains(value).fill_null(False)


def _in(name: str, values: tuple[Scalar, ...], dtype: pl.DataType) -> pl.Expr:
    typed = [_typed(name, Op.EQ, value, dtype) for value in values]
    if type_name(dtype) in ("int64", "float64"):
        exact = [_exactly(value, dtype) for value in typed]
        typed = [number for number in exact if number is not None]
        if not typed:
            return NEVER
    among = pl.col(name).is_in(pl.Series(typed, dtype=dtype).implode())
    return among.fill_null(False)


def _exactly(number: object, dtype: pl.DataType) -> int | float | None:
    """The number as a value of the column, None if no value of the column equals it."""
    assert isinstance(number, int | float)
    if dtype == pl.Float64():
        rounded = float(number)
        return rounded if rounded == number else None
    if not math.isfinite(number) or int(number) != number or int(number) not in INT64:
        return None
    return int(number)


def _compare(name: str, operator: Op, value: Scalar, dtype: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if type_name(dtype) in ("int64", "float64"):
        assert isinstance(value, int | float)
        exact = _exactly(value, dtype)
        if exact is None:
            return _beside(column, operator, value, dtype)
        value = exact
    literal = pl.lit(value, dtype=dtype)
    match operator:
        case Op.EQ:
            return column == literal
        case Op.NE:
            return column != literal
        case Op.LT:
            return column < literal
        case Op.LE:
            return column <= literal
        case Op.GT:
            return column > literal
        case Op.GE:
            return column >= literal


def _beside(column: pl.Expr, operator: Op, value: int | float, dtype: pl.DataType) -> pl.Expr:
    """A comparison with a number that no value of the column equals: the engine would round it to
    one that some may equal, so it is replaced by its neighbour below and `<=` or `>`."""
    there = column.is_not_null()
    if operator in (Op.EQ, Op.NE):
        return NEVER if operator is Op.EQ else there
    below: int | float
    if dtype == pl.Float64():
        below = float(value)
        if below > value:
            below = math.nextafter(below, -math.inf)
    elif value >= 2**63:
        return there if operator in (Op.LT, Op.LE) else NEVER
    elif value < -(2**63):
        return NEVER if operator in (Op.LT, Op.LE) else there
    else:
        below = math.floor(value)
    literal = pl.lit(below, dtype=dtype)
    return column <= literal if operator in (Op.LT, Op.LE) else column > literal


def _typed(name: str, operator: Op, value: Scalar, dtype: pl.DataType) -> Scalar:
    kind = type_name(dtype)
    ordered = operator not in (Op.EQ, Op.NE)
    if kind == "string" and isinstance(value, str):
        if name == "modality" and value not in set(Modality):
            raise FilterError(
                f"there is no modality {value!r}; there are {', '.join(Modality)}", field=name
            )
        return value
    if kind in ("int64", "float64") and isinstance(value, int | float):
        if isinstance(value, bool):
            pass  # falls through to the error: True is not the number 1
        elif isinstance(value, int) and value not in INT64:
            raise FilterError(f"{value} does not fit into 64 bits", field=name)
        elif value != value:
            raise FilterError(f"{name!r} cannot be compared with NaN", field=name)
        else:
            return value
    if kind == "bool" and isinstance(value, bool) and not ordered:
        return value
    if kind == "timestamp" and isinstance(value, str | datetime):
        return _moment(name, value)
    if kind == "list<string>":
        raise FilterError(f"{name!r} is a list: write {name} has 'value'", field=name)
    raise FilterError(
        f"{name!r} is of type {kind} and cannot be compared by `{operator}` with {value!r}",
        field=name,
    )


def _moment(name: str, value: str | datetime) -> datetime:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise FilterError(
            f"{name!r} is a time: compare it with an ISO 8601 text such as '2026-03-01' or "
            f"'2026-03-01T12:00:00Z', not {value!r}",
            field=name,
        ) from None
