from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trichord.embedders.media.chunks import break_rank, text_pieces
from trichord.embedders.media.timed import Cue, parse_timed
from trichord.errors import InvalidInput, MediaError
from trichord.types import Span


def by_word(text: str) -> list[tuple[int, int]]:
    return [found.span() for found in re.finditer(r"\w+|[^\w\s]", text)]


def by_letter(text: str) -> list[tuple[int, int]]:
    """Like byte-level tokenizers: letters of several bytes are several tokens."""
    return [(i, i + 1) for i, letter in enumerate(text) for _ in letter.encode()]


def cut(text: str, chunk: int, overlap: int) -> list[str]:
    pieces = text_pieces(text, by_word, chunk_tokens=chunk, overlap_tokens=overlap)
    return [str(piece.content) for piece in pieces]


def test_short_text_is_one_piece() -> None:
    (piece,) = text_pieces("  Hello world.\n", by_word, chunk_tokens=3, overlap_tokens=1)
    assert piece.content == "Hello world." and piece.span == Span(start_char=2, end_char=14)


def test_words_without_sentences() -> None:
    assert cut("a b c d e f g h i j", 4, 1) == ["a b c d", "d e f g", "g h i j"]
    assert cut("a b c d e", 4, 0) == ["a b c d", "e"]


def test_a_sentence_that_ends_in_the_last_quarter_ends_the_chunk() -> None:
    text = "a b c d e f g. h i j k l m n"
    assert cut(text, 10, 0) == ["a b c d e f g.", "h i j k l m n"]
    assert cut(text, 10, 2) == ["a b c d e f g.", "g. h i j k l m n"]
    # In the first half it does not.
    assert cut("a. b c d e f g h i j k", 8, 0)[0] == "a. b c d e f g"


def test_paragraphs_before_sentences_before_lines() -> None:
    # Two tokens, a quarter of nine, may be given up: the end of this paragraph is a third.
    assert cut("a b c d e f\n\ng h. i j k", 9, 0)[0] == "a b c d e f\n\ng h."
    assert cut("a b c d e f g\n\nh. i j k l", 9, 0)[0] == "a b c d e f g"
    assert cut("a b c d e f. g\nh i j k l", 9, 0)[0] == "a b c d e f."
    assert cut("a b c d e f g\nh i j k l", 9, 0)[0] == "a b c d e f g"


@pytest.mark.parametrize(
    ("before", "after", "rank"),
    [
        ("end.\n\n", "Next", 4),
        ("end\n \n", "Next", 4),
        ("end. ", "Next", 3),
        ("end!\n", "Next", 3),
        ('"end."', " Next", 3),
        ("终。", "下", 3),
        ("3.", "5", 0),
        ("end\n", "Next", 2),
        ("end ", "next", 1),
        ("en", "d", 0),
    ],
)
def test_how_good_a_break_is(before: str, after: str, rank: int) -> None:
    assert break_rank(before + after, len(before)) == rank


@settings(deadline=None, max_examples=200)
@given(
    st.text("ab cé世。.!\n ", max_size=300),
    st.integers(1, 40),
    st.data(),
    st.sampled_from([by_word, by_letter]),
)
def test_every_token_is_covered_and_no_chunk_is_too_long(
    text: str, chunk: int, data: st.DataObject, tokenize: object
) -> None:
    overlap = data.draw(st.integers(0, chunk - 1))
    assert callable(tokenize)
    tokens = tokenize(text)
    if not tokens:
        with pytest.raises(MediaError, match="no tokens"):
            text_pieces(text, tokenize, chunk_tokens=chunk, overlap_tokens=overlap)
        return
    pieces = list(text_pieces(text, tokenize, chunk_tokens=chunk, overlap_tokens=overlap))
    covered: set[int] = set()
    starts = []
    for piece in pieces:
        start, end = piece.span.start_char, piece.span.end_char
        assert start is not None and end is not None and piece.span.start_ms is None
        assert piece.content == text[start:end]
        starts.append((start, end))
        covered |= set(range(start, end))
        assert tokenize is by_letter or not re.match(r"\s|.*\s\Z", str(piece.content), re.S)
        if tokenize is by_word:
            assert len(by_word(str(piece.content))) <= chunk
    assert all(i in covered for start, end in tokens for i in range(start, end))
    assert starts == sorted(starts) and len(starts) <= len(tokens)
    if tokenize is by_word:
        assert len(set(starts)) == len(starts)
        for (_, end), (start, _) in zip(starts, starts[1:], strict=False):
            assert len(by_word(text[start:end])) <= overlap


def test_the_overlap_starts_with_a_word_but_keeps_half() -> None:
    def starts(text: str) -> list[int | None]:
        pieces = text_pieces(text, by_letter, chunk_tokens=10, overlap_tokens=6)
        return [piece.span.start_char for piece in pieces]

    assert starts("aaaa bbbb cccc")[:2] == [0, 4]
    assert starts("aaaaa bbb cccc")[:2] == [0, 5]
    # The only break lies in the second half of the overlap.
    assert starts("aaaaaaaaa bcdefghij")[:2] == [0, 4]


def test_tokens_that_are_wrong() -> None:
    for tokens in ([(1, 2), (0, 1)], [(0, 9)], [(-1, 2)]):
        with pytest.raises(InvalidInput):
            text_pieces("abc", {"abc": tokens}.__getitem__, chunk_tokens=5, overlap_tokens=1)
    for chunk, overlap, passage in ((0, 0, 1), (5, 5, 1), (5, -1, 1), (5, 0, 0)):
        with pytest.raises(InvalidInput):
            text_pieces(
                "a", by_word, chunk_tokens=chunk, overlap_tokens=overlap, passage_ms=passage
            )


def test_special_tokens_without_characters_are_skipped() -> None:
    offsets = [(0, 0), (0, 1), (2, 3), (0, 0)]
    (piece,) = text_pieces("a b", lambda _: offsets, chunk_tokens=2, overlap_tokens=0)
    assert piece.content == "a b"


def spoken(*cues: tuple[int, int, str]) -> tuple[str, list[Cue]]:
    text, made = "", []
    for start, end, words in cues:
        at = len(text) + bool(text)
        text += ("\n" if text else "") + words
        made.append(Cue(start, end, at, at + len(words)))
    return text, made


def passages(
    text: str, cues: list[Cue], chunk: int, overlap: int, longest: int
) -> list[tuple[int | None, int | None, object]]:
    pieces = text_pieces(
        text, by_word, chunk_tokens=chunk, overlap_tokens=overlap, cues=cues, passage_ms=longest
    )
    made: list[tuple[int | None, int | None, object]] = []
    for piece in pieces:
        assert piece.content == text[piece.span.start_char : piece.span.end_char]
        made.append((piece.span.start_ms, piece.span.end_ms, piece.content))
    return made


def test_passages_of_whole_cues() -> None:
    text, cues = spoken(
        (0, 10_000, "a b"), (10_000, 20_000, "c d"), (20_000, 30_000, "e f"), (31_000, 40_000, "g")
    )
    assert passages(text, cues, 100, 0, 30_000) == [
        (0, 30_000, "a b\nc d\ne f"),
        (31_000, 40_000, "g"),
    ]
    assert passages(text, cues, 4, 0, 30_000) == [
        (0, 20_000, "a b\nc d"),
        (20_000, 40_000, "e f\ng"),
    ]
    assert passages(text, cues, 4, 2, 30_000) == [
        (0, 20_000, "a b\nc d"),
        (10_000, 30_000, "c d\ne f"),
        (20_000, 40_000, "e f\ng"),
    ]
    assert [p[0] for p in passages(text, cues, 100, 0, 1)] == [0, 10_000, 20_000, 31_000]


def test_overlapping_cues_end_with_the_last() -> None:
    text, cues = spoken((0, 9_000, "a"), (1_000, 2_000, "b"))
    assert passages(text, cues, 10, 0, 30_000) == [(0, 9_000, "a\nb")]


def test_a_cue_that_is_too_long_by_itself() -> None:
    text, cues = spoken((0, 1_000, "x"), (1_000, 90_000, "a b c d e"), (90_000, 91_000, "y"))
    assert passages(text, cues, 3, 1, 30_000) == [
        (0, 1_000, "x"),
        (1_000, 90_000, "a b c"),
        (1_000, 90_000, "c d e"),
        (90_000, 91_000, "y"),
    ]


@settings(deadline=None, max_examples=150)
@given(
    st.lists(
        st.tuples(st.integers(0, 9_000), st.integers(1, 40_000), st.integers(1, 9)), min_size=1
    ),
    st.integers(1, 15),
    st.data(),
)
def test_passages_cover_every_cue_in_time(
    made: list[tuple[int, int, int]], chunk: int, data: st.DataObject
) -> None:
    overlap = data.draw(st.integers(0, chunk - 1))
    clock, entries = 0, []
    for i, (gap, length, words) in enumerate(made):
        clock += gap
        entries.append((clock, clock + length, " ".join(f"w{i}x{j}" for j in range(words))))
    text, cues = spoken(*entries)
    seen: set[str] = set()
    for start, end, content in passages(text, cues, chunk, overlap, 30_000):
        assert isinstance(content, str) and start is not None and end is not None
        found = content.split()
        assert 1 <= len(found) <= chunk
        touched = {int(word[1:].split("x")[0]) for word in found}
        assert start == min(cues[i].start_ms for i in touched)
        assert end == max(cues[i].end_ms for i in touched)
        assert end - start <= 30_000 or len(touched) == 1
        assert not set(found) <= seen  # never only what was there before
        seen |= set(found)
    assert seen == set(text.split())


def test_srt_to_passages() -> None:
    timed = parse_timed(
        "1\n00:00:01,000 --> 00:00:03,000\nIt rains.\n\n"
        "2\n00:10:00,000 --> 00:10:02,000\nThe sun comes out.\n",
        "srt",
    )
    pieces = list(
        text_pieces(timed.text, by_word, chunk_tokens=50, overlap_tokens=5, cues=timed.cues)
    )
    assert [p.span for p in pieces] == [Span(1000, 3000, 0, 9), Span(600_000, 602_000, 10, 28)]
    assert [p.content for p in pieces] == ["It rains.", "The sun comes out."]
