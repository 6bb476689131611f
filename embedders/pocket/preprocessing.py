"""The numbers of the preprocessing; they are part of an encoder's identity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SIZE = 72
RATE = 16000
N_FFT = 1024
HOP = 320
MELS = 64
LOW_HZ, HIGH_HZ = 40.0, 7800.0
MIN_SAMPLES = RATE
MAX_SAMPLES = 10 * RATE + RATE // 10  # ten seconds and a little for rounding when resampled
SILENCE_RMS = 1e-5

WINDOW_MS = 10_000
HOP_MS = 10_000
TEXT_CHUNK_TOKENS = 200
TEXT_OVERLAP_TOKENS = 40

IMAGE_FACTS: Mapping[str, Any] = {
    "size": SIZE,
    "resize": "antialiased bilinear, letterboxed on the mean colour of the border",
    "scale": "x/127.5-1",
}
AUDIO_FACTS: Mapping[str, Any] = {
    "rate": RATE,
    "resampler": "soxr HQ",
    "n_fft": N_FFT,
    "hop": HOP,
    "mels": [MELS, LOW_HZ, HIGH_HZ],
    "scale": "(log10(power+1e-8)+3)/2.5",
    "min_samples": MIN_SAMPLES,
    "max_samples": MAX_SAMPLES,
}
