"""Long sound in windows that depend on nothing but its samples and the arguments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from trichord.embedders.media.audio import BLOCK_FRAMES, Survey, is_silent, waves
from trichord.embedders.media.limits import DEFAULT_LIMITS, Limits
from trichord.embedders.media.source import Source
from trichord.errors import InvalidInput, MediaError
from trichord.types import F32, Piece, Span, Waveform


def windows(
    source: Source,
    *,
    rate: int,
    window_ms: int,
    hop_ms: int,
    min_ms: int = 0,
    limits: Limits = DEFAULT_LIMITS,
    surveyed: Survey | None = None,
    block_frames: int = BLOCK_FRAMES,
) -> Iterator[Piece]:
    """Windows [k * hop_ms, k * hop_ms + window_ms) of a sound, mono at `rate`, in order.

    Every whole window has window_ms * rate // 1000 samples and starts at sample
    k * hop_ms * rate // 1000 (rounded down where a millisecond is no whole number of samples).

    The end of the sound: windows stop with the first one that reaches it, so none lies within
    another. That last one is shorter than the others where the sound does not fill it; it is kept
    if it lasts at least `min_ms` or is the only one (its `end_ms` is rounded up). Windows that
    are silent are left out.

    One window and a few blocks are in memory at a time. Raises `InvalidInput` for arguments that
    make no windows, and `MediaError` as `survey` does, both from this call; a sound with no
    window but silent ones raises `MediaError` (details problem="silent") when it is iterated.
    """
    if not 0 < hop_ms <= window_ms:
        raise InvalidInput(f"hop_ms must be 1 to window_ms ({window_ms}), not {hop_ms}")
    if min_ms < 0:
        raise InvalidInput(f"min_ms must not be negative, not {min_ms}")
    blocks = waves(source, rate, limits, surveyed=surveyed, block_frames=block_frames)
    return _audible(_cut(blocks, rate, window_ms, hop_ms, min_ms))


def _cut(
    blocks: Iterable[F32], rate: int, window_ms: int, hop_ms: int, min_ms: int
) -> Iterator[Piece]:
    size = window_ms * rate // 1000
    held = np.zeros(0, np.float32)  # the samples from position `base` on, as far as they are known
    base = begin = count = covered = 0  # window `count` starts at `begin`; all before is `covered`
    for block in blocks:
        held = np.concatenate([held, block]) if len(held) else block
        while base + len(held) >= begin + size:
            window = held[begin - base : begin - base + size]
            # A copy, so that a window does not keep a whole sound in memory.
            yield _piece(
                window if len(window) == len(held) else window.copy(),
                rate,
                count * hop_ms,
                window_ms,
            )
            covered = begin + size
            count += 1
            begin = count * hop_ms * rate // 1000
        # Where a millisecond is no whole number of samples, `begin` may lie beyond what is held.
        done = min(begin - base, len(held))
        held, base = held[done:], base + done
    rest = held[begin - base :].copy()
    if len(rest) == 0 or base + len(held) <= covered:
        return
    if count == 0 or len(rest) * 1000 >= min_ms * rate:
        length_ms = min(-(-len(rest) * 1000 // rate), window_ms)
        yield _piece(rest, rate, count * hop_ms, length_ms)


def _piece(samples: F32, rate: int, start_ms: int, length_ms: int) -> Piece:
    return Piece(Waveform(samples, rate), Span(start_ms=start_ms, end_ms=start_ms + length_ms))


def _audible(pieces: Iterable[Piece]) -> Iterator[Piece]:
    seen = heard = False
    for piece in pieces:
        seen = True
        assert isinstance(piece.content, Waveform)
        if not is_silent(piece.content.samples):
            heard = True
            yield piece
    if not seen:
        raise MediaError("the sound is too short to be resampled")
    if not heard:
        raise MediaError("the sound is silent", problem="silent")
