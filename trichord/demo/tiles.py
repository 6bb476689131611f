"""Pictures, sounds and texts small enough to stand inside one page."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

from trichord.embedders.media.audio import waves
from trichord.embedders.media.image import decode_image
from trichord.errors import MediaError
from trichord.types import F32

PICTURE_PIXELS = 288
SOUND_SECONDS = 6.0
SOUND_RATE = 22_050
BARS = 40
TEXT_CHARACTERS = 190
_LOUDEST = 0.8
_MOST_GAIN = 40.0


@dataclass(frozen=True)
class SoundTile:
    """A short excerpt as a data URI, and the heights of its `BARS` bars in 0..1."""

    uri: str
    bars: tuple[float, ...]
    seconds: float


def picture_uri(data: bytes) -> str:
    """The picture as a small JPEG in a data URI. Raises MediaError if it is none."""
    pixels = decode_image(data, longest=PICTURE_PIXELS)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=78, optimize=True)
    return _uri("image/jpeg", out.getvalue())


def sound_tile(source: bytes | Path, start_ms: int = 0) -> SoundTile:
    """`SOUND_SECONDS` of the sound from `start_ms` on as MP3, which every browser plays; its level
    is raised or lowered to one peak. Raises MediaError if it is no sound or ends before."""
    samples = _excerpt(source, start_ms)
    peak = float(np.abs(samples).max(initial=0.0))
    if peak > 0:
        samples = (samples * min(_LOUDEST / peak, _MOST_GAIN)).astype(np.float32)
    out = io.BytesIO()
    soundfile.write(out, samples, SOUND_RATE, format="MP3", subtype="MPEG_LAYER_III")
    return SoundTile(_uri("audio/mpeg", out.getvalue()), _bars(samples), len(samples) / SOUND_RATE)


def excerpt(text: str, start: int | None = None, end: int | None = None) -> str:
    """The characters [start, end) of the text, cut at a word if they are too many for a tile."""
    part = " ".join(text[start or 0 : end].split())
    if len(part) <= TEXT_CHARACTERS:
        return part
    cut = part[:TEXT_CHARACTERS]
    space = cut.rfind(" ")
    return (cut[:space] if space > TEXT_CHARACTERS // 2 else cut).rstrip(" ,;:.") + " …"


def _excerpt(source: bytes | Path, start_ms: int) -> F32:
    first = start_ms * SOUND_RATE // 1000
    last = first + int(SOUND_SECONDS * SOUND_RATE)
    kept: list[F32] = []
    position = 0
    for block in waves(source, SOUND_RATE):
        begin, finish = max(first - position, 0), min(last - position, len(block))
        if begin < finish:
            kept.append(block[begin:finish])
        position += len(block)
        if position >= last:
            break
    if not kept:
        raise MediaError(f"the sound ends before {start_ms} ms")
    return np.concatenate(kept)


def _bars(samples: F32) -> tuple[float, ...]:
    """The loudness of `BARS` equal parts, the loudest 1; on a square-root scale, as heard."""
    parts = np.array_split(samples, BARS)
    loud = np.array([np.sqrt(np.mean(part**2)) if len(part) else 0.0 for part in parts])
    top = float(loud.max())
    heights = np.sqrt(loud / top) if top > 0 else loud
    return tuple(round(float(height), 3) for height in heights)


def _uri(mime: str, data: bytes) -> str:
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"
