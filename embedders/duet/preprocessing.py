"""The numbers of the preprocessing; they are part of an encoder's identity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DIM = 256

RATE = 16_000
N_FFT = 1024
HOP = 400
MELS = 48
LOW_HZ, HIGH_HZ = 50.0, 7600.0
MIN_SAMPLES = RATE
WINDOW_MS = 10_000
HOP_MS = 10_000
MAX_SAMPLES = 10 * RATE + RATE // 10  # ten seconds and a little for rounding when resampled
SILENCE_RMS = 1e-5

BUCKETS = 6144
SHORTEST, LONGEST = 3, 5
MAX_WORDS = 64
TEXT_CHUNK_TOKENS = 48
TEXT_OVERLAP_TOKENS = 12

AUDIO_FACTS: Mapping[str, Any] = {
    "rate": RATE,
    "resampler": "soxr HQ",
    "n_fft": N_FFT,
    "hop": HOP,
    "mels": [MELS, LOW_HZ, HIGH_HZ],
    "scale": "(ln(power+1e-8)+7)/5",
    "min_samples": MIN_SAMPLES,
    "max_samples": MAX_SAMPLES,
    "window_ms": WINDOW_MS,
    "hop_ms": HOP_MS,
}
TEXT_FACTS: Mapping[str, Any] = {
    "tokenizer": "NFKC, lower case, words and signs; crc32 of the word and its n-grams",
    "n_grams": [SHORTEST, LONGEST],
    "buckets": BUCKETS,
    "max_words": MAX_WORDS,
    "chunk_tokens": TEXT_CHUNK_TOKENS,
    "overlap_tokens": TEXT_OVERLAP_TOKENS,
}
