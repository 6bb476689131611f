"""Queries as values: arithmetic, limits, what is refused before anything is searched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trichord.errors import InvalidInput, MediaError, NotFound, VectorError
from trichord.query import (
    MAX_LIMIT,
    MAX_TERMS,
    Audio,
    EntityRef,
    Image,
    ItemRef,
    Query,
    SearchOptions,
    SegmentRef,
    Term,
    Text,
    Vector,
    as_names,
    as_query,
)

INPUTS = [
    Text("rain"),
    Image(b"\x89PNG"),
    Audio(b"RIFF"),
    ItemRef("a"),
    EntityRef("e"),
    SegmentRef("a", 2),
    Vector([1.0, 0.0]),
]
weights = st.floats(-1e3, 1e3).filter(lambda weight: weight != 0)


@given(st.lists(st.tuples(st.sampled_from(INPUTS), weights), min_size=1, max_size=8), weights)
def test_arithmetic(parts: list[tuple[object, float]], factor: float) -> None:
    query = parts[0][0] * parts[0][1]  # type: ignore[operator]
    for thing, weight in parts[1:]:
        query = query + weight * thing if weight > 0 else query - (-weight) * thing  # type: ignore[operator]
    assert [term.input for term in query.terms] == [thing for thing, _ in parts]
    assert [term.weight for term in query.terms] == [weight for _, weight in parts]
    assert [t.weight for t in (-query).terms] == [-weight for _, weight in parts]
    scaled = [weight * factor for _, weight in parts]
    if any(scaled):
        assert [t.weight for t in (query * factor).terms] == scaled
        assert (factor * query).terms == (query * factor).terms


def test_one_thing_is_a_query_of_weight_one() -> None:
    for thing in INPUTS:
        assert as_query(thing).terms == (Term(thing, 1.0),)  # type: ignore[arg-type]
    assert as_query("rain").terms == (Term(Text("rain")),)
    query = Text("a") + Text("b")
    assert as_query(query) is query
    (term,) = as_query(np.array([3, 4])).terms
    assert isinstance(term.input, Vector) and term.input.values.dtype == np.float32
    np.testing.assert_array_equal(term.input.values, [3, 4])


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: Text("  \n"), InvalidInput, "empty"),
        (lambda: Image(b""), MediaError, "the image of the query has no bytes"),
        (lambda: Audio(b""), MediaError, "the audio"),
        (lambda: Image.open("/no/such/file"), NotFound, "/no/such/file"),
        (lambda: Vector([[1.0]]), VectorError, r"\(1, 1\)"),
        (lambda: Vector([]), VectorError, "one dimension"),
        (lambda: Vector([1.0, float("nan")]), VectorError, "NaN"),
        (lambda: Query(()), InvalidInput, "1 to 256 terms"),
        (lambda: Query((Term(Text("a")),) * (MAX_TERMS + 1)), InvalidInput, "257"),
        (lambda: Text("a") * float("nan"), InvalidInput, "finite"),
        (lambda: Text("a") * float("inf"), InvalidInput, "finite"),
        (lambda: 0 * Text("a"), InvalidInput, "no direction"),
        (lambda: as_query(3), InvalidInput, "cannot search by int"),  # type: ignore[arg-type]
        (lambda: SearchOptions(limit=0), InvalidInput, "limit must be 1 to"),
        (lambda: SearchOptions(limit=MAX_LIMIT + 1), InvalidInput, "10001"),
        (lambda: SearchOptions(segments=0), InvalidInput, "segments"),
        (lambda: SearchOptions(segments=101), InvalidInput, "segments"),
        (lambda: SearchOptions(fuse="sum"), InvalidInput, "rrf, score, significance, quota"),
    ],
)
def test_what_is_refused(make, kind: type, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(kind, match=message):
        make()


def test_files_are_read_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG bytes")
    assert Image.open(tmp_path / "a.png") == Image(b"\x89PNG bytes")
    assert Audio.open(str(tmp_path / "a.png")).data == b"\x89PNG bytes"
    assert b"PNG" not in repr(Image(b"\x89PNG bytes")).encode()  # bytes stay out of logs


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (None, ()),
        ("", ()),
        ("audio", ("audio",)),
        (" audio , image,", ("audio", "image")),
        (["audio", "image"], ("audio", "image")),
        ((), ()),
    ],
)
def test_names(given: object, names: tuple[str, ...]) -> None:
    assert as_names(given) == names  # type: ignore[arg-type]
