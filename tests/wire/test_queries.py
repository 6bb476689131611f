from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tests.wire import strategies
from trichord.errors import InvalidInput, MediaError, VectorError
from trichord.filters import parse
from trichord.query import (
    Audio,
    EntityRef,
    Image,
    Input,
    ItemRef,
    Query,
    SearchOptions,
    SegmentRef,
    Term,
    Text,
    Vector,
)
from trichord.types import Frame, Group
from trichord.v1 import query_pb2, search_pb2
from trichord.wire.options import read_options, write_options
from trichord.wire.queries import from_query, to_query

FRAME = Frame("anchor", 3)


def no_uri(uri: str) -> Input:
    raise AssertionError(uri)


inputs = st.one_of(
    st.builds(Text, strategies.texts.filter(str.strip)),
    st.builds(Image, st.binary(min_size=1, max_size=9)),
    st.builds(Audio, st.binary(min_size=1, max_size=9)),
    st.builds(Vector, arrays.arrays(np.float32, 3, elements=st.floats(-9, 9, width=32))),
    st.builds(ItemRef, strategies.texts),
    st.builds(EntityRef, strategies.texts),
    st.builds(SegmentRef, strategies.texts, st.integers(0, 2**32 - 1)),
)
weights = st.floats(-100, 100, width=32).filter(lambda weight: weight != 0)
queries = st.builds(
    Query, st.lists(st.builds(Term, inputs, weights), min_size=1, max_size=4).map(tuple)
)


@settings(deadline=None, max_examples=200)
@given(queries)
def test_queries_come_back_equal(query: Query) -> None:
    message = query_pb2.Query.FromString(to_query(query).SerializeToString())
    back = from_query(message, FRAME, no_uri)
    assert [term.weight for term in back.terms] == [term.weight for term in query.terms]
    for got, sent in zip(back.terms, query.terms, strict=True):
        assert type(got.input) is type(sent.input)
        if isinstance(sent.input, Vector):
            assert np.array_equal(got.input.values, sent.input.values)  # type: ignore[union-attr]
        else:
            assert got.input == sent.input


def test_a_weight_that_is_absent_is_one_and_zero_stays_zero() -> None:
    message = query_pb2.Query(
        terms=[
            query_pb2.QueryTerm(input={"text": "a"}),
            query_pb2.QueryTerm(input={"text": "b"}, weight=0),
        ]
    )
    assert [term.weight for term in from_query(message, None, no_uri).terms] == [1.0, 0.0]


def test_a_uri_is_opened_by_the_server() -> None:
    message = query_pb2.Query(terms=[{"input": {"uri": "covers/a.png"}}])
    asked = from_query(message, None, lambda uri: Text(f"opened {uri}"))
    assert asked.terms[0].input == Text("opened covers/a.png")


@pytest.mark.parametrize(
    ("given_", "kind", "says"),
    [
        ({"text": " \n"}, InvalidInput, "empty"),
        ({"image": b""}, MediaError, "no bytes"),
        ({}, InvalidInput, "input of the query is empty"),
        ({"vector": {"data": b"\0" * 8, "dim": 2}}, VectorError, "needs 3"),
    ],
)
def test_bad_inputs_are_refused(given_: dict, kind: type[Exception], says: str) -> None:
    message = query_pb2.Query(terms=[{"input": given_}])
    with pytest.raises(kind, match=says):
        from_query(message, FRAME, no_uri)


def test_a_query_without_terms_or_direction_is_refused() -> None:
    with pytest.raises(InvalidInput, match="terms"):
        from_query(query_pb2.Query(), None, no_uri)
    nothing = query_pb2.Query(terms=[{"input": {"text": "a"}, "weight": 0.0}])
    with pytest.raises(InvalidInput, match="zero"):
        from_query(nothing, None, no_uri)


def test_options_come_back_equal() -> None:
    options = SearchOptions(
        modality=("audio", "image"),
        where=parse("year > 2000"),
        limit=37,
        group=Group.ENTITY,
        attributes=("*",),
        segments=5,
        fuse="quota",
        exact=True,
        page_token="abc",
        quotas=(("audio", 3), ("image", 1)),
        min_significance=2.5,
        min_probability=0.0,
    )
    request = search_pb2.SearchRequest()
    write_options(options, request)
    assert read_options(search_pb2.SearchRequest.FromString(request.SerializeToString())) == options


def test_an_empty_request_means_the_defaults() -> None:
    assert read_options(search_pb2.SearchRequest()) == SearchOptions()


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"modalities": [9]}, "modality 9"),
        ({"modalities": [0]}, "audio, image or text"),
        ({"group": 9}, "group 9"),
        ({"fusion": 9}, "fusion 9"),
        ({"page_size": 10_001}, "limit must be 1 to 10000"),
        ({"segments_per_hit": 101}, "segments must be 1 to 100"),
    ],
)
def test_options_out_of_range_are_refused(fields: dict, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        read_options(search_pb2.SearchRequest(**fields))
