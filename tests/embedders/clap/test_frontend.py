"""The torch front end against transformers' own extractor."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.embedders.clap import making
from trichord.embedders.clap.frontend import FrontEnd, LogMel, mel_filters
from trichord.errors import ModelError
from trichord.types import F32

CPU = torch.device("cpu")
SETTINGS: list[dict[str, Any]] = [
    {},
    {"low_hz": 0},
    {"fused": True},
    {"padding": "repeat"},
    {"padding": "pad"},
    {"sampling_rate": 32_000, "fft_window_size": 512, "hop_length": 320, "max_length_s": 4},
]


def both(samples: F32, **changed: Any) -> tuple[F32, F32]:
    """Our frames and the extractor's, float32 (frames, 64)."""
    theirs = making.extractor(**changed)
    front = FrontEnd.of_extractor(theirs.to_dict())
    expected = theirs(samples, sampling_rate=front.rate, return_tensors="np")["input_features"]
    padded = front.padded(samples)
    ours = LogMel(front, CPU).of(padded)
    assert ours.shape == (front.frames, front.mels) and ours.dtype == np.float32
    on_device = LogMel(front, CPU).batch(torch.from_numpy(padded)[None])[0].numpy()
    near = expected[0, 0] > expected.max() - 80
    assert np.abs(on_device - expected[0, 0])[near].max() < 1e-3
    return ours, expected[0, 0]


@pytest.mark.parametrize("changed", SETTINGS)
def test_frames_are_those_of_the_extractor(changed: dict[str, Any]) -> None:
    rate = changed.get("sampling_rate", making.RATE)
    for seconds in (4.0, 1.3, 0.004):
        samples = making.noise(seconds * rate / making.RATE)
        ours, expected = both(samples, **changed)
        assert np.abs(ours - expected).max() < 1e-3


def test_pure_tones_differ_only_far_below_them() -> None:
    t = np.arange(making.RATE * 10) / making.RATE
    tone = (0.5 * np.sin(2 * np.pi * 440 * t)).astype(np.float32)
    ours, expected = both(tone)
    difference = np.abs(ours - expected)
    assert difference.max() < 0.2
    assert difference[expected > expected.max() - 80].max() < 1e-3


def test_laion_settings_are_the_defaults() -> None:
    assert FrontEnd.of_extractor(making.extractor().to_dict()) == FrontEnd()


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("low_hz", [0, 50])
def test_mel_filters(fused: bool, low_hz: int) -> None:
    theirs = making.extractor(fused=fused, low_hz=low_hz)
    expected = theirs.mel_filters if fused else theirs.mel_filters_slaney
    assert np.abs(mel_filters(FrontEnd.of_extractor(theirs.to_dict())) - expected).max() < 1e-9


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 700), st.sampled_from(["repeatpad", "repeat", "pad"]))
def test_padding_repeats_as_told(count: int, padding: str) -> None:
    front = FrontEnd(rate=700, fft=64, hop=32, seconds=1, high_hz=300, low_hz=10, padding=padding)
    samples = np.arange(1, count + 1, dtype=np.float32)
    found = front.padded(samples)
    times = {"repeatpad": 700 // count, "repeat": -(-700 // count), "pad": 1}[padding]
    expected = [samples[i % count] if i < times * count else 0 for i in range(700)]
    assert found.tolist() == expected


def test_a_frame_set_depends_on_its_own_sound_only() -> None:
    front = FrontEnd()
    log_mel = LogMel(front, CPU)
    padded = torch.from_numpy(np.stack([front.padded(wave.samples) for wave in making.sounds()]))
    together = log_mel.batch(padded)
    for row, sound in zip(together, padded, strict=True):
        assert (row - log_mel.batch(sound[None])[0]).abs().max() < 1e-3
        assert np.array_equal(log_mel.of(sound.numpy()), log_mel.of(sound.numpy().copy()))


@pytest.mark.parametrize(
    "wrong",
    [
        {"feature_extractor_type": "WhisperFeatureExtractor"},
        {"truncation": "middle"},
        {"padding": "mirror"},
        {"hop_length": 0},
        {"hop_length": 2048},
        {"frequency_max": 30_000},
        {"frequency_min": "low"},
        {"sampling_rate": 48_000.5},
    ],
)
def test_senseless_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ModelError):
        FrontEnd.of_extractor({**making.extractor().to_dict(), **wrong})
