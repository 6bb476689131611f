"""The duet tokenizer: offsets, normalisation, hashes."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trichord.embedders.duet.preprocessing import BUCKETS, MAX_WORDS
from trichord.embedders.duet.words import check_text, grams, offsets, tokens
from trichord.errors import InvalidInput


def test_tokens_are_words_and_signs() -> None:
    assert tokens("A dog, BARKING!") == ["a", "dog", ",", "barking", "!"]
    assert offsets("A dog, b") == [(0, 1), (2, 5), (5, 6), (7, 8)]


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=80))
def test_offsets_cover_all_but_white_space_in_order(text: str) -> None:
    spans = offsets(text)
    assert all(0 <= a < b <= len(text) for a, b in spans)
    assert all(spans[i][1] <= spans[i + 1][0] for i in range(len(spans) - 1))
    assert "".join(text[a:b] for a, b in spans) == "".join(text.split())


def test_long_text_is_cut_at_its_first_words() -> None:
    words = [f"w{i}" for i in range(MAX_WORDS + 30)]
    assert tokens(" ".join(words)) == words[:MAX_WORDS]
    assert len(offsets(" ".join(words))) == MAX_WORDS + 30


def test_grams_by_hand() -> None:
    pieces = ["=ox", "<ox", "ox>"]
    assert grams("ox") == tuple(zlib.crc32(p.encode()) % BUCKETS for p in pieces)
    # <cat>: ca* of length 3: "<ca" "cat" "at>", of length 4: "<cat" "cat>"; 5 is the whole
    assert len(grams("cat")) == 1 + 3 + 2
    assert set(grams("barking")) & set(grams("barked"))


@pytest.mark.parametrize("bad", ["", "  \n", 7, None])
def test_what_is_no_text_is_refused(bad: object) -> None:
    with pytest.raises(InvalidInput):
        check_text(bad)
