from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.signal import resample_poly

from trichord.embedders.media.audio import decode_audio, survey, waves
from trichord.embedders.media.limits import Limits
from trichord.errors import InvalidInput, MediaError
from trichord.types import F32

from .helpers import SOUND_FORMATS, kept_and_streamed, noise, picture, sound, tone

held_bytes = kept_and_streamed()


def joined(data: bytes | Path, rate: int, block_frames: int = 65536) -> F32:
    return np.concatenate(list(waves(data, rate, block_frames=block_frames)))


@pytest.mark.parametrize(
    ("kind", "worst"),
    [("wav16", 3.1e-5), ("wav24", 1e-6), ("wavf", 0.0), ("rf64", 3.1e-5), ("flac", 2e-5)],
)
def test_lossless_round_trip(kind: str, worst: float) -> None:
    known = noise(30_001)
    data = sound(known, 16_000, kind)
    made = decode_audio(data, 16_000)
    assert made.rate == 16_000 and made.samples.dtype == np.float32
    assert made.samples.shape == known.shape
    assert np.abs(made.samples - known).max() <= worst


@pytest.mark.parametrize("kind", ["ogg", "opus", "mp3"])
def test_lossy_round_trip(kind: str) -> None:
    known = tone(2.0, 48_000)
    data = sound(np.stack([known, known], 1), 48_000, kind)
    made = decode_audio(data, 48_000).samples
    assert abs(len(made) - len(known)) <= 2500  # MP3 pads whole frames
    # Encoders delay: compare the spectrum of the middle, which must be the one tone.
    middle = made[24_000:72_000] * np.hanning(48_000)
    spectrum = np.abs(np.fft.rfft(middle))
    assert int(spectrum.argmax()) == 440
    assert (spectrum[438:443] ** 2).sum() > 0.999 * (spectrum**2).sum()
    assert float(np.abs(made[24_000:72_000]).max()) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("kind", SOUND_FORMATS)
def test_a_file_is_read_like_its_bytes_whatever_its_name(kind: str, tmp_path: Path) -> None:
    data = sound(np.stack([tone(0.4, 48_000)] * 2, 1), 48_000, kind)
    for name in ("x.raw", "x.png", "ü x"):
        path = tmp_path / name
        path.write_bytes(data)
        assert np.array_equal(
            decode_audio(path, 16_000).samples, decode_audio(data, 16_000).samples
        )


@pytest.mark.parametrize("native", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000])
def test_resampling_equals_one_shot(native: int) -> None:
    known = noise(native + 17, seed=native)
    data = sound(known, native, "wavf")
    made = joined(data, 16_000)
    assert np.array_equal(made, np.clip(soxr.resample(known, native, 16_000), -1, 1))
    assert len(made) == pytest.approx(len(known) * 16_000 / native, abs=1)


def test_resampling_against_another_method() -> None:
    known = tone(1.0, 48_000, 1_000)
    made = joined(sound(known, 48_000, "wavf"), 16_000)
    other = resample_poly(known.astype(float), 1, 3)
    assert np.abs(made[500:-500] - other[500:-500]).max() < 2e-3


def test_resampling_removes_what_the_new_rate_cannot_hold() -> None:
    made = joined(sound(tone(1.0, 48_000, 11_000), 48_000, "wavf"), 16_000)
    assert np.abs(made[500:-500]).max() < 1e-3


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 40_000), st.sampled_from(["wavf", "flac", "ogg", "mp3"]))
def test_the_block_size_changes_nothing(block_frames: int, kind: str) -> None:
    data = sound(np.stack([noise(20_000), noise(20_000, 1)], 1), 22_050, kind)
    expected = joined(data, 16_000)
    blocks = list(waves(data, 16_000, block_frames=max(block_frames, 50)))
    assert np.array_equal(np.concatenate(blocks), expected)


def test_the_mean_of_the_channels() -> None:
    left, right = noise(5_000), noise(5_000, 1)
    made = decode_audio(sound(np.stack([left, right], 1), 8_000, "wavf"), 8_000).samples
    assert np.abs(made - (left.astype(float) + right) / 2).max() < 1e-7


def test_opposite_phase_does_not_cancel() -> None:
    left = tone(1.0, 8_000)
    for gain, loudest in ((-1.0, 0), (-1.1, 1), (-0.9, 0)):
        stereo = np.stack([left, (gain * left).astype(np.float32)], 1)
        data = sound(stereo, 8_000, "wavf")
        assert survey(data).channel == loudest
        assert np.array_equal(decode_audio(data, 8_000).samples, stereo[:, loudest])


@pytest.mark.parametrize("channels", [2, 6])
def test_one_channel_of_many_is_averaged(channels: int) -> None:
    many = np.zeros((4_000, channels), np.float32)
    many[:, 1] = noise(4_000)
    data = sound(many, 8_000, "wavf")
    assert survey(data).channel is None
    made = decode_audio(data, 8_000).samples
    assert np.allclose(made, many[:, 1] / channels, atol=1e-7)


def test_unrelated_channels_are_averaged() -> None:
    many = np.stack([noise(8_000, seed) for seed in range(5)], 1)
    assert survey(sound(many, 8_000, "wavf")).channel is None


def test_rare_samples_that_are_not_finite_become_zero() -> None:
    known = noise(20_000)
    known[[3, 700, 19_999]] = np.nan, np.inf, -np.inf
    made = decode_audio(sound(known, 8_000, "wavf"), 8_000).samples
    assert made[[3, 700, 19_999]].tolist() == [0, 0, 0]
    known[[3, 700, 19_999]] = 0
    assert np.array_equal(made, known)


def test_many_samples_that_are_not_finite_are_an_error() -> None:
    known = noise(20_000)
    known[:21] = np.nan
    data = sound(known, 8_000, "wavf")
    with pytest.raises(MediaError, match="21 of 20000 samples are NaN"):
        waves(data, 8_000)
    assert len(joined_with(data, Limits(max_nonfinite_share=0.01))) == 20_000


def joined_with(data: bytes, limits: Limits) -> F32:
    return np.concatenate(list(waves(data, 8_000, limits)))


def test_beyond_full_scale() -> None:
    known = noise(20_000)
    known[5], known[6] = 1e30, -7.0
    made = decode_audio(sound(known, 8_000, "wavf"), 8_000).samples
    assert made[5:7].tolist() == [1.0, -1.0]
    with pytest.raises(MediaError, match="divide by full scale"):
        decode_audio(sound(noise(20_000) * 32_768, 8_000, "wavf"), 8_000)


def test_resampled_overshoot_is_clipped() -> None:
    square = np.sign(tone(1.0, 8_000, 100)).astype(np.float32)
    made = joined(sound(square, 8_000, "wavf"), 16_000)
    assert np.abs(soxr.resample(square, 8_000, 16_000)).max() > 1.05
    assert np.abs(made).max() == 1.0


def test_silence() -> None:
    data = sound(np.zeros(8_000, np.float32), 8_000)
    with pytest.raises(MediaError, match="silent") as caught:
        decode_audio(data, 16_000)
    assert caught.value.details["problem"] == "silent"
    with pytest.raises(MediaError, match="silent"):
        decode_audio(sound(noise(8_000) * np.float32(1e-5), 8_000, "wavf"), 16_000)
    decode_audio(sound(noise(8_000) * np.float32(1e-3), 8_000, "wavf"), 16_000)


@pytest.mark.parametrize("kind", SOUND_FORMATS)
def test_truncated_sounds_are_taken_up_to_the_break(kind: str) -> None:
    whole = np.stack([tone(3.0, 48_000), noise(144_000)], 1)
    data = sound(whole, 48_000, kind)
    full = joined(data, 48_000)
    assert not survey(data).truncated
    for share in (0.9, 0.7, 0.5):
        cut = data[: int(len(data) * share)]
        part = joined(cut, 48_000)
        assert 0.15 * len(full) < len(part) < len(full)
        assert np.abs(part[:-5_000] - full[: len(part) - 5_000]).max() < 1e-4
        if kind != "rf64":  # its length is taken as libsndfile corrects it
            assert survey(cut).truncated
            with pytest.raises(MediaError, match="breaks off"):
                survey(cut, Limits(accept_truncated_audio=False))


@pytest.mark.parametrize("kind", ["ogg", "opus"])
def test_an_ogg_cut_between_two_pages_is_truncated(kind: str) -> None:
    data = sound(noise(480_000), 48_000, kind)
    last_page = data.rfind(b"OggS")
    assert not survey(data).truncated
    assert survey(data[:last_page]).truncated


@pytest.mark.parametrize("kind", SOUND_FORMATS)
def test_only_a_header_is_an_error(kind: str) -> None:
    data = sound(tone(1.0, 48_000), 48_000, kind)
    for size in (4, 12, 30, 44) if kind.startswith("wav") else (4, 12, 30, 44, 60, 80):
        with pytest.raises(MediaError):
            survey(data[:size])


def test_headers_that_lie() -> None:
    known = noise(8_000)
    data = bytearray(sound(known, 8_000))
    for size in (0xFFFFFFFF, 0x7FFFFFFF, 17_000):  # the length of the data chunk
        data[40:44] = struct.pack("<I", size)
        assert np.abs(joined(bytes(data), 8_000) - known).max() < 3.1e-5
    data[4:8] = struct.pack("<I", 0xFFFFFFF0)
    assert len(joined(bytes(data), 8_000)) == 8_000
    for at, form, value in ((24, "<I", 3), (24, "<I", 0xFFFFFFFF), (22, "<H", 999), (22, "<H", 0)):
        bad = bytearray(sound(known, 8_000))
        bad[at : at + struct.calcsize(form)] = struct.pack(form, value)
        with pytest.raises(MediaError):
            survey(bytes(bad))


def test_a_flac_that_lies_about_its_length() -> None:
    data = bytearray(sound(noise(40_000), 8_000, "flac"))
    whole = joined(bytes(data), 8_000)
    low = data[21]  # 4 bits of the sample count, of which four bytes follow
    for count in (0, 100, 1 << 31):
        data[21], data[22:26] = low, struct.pack(">I", count)
        made = joined(bytes(data), 8_000)
        assert len(made) <= len(whole)
        assert np.array_equal(made, whole[: len(made)])
        assert len(made) == len(whole) or count == 100


def test_seconds_are_limited() -> None:
    data = sound(noise(8_000), 8_000)
    assert survey(data, Limits(max_audio_seconds=1.0)).frames == 8_000
    with pytest.raises(MediaError, match="longer than 0.99 s"):
        survey(data, Limits(max_audio_seconds=0.99))


def test_an_audio_bomb_is_refused_early() -> None:
    data = sound(np.zeros(3_000_000, np.int16), 8_000, "flac")
    assert len(data) < 30_000
    with pytest.raises(MediaError, match="longer than 60 s"):
        survey(data, Limits(max_audio_seconds=60))


def test_other_limits_and_arguments(tmp_path: Path) -> None:
    data = sound(noise(800), 8_000)
    for rate in (0, -1, 1_999, 10**9):
        with pytest.raises(InvalidInput, match="rate"):
            waves(data, rate)
    with pytest.raises(InvalidInput, match="block_frames"):
        waves(data, 8_000, block_frames=0)
    with pytest.raises(MediaError, match="max_bytes"):
        survey(data, Limits(max_bytes=len(data) - 1))
    many = sound(np.zeros((100, 4), np.float32), 8_000)
    with pytest.raises(MediaError, match="max_audio_channels"):
        survey(many, Limits(max_audio_channels=3))
    for name, problem in (("missing", "no such file"), ("a\0b", "no such file"), ("", "regular")):
        with pytest.raises(MediaError, match=problem):
            survey(tmp_path / name)
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for ever
    with pytest.raises(MediaError, match="not a regular file"):
        survey(tmp_path / "pipe")


def test_other_content() -> None:
    with pytest.raises(MediaError, match="image/png, not a sound"):
        survey(picture(Image.new("RGB", (4, 4)), "PNG"))
    with pytest.raises(MediaError, match="text/plain, not a sound"):
        survey(b"la la la")
