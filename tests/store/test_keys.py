"""The key directory against a dict."""

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trichord.errors import InvalidInput
from trichord.store.directory import ItemDirectory, ItemFacts, modality_codes, words
from trichord.store.keys import Hashes, KeyDirectory
from trichord.store.numbers import Numbers

IDS = st.text(min_size=1, max_size=5)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sets(IDS, max_size=30), max_size=12), st.lists(IDS, max_size=40))
def test_directory_finds_what_a_dict_finds(batches: list[set[str]], asked: list[str]) -> None:
    directory, reference = KeyDirectory(), dict[str, int]()
    for batch in batches:
        fresh = sorted(batch - reference.keys())
        directory.add(directory.hash(fresh))
        for key in fresh:
            reference[key] = len(reference)
    assert len(directory) == len(reference)
    questions = [*asked, *reference]
    found = directory.locate(directory.hash(questions))
    assert found.tolist() == [reference.get(key, -1) for key in questions]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), unique=True, max_size=16))
def test_ids_whose_first_hash_collides_are_told_apart(pairs: list[tuple[int, int]]) -> None:
    directory = KeyDirectory()
    high = np.array([h for h, _ in pairs], np.uint64)
    low = np.array([w for _, w in pairs], np.uint32)
    for start in range(0, len(pairs), 3):
        directory.add(Hashes(high[start : start + 3], low[start : start + 3]))
    every = [(h, w) for h in range(5) for w in range(5)]
    asked = Hashes(
        np.array([h for h, _ in every], np.uint64), np.array([w for _, w in every], np.uint32)
    )
    expected = [pairs.index(pair) if pair in pairs else -1 for pair in every]
    assert directory.locate(asked).tolist() == expected


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=12))
def test_first_duplicate(pairs: list[tuple[int, int]]) -> None:
    hashes = Hashes(
        np.array([h for h, _ in pairs], np.uint64), np.array([w for _, w in pairs], np.uint32)
    )
    twice = hashes.first_duplicate()
    if len(set(pairs)) == len(pairs):
        assert twice is None
    else:
        assert twice is not None and pairs.count(pairs[twice]) > 1


def test_ids_may_come_as_lists_arrow_and_polars() -> None:
    directory = KeyDirectory()
    directory.add(directory.hash(["a", "b", "ü"]))
    ids = ["ü", "x", "a"]
    for form in (
        ids,
        tuple(ids),
        pa.array(ids),
        pa.array(ids, pa.large_string()),
        pa.array(ids, pa.string_view()),
        pa.array(ids).dictionary_encode(),
        pa.chunked_array([ids[:1], ids[1:]]),
        pl.Series(ids),
        pl.Series(ids, dtype=pl.Categorical),
    ):
        assert directory.locate(directory.hash(form)).tolist() == [2, -1, 0]
    assert len(directory.hash([])) == 0
    assert directory.locate(directory.hash(pa.array([], pa.string()))).tolist() == []


@pytest.mark.parametrize("ids", [["a", ""], ["a", None], [1, 2], pa.array([1]), pl.Series([b"a"])])
def test_what_is_no_id_is_refused(ids: object) -> None:
    with pytest.raises(InvalidInput, match="id"):
        KeyDirectory().hash(ids)  # type: ignore[arg-type]


def test_an_item_takes_about_64_bytes() -> None:
    directory, rng, count = ItemDirectory(), np.random.default_rng(0), 100_000
    for start in range(0, count, 5000):
        ids = [f"item-{n}" for n in range(start, start + 5000)]
        facts = ItemFacts(
            fingerprint=rng.integers(0, 2**63, (5000, 2)).astype(np.uint64),
            attributes_fingerprint=rng.integers(0, 2**63, (5000, 2)).astype(np.uint64),
            generation=np.full(5000, 3),
            modality=np.zeros(5000, np.int8),
            deleted=np.zeros(5000, np.bool_),
            numbers=Numbers(np.ones(5000, np.int32), np.ones(5000, np.uint32)),
        )
        directory.put(directory.hash(ids), np.full(5000, -1), facts)
    # 65 bytes an item, and an eighth of spare room.
    assert directory.nbytes / count < 65 * 1.13


def test_words_are_the_bytes_of_a_column() -> None:
    values = [bytes(range(16)), bytes(16), b"\xff" * 16, b"0123456789abcdef"]
    column = pa.array([*values, None], pa.binary(16))
    for form in (column, pa.chunked_array([column[:2], column[2:]])):
        assert [row.tobytes() for row in words(form)] == [*values, bytes(16)]
    assert [row.tobytes() for row in words(column[1:3])] == values[1:3]
    assert words(pa.array([], pa.binary(16))).shape == (0, 2)


def test_modality_codes() -> None:
    column = pa.array(["text", "audio", None, "video", "image"])
    assert modality_codes(column).tolist() == [2, 0, -1, -1, 1]
    assert modality_codes(column.dictionary_encode()).tolist() == [2, 0, -1, -1, 1]
