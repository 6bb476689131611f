from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trichord.embedders.media.limits import Limits
from trichord.embedders.media.pieces import Cut, Cutting, pieces
from trichord.embedders.media.sniff import HEAD_BYTES, sniff
from trichord.errors import InvalidInput, MediaError
from trichord.types import Span, Waveform

from .helpers import gradient, noise, picture, sound


def by_word(text: str) -> list[tuple[int, int]]:
    return [found.span() for found in re.finditer(r"\S+", text)]


CUTTING = Cutting(
    audio_rate=8_000,
    audio_window_ms=1_000,
    audio_hop_ms=500,
    audio_min_ms=100,
    text_chunk_tokens=4,
    text_overlap_tokens=1,
    token_offsets=by_word,
)


def cut(data: bytes, name: str | None = None, cutting: Cutting = CUTTING) -> Cut:
    return pieces(sniff(data[:HEAD_BYTES], name), data, cutting)


def test_a_picture_is_one_whole_piece() -> None:
    made = cut(picture(Image.fromarray(gradient(20, 30)), "PNG"))
    (piece,) = made.pieces
    assert isinstance(piece.content, np.ndarray)
    assert np.array_equal(piece.content, gradient(20, 30))
    assert piece.span == Span() and made.text is None and made.duration_ms is None
    small = cut(picture(Image.fromarray(gradient(20, 30)), "PNG"), cutting=Cutting(image_longest=6))
    (piece,) = small.pieces
    assert isinstance(piece.content, np.ndarray) and piece.content.shape == (4, 6, 3)


def test_a_sound(tmp_path: Path) -> None:
    data = sound(noise(16_800), 8_000, "flac")
    path = tmp_path / "song.mp3"
    path.write_bytes(data)
    for source in (data, path):
        made = pieces(sniff(data), source, CUTTING)
        assert (made.duration_ms, made.truncated, made.text) == (2_100, False, None)
        found = list(made.pieces)
        assert [p.span for p in found] == [
            Span(0, 1000), Span(500, 1500), Span(1000, 2000), Span(1500, 2100)
        ]  # fmt: skip
        assert all(isinstance(p.content, Waveform) and p.content.rate == 8_000 for p in found)


def test_a_sound_that_breaks_off_says_so() -> None:
    data = sound(noise(80_000), 8_000, "flac")
    made = cut(data[: len(data) // 2])
    assert made.truncated and made.duration_ms is not None and 3_000 < made.duration_ms < 5_500
    with pytest.raises(MediaError, match="breaks off"):
        pieces(sniff(data), data[: len(data) // 2], CUTTING, Limits(accept_truncated_audio=False))


def test_text(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_bytes(b"\xef\xbb\xbf# One\r\n\r\ntwo three four five")
    made = pieces(sniff(path.read_bytes(), "a.md"), path, CUTTING)
    assert made.text == "# One\n\ntwo three four five"
    found = list(made.pieces)
    assert [p.content for p in found] == ["# One\n\ntwo three", "three four five"]
    for piece in found:
        assert made.text[piece.span.start_char : piece.span.end_char] == piece.content


def test_a_str_is_the_text_itself() -> None:
    made = pieces(sniff(b"a"), "one\r\ntwo", CUTTING)
    assert made.text == "one\ntwo" and [p.content for p in made.pieces] == ["one\ntwo"]
    with pytest.raises(MediaError, match="a str is text and no image"):
        pieces(sniff(b"\x89PNG\r\n\x1a\n"), "one", CUTTING)


def test_timed_text_keeps_times_and_characters_of_the_stored_text() -> None:
    data = b"WEBVTT\n\n00:01.000 --> 00:02.000\n<b>Hello</b>\n\n01:00.000 --> 01:01.000\nthere\n"
    made = cut(data)
    assert made.text == "Hello\nthere"
    assert [(p.content, p.span) for p in made.pieces] == [
        ("Hello", Span(1_000, 2_000, 0, 5)),
        ("there", Span(60_000, 61_000, 6, 11)),
    ]


def test_no_tokenizer_no_text() -> None:
    with pytest.raises(InvalidInput, match="takes no text"):
        cut(b"words", cutting=Cutting())


def test_errors_come_from_the_call() -> None:
    for data in (b"\x89PNG\r\n\x1a\n" + bytes(50), b"RIFF\x04\x00\x00\x00WAVE", b"caf\xe9"):
        with pytest.raises(MediaError):
            cut(data, "a.txt")
    with pytest.raises(MediaError, match="max_bytes"):
        pieces(sniff(b"words"), b"words", CUTTING, Limits(max_bytes=4))
