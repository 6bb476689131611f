"""Filters: what a person types and what a program sends are the same small tree.

    >>> parse("year >= 2020")
    Compare(field='year', op=<Op.GE: '>='>, value=2020)

Logic is two-valued: a comparison with a missing value is false, and `not` is the plain complement
(so `not (market = 'SE')` also takes items without a market, while `market != 'SE'` does not).
Fields are attributes, or one of `BUILTIN_FIELDS`. Text compared with a time is read as ISO 8601.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache, lru_cache
from typing import Any

from trichord.errors import FilterError

BUILTIN_FIELDS = ("item_id", "entity_id", "modality", "media_type", "event_timestamp")

MAX_VALUES = 10_000
"""Values that one `in` may list, over all of a filter."""
MAX_DEPTH = 64
MAX_LENGTH = 1_000_000
"""Characters of an expression that a person or a program may send as text."""

Scalar = str | int | float | bool | datetime


class Op(StrEnum):
    EQ = "="
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="


@dataclass(frozen=True)
class Compare:
    """`field op value`; false where the field has no value."""

    field: str
    op: Op
    value: Scalar


@dataclass(frozen=True)
class In:
    """The field's value is one of `values`."""

    field: str
    values: tuple[Scalar, ...]


@dataclass(frozen=True)
class Has:
    """The field is a list and contains `value`."""

    field: str
    value: str


@dataclass(frozen=True)
class Exists:
    """The field has a value."""

    field: str


@dataclass(frozen=True)
class And:
    terms: tuple[Filter, ...]


@dataclass(frozen=True)
class Or:
    terms: tuple[Filter, ...]


@dataclass(frozen=True)
class Not:
    term: Filter


Filter = Compare | In | Has | Exists | And | Or | Not


def fields(tree: Filter) -> Iterator[str]:
    """Names of all fields that the filter reads, with repetitions."""
    match tree:
        case And(terms) | Or(terms):
            for term in terms:
                yield from fields(term)
        case Not(term):
            yield from fields(term)
        case _:
            yield tree.field


GRAMMAR = r"""
    ?start: disjunction
    ?disjunction: conjunction ("or"i conjunction)*      -> either
    ?conjunction: negation ("and"i negation)*           -> both
    ?negation: "not"i negation                          -> negate
        | "(" disjunction ")"
        | NAME OPERATOR value                           -> compare
        | NAME "in"i "(" value ("," value)* ")"         -> member
        | NAME "not"i "in"i "(" value ("," value)* ")"  -> not_member
        | NAME "has"i STRING                            -> has
        | NAME "is"i "null"i                            -> missing
        | NAME "is"i "not"i "null"i                     -> exists
    ?value: STRING -> text | NUMBER -> number | "true"i -> yes | "false"i -> no
    OPERATOR: "!=" | "<>" | "<=" | ">=" | "==" | "=" | "<" | ">"
    NAME: /(?!(?:and|or|not|in|has|is|null|true|false)\b)[A-Za-z_][A-Za-z0-9_]*/i
    STRING: /'(?:[^']|'')*'/ | /"(?:[^"]|"")*"/
    NUMBER: /[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?/
    %ignore /\s+/
"""


@cache
def _parser() -> Any:
    from lark import Lark

    return Lark(GRAMMAR, parser="lalr", maybe_placeholders=False)


@lru_cache(maxsize=1024)
def parse(expression: str) -> Filter:
    """The tree of an expression such as `genre in ('jazz', 'folk') and not (year < 1990)`.

    Raises FilterError with the position of the first thing that is not understood.
    """
    from lark.exceptions import UnexpectedInput

    if len(expression) > MAX_LENGTH:
        raise FilterError(f"a filter expression may have at most {MAX_LENGTH} characters")
    try:
        parsed = _parser().parse(expression)
    except UnexpectedInput as error:
        position = getattr(error, "pos_in_stream", None)
        at_end = getattr(getattr(error, "token", None), "type", "") == "$END"
        column = len(expression) + 1 if position is None or at_end else position + 1
        shown = expression[max(0, column - 1) :][:20] or "the end"
        raise FilterError(
            f"filter not understood at column {column}, near {shown!r}; write for example: "
            "market = 'SE' and year >= 2020 and genre in ('jazz', 'folk') and tags has 'live'",
            column=column,
        ) from None
    except RecursionError:
        raise FilterError(f"a filter may be nested at most {MAX_DEPTH} deep") from None
    tree = _build(parsed)
    check(tree)
    return tree


def as_filter(where: str | Filter | None) -> Filter | None:
    """The tree of a filter given as text or as a tree; None for no filter. Raises FilterError."""
    if where is None or (isinstance(where, str) and not where.strip()):
        return None
    if isinstance(where, str):
        return parse(where)
    if not isinstance(where, Filter):
        raise FilterError("a filter is a text such as market = 'SE', or a tree of trichord.filters")
    return where


_WRITTEN: dict[int, tuple[Filter, str]] = {}


def written(tree: Filter | None) -> str:
    """A text that is the same for filters that mean the same by value and type (equal trees may
    not: 1 == True). Remembered by identity, since `parse` gives equal texts the same tree."""
    if tree is None:
        return ""
    known = _WRITTEN.get(id(tree))
    if known is not None and known[0] is tree:
        return known[1]
    if len(_WRITTEN) >= 1024:
        _WRITTEN.clear()
    text = repr(tree)
    _WRITTEN[id(tree)] = tree, text
    return text


def check(tree: Filter) -> None:
    """Raises FilterError when a filter is deeper or longer than the limits allow."""
    values = 0
    pending: list[tuple[Filter, int]] = [(tree, 1)]
    while pending:
        node, depth = pending.pop()
        if depth > MAX_DEPTH:
            raise FilterError(f"a filter may be nested at most {MAX_DEPTH} deep")
        match node:
            case And(terms) | Or(terms):
                if not terms:
                    raise FilterError("`and` and `or` need at least one term")
                pending += [(term, depth + 1) for term in terms]
                values += len(terms)
            case Not(term):
                pending.append((term, depth + 1))
            case In(_, members):
                if not members:
                    raise FilterError("`in` needs at least one value")
                values += len(members)
            case _:
                pass
    if values > MAX_VALUES:
        raise FilterError(f"a filter may list at most {MAX_VALUES} values, this one has {values}")


def _build(node: Any, depth: int = 1) -> Filter:
    # Explicit recursion rather than lark's Transformer: nesting is checked on the way down.
    if depth > MAX_DEPTH:
        raise FilterError(f"a filter may be nested at most {MAX_DEPTH} deep")
    # Brackets, however many, add no depth, so they are unwrapped without recursion.
    while node.data in ("either", "both") and len(node.children) == 1:
        node = node.children[0]
    children = node.children
    match node.data:
        case "either":
            return Or(tuple(_build(child, depth + 1) for child in children))
        case "both":
            return And(tuple(_build(child, depth + 1) for child in children))
        case "negate":
            return Not(_build(children[0], depth + 1))
        case "compare":
            name, operator, value = children
            spelled = {"==": "=", "<>": "!="}.get(str(operator), str(operator))
            return Compare(str(name), Op(spelled), _value(value))
        case "member":
            return In(str(children[0]), tuple(_value(child) for child in children[1:]))
        case "not_member":
            name, *members = children
            return And(
                (Exists(str(name)), Not(In(str(name), tuple(_value(child) for child in members))))
            )
        case "has":
            return Has(str(children[0]), _unquoted(str(children[1])))
        case "exists":
            return Exists(str(children[0]))
        case "missing":
            return Not(Exists(str(children[0])))
    raise AssertionError(f"the grammar has no rule {node.data}")


def _value(node: Any) -> Scalar:
    match node.data:
        case "yes":
            return True
        case "no":
            return False
        case "text":
            return _unquoted(str(node.children[0]))
    digits = str(node.children[0])
    try:
        return int(digits)
    except ValueError:
        return float(digits)


def _unquoted(literal: str) -> str:
    quote = literal[0]
    return literal[1:-1].replace(quote * 2, quote)
