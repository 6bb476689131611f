"""A sound that is kept while it is looked through is the same as one that is decoded twice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trichord.embedders.media import audio
from trichord.embedders.media.audio import is_silent, survey, waves
from trichord.errors import MediaError
from trichord.types import F32

from .helpers import SOUND_FORMATS, noise, sound, tone


def channels(kind: str, count: int) -> F32:
    """Some seconds at 16 kHz that several reads are needed for."""
    left, right = tone(3.1, 16_000), noise(49_600, seed=3)
    if kind == "opposite":
        return np.stack([left, -left, *[left * 0] * (count - 2)], 1)[:, :count]
    if kind == "nearly opposite":
        return np.stack([left, 0.45 * right - left, *[right] * (count - 2)], 1)[:, :count]
    return np.stack([left, right, 0.3 * left, noise(49_600, seed=4)], 1)[:, :count]


@pytest.mark.parametrize("kind", SOUND_FORMATS)
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("phase", ["unrelated", "opposite", "nearly opposite"])
def test_kept_is_what_streamed_is(
    kind: str, count: int, phase: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = sound(channels(phase, count), 16_000, kind) if count < 3 or kind != "mp3" else b""
    if not data:
        return  # MP3 has two channels at most
    kept = survey(data)
    assert kept.mono is not None
    joined = {
        rate: np.concatenate(list(waves(data, rate, surveyed=kept))) for rate in (16_000, 22_050)
    }
    monkeypatch.setattr(audio, "HELD_BYTES", 0)
    streamed = survey(data)
    assert streamed.mono is None
    assert kept == streamed
    for rate, samples in joined.items():
        np.testing.assert_array_equal(samples, np.concatenate(list(waves(data, rate))))


def outcome(data: bytes) -> audio.Survey | str:
    try:
        return survey(data)
    except MediaError as error:
        return str(error)


@pytest.mark.parametrize("kind", ["wav16", "flac", "mp3", "ogg"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
def test_what_breaks_off_is_decoded_in_small_steps(
    kind: str, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = sound(channels("unrelated", 2), 16_000, kind)
    cut = data[: int(len(data) * share)]
    found = outcome(cut)
    monkeypatch.setattr(audio, "HELD_BYTES", 0)
    assert found == outcome(cut)


@settings(deadline=None, max_examples=60)
@given(st.floats(-7, 0), st.integers(1, 40_000), st.integers(0, 2**32 - 1))
def test_silence_is_told_by_the_exact_energy(exponent: float, count: int, seed: int) -> None:
    samples = noise(count, seed=seed, level=10**exponent)
    energy = float(np.sum(samples.astype(np.float64) ** 2))
    assert is_silent(samples) == (energy < audio.SILENT_RMS**2 * count)
