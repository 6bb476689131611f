"""The inverted index against plain dicts, and BM25 against the formula written out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bm25 import score
from trichord.catalog import bm25, postings
from trichord.catalog.bm25 import Part
from trichord.catalog.postings import Builder, Postings, joined
from trichord.errors import StoreDamaged

WORDS = ["a", "b", "c", "rain", "ö", "東京", "zz"]

Documents = list[list[str]]
documents = st.lists(st.lists(st.sampled_from(WORDS), max_size=12), max_size=12)


def built(given_: Iterable[Sequence[str]]) -> Postings:
    builder = Builder()
    for one in given_:
        builder.add(one)
    return builder.built()


def content(index: Postings) -> dict[str, list[tuple[int, int]]]:
    """Documents and counts by term, through `find` alone."""
    found = {}
    for number in range(index.terms):
        at = index.find(index.term(number))
        assert at is not None
        found[index.term(number).decode()] = list(zip(*(one.tolist() for one in at), strict=True))
    return found


def plain(given_: Sequence[Sequence[str]]) -> dict[str, list[tuple[int, int]]]:
    found: dict[str, list[tuple[int, int]]] = {}
    for number, one in enumerate(given_):
        for word, count in Counter(one).items():
            found.setdefault(word, []).append((number, count))
    return found


@settings(deadline=None)
@given(documents)
def test_terms_documents_and_counts(given_: Documents) -> None:
    index = built(given_)
    assert content(index) == plain(given_)
    assert index.lengths.tolist() == [len(one) for one in given_]
    names = [index.term(number) for number in range(index.terms)]
    assert names == sorted(names)
    for absent in ("", "aa", "q", "zzz"):
        assert index.find(absent.encode()) is None
    again = Postings.from_arrays(index.arrays())
    assert content(again) == content(index)


@settings(deadline=None)
@given(documents)
def test_in_blocks_of_any_size(given_: Documents) -> None:
    whole = built(given_)
    before, postings.BLOCK = postings.BLOCK, 3
    try:
        cut = built(given_)
    finally:
        postings.BLOCK = before
    for name, array in whole.arrays().items():
        np.testing.assert_array_equal(array, cut.arrays()[name])


@settings(deadline=None)
@given(st.lists(documents, min_size=1, max_size=4), st.data())
def test_several_become_one(pieces: list[Documents], data: st.DataObject) -> None:
    parts, kept = [], []
    for given_ in pieces:
        flags = data.draw(st.lists(st.booleans(), min_size=len(given_), max_size=len(given_)))
        parts.append((built(given_), np.array(flags, bool)))
        kept += [one for one, keep in zip(given_, flags, strict=True) if keep]
    made = joined(parts)
    for name, array in built(kept).arrays().items():
        np.testing.assert_array_equal(array, made.arrays()[name])


def test_a_word_counts_so_often_at_most() -> None:
    index = built([["a"] * (postings.MOST + 5), ["a"]])
    assert content(index) == {"a": [(0, postings.MOST), (1, 1)]}
    assert index.lengths.tolist() == [postings.MOST + 5, 1]


def test_arrays_that_do_not_fit() -> None:
    arrays = built([["a", "b"], ["b"]]).arrays()
    for name in arrays:
        with pytest.raises(StoreDamaged):
            Postings.from_arrays({**arrays, name: arrays[name][:0]} if name != "lengths" else {})
    with pytest.raises(StoreDamaged):
        Postings.from_arrays({**arrays, "documents": arrays["documents"][:-1]})


# BM25


def ask(
    parts: Sequence[Part], words: Sequence[str], k: int, allowed: np.ndarray | None = None
) -> tuple[list[int], np.ndarray]:
    rows, scores = bm25.search(parts, [word.encode() for word in words], k, allowed)
    assert rows.dtype == np.int64 and scores.dtype == np.float32
    return rows.tolist(), scores


def test_hand_computed() -> None:
    """Three texts; "rain" is in two of them, twice in one; lengths 2, 4, 3, on average 3."""
    texts = ["rain song", "rain rain on window", "sea and sun"]
    part = Part.of(built([text.split() for text in texts]), np.array([5, 2, 9]), np.ones(3, bool))
    rows, scores = ask([part], ["rain"], 10)
    idf = math.log(1 + 1.5 / 2.5)  # 0.4700
    short = idf * 1 * 2.2 / (1 + 1.2 * (0.25 + 0.75 * 2 / 3))
    long = idf * 2 * 2.2 / (2 + 1.2 * (0.25 + 0.75 * 4 / 3))
    assert rows == [2, 5]
    np.testing.assert_allclose(scores, [long, short], rtol=1e-6)
    np.testing.assert_allclose(scores, [0.590862, 0.544215], rtol=1e-5)


@settings(deadline=None)
@given(documents, st.sets(st.sampled_from([*WORDS, "absent"]), min_size=1), st.data())
def test_against_the_formula(given_: Documents, words: set[str], data: st.DataObject) -> None:
    """However the documents are cut into parts, whichever of them died, whatever is allowed, and
    whether words are gone through or looked up."""
    size = len(given_)
    items = data.draw(st.permutations(range(size + 2))) if size else []
    flags = st.lists(st.booleans(), min_size=size, max_size=size)
    # A document without words would count in the average: it is no document.
    alive = np.array(data.draw(flags), bool) & np.array([bool(one) for one in given_], bool)
    owner = np.array(data.draw(st.lists(st.integers(0, 2), min_size=size, max_size=size)), int)
    allowed = np.array(data.draw(st.lists(st.booleans(), min_size=size + 2, max_size=size + 2)))
    k = data.draw(st.integers(1, size + 2))
    parts = []
    for number in range(3):
        mine = np.flatnonzero(owner == number)
        numbers = np.array([items[one] for one in mine], np.int64)
        numbers[~alive[mine]] = -1 if data.draw(st.booleans()) else 0
        parts.append(Part.of(built(given_[one] for one in mine), numbers, alive[mine]))
    live = {items[one]: given_[one] for one in range(size) if alive[one]}
    wanted = {item: s for item, s in score(live, sorted(words)).items() if allowed[item]}
    bm25.HEAVY, bm25.DENSE, before = (
        *data.draw(st.sampled_from([(1, 1), (1, 100), (1 << 40, 1), (1 << 40, 100)])),
        (bm25.HEAVY, bm25.DENSE),
    )
    try:
        rows, scores = ask(parts, sorted(words), k, allowed)
    finally:
        bm25.HEAVY, bm25.DENSE = before
    assert len(rows) == len(set(rows)) == min(k, len(wanted))
    np.testing.assert_allclose(scores, sorted(wanted.values(), reverse=True)[:k], rtol=1e-5)
    np.testing.assert_allclose(scores, [wanted[row] for row in rows], rtol=1e-5)
    # The same as one part without dead documents, to the bit, and equal scores by number.
    one = Part.of(built(live.values()), np.array(list(live), np.int64), np.ones(len(live), bool))
    again, exact = ask([one], sorted(words), k, allowed)
    assert rows == again
    np.testing.assert_array_equal(scores, exact)
    assert rows == [row for _, row in sorted(zip(-scores, rows, strict=True))]


def test_common_words_are_looked_up_for_the_best_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The path that skips most documents gives what going through all gives."""
    generator = np.random.default_rng(0)
    given_ = [
        ["common"] * int(generator.integers(0, 4))
        + ["often"] * int(generator.random() < 0.5)
        + ["seldom"] * int(generator.random() < 0.02)
        + [f"w{n}" for n in generator.integers(0, 50, int(generator.integers(1, 9)))]
        for _ in range(3_000)
    ]
    alive = generator.random(3_000) < 0.9
    part = Part.of(built(given_), np.arange(3_000), alive)
    words = ["common", "often", "seldom", "w7"]
    slow = [ask([part], words, k) for k in (1, 10, 40, 3_000)]
    looked_up: list[int] = []
    original = bm25._Tally.look_up

    def counted(tally: bm25._Tally, terms: Sequence[bm25._Term], least: np.float32) -> None:
        looked_up.append(len(terms))
        original(tally, terms, least)

    monkeypatch.setattr(bm25, "HEAVY", 100)
    monkeypatch.setattr(bm25._Tally, "look_up", counted)
    for k, (rows, scores) in zip((1, 10, 40, 3_000), slow, strict=True):
        found, again = ask([part], words, k)
        assert found == rows
        np.testing.assert_array_equal(again, scores)
    assert len(looked_up) >= 2  # else the path was not tested
    reference = score({n: d for n, d in enumerate(given_) if alive[n]}, words)
    best = sorted(reference.values(), reverse=True)[:10]
    np.testing.assert_allclose(slow[1][1], best, rtol=1e-5)


def test_of_a_long_question_the_rarest_words_count() -> None:
    count = bm25.MAX_TERMS + 10
    given_ = [["all", f"w{n}"] for n in range(count)]
    part = Part.of(built(given_), np.arange(count), np.ones(count, bool))
    words = sorted({word for one in given_ for word in one})
    rows, _ = ask([part], words, count)
    assert len(rows) == bm25.MAX_TERMS
    assert {f"w{row}" for row in rows} == set(sorted(w for w in words if w != "all")[: len(rows)])


def test_nothing_is_left_behind_by_a_search_that_fails() -> None:
    part = Part.of(built([["a", "b"], ["b", "c"]]), np.array([0, 1]), np.ones(2, bool))
    expected = ask([part], ["a", "b"], 5)
    with pytest.raises(IndexError):
        ask([part], ["a", "b"], 5, np.ones(1, bool))  # a filter of too few items
    rows, scores = ask([part], ["a", "b"], 5)
    assert rows == expected[0]
    np.testing.assert_array_equal(scores, expected[1])


def test_no_parts_no_words() -> None:
    part = Part.of(built([]), np.zeros(0, np.int64), np.zeros(0, bool))
    for parts, words in (([], ["a"]), ([part], ["a"]), ([part], [])):
        rows, scores = ask(parts, words, 3)
        assert rows == [] and len(scores) == 0


def test_without_items() -> None:
    part = Part.of(built([["a"], ["a", "b"], ["b"]]), np.array([2, 0, 1]), np.ones(3, bool))
    less = part.without(np.array([True, False, False]))
    assert (less.live, less.tokens, less.alive.tolist()) == (2, 2, [True, False, True])
    assert (part.live, part.tokens) == (3, 4)
    assert less.without(np.array([True, False, False])) is less
    assert ask([less], ["b"], 5)[0] == [1]
    one = bm25.joined([less, part.without(np.array([False, True, True]))])
    assert sorted(one.item.tolist()) == [0, 1, 2]
    assert ask([one], ["a"], 5)[0] == ask([part], ["a"], 5)[0]
