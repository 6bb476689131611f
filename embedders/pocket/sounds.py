"""Sounds of concepts: synthesis and General MIDI, with pitch, tempo, loudness and timbre.

Every sound is a function of its arguments and seed. Instruments need the Debian packages that
soundfont.py names; synthetic sounds need numpy only.
"""

from __future__ import annotations

import hashlib

import numpy as np
import soxr

from trichord.embedders.pocket import soundfont
from trichord.embedders.pocket.concepts import Concept, check_attributes
from trichord.embedders.pocket.concepts import concept as find
from trichord.embedders.pocket.synth import RATE, Recipe, Rng, Signal, add, noise, single, times
from trichord.embedders.pocket.synth_animals import ANIMALS
from trichord.embedders.pocket.synth_machines import MACHINES
from trichord.embedders.pocket.synth_nature import NATURE
from trichord.errors import InvalidInput
from trichord.types import F32, Modality

RECIPES: dict[str, Recipe] = {**ANIMALS, **NATURE, **MACHINES}
KEY_RANGES = {"low": (36, 46), "middle": (55, 64), "high": (74, 84)}
NOTES_PER_SECOND = {"slow": (0.8, 1.1), "steady": (2.0, 2.6), "fast": (5.0, 6.5)}
PITCH_FACTORS = {"low": 0.6, "middle": 1.0, "high": 1.6}
TEMPO_FACTORS = {"slow": 0.55, "steady": 1.0, "fast": 1.8}
LEVELS_DB = {"quiet": (-40.0, -34.0), "loud": (-18.0, -12.0)}
_SCALE = (0, 2, 4, 5, 7, 9, 11)


def _melody(rng: Rng, n: int, program: int, pitch: str | None, tempo: str | None) -> Signal:
    low, high = KEY_RANGES[pitch] if pitch else sorted(rng.uniform(42, 82, 2))
    rate = rng.uniform(*NOTES_PER_SECOND[tempo]) if tempo else rng.uniform(0.9, 5.0)
    out = np.zeros(n, np.float32)
    root = rng.uniform(low, high)
    for at in times(rng, n, 1 / rate, 0.03):
        key = root + rng.choice(_SCALE) - 4
        key = min(max(key, low), high)
        length = min(1.5, 1.0 / rate * rng.uniform(0.85, 1.1))
        add(out, soundfont.note(program, float(key), length), at, rng.uniform(0.7, 1.0))
    return out


def _beats(rng: Rng, n: int, key: int, tempo: str | None) -> Signal:
    rate = rng.uniform(*NOTES_PER_SECOND[tempo]) if tempo else rng.uniform(1.5, 5.0)
    out = np.zeros(n, np.float32)
    stroke = soundfont.drum(key)
    for at in times(rng, n, 1 / rate, 0.03):
        add(out, stroke, at, rng.uniform(0.5, 1.0))
    return out


def _band(samples: Signal, low: float, high: float, order: int = 6) -> Signal:
    spectrum = np.fft.rfft(samples)
    f = np.maximum(np.fft.rfftfreq(len(samples), 1 / RATE), 1.0)
    spectrum *= 1 / np.sqrt((1 + (low / f) ** order) * (1 + (f / high) ** order))
    return np.fft.irfft(spectrum, len(samples)).astype(np.float32)


def apply_timbre(rng: Rng, samples: Signal, timbre: str) -> Signal:
    """The sound as through a wall, in a canyon, an overdriven amplifier, a small speaker …"""
    peak = float(np.abs(samples).max()) + 1e-9
    x = samples / peak
    n = len(x)
    t = np.arange(n) / RATE
    if timbre == "muffled":
        x = _band(x, 1, rng.uniform(320, 450))
    elif timbre == "tinny":
        x = _band(x, rng.uniform(1300, 1700), 5500)
    elif timbre == "distorted":
        x = np.tanh(rng.uniform(25, 50) * x).astype(np.float32)
    elif timbre == "trembling":
        rate = rng.uniform(9, 12)
        x = (x * (0.5 + 0.5 * np.sin(2 * np.pi * rate * t)) ** 1.5).astype(np.float32)
    elif timbre == "echoing":
        delay, out = int(rng.uniform(0.11, 0.16) * RATE), x.copy()
        for k in range(1, 8):
            add(out, x, k * delay, 0.78**k)
        tail = noise(rng, int(0.9 * RATE), 100, 6000) * np.exp(
            -np.arange(int(0.9 * RATE)) / (0.3 * RATE)
        )
        size = 1 << (n + len(tail)).bit_length()
        wet = np.fft.irfft(np.fft.rfft(x, size) * np.fft.rfft(tail, size), size)[:n]
        x = (out + 0.5 * wet / (np.abs(wet).max() + 1e-9)).astype(np.float32)
    elif timbre == "crackling":
        x = x.copy()
        pop = noise(rng, 64, 1500, 7500)
        for at in rng.uniform(0, n, int(rng.uniform(28, 40) * n / RATE)):
            add(x, pop, at, rng.uniform(0.6, 1.6))
    return x


def _level(rng: Rng, samples: Signal, loudness: str | None) -> F32:
    low, high = LEVELS_DB[loudness] if loudness else (-38.0, -13.0)
    wanted = 10 ** (rng.uniform(low, high) / 20)
    loud_part = np.sqrt(np.mean(np.sort(samples**2)[len(samples) // 2 :]) + 1e-12)
    out = samples * (wanted / loud_part)
    over = float(np.abs(out).max())
    return single(out / over * 0.99 if over > 0.99 else out)


def render_sound(
    concept: str | Concept,
    *,
    seconds: float = 3.0,
    rate: int = RATE,
    seed: int = 0,
    pitch: str | None = None,
    tempo: str | None = None,
    loudness: str | None = None,
    timbre: str | None = None,
) -> F32:
    """A sound of the concept: float32 (seconds * rate,) in [-1, 1]; equal arguments, equal sound.

    The attributes are values of concepts.AXES; None leaves them to chance (`timbre`: clean).
    Raises InvalidInput for what cannot sound, ModelError when fluidsynth or its soundfont is
    needed and not installed.
    """
    what = find(concept)
    check_attributes(
        Modality.AUDIO,
        {"pitch": pitch, "tempo": tempo, "loudness": loudness, "timbre": timbre},
    )
    if what.sound is None:
        raise InvalidInput(f"the concept {what.name!r} has no sound, it is only pictured")
    if not 0.2 <= seconds <= 600 or rate < 1000:
        raise InvalidInput(f"cannot render {seconds} s at {rate} Hz (0.2 to 600 s, from 1000 Hz)")
    parts = ("sound", what.name, pitch, tempo, loudness, timbre, seed)
    digest = hashlib.sha256("|".join(map(str, parts)).encode()).digest()
    rng = np.random.default_rng(np.frombuffer(digest[:16], np.uint32))
    n = round(seconds * RATE)
    kind, _, name = what.sound.partition(":")
    samples: Signal
    if kind == "gm":
        samples = _melody(rng, n, int(name), pitch, tempo)
    elif kind == "drum":
        samples = _beats(rng, n, int(name), tempo)
    else:
        high = PITCH_FACTORS[pitch] if pitch else rng.uniform(0.85, 1.18)
        quick = TEMPO_FACTORS[tempo] if tempo else rng.uniform(0.8, 1.25)
        samples = RECIPES[name](rng, n, high, quick)
    if timbre is not None:
        samples = apply_timbre(rng, samples, timbre)
    samples = _level(rng, samples, loudness)
    if rate != RATE:
        samples = soxr.resample(samples, RATE, rate).astype(np.float32)
        want = round(seconds * rate)
        samples = np.pad(samples[:want], (0, max(0, want - len(samples))))
    return np.clip(samples, -1.0, 1.0)
