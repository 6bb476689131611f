"""The inputs of canaries: 48 texts, 32 pictures and 24 sounds that are the same everywhere.

They are made by code, from raw random words of PCG64, whose stream numpy keeps stable.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from trichord.types import Modality, Rgb, Waveform

INPUTS = 1
"""Raised when the inputs change: vectors of other inputs cannot be compared."""

COUNTS = {Modality.TEXT: 48, Modality.IMAGE: 32, Modality.AUDIO: 24}
LONGEST_MS = 4_000

_WHAT = (
    "rain falling on a window", "a dog that barks twice", "two people laughing", "an old clock",
    "a red bicycle", "waves on a stony beach", "the engine of a small boat", "a cup of coffee",
    "snow on a mountain road", "a child reading aloud", "a slow waltz for piano", "glass breaking",
)  # fmt: skip
_HOW = (
    "{}", "{}, early in the morning", "A photograph or recording of {}.",
    "There is nothing here of {}; instead a crowd is waiting for a train.",
)  # fmt: skip


def texts() -> list[str]:
    """48 short texts."""
    return [how.format(what) for how in _HOW for what in _WHAT]


def pictures() -> list[Rgb]:
    """32 pictures, uint8 (72, 96, 3): a gradient, stripes, a disc and noise, each of its own
    colours, directions and places."""
    return [_picture(seed) for seed in range(COUNTS[Modality.IMAGE])]


def sounds(rate: int, longest_ms: int = LONGEST_MS) -> list[Waveform]:
    """24 sounds at `rate` Hz, 1 to 4 s or as long as a shorter window: chords, sweeps, pulses and
    noise of changing loudness."""
    return [_sound(seed, rate, longest_ms) for seed in range(COUNTS[Modality.AUDIO])]


class _Bits:
    """Numbers that are the same everywhere and for ever: raw words of PCG64."""

    def __init__(self, what: str, seed: int) -> None:
        digest = hashlib.sha256(f"trichord canary {INPUTS} {what} {seed}".encode()).digest()
        self._stream = np.random.PCG64(int.from_bytes(digest[:8], "little"))

    def uniform(self, *shape: int) -> npt.NDArray[np.float64]:
        """In [0, 1)."""
        words = self._stream.random_raw(int(np.prod(shape)))
        return (words >> np.uint64(11)).astype(np.float64).reshape(shape) / 2.0**53


def _picture(seed: int) -> Rgb:
    bits = _Bits("picture", seed)
    height, width = 72, 96
    y, x = np.mgrid[0:height, 0:width] / width
    colours = bits.uniform(4, 3) * 255
    angle, step, radius, grain, left, top = bits.uniform(6)
    along = x * np.cos(angle * np.pi) + y * np.sin(angle * np.pi)
    picture = colours[0] + (colours[1] - colours[0]) * along[..., None]
    if seed % 2:
        stripes = np.sin(2 * np.pi * (3 + 12 * step) * along) > 0.3
        picture[stripes] = colours[2]
    if seed % 3:
        disc = (x - left) ** 2 + (y - 0.75 * top) ** 2 < (0.08 + 0.25 * radius) ** 2
        picture[disc] = colours[3]
    if seed % 4 == 0:
        picture = picture + (bits.uniform(height, width, 1) - 0.5) * 160 * grain
    made: Rgb = np.clip(np.round(picture), 0, 255).astype(np.uint8)
    return made


def _sound(seed: int, rate: int, longest_ms: int) -> Waveform:
    bits = _Bits("sound", seed)
    longest = min(longest_ms, 1_000 + 1_000 * (seed % 4))
    count = rate * longest // 1_000
    time = np.arange(count) / rate
    seconds = longest / 1_000
    pitch, depth, beat, tilt = bits.uniform(4)
    low = 80 * 2 ** (5 * pitch)
    kind = seed % 4
    if kind == 0:  # a chord
        parts = [np.sin(2 * np.pi * low * ratio * time) for ratio in (1, 1.26, 1.5, 2)]
        wave = np.mean(parts, axis=0)
    elif kind == 1:  # a sweep
        rise = low * (1 + 2 * tilt)
        wave = np.sin(2 * np.pi * (low * time + (rise - low) * time**2 / (2 * seconds)))
    elif kind == 2:  # pulses
        wave = np.sin(2 * np.pi * low * time) * (np.sin(2 * np.pi * (2 + 6 * beat) * time) > 0.5)
    else:  # noise, smoothed to a colour of its own
        noise = bits.uniform(count) * 2 - 1
        width = 1 + int(24 * tilt)
        wave = np.convolve(noise, np.ones(width) / np.sqrt(width), "same") * 0.5
    loud = 0.7 + 0.3 * depth * np.sin(2 * np.pi * (0.5 + 3 * beat) * time)
    samples = (0.5 * wave * loud).clip(-1, 1).astype(np.float32)
    return Waveform(samples, rate)
