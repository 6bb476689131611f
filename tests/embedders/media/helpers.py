"""Encoded media made on the spot from known arrays."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from PIL import Image

from trichord.embedders.media import audio
from trichord.types import F32, Rgb

SOUND_FORMATS = {
    "wav16": ("WAV", "PCM_16"),
    "wav24": ("WAV", "PCM_24"),
    "wavf": ("WAV", "FLOAT"),
    "rf64": ("RF64", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", None),
}


def sound(samples: F32, rate: int, kind: str = "wav16") -> bytes:
    container, subtype = SOUND_FORMATS[kind]
    out = io.BytesIO()
    sf.write(out, samples, rate, format=container, subtype=subtype)
    return out.getvalue()


def tone(seconds: float, rate: int, hertz: float = 440.0, level: float = 0.5) -> F32:
    time = np.arange(int(seconds * rate)) / rate
    return (level * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def noise(count: int, seed: int = 0, level: float = 0.2) -> F32:
    made = np.random.default_rng(seed).uniform(-level, level, count).astype(np.float32)
    return np.asarray(made)


def picture(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def gradient(height: int = 48, width: int = 64) -> Rgb:
    """Smooth in both directions and different in every channel, so that no flip goes unseen."""
    rows, columns = np.mgrid[0:height, 0:width]
    channels = (
        rows * 255 // max(height - 1, 1),
        columns * 255 // max(width - 1, 1),
        (rows + columns) * 255 // max(height + width - 2, 1),
    )
    return np.stack(channels, -1).astype(np.uint8)


def kept_and_streamed() -> Any:
    """A fixture for a module: all its tests with short sounds kept in memory, and with none."""

    @pytest.fixture(
        autouse=True, scope="module", params=[audio.HELD_BYTES, 0], ids=["kept", "streamed"]
    )
    def held_bytes(request: pytest.FixtureRequest) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(audio, "HELD_BYTES", request.param)
            yield

    return held_bytes
