"""Bytes that were cut or flipped anywhere raise `MediaError` and nothing else, and end."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from trichord.embedders.media.limits import Limits
from trichord.embedders.media.pieces import Cutting, pieces
from trichord.embedders.media.sniff import HEAD_BYTES, sniff
from trichord.errors import MediaError
from trichord.types import Waveform

from .helpers import SOUND_FORMATS, gradient, noise, picture, sound

PICTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "png": ("PNG", {}),
    "jpeg": ("JPEG", {}),
    "progressive": ("JPEG", {"progressive": True}),
    "webp": ("WEBP", {}),
    "lossless": ("WEBP", {"lossless": True}),
    "gif": ("GIF", {}),
    "avif": ("AVIF", {}),
    "tiff": ("TIFF", {}),
    "lzw": ("TIFF", {"compression": "tiff_lzw"}),
}
TEXTS = {
    "txt": "Grüße aus 東京.\nA second line.".encode(),
    "utf16": "Grüße aus 東京.".encode("utf-16"),
    "srt": b"1\n00:00:01,000 --> 00:00:02,000\n<i>Hi</i>\n\n2\n00:00:03,000 --> 00:00:04,000\nyou",
    "vtt": b"WEBVTT\n\nNOTE x\n\n00:01.000 --> 00:02.000 line:0\n<v A>Hi &amp; you</v>\n",
}
MAGICS = [
    b"",
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"GIF89a",
    b"II*\x00",
    b"RIFF\x20\0\0\0WEBP",
    b"RIFF\x20\0\0\0WAVEfmt ",
    b"\0\0\0\x20ftypavif",
    b"fLaC\0\0\0\x22",
    b"ID3\x04\0\0\0\0\0\0",
    b"OggS\0\x02" + bytes(20) + b"\x01\x13OpusHead",
    b"\xff\xfb\x90\x44",
    b"\xff\xfe",
    b"WEBVTT\n",
]
LIMITS = Limits(max_pixels=1_000_000, max_audio_seconds=30, max_audio_channels=8)
CUTTING = Cutting(
    audio_rate=8_000,
    audio_window_ms=500,
    audio_hop_ms=250,
    audio_min_ms=10,
    image_longest=40,
    text_chunk_tokens=5,
    text_overlap_tokens=1,
    token_offsets=lambda text: [(i, i + 1) for i in range(len(text)) if text[i].strip()],
)


@functools.cache
def sample(kind: str) -> bytes:
    if kind in TEXTS:
        return TEXTS[kind]
    if kind in PICTURES:
        name, options = PICTURES[kind]
        exif = Image.Exif()
        exif[0x0112] = 6
        options = options if name in ("GIF", "TIFF") else {**options, "exif": exif.tobytes()}
        return picture(Image.fromarray(gradient(40, 50)), name, **options)
    return sound(np.stack([noise(9_600), noise(9_600, 1)], 1), 48_000, kind)


def decode(data: bytes, name: str | None) -> None:
    made = pieces(sniff(data[:HEAD_BYTES], name), data, CUTTING, LIMITS)
    for piece in made.pieces:
        content = piece.content
        if isinstance(content, Waveform):
            assert content.samples.ndim == 1 and content.samples.dtype == np.float32
            assert np.isfinite(content.samples).all() and np.abs(content.samples).max() <= 1
        elif isinstance(content, str):
            assert made.text is not None and content
            assert made.text[piece.span.start_char : piece.span.end_char] == content
        else:
            assert content.dtype == np.uint8 and content.ndim == 3 and content.shape[2] == 3
            assert max(content.shape[:2]) <= 40


@pytest.mark.parametrize("kind", [*PICTURES, *SOUND_FORMATS, *TEXTS])
@settings(deadline=None, max_examples=40)
@given(data=st.data())
@pytest.mark.filterwarnings("ignore")  # Pillow warns of some damage before it raises
def test_damage(kind: str, data: st.DataObject) -> None:
    damaged = bytearray(sample(kind))
    # Half of the flips go to the first bytes, where the headers are.
    place = st.one_of(st.integers(0, min(len(damaged), 128) - 1), st.integers(0, len(damaged) - 1))
    for at, value in data.draw(st.lists(st.tuples(place, st.integers(0, 255)), max_size=6)):
        damaged[at] = value
    keep = data.draw(st.one_of(st.just(len(damaged)), st.integers(0, len(damaged))))
    name = f"x.{kind}" if kind in ("txt", "srt", "vtt") else None
    try:
        decode(bytes(damaged[:keep]), name)
    except MediaError as error:
        assert str(error)


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(MAGICS),
    st.binary(max_size=200),
)
@pytest.mark.filterwarnings("ignore")
def test_magic_and_rubbish(magic: bytes, rest: bytes) -> None:
    try:
        decode(magic + rest, None)
    except MediaError as error:
        assert str(error)
