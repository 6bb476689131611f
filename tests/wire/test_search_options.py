"""Options, facets and explanations of a search: what is sent arrives, keywords mean the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire import strategies
from tests.wire.test_hits import answers, assert_equal
from trichord.answers import gathered
from trichord.errors import InvalidInput, NotFound, TrichordError
from trichord.explanation import Explanation, Facet, LegExplanation, Step
from trichord.filters import Compare, Op
from trichord.hits import Hits
from trichord.options import options_of
from trichord.query import Boost, SearchOptions, Vectors
from trichord.types import Group, Modality
from trichord.v1 import search_pb2
from trichord.wire.explanations import (
    from_explanation,
    from_facet,
    write_explanation,
    write_facet,
)
from trichord.wire.options import read_options, write_options
from trichord.wire.requests import search

ids = st.frozensets(strategies.texts, max_size=5)
boosts = st.one_of(
    st.builds(Boost, strategies.floats.filter(np.isfinite), where=strategies.filters),
    st.builds(Boost, strategies.floats.filter(np.isfinite), attribute=strategies.names),
)
options = st.builds(
    SearchOptions,
    modality=st.lists(st.sampled_from([str(m) for m in Modality]), max_size=3).map(tuple),
    where=st.one_of(st.none(), strategies.filters),
    limit=st.integers(1, 10_000),
    group=st.sampled_from(Group),
    recall=st.one_of(st.none(), st.floats(0.01, 1)),
    exclude_items=ids,
    exclude_entities=ids,
    boosts=st.lists(boosts, max_size=3).map(tuple),
    diversity=st.floats(0, 1),
    keywords=strategies.texts,
    facets=st.lists(strategies.names, max_size=3).map(tuple),
    explain=st.booleans(),
)
counts = st.integers(0, 2**63)


@given(sent=options)
def test_options_arrive_as_they_were_sent(sent: SearchOptions) -> None:
    request = search_pb2.SearchRequest()
    write_options(sent, request)
    got = read_options(search_pb2.SearchRequest.FromString(request.SerializeToString()))
    assert got == sent
    assert read_options(request).question == got.question  # so pages continue


def test_rerank_arrives() -> None:
    request = search_pb2.SearchRequest()
    write_options(SearchOptions(rerank=40, rerank_ms=120), request)
    got = read_options(request)
    assert (got.rerank, got.rerank_ms) == (40, 120)
    assert read_options(search_pb2.SearchRequest(rerank=5)).rerank_ms == SearchOptions().rerank_ms


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"recall": 0.0}, "recall"),
        ({"recall": 1.5}, "recall"),
        ({"diversity": -0.1}, "diversity"),
        ({"rerank": 1_001}, "rerank"),
        ({"rerank": 1, "rerank_ms": 60_001}, "rerank_ms"),
        ({"boosts": [search_pb2.Boost(weight=1)]}, "filter or an attribute"),
        ({"exclude_item_ids": [str(n) for n in range(10_001)]}, "excluded"),
        ({"facets": [str(n) for n in range(33)]}, "facets"),
    ],
)
def test_options_out_of_range(fields: dict[str, object], what: str) -> None:
    with pytest.raises(InvalidInput, match=what):
        read_options(search_pb2.SearchRequest(**fields))  # type: ignore[arg-type]


def test_keywords_are_read_once_and_not_confused() -> None:
    first = options_of({"limit": 7, "where": "year = 1"})
    assert options_of({"limit": 7, "where": "year = 1"}) is first
    # Equal trees that do not mean the same must not be taken for each other.
    number = options_of({"where": Compare("live", Op.EQ, 1)})
    truth = options_of({"where": Compare("live", Op.EQ, True)})
    assert number.where.value is not True and truth.where.value is True
    assert options_of({"exclude_items": ["a", "b"]}).exclude_items == {"a", "b"}
    assert options_of({"boosts": Boost(1, attribute="x")}).boosts == (Boost(1, attribute="x"),)
    with pytest.raises(TypeError):
        options_of({"limt": 3})  # type: ignore[typeddict-unknown-key]


@given(
    name=strategies.names,
    values=st.lists(st.tuples(strategies.scalars, counts), max_size=4),
    missing=counts,
    others=counts,
)
def test_facets_arrive(name: str, values: list, missing: int, others: int) -> None:
    message = search_pb2.Facet()
    write_facet(Facet(name, values, missing, others), message)
    got = from_facet(search_pb2.Facet.FromString(message.SerializeToString()))
    assert (got.name, list(got.values), got.missing, got.others) == (name, values, missing, others)


@given(
    steps=st.lists(
        st.builds(Step, strategies.texts, counts, st.floats(0, 1e9), st.integers(0, 2**31)),
        max_size=3,
    ).map(tuple),
    stages=st.dictionaries(strategies.names, st.floats(0, 1e9), max_size=4),
)
def test_explanations_arrive(steps: tuple[Step, ...], stages: dict[str, float]) -> None:
    leg = LegExplanation(Modality.AUDIO, "hnsw", 200, 7, 20, steps)
    message = search_pb2.Explanation()
    sent = Explanation((leg,), stages)
    write_explanation(sent, message)
    got = from_explanation(search_pb2.Explanation.FromString(message.SerializeToString()))
    assert got == sent and list(got.stages) == list(stages)
    assert leg.selectivity == 0.1 and "200 rows" in "\n".join(got.lines())


@given(
    made=st.lists(
        st.one_of(answers(False, True), st.just(NotFound("there is no item 'x'"))), max_size=5
    )
)
def test_gathered_answers_are_the_same_answers(made: list[Hits | TrichordError]) -> None:
    together = gathered(made)
    assert len(together) == len(made)
    for got, one in zip(together, made, strict=True):
        if isinstance(one, Hits):
            assert isinstance(got, Hits)
            assert_equal(got, one)
        else:
            assert got is one


@given(made=st.lists(answers(False, True), min_size=1, max_size=4), data=st.data())
def test_errors_stand_between_answers(made: list[Hits], data: st.DataObject) -> None:
    total = len(made) + data.draw(st.integers(1, 3))
    places = data.draw(st.permutations(range(total)))
    errors = {place: NotFound(str(place)) for place in places[: total - len(made)]}
    mixed = gathered(made).with_errors(errors, total)
    left = iter(made)
    for number, got in enumerate(mixed):
        if number in errors:
            assert got is errors[number]
        else:
            assert isinstance(got, Hits)
            assert_equal(got, next(left))


def test_a_matrix_is_sent_in_calls_that_fit() -> None:
    matrix = np.arange(2500 * 8, dtype=np.float32).reshape(2500, 8)
    plan = search(Vectors(matrix, "hash/8"), {"limit": 5}, "", 32 * 1024 * 1024, "raise")
    rows = [np.frombuffer(r.vectors.data, "<f4").reshape(-1, 8) for r in plan.requests]  # type: ignore[attr-defined]
    assert [len(part) for part in rows] == [1024, 1024, 452]
    assert np.array_equal(np.concatenate(rows), matrix)
    assert {r.vectors.frame for r in plan.requests} == {"hash/8"}  # type: ignore[attr-defined]
    small = search(matrix, {"limit": 5}, "", 64 * 1024 + 8 * 32 + 200, "raise")
    assert len(small.requests) > 3
