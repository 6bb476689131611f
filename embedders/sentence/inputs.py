"""Decoded content -> what a sentence-transformers model takes, one item at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from trichord.errors import InvalidInput, MediaError
from trichord.types import F32, Waveform

SILENT_RMS = 1e-5


def text_input(item: object, *, wrapped: bool) -> Any:
    """A text for a model. The dict form keeps a string that looks like a path, a URL or a data:
    URI from being opened as media. Raises InvalidInput for what is no text."""
    if not isinstance(item, str):
        raise InvalidInput(f"text must be a str, not {type(item).__name__}")
    if not item.strip():
        raise InvalidInput("the text is empty")
    return {"text": item} if wrapped else item


def image_input(item: object) -> Image.Image:
    """A picture for a model: an array of three dimensions would be taken for a film."""
    if not isinstance(item, np.ndarray):
        raise MediaError(f"a picture must be an array, not {type(item).__name__}")
    if item.dtype != np.uint8 or item.ndim != 3 or item.shape[2] != 3:
        raise MediaError(f"a picture is uint8 (height, width, 3), not {item.dtype} {item.shape}")
    if 0 in item.shape:
        raise MediaError("the picture has no pixels")
    return Image.fromarray(np.ascontiguousarray(item))


def audio_input(item: object, *, rate: int, window_ms: int) -> F32:
    """A sound for a model, whose rate is the model's: samples float32 (n,)."""
    if not isinstance(item, Waveform):
        raise MediaError(f"a sound must be a Waveform, not {type(item).__name__}")
    samples = np.ascontiguousarray(item.samples, np.float32)
    if item.rate != rate:
        raise MediaError(f"this model takes sound at {rate} Hz, not at {item.rate}: resample it")
    if samples.ndim != 1 or len(samples) == 0:
        raise MediaError(f"a sound is mono and not empty; this has the shape {samples.shape}")
    if not np.isfinite(samples).all():
        raise MediaError("the sound holds NaN or infinite samples")
    if len(samples) * 1000 > window_ms * rate:
        raise MediaError(
            f"the sound is longer than the {window_ms} ms that this model takes: cut it first"
        )
    wide = samples.astype(np.float64)
    if float(wide @ wide) < SILENT_RMS**2 * len(samples):
        raise MediaError("the sound is silent", problem="silent")
    return samples
