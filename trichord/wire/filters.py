"""Filter trees <-> messages."""

from __future__ import annotations

from trichord.errors import FilterError
from trichord.filters import (
    MAX_DEPTH,
    And,
    Compare,
    Exists,
    Filter,
    Has,
    In,
    Not,
    Or,
    Scalar,
    check,
    parse,
)
from trichord.v1 import query_pb2, types_pb2
from trichord.wire.enums import OPERATOR_NUMBERS, OPERATORS, member
from trichord.wire.values import from_value, to_value

# A message may hold 100 levels of messages; a list of terms takes two, and something is above it.
_MAX_MESSAGE_DEPTH = 90


def to_filter(where: str | Filter) -> query_pb2.Filter:
    """A tree as a message; text is sent as it is and parsed by the server.

    Raises FilterError for a tree that is too deep or too long, or with a value of another type.
    """
    if isinstance(where, str):
        return query_pb2.Filter(expression=where)
    check(where)
    return _write(where, 0)


def _write(tree: Filter, depth: int) -> query_pb2.Filter:
    if depth > _MAX_MESSAGE_DEPTH:
        raise FilterError("the filter is nested too deep to be sent: write it flatter")
    match tree:
        case And(terms):
            parts = [_write(term, depth + 2) for term in terms]
            return query_pb2.Filter(all=query_pb2.FilterList(filters=parts))
        case Or(terms):
            parts = [_write(term, depth + 2) for term in terms]
            return query_pb2.Filter(any=query_pb2.FilterList(filters=parts))
        case Not(term):
            inner = _write(term, depth + 1)
            message = query_pb2.Filter()
            getattr(message, "not").CopyFrom(inner)  # a keyword of Python
            return message
        case Compare(field, op, value):
            comparison = query_pb2.Comparison(
                field=field, operator=OPERATOR_NUMBERS[op], value=to_value(value, field)
            )
            return query_pb2.Filter(comparison=comparison)
        case In(field, values):
            members = [to_value(value, field) for value in values]
            return query_pb2.Filter(membership=query_pb2.Membership(field=field, values=members))
        case Has(field, text):
            return query_pb2.Filter(has=query_pb2.ListMembership(field=field, value=text))
        case Exists(field):
            return query_pb2.Filter(exists=field)
    raise FilterError(f"a filter is text or a tree of trichord.filters, not {type(tree).__name__}")


def from_filter(message: query_pb2.Filter) -> Filter | None:
    """The tree, within the limits of `trichord.filters.check`; None for an empty message.

    Raises FilterError for what is incomplete, not understood, too deep or too long.
    """
    if message.WhichOneof("node") is None:
        return None
    tree = _read(message, 1)
    check(tree)
    return tree


def _read(message: query_pb2.Filter, depth: int) -> Filter:
    if depth > MAX_DEPTH:
        raise FilterError(f"a filter may be nested at most {MAX_DEPTH} deep")
    match message.WhichOneof("node"):
        case "all":
            return And(tuple(_read(part, depth + 1) for part in message.all.filters))
        case "any":
            return Or(tuple(_read(part, depth + 1) for part in message.any.filters))
        case "not":
            return Not(_read(getattr(message, "not"), depth + 1))
        case "comparison":
            node = message.comparison
            operator = member(OPERATORS, node.operator, "operator")
            if operator is None:
                raise FilterError("a comparison needs an operator")
            return Compare(_field(node.field), operator, _scalar(node.field, node.value))
        case "membership":
            name = _field(message.membership.field)
            return In(name, tuple(_scalar(name, value) for value in message.membership.values))
        case "has":
            return Has(_field(message.has.field), message.has.value)
        case "exists":
            return Exists(_field(message.exists))
        case "expression":
            return parse(message.expression)
    raise FilterError("a part of the filter is empty")


def _field(name: str) -> str:
    if not name:
        raise FilterError("a part of the filter names no field")
    return name


def _scalar(name: str, message: types_pb2.Value) -> Scalar:
    value = from_value(message)
    if value is None or isinstance(value, list):
        raise FilterError(
            f"the field {name!r} is compared with {'nothing' if value is None else 'a list'}: give "
            "one value, or use exists, has or membership",
            field=name,
        )
    return value
