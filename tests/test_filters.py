"""The filter language: what is written is the tree that is meant."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trichord.errors import FilterError
from trichord.filters import (
    MAX_DEPTH,
    MAX_VALUES,
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
    parse,
)

A, B, C = (Compare(name, Op.EQ, 1) for name in "abc")
KEYWORDS = {"and", "or", "not", "in", "has", "is", "null", "true", "false"}


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("market = 'SE'", Compare("market", Op.EQ, "SE")),
        ("market == 'SE'", Compare("market", Op.EQ, "SE")),
        ("year<>1", Compare("year", Op.NE, 1)),
        ("year>=-5", Compare("year", Op.GE, -5)),
        ("x < .5", Compare("x", Op.LT, 0.5)),
        ("x > 1e3", Compare("x", Op.GT, 1000.0)),
        ("x = TRUE", Compare("x", Op.EQ, True)),
        ("x != false", Compare("x", Op.NE, False)),
        ("x = 'it''s'", Compare("x", Op.EQ, "it's")),
        ('x = "say ""so"""', Compare("x", Op.EQ, 'say "so"')),
        ("x = ''", Compare("x", Op.EQ, "")),
        ("x = 'and or not ('", Compare("x", Op.EQ, "and or not (")),
        ("x in (1, 'a', true)", In("x", (1, "a", True))),
        ("x not in (1)", And((Exists("x"), Not(In("x", (1,)))))),
        ("tags has 'live'", Has("tags", "live")),
        ("x is null", Not(Exists("x"))),
        ("x IS NOT NULL", Exists("x")),
        ("a=1 or b=1 and c=1", Or((A, And((B, C))))),
        ("(a=1 or b=1) and c=1", And((Or((A, B)), C))),
        ("not a=1 and b=1", And((Not(A), B))),
        ("not (a=1 and b=1)", Not(And((A, B)))),
        ("not not a=1", Not(Not(A))),
        ("((a=1))", A),
        ("a=1 AND b=1 And c=1", And((A, B, C))),
        ("android = 1", Compare("android", Op.EQ, 1)),
        ("notes = 1", Compare("notes", Op.EQ, 1)),
        ("in_stock = 1", Compare("in_stock", Op.EQ, 1)),
        ("ä = 1", None),
        ("and = 1", None),
        ("x = ", None),
        ("x 1", None),
        ("x = 'open", None),
        ("x in ()", None),
        ("x has 5", None),
        ("(a = 1", None),
        ("a = 1)", None),
        ("a = 1 b = 1", None),
        ("", None),
        ("x = 1; drop", None),
    ],
)
def test_grammar(text: str, tree: Filter | None) -> None:
    if tree is None:
        with pytest.raises(FilterError, match="column") as caught:
            parse(text)
        assert 1 <= int(caught.value.details["column"]) <= len(text) + 1
    else:
        assert repr(parse(text)) == repr(tree)  # repr, for 1 == True


def test_the_error_points_at_the_place() -> None:
    with pytest.raises(FilterError, match="column 6, near '!! nonsense'"):
        parse("a =1 !! nonsense")
    with pytest.raises(FilterError, match="near 'the end'"):
        parse("a =")


names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True).filter(
    lambda name: name.lower() not in KEYWORDS
)
scalars: st.SearchStrategy[Scalar] = st.one_of(
    st.text(max_size=6),
    st.integers(),
    st.booleans(),
    st.floats(allow_nan=False, allow_infinity=False),
)
leaves: st.SearchStrategy[Filter] = st.one_of(
    st.builds(Compare, names, st.sampled_from(list(Op)), scalars),
    st.builds(In, names, st.lists(scalars, min_size=1, max_size=3).map(tuple)),
    st.builds(Has, names, st.text(max_size=6)),
    st.builds(Exists, names),
)


def _joined(below: st.SearchStrategy[Filter]) -> st.SearchStrategy[Filter]:
    several = st.lists(below, min_size=2, max_size=3).map(tuple)
    return st.one_of(st.builds(And, several), st.builds(Or, several), st.builds(Not, below))


def written(tree: Filter) -> str:
    """One way to write a tree."""

    def value(given: Scalar) -> str:
        if isinstance(given, bool):
            return str(given).lower()
        return repr(given) if isinstance(given, int | float) else _quoted(str(given))

    match tree:
        case And(terms):
            return " and ".join(f"({written(term)})" for term in terms)
        case Or(terms):
            return " or ".join(f"({written(term)})" for term in terms)
        case Not(term):
            return f"not ({written(term)})"
        case Compare(name, op, given):
            return f"{name} {op} {value(given)}"
        case In(name, values):
            return f"{name} in ({', '.join(map(value, values))})"
        case Has(name, given):
            return f"{name} has {_quoted(given)}"
        case Exists(name):
            return f"{name} is not null"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@settings(deadline=None, max_examples=150)
@given(st.recursive(leaves, _joined, max_leaves=8))
def test_what_is_written_is_what_is_meant(tree: Filter) -> None:
    assert repr(parse(written(tree))) == repr(tree)
    assert set(fields(parse(written(tree)))) == set(fields(tree))


@settings(deadline=None, max_examples=150)
@given(st.text(max_size=40))
def test_any_text_is_a_tree_or_a_filter_error(text: str) -> None:
    with suppress(FilterError):
        check(parse(text))


def test_limits() -> None:
    deep: Filter = A
    for _ in range(MAX_DEPTH - 1):
        deep = Not(deep)
    check(deep)
    with pytest.raises(FilterError, match="nested"):
        check(Not(deep))
    with pytest.raises(FilterError, match="nested"):
        parse("not " * 1000 + "a=1")
    with pytest.raises(FilterError, match="nested"):
        parse("(not " * 3000 + "a=1" + ")" * 3000)
    assert parse("(" * 5000 + "a=1" + ")" * 5000) == A  # brackets add no depth
    check(In("a", tuple(range(MAX_VALUES))))
    with pytest.raises(FilterError, match=str(MAX_VALUES)):
        check(Or((In("a", tuple(range(MAX_VALUES))), A)))
    for empty in (And(()), Or(()), In("a", ())):
        with pytest.raises(FilterError, match="at least one"):
            check(empty)
    with pytest.raises(FilterError, match="characters"):
        parse("a = '" + "x" * 1_000_000 + "'")
