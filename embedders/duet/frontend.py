"""What the audio encoder hears: log-mel frames, 40 a second, with their level kept."""

from __future__ import annotations

from functools import cache

import numpy as np
import soxr
import torch

from trichord.embedders.duet.preprocessing import (
    HIGH_HZ,
    HOP,
    LOW_HZ,
    MAX_SAMPLES,
    MELS,
    MIN_SAMPLES,
    N_FFT,
    RATE,
    SILENCE_RMS,
)
from trichord.errors import MediaError
from trichord.types import F32, Waveform


def sound(wave: object) -> F32:
    """The samples at 16 kHz, at least 1 s (zeros are added), at most 10 s.

    Raises MediaError for what is no Waveform, and for sound that is empty, not mono, not finite,
    silent or longer than a window.
    """
    if not isinstance(wave, Waveform):
        raise MediaError(f"a sound must be a Waveform, not {type(wave).__name__}")
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
    """Triangular mel filters of unit area, float32 (48, 513)."""
    low, high = (1127 * np.log1p(hz / 700) for hz in (LOW_HZ, HIGH_HZ))
    hz = 700 * np.expm1(np.linspace(low, high, MELS + 2) / 1127)
    bins = np.fft.rfftfreq(N_FFT, 1 / RATE)[None]
    left, centre, right = hz[:-2, None], hz[1:-1, None], hz[2:, None]
    slopes = np.minimum((bins - left) / (centre - left), (right - bins) / (right - centre))
    weights = np.clip(slopes, 0, None)
    weights /= weights.sum(axis=1, keepdims=True) + 1e-9
    return torch.from_numpy(weights.astype(np.float32))


def log_mel(samples: torch.Tensor) -> torch.Tensor:
    """float32 (n, samples) at 16 kHz -> (n, 1, 48, frames), one frame per 25 ms."""
    spectrum = torch.stft(
        samples,
        N_FFT,
        HOP,
        window=torch.hann_window(N_FFT),
        center=True,
        pad_mode="constant",
        return_complex=True,
    )
    power = spectrum.abs().square() / (N_FFT / 4)
    return ((torch.log(_filters() @ power + 1e-8) + 7) / 5).unsqueeze(1)
