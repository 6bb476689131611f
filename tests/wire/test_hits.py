from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wire import strategies
from trichord.errors import NotFound, TrichordError
from trichord.hits import Hits
from trichord.types import Modality
from trichord.v1 import search_pb2
from trichord.wire.hits import from_response, to_response

f32 = st.floats(-1, 1, width=32)


@st.composite
def answers(draw: st.DrawFn, calibrated: bool, timed: bool) -> Hits:
    count = draw(st.integers(0, 5))
    per_hit = draw(st.lists(st.integers(1, 3), min_size=count, max_size=count))
    rows = sum(per_hit)

    def column(of: st.SearchStrategy, size: int) -> list:
        return draw(st.lists(of, min_size=size, max_size=size))

    span = st.integers(-1, 10**9) if timed else st.just(-1)
    return Hits(
        item_ids=column(strategies.texts, count),
        entity_ids=column(strategies.texts, count),
        modalities=column(st.sampled_from(Modality), count),
        scores=np.array(column(f32, count), np.float32),
        significances=np.array(
            column(st.floats(0, 99, width=32) if calibrated else st.just(np.nan), count),
            np.float32,
        ),
        segment_offsets=np.concatenate([[0], np.cumsum(per_hit)]).astype(np.int64),
        segment_ordinals=np.array(column(st.integers(0, 2**32 - 1), rows), np.int64),
        segment_scores=np.array(column(f32, rows), np.float32),
        start_ms=np.array(column(span, rows), np.int64),
        end_ms=np.array(column(span, rows), np.int64),
        start_char=np.full(rows, -1, np.int64),
        end_char=np.full(rows, -1, np.int64),
        attributes={"market": column(st.one_of(st.none(), strategies.texts), count)},
        probabilities=np.array(
            column(st.one_of(st.floats(0, 1, width=32), st.just(np.nan)), count), np.float32
        )
        if calibrated
        else None,
        space="hash",
        snapshot=17,
        next_page_token=draw(strategies.texts),
    )


COLUMNS = (
    "scores", "significances", "segment_offsets", "segment_ordinals", "segment_scores",
    "start_ms", "end_ms", "start_char", "end_char",
)  # fmt: skip


def assert_equal(got: Hits, sent: Hits) -> None:
    for name in COLUMNS:
        theirs, ours = getattr(got, name), getattr(sent, name)
        assert theirs.dtype == ours.dtype, name
        assert np.array_equal(theirs, ours, equal_nan=theirs.dtype == np.float32), name
    if sent.probabilities is None:
        assert got.probabilities is None
    elif len(sent):
        assert got.probabilities is not None
        assert np.array_equal(got.probabilities, sent.probabilities, equal_nan=True)
    assert list(got.item_ids) == list(sent.item_ids)
    assert list(got.entity_ids) == list(sent.entity_ids)
    assert list(got.modalities) == list(sent.modalities)
    assert dict(got.attributes) == dict(sent.attributes)
    assert (got.space, got.snapshot, got.coverage, got.partial, got.next_page_token) == (
        sent.space, sent.snapshot, sent.coverage, sent.partial, sent.next_page_token,
    )  # fmt: skip


def sent(given_: list[Hits | TrichordError]) -> search_pb2.SearchResponse:
    message = to_response(given_, space="hash", frame="hash/32")
    return search_pb2.SearchResponse.FromString(message.SerializeToString())


@settings(deadline=None, max_examples=100)
@given(st.data(), st.booleans(), st.booleans())
def test_answers_come_back_equal(data: st.DataObject, calibrated: bool, timed: bool) -> None:
    all_sent = data.draw(st.lists(answers(calibrated, timed), min_size=1, max_size=4))
    response = sent(list(all_sent))
    if not calibrated:
        assert len(response.hits.significances) == 0
    if not timed:
        assert len(response.hits.segments.start_ms) == 0
    for got, one in zip(from_response(response), all_sent, strict=True):
        assert isinstance(got, Hits)
        assert_equal(got, one)


def one_hit(name: str, **more: object) -> Hits:
    blank = np.array([-1], np.int64)
    fields = {"attributes": {}, "space": "hash", "snapshot": 3} | more
    return Hits(
        [name], [name], ["text"], np.ones(1, np.float32), np.full(1, np.nan, np.float32),
        np.array([0, 1]), np.array([0]), np.ones(1, np.float32), blank, blank, blank, blank,
        **fields,  # type: ignore[arg-type]
    )  # fmt: skip


def test_a_failed_query_keeps_its_place() -> None:
    response = sent([one_hit("a"), NotFound("no item 'x'", item_id="x"), one_hit("b")])
    assert [(answer.first, answer.count) for answer in response.answers] == [(0, 1), (1, 0), (1, 1)]
    first, failed, last = from_response(response)
    assert isinstance(failed, NotFound) and failed.details == {"item_id": "x"}
    assert isinstance(first, Hits) and isinstance(last, Hits)
    assert (first.item_ids, last.item_ids) == (["a"], ["b"])


def test_the_basis_is_that_of_the_worst_answer() -> None:
    response = sent(
        [
            one_hit("a", coverage=0.5, notes=("slow disk",)),
            one_hit("b", partial=True, notes=("slow disk", "no audio")),
        ]
    )
    basis = response.basis
    assert (basis.space, basis.frame, basis.snapshot) == ("hash", "hash/32", 3)
    assert (basis.coverage, basis.partial) == (0.5, True)
    assert list(basis.notes) == ["slow disk", "no audio"]


def test_attributes_that_one_answer_lacks_are_null_there() -> None:
    response = sent([one_hit("a", attributes={"year": [2020]}), one_hit("b")])
    first, second = from_response(response)
    assert isinstance(first, Hits) and isinstance(second, Hits)
    assert (first.attributes, second.attributes) == ({"year": [2020]}, {"year": [None]})


def test_no_answers() -> None:
    assert list(from_response(sent([]))) == []
