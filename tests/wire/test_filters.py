from __future__ import annotations

import pytest
from hypothesis import given, settings

from tests.wire import strategies
from trichord.errors import FilterError, InvalidInput
from trichord.filters import And, Compare, Exists, Filter, Not, Op, parse
from trichord.v1 import query_pb2, types_pb2
from trichord.wire.filters import from_filter, to_filter


@settings(deadline=None, max_examples=200)
@given(strategies.filters)
def test_trees_come_back_equal(tree: Filter) -> None:
    message = query_pb2.Filter.FromString(to_filter(tree).SerializeToString())
    assert from_filter(message) == tree


def test_an_expression_is_parsed_on_arrival() -> None:
    text = "market = 'SE' and not (year < 2020 or tags has 'live')"
    assert to_filter(text).expression == text
    assert from_filter(to_filter(text)) == parse(text)


def test_expressions_may_stand_inside_a_tree() -> None:
    message = query_pb2.Filter(
        all=query_pb2.FilterList(
            filters=[query_pb2.Filter(expression="a = 1"), query_pb2.Filter(exists="b")]
        )
    )
    assert from_filter(message) == And((Compare("a", Op.EQ, 1), Exists("b")))


def test_no_filter_is_none() -> None:
    assert from_filter(query_pb2.Filter()) is None


def comparison(**fields: object) -> query_pb2.Filter:
    return query_pb2.Filter(comparison=query_pb2.Comparison(**fields))


VALUE = types_pb2.Value(int_value=1)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (comparison(operator=1, value=VALUE), "names no field"),
        (comparison(field="a", value=VALUE), "needs an operator"),
        (comparison(field="a", operator=9, value=VALUE), "operator 9"),
        (comparison(field="a", operator=1), "with nothing"),
        (comparison(field="a", operator=1, value=types_pb2.Value(list_value={})), "with a list"),
        (query_pb2.Filter(membership={"field": "a"}), "at least one value"),
        (query_pb2.Filter(all={}), "at least one term"),
        (query_pb2.Filter(all={"filters": [query_pb2.Filter()]}), "is empty"),
        (query_pb2.Filter(expression="market ="), "not understood"),
    ],
)
def test_what_is_incomplete_is_refused(wrong: query_pb2.Filter, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        from_filter(wrong)


def nested(depth: int, wrap: object) -> Filter:
    tree: Filter = Exists("a")
    for _ in range(depth):
        tree = wrap(tree)  # type: ignore[operator]
    return tree


def test_depth_is_limited_on_both_sides() -> None:
    deepest = nested(63, Not)
    sent = query_pb2.Filter.FromString(to_filter(deepest).SerializeToString())
    assert from_filter(sent) == deepest
    with pytest.raises(FilterError, match="64"):
        to_filter(nested(64, Not))
    with pytest.raises(FilterError, match="too deep to be sent"):
        to_filter(nested(50, lambda tree: And((tree,))))
    message = query_pb2.Filter(exists="a")
    for _ in range(64):
        outer = query_pb2.Filter()
        getattr(outer, "not").CopyFrom(message)
        message = outer
    with pytest.raises(FilterError, match="64"):
        from_filter(message)
