"""What the towers see: pictures as 72 x 72 RGB, sounds as log-mel frames with their level kept."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import soxr
import torch
from PIL import Image

from trichord.embedders.pocket.preprocessing import (
    HIGH_HZ,
    HOP,
    LOW_HZ,
    MAX_SAMPLES,
    MELS,
    MIN_SAMPLES,
    N_FFT,
    RATE,
    SILENCE_RMS,
    SIZE,
)
from trichord.errors import MediaError
from trichord.types import F32, Rgb, Waveform


def picture(image: Rgb) -> Rgb:
    """uint8 (h, w, 3) of any size -> uint8 (72, 72, 3) that shows all of it.

    Raises MediaError for another dtype or shape.
    """
    array = np.asarray(image)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        raise MediaError(
            f"a picture must be uint8 (height, width, 3), not {array.dtype} {array.shape}"
        )
    height, width = array.shape[:2]
    if height == width == SIZE:
        return array
    scale = SIZE / max(height, width)
    w, h = max(1, round(width * scale)), max(1, round(height * scale))
    resized = Image.fromarray(array).resize((w, h), Image.Resampling.BILINEAR)
    if w == h:
        return np.asarray(resized)
    border = np.concatenate([array[0], array[-1], array[:, 0], array[:, -1]]).mean(axis=0)
    canvas = np.empty((SIZE, SIZE, 3), np.uint8)
    canvas[:] = border.round().astype(np.uint8)
    top, left = (SIZE - h) // 2, (SIZE - w) // 2
    canvas[top : top + h, left : left + w] = np.asarray(resized)
    return canvas


def pictures_to_tensor(batch: np.ndarray[Any, np.dtype[np.uint8]]) -> torch.Tensor:
    """uint8 (n, 72, 72, 3) -> float32 (n, 3, 72, 72) in [-1, 1]."""
    return torch.from_numpy(batch).permute(0, 3, 1, 2).float() / 127.5 - 1


def sound(wave: Waveform) -> F32:
    """The samples at 16 kHz, at least 1 s (zeros are added), at most 10 s.

    Raises MediaError for sound that is empty, not finite, silent or longer than a window.
    """
    samples = np.asarray(wave.samples, np.float32)
    if samples.ndim != 1 or not 1000 <= wave.rate <= 768_000:
        raise MediaError(
            f"a sound must be mono samples (n,), not {samples.shape} at {wave.rate} Hz"
        )
    if samples.size == 0:
        raise MediaError("the sound is empty")
    if not np.isfinite(samples).all():
        raise MediaError("the sound has samples that are not finite")
    if samples.size > wave.rate * MAX_SAMPLES / RATE:
        raise MediaError("the sound is longer than 10 s: cut it into windows first")
    if float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) < SILENCE_RMS:
        raise MediaError("the sound is silent")
    if wave.rate != RATE:
        samples = soxr.resample(samples, wave.rate, RATE).astype(np.float32)
    if len(samples) < MIN_SAMPLES:
        samples = np.pad(samples, (0, MIN_SAMPLES - len(samples)))
    return samples[:MAX_SAMPLES]


@cache
def _filters() -> torch.Tensor:
    """Triangular mel filters of unit area, float32 (64, 513)."""

    low, high = (2595 * np.log10(1 + hz / 700) for hz in (LOW_HZ, HIGH_HZ))
    edges = np.linspace(low, high, MELS + 2)
    hz = 700 * (10 ** (edges / 2595) - 1)
    bins = np.fft.rfftfreq(N_FFT, 1 / RATE)[None]
    left, centre, right = hz[:-2, None], hz[1:-1, None], hz[2:, None]
    rising, falling = (bins - left) / (centre - left), (right - bins) / (right - centre)
    weights = np.clip(np.minimum(rising, falling), 0, None)
    weights /= weights.sum(axis=1, keepdims=True) + 1e-9
    return torch.from_numpy(weights.astype(np.float32))


def log_mel(samples: torch.Tensor) -> torch.Tensor:
    """float32 (n, samples) at 16 kHz -> (n, 1, 64, frames), one frame per 20 ms.

    The level is not normalised: loud and quiet sounds stay different.
    """
    window = torch.hann_window(N_FFT)
    spectrum = torch.stft(
        samples, N_FFT, HOP, window=window, center=True, pad_mode="constant", return_complex=True
    )
    power = spectrum.abs().square() / (N_FFT / 4)
    mel = torch.log10(_filters() @ power + 1e-8)
    return ((mel + 3) / 2.5).unsqueeze(1)
