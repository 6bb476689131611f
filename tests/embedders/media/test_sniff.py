from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from trichord.embedders.media.sniff import EXTENSIONS, HEAD_BYTES, sniff
from trichord.errors import MediaError
from trichord.types import Modality

from .helpers import SOUND_FORMATS, gradient, picture, sound, tone


@pytest.mark.parametrize(
    ("kind", "mime"),
    [
        ("PNG", "image/png"),
        ("JPEG", "image/jpeg"),
        ("WEBP", "image/webp"),
        ("GIF", "image/gif"),
        ("AVIF", "image/avif"),
        ("TIFF", "image/tiff"),
    ],
)
def test_pictures_whatever_their_name(kind: str, mime: str) -> None:
    data = picture(Image.fromarray(gradient()), kind)
    for name in (None, "x.jpg", "x.txt", "x.wav", "x"):
        found = sniff(data[:HEAD_BYTES], name)
        assert (found.modality, found.format, found.mime) == (Modality.IMAGE, kind.lower(), mime)


@pytest.mark.parametrize("kind", SOUND_FORMATS)
def test_sounds_whatever_their_name(kind: str) -> None:
    data = sound(tone(0.3, 48000), 48000, kind)
    expected = "wav" if kind.startswith(("wav", "rf64")) else kind
    assert sniff(data[:HEAD_BYTES], "x.png").format == expected


def test_an_id3_tag_hides_neither_mp3_nor_flac() -> None:
    tag = b"ID3\x04\x00\x00" + bytes([0, 0, 1, 3]) + bytes(131)
    assert sniff(tag + sound(tone(0.3, 48000), 48000, "mp3")).format == "mp3"
    assert sniff(tag + sound(tone(0.3, 48000), 48000, "flac")).format == "flac"


@pytest.mark.parametrize(
    ("content", "name", "expected"),
    [
        ("Hello", None, "txt"),
        ("Hello", "a.txt", "txt"),
        ("# Hello", "notes/A.MD", "md"),
        ("Hello", "a.markdown", "md"),
        ("Hello", "a.srt", "srt"),
        ("WEBVTT\n\n", "a.txt", "vtt"),
        ("WEBVTT - title\n\n", "a.srt", "vtt"),
        ("WEBVTTX", None, "txt"),
        ("1\n00:00:01,000 --> 00:00:02,000\nHi\n", None, "srt"),
        ("1\r\n00:00:01,000 --> 00:00:02,000\r\nHi\r\n", "a.txt", "srt"),
        ("1\n00:00:01,000 --> 00:00:02,000\nHi\n", "a.md", "md"),
        ("BM is how a bitmap starts, MZ a program", None, "txt"),
        ("grüße 你好", "unknown.xyz", "txt"),
    ],
)
def test_kinds_of_text(content: str, name: str | None, expected: str) -> None:
    for codec in ("utf-8", "utf-8-sig", "utf-16", "utf-32"):
        assert sniff(content.encode(codec), name).format == expected


def test_a_cut_within_a_letter_is_still_text() -> None:
    data = "é".encode() * 3000
    assert sniff(data[: HEAD_BYTES - 1]).format == "txt"


@pytest.mark.parametrize(
    ("head", "seen"),
    [
        (b"", "empty"),
        (b"%PDF-1.7\nplain", "PDF"),
        (b"PK\x03\x04\x14\x00\x00\x00\x08\x00", "ZIP"),
        (b"\x00\x00\x00\x20ftypM4A \x00\x00\x00\x00", "M4A"),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "heic"),
        (b"RIFF\xff\xff\xff\x00AVI LIST", "AVI"),
        (b"OggS\x00\x02" + bytes(20) + b"\x01\x07\x80theora\xff", "neither Vorbis"),
        (b"\x00\x01\x02\x03\x04", "unknown bytes 00 01 02 03 04"),
        (b"caf\xe9 latin-1", "neither a known magic nor UTF-8"),
        (np.zeros(100, np.uint8).tobytes(), "unknown bytes"),
    ],
)
def test_what_is_not_supported_is_named(head: bytes, seen: str) -> None:
    with pytest.raises(MediaError, match=seen):
        sniff(head)


def test_text_under_the_name_of_a_picture_is_an_error() -> None:
    with pytest.raises(MediaError, match=r"\.jpg.*text"):
        sniff(b"<html>404 Not Found</html>", "cover.jpg")


def test_extensions_are_lower_case_and_cover_all_modalities() -> None:
    assert all(name == name.lower() and name.startswith(".") for name in EXTENSIONS)
    assert {kind.modality for kind in EXTENSIONS.values()} == set(Modality)
    assert EXTENSIONS[".vtt"].timed and EXTENSIONS[".srt"].timed and not EXTENSIONS[".md"].timed
