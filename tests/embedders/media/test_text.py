from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trichord.embedders.media.limits import Limits
from trichord.embedders.media.source import read_all, read_head
from trichord.embedders.media.text import clean_text, decode_text
from trichord.errors import MediaError


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_encodings(codec: str) -> None:
    assert decode_text("Grüße, 世界 🎵\n".encode(codec)) == "Grüße, 世界 🎵\n"


def test_big_endian_with_its_mark() -> None:
    assert decode_text("\ufeffhé".encode("utf-16-be")) == "hé"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"caf\xe9", "UTF-8 text: byte 3"),
        ("naïve".encode("cp1252"), "save the file as UTF-8"),
        (b"\xff\xfea", "UTF-16"),
        (b"\xed\xa0\x80", "UTF-8"),
        ("hello".encode("utf-16-le"), "NUL"),
        (b"a\x00b", "character 1 is NUL"),
        (b"", "empty text"),
        (b" \r\n\t \xc2\xa0", "empty text"),
        (b"\x01\x02", "empty text"),
        (b"\xef\xbb\xbf", "empty text"),
    ],
)
def test_no_silent_mojibake(data: bytes, problem: str) -> None:
    with pytest.raises(MediaError, match=problem):
        decode_text(data)


def test_newlines_and_controls() -> None:
    assert decode_text(b"a\r\nb\rc\nd\x0ce\tf\x07g\x1b[1m\x7f") == "a\nb\nc\nd\ne\tfg[1m"
    assert clean_text("a\u2028b\u0085c\ufeffd") == "a\nb\ncd"
    assert clean_text("  # A\n\n*b*  \n") == "  # A\n\n*b*  \n"


def test_half_a_surrogate_pair() -> None:
    with pytest.raises(MediaError, match="character 1 is half"):
        clean_text("a\ud800")


def test_limits(tmp_path: Path) -> None:
    assert clean_text("abc", Limits(max_text_chars=3)) == "abc"
    with pytest.raises(MediaError, match="max_text_chars"):
        clean_text("abcd", Limits(max_text_chars=3))
    path = tmp_path / "a.txt"
    path.write_bytes(b"12345")
    assert read_all(path, Limits(max_bytes=5)) == b"12345" == read_head(path, Limits())
    for source in (path, b"12345"):
        with pytest.raises(MediaError, match="max_bytes"):
            read_all(source, Limits(max_bytes=4))
    with pytest.raises(MediaError, match="max_bytes"):
        decode_text(b"12345", Limits(max_bytes=4))


@settings(deadline=None, max_examples=200)
@given(st.text())
def test_cleaning_is_idempotent_and_keeps_what_can_be_seen(text: str) -> None:
    try:
        cleaned = clean_text(text)
    except MediaError:
        assert "\x00" in text or not "".join(filter(str.isprintable, text)).strip()
        return
    assert clean_text(cleaned) == cleaned
    assert [c for c in cleaned if c.isprintable()] == [c for c in text if c.isprintable()]
    assert decode_text(cleaned.encode("utf-16")) == cleaned
