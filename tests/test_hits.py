"""Columns and the views of their rows say the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from trichord.hits import Hits, SegmentHit
from trichord.types import Modality, Span


def some_hits(**changes: Any) -> Hits:
    """Three hits with two, none-but-one and one segment."""
    columns: dict[str, Any] = {
        "item_ids": ["a", "b", "c"],
        "entity_ids": ["e", "e", "c"],
        "modalities": ["audio", "image", "text"],
        "scores": np.array([0.9, 0.5, -0.25], np.float32),
        "significances": np.array([3.0, np.nan, 1.5], np.float32),
        "segment_offsets": np.array([0, 2, 3, 4]),
        "segment_ordinals": np.array([7, 1, 0, 2]),
        "segment_scores": np.array([0.9, 0.75, 0.5, -0.25], np.float32),
        "start_ms": np.array([70_000, 0, -1, -1]),
        "end_ms": np.array([80_000, 10_000, -1, -1]),
        "start_char": np.array([-1, -1, -1, 5]),
        "end_char": np.array([-1, -1, -1, 25]),
        "attributes": {"market": ["SE", None, "NO"]},
        "space": "hash",
        "snapshot": 4,
    }
    return Hits(**{**columns, **changes})


def test_rows() -> None:
    hits = some_hits()
    first, second, third = hits
    assert (first.item_id, first.entity_id, first.modality) == ("a", "e", Modality.AUDIO)
    assert first.score == pytest.approx(0.9) and isinstance(first.score, float)
    assert (first.significance, second.significance) == (3.0, None)
    assert first.segments == [
        SegmentHit(7, pytest.approx(0.9), Span(70_000, 80_000)),
        SegmentHit(1, 0.75, Span(0, 10_000)),
    ]
    assert (first.segments[0].start_ms, first.segments[0].end_ms) == (70_000, 80_000)
    assert second.segments == [SegmentHit(0, 0.5, Span())]
    assert third.segments == [SegmentHit(2, -0.25, Span(start_char=5, end_char=25))]
    assert [hit.attributes for hit in hits] == [{"market": m} for m in ("SE", None, "NO")]


def test_it_is_a_sequence() -> None:
    hits = some_hits()
    assert len(hits) == 3 and [hit.item_id for hit in hits[1:]] == ["b", "c"]
    assert hits[-1].item_id == "c" and [hit.item_id for hit in hits[::-1]] == ["c", "b", "a"]
    for row in (3, -4):
        with pytest.raises(IndexError, match="3 hits"):
            hits[row]
    assert "a 0.900" in repr(hits) and "snapshot 4" in repr(hits)
    assert repr(hits[0]) == "<Hit 'a' audio 0.900>"


def test_tables() -> None:
    hits = some_hits(attributes={"market": ["SE", None, "NO"], "score": [1, 2, 3]})
    frame = hits.to_polars()
    assert frame.columns[:4] == ["item_id", "entity_id", "modality", "score"]
    assert frame["start_ms"].to_list() == [70_000, None, None]
    assert frame["end_char"].to_list() == [None, None, 25]
    assert frame["significance"].to_list() == [3.0, None, 1.5]
    assert frame["attribute_score"].to_list() == [1, 2, 3]  # an attribute does not hide a measure
    assert frame["score"].to_list() == [pytest.approx(s) for s in (0.9, 0.5, -0.25)]
    assert hits.to_arrow().column("market").to_pylist() == ["SE", None, "NO"]


def test_an_empty_answer_has_the_same_columns() -> None:
    none = np.zeros(0, np.int64)
    empty = Hits([], [], [], *[np.zeros(0, np.float32)] * 2, np.array([0]), none,
                 np.zeros(0, np.float32), none, none, none, none)  # fmt: skip
    assert len(empty) == 0 and list(empty) == [] and empty[:] == []
    assert empty.to_polars().schema == some_hits(attributes={}).to_polars().schema
