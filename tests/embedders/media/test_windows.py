from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st

from trichord.embedders.media.audio import decode_audio
from trichord.embedders.media.windows import windows
from trichord.errors import InvalidInput, MediaError
from trichord.types import Span, Waveform

from .helpers import kept_and_streamed, noise, sound

held_bytes = kept_and_streamed()


def spans(data: bytes, window: int, hop: int, least: int = 0) -> list[tuple[int, int]]:
    made = windows(data, rate=8_000, window_ms=window, hop_ms=hop, min_ms=least)
    return [(piece.span.start_ms or 0, piece.span.end_ms or 0) for piece in made]


def lasting(milliseconds: int) -> bytes:
    return sound(noise(milliseconds * 8), 8_000)


@pytest.mark.parametrize(
    ("length", "window", "hop", "least", "expected"),
    [
        (3000, 1000, 1000, 0, [(0, 1000), (1000, 2000), (2000, 3000)]),
        (2500, 1000, 1000, 500, [(0, 1000), (1000, 2000), (2000, 2500)]),
        (2500, 1000, 1000, 501, [(0, 1000), (1000, 2000)]),
        (300, 1000, 1000, 500, [(0, 300)]),
        (2000, 1000, 500, 0, [(0, 1000), (500, 1500), (1000, 2000)]),
        (2100, 1000, 500, 0, [(0, 1000), (500, 1500), (1000, 2000), (1500, 2100)]),
        (2100, 1000, 500, 601, [(0, 1000), (500, 1500), (1000, 2000)]),
        (1000, 1000, 100, 0, [(0, 1000)]),
        (1001, 1000, 1000, 0, [(0, 1000), (1000, 1001)]),
    ],
)
def test_where_windows_lie(
    length: int, window: int, hop: int, least: int, expected: list[tuple[int, int]]
) -> None:
    assert spans(lasting(length), window, hop, least) == expected


@settings(deadline=None, max_examples=60)
@given(
    count=st.integers(1, 30_000),
    window=st.integers(1, 1500),
    share=st.floats(0.05, 1),
    least=st.integers(0, 600),
    rate=st.sampled_from([8_000, 11_025, 22_050]),
    block=st.integers(200, 40_000),
)
def test_windows_are_slices_of_the_whole(
    count: int, window: int, share: float, least: int, rate: int, block: int
) -> None:
    data = sound(noise(count, level=0.9), 8_000, "wavf")
    hop = max(1, int(window * share))
    whole = decode_audio(data, rate).samples
    size = window * rate // 1000
    expected = []
    for k in range(10**6):
        begin = k * hop * rate // 1000
        part = whole[begin : begin + size]
        if k and (len(part) * 1000 < least * rate or len(part) == 0) and len(part) < size:
            break
        expected.append((part, k * hop))
        if begin + size >= len(whole):
            break
    made = list(
        windows(data, rate=rate, window_ms=window, hop_ms=hop, min_ms=least, block_frames=block)
    )
    assert len(made) == len(expected)
    for piece, (part, start) in zip(made, expected, strict=True):
        assert isinstance(piece.content, Waveform) and piece.content.rate == rate
        assert np.array_equal(piece.content.samples, part)
        full = len(part) == size
        assert piece.span == Span(
            start_ms=start,
            end_ms=start + (window if full else min(window, -(-len(part) * 1000 // rate))),
        )


@pytest.mark.parametrize("block", [1, 2, 3, 7, 100])
def test_a_millisecond_may_be_no_whole_number_of_samples(block: int) -> None:
    known = noise(101)
    made = windows(
        sound(known, 2_500, "wavf"), rate=2_500, window_ms=1, hop_ms=1, block_frames=block
    )
    for k, piece in enumerate(made):
        assert isinstance(piece.content, Waveform)
        begin = k * 2_500 // 1_000
        assert np.array_equal(piece.content.samples, known[begin : begin + 2])
    assert k == 40


def test_silent_windows_are_left_out() -> None:
    samples = np.zeros(40_000, np.float32)
    samples[16_000:24_000] = noise(8_000)
    samples[32_000:] = noise(8_000) * np.float32(1e-5)
    assert spans(sound(samples, 8_000, "wavf"), 1000, 1000) == [(2000, 3000)]


@pytest.mark.parametrize("kind", ["wav16", "flac", "ogg"])
def test_a_silent_file_is_an_error(kind: str) -> None:
    made = windows(
        sound(np.zeros(20_000, np.float32), 8_000, kind), rate=8_000, window_ms=500, hop_ms=500
    )
    with pytest.raises(MediaError, match="silent") as caught:
        next(made)
    assert caught.value.details["problem"] == "silent"


def test_errors_come_before_the_first_window() -> None:
    with pytest.raises(MediaError):
        windows(b"RIFF\x00\x00\x00\x00WAVE", rate=8_000, window_ms=10, hop_ms=10)
    for window, hop, least in ((100, 0, 0), (100, 101, 0), (0, 0, 0), (100, 100, -1)):
        with pytest.raises(InvalidInput):
            windows(lasting(100), rate=8_000, window_ms=window, hop_ms=hop, min_ms=least)


def test_windows_own_their_samples() -> None:
    made = list(windows(lasting(1000), rate=8_000, window_ms=100, hop_ms=50))
    assert all(isinstance(p.content, Waveform) and p.content.samples.base is None for p in made)


@pytest.mark.parametrize("kind", ["FLAC", "OGG"])
def test_an_hour_in_bounded_memory(tmp_path: Path, kind: str) -> None:
    rate, minute = 2_000, noise(2_000 * 60, level=0.05)
    path = tmp_path / "hour"
    with sf.SoundFile(path, "w", rate, 1, format=kind) as out:
        for _ in range(60):
            out.write(minute)
    tracemalloc.start()
    try:
        count = samples = 0
        for piece in windows(path, rate=4_000, window_ms=10_000, hop_ms=10_000, min_ms=1_000):
            assert isinstance(piece.content, Waveform)
            count, samples = count + 1, samples + len(piece.content.samples)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 360 and samples == 360 * 40_000
    assert peak < 4_000_000  # the whole would be 57.6 MB
