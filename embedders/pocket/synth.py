"""Building blocks of synthetic sounds: noise bands, voices, strikes, schedules (16 kHz, numpy)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from trichord.types import F32

RATE = 16000
Signal = npt.NDArray[np.floating[Any]]
"""Floating-point samples (n,) at 16 kHz, or a control curve of as many values."""
Rng = np.random.Generator
Recipe = Callable[[Rng, int, float, float], Signal]
"""(rng, samples, pitch factor, tempo factor) -> samples at any level."""


def single(values: npt.ArrayLike) -> F32:
    """The values in single precision."""
    return np.asarray(values, np.float32)


def noise(rng: Rng, n: int, low: float, high: float) -> Signal:
    """White noise with smooth edges at `low` and `high` Hz, rms about 0.3."""
    spectrum = np.fft.rfft(rng.normal(size=n))
    f = np.fft.rfftfreq(n, 1 / RATE)
    spectrum *= 1 / np.sqrt(1 + (low / np.maximum(f, 1)) ** 8)
    spectrum *= 1 / np.sqrt(1 + (f / max(high, 1)) ** 8)
    out = np.fft.irfft(spectrum, n)
    return single(0.3 * out / (out.std() + 1e-9))


def decay(n: int, seconds: float, attack: float = 0.002) -> Signal:
    """A short rise, then an exponential fall to 1/e in `seconds`."""
    t = np.arange(n) / RATE
    return (np.minimum(t / attack, 1) * np.exp(-t / seconds)).astype(np.float32)


def swell(n: int, edge: float = 0.15) -> Signal:
    """A window that rises and falls over `edge` of its length."""
    x = np.linspace(0, 1, n)
    return np.clip(np.minimum(x, 1 - x) / edge, 0, 1).astype(np.float32)


def contour(n: int, points: Sequence[tuple[float, float]], factor: float = 1.0) -> Signal:
    """Frequencies in Hz through (fraction of time, Hz) points."""
    at, hz = zip(*points, strict=True)
    return single(np.interp(np.linspace(0, 1, n), at, hz) * factor)


def tone(hz: Signal, partials: Sequence[float] = (1.0,)) -> Signal:
    """A sum of harmonics that follow the frequency track `hz`; those above 7.6 kHz fall away."""
    phase = 2 * np.pi * np.cumsum(hz, dtype=np.float64) / RATE
    out = np.zeros(len(hz))
    for k, level in enumerate(partials, 1):
        if level:
            out += level * np.sin(k * phase) * (k * hz < 7600)
    return out.astype(np.float32)


def voice(
    rng: Rng, hz: Signal, formants: Sequence[tuple[float, float]], breath: float = 0.0
) -> Signal:
    """A throat: harmonics of `hz` shaped by (centre, width) resonances, plus breath noise."""
    base = float(hz.mean())
    k = np.arange(1, max(2, min(40, int(7000 / max(base, 20)))))
    level = 0.03 / k
    for centre, width in formants:
        level = level + np.exp(-(((k * base - centre) / width) ** 2)) / np.sqrt(k)
    out = tone(hz, list(level))
    out = out / (np.abs(out).max() + 1e-6)
    if breath:
        low = min(c - w for c, w in formants)
        high = max(c + w for c, w in formants)
        out = (1 - breath) * out + breath * noise(rng, len(hz), max(low, 60), high)
    return single(out)


def strike(rng: Rng, seconds: float, partials: Sequence[tuple[float, float, float]]) -> Signal:
    """A struck body: (Hz, level, decay seconds) partials with random phases."""
    n = int(seconds * RATE)
    t = np.arange(n) / RATE
    out = np.zeros(n)
    for hz, level, fall in partials:
        if hz < 7800:
            out += level * np.sin(2 * np.pi * hz * t + rng.uniform(0, 6.28)) * np.exp(-t / fall)
    out *= np.minimum(t / 0.0015, 1)
    return out.astype(np.float32)


def add(buffer: Signal, event: Signal, at: float, level: float = 1.0) -> None:
    """Mixes `event` into `buffer` from sample `at`; what lies outside is cut."""
    start = int(at)
    if start < 0:
        event, start = event[-start:], 0
    stop = min(len(buffer), start + len(event))
    if stop > start:
        buffer[start:stop] += level * event[: stop - start]


def times(rng: Rng, n: int, period: float, jitter: float = 0.1) -> list[float]:
    """Start samples of events about every `period` seconds, at least one inside the clip."""
    at = rng.uniform(0.0, 0.42) * period * RATE
    out: list[float] = []
    while at < n - 0.05 * RATE or not out:
        out.append(min(at, max(0.0, n - 0.3 * RATE)) if not out else at)
        at += period * RATE * (1 + rng.uniform(-jitter, jitter))
    return out


def repeat(
    rng: Rng, n: int, period: float, make: Callable[[], Signal], jitter: float = 0.1
) -> Signal:
    """`make()` placed again and again with slightly varying level."""
    out = np.zeros(n, np.float32)
    for at in times(rng, n, period, jitter):
        add(out, make(), at, rng.uniform(0.75, 1.0))
    return out


def pulses(rng: Rng, hz: Signal, width: float = 0.004, rough: float = 0.3) -> Signal:
    """An engine: one noisy decaying pulse per cycle of `hz`."""
    n = len(hz)
    phase = np.cumsum(hz, dtype=np.float64) / RATE
    starts = np.flatnonzero(np.diff(np.floor(phase), prepend=phase[0] - 1) > 0)
    train = np.zeros(n)
    train[starts] = 1 + rough * rng.normal(size=len(starts))
    length = int(width * 6 * RATE)
    kernel = np.exp(-np.arange(length) / (width * RATE)) * (1 + rough * rng.normal(size=length))
    out = np.convolve(train, kernel - kernel.mean())[:n]
    return single(out / (np.abs(out).max() + 1e-9))


def clicks(rng: Rng, n: int, per_second: float, low: float, high: float, fall: float) -> Signal:
    """Random impulses ringing in a band, at Poisson times."""
    out = np.zeros(n, np.float32)
    grain = noise(rng, int(fall * 5 * RATE), low, high) * decay(int(fall * 5 * RATE), fall, 5e-4)
    for at in rng.uniform(0, n, max(1, rng.poisson(per_second * n / RATE))):
        add(out, grain, at, rng.exponential(0.6) + 0.1)
    return out
