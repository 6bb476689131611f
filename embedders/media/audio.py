"""Sound as mono float32 at one rate, block by block, whatever its length.

A sound is looked through before anything is handed out: that finds sounds that are damaged, too
long or in another unit, and decides how the channels become one. A short sound is kept meanwhile;
a long one, or one that breaks off, is decoded a second time and streamed, so that memory stays at
a few blocks. libsoxr makes the same samples however the stream is cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import soxr

from trichord.embedders.media.limits import DEFAULT_LIMITS, Limits
from trichord.embedders.media.native import MAX_RATE, MIN_RATE, NativeAudio
from trichord.embedders.media.source import Source
from trichord.errors import InvalidInput, MediaError
from trichord.types import F32, Waveform

BLOCK_FRAMES = 65_536

HELD_BYTES = 16 * 1024 * 1024
"""A sound whose samples (float32, all channels) need no more than this is decoded only once: up to
43 s of stereo at 48 kHz."""

SILENT_RMS = 1e-5
"""Below this root mean square (-100 dB of full scale) a stretch of sound holds nothing."""

CANCELLED = 0.1
"""The mean of n unrelated channels has 1/n² of the sum of their energies. A mean with less than a
tenth of that (-10 dB) comes from channels in opposite phase that cancel each other."""


@dataclass(frozen=True)
class Survey:
    """What the first pass learned: `frames` at the file's own `rate` (Hz); `channel` is the one
    that stands for all because their mean cancels, None for the mean; `truncated` if the sound
    broke off. `mono` are the samples at that rate of a sound short enough to be kept."""

    rate: int
    channels: int
    frames: int
    channel: int | None
    truncated: bool
    mono: F32 | None = field(default=None, repr=False, compare=False)

    @property
    def duration_ms(self) -> int:
        return self.frames * 1000 // self.rate


def survey(source: Source, limits: Limits = DEFAULT_LIMITS) -> Survey:
    """Decode all of `source` once; keep sums, and the samples of a short sound.

    Raises `MediaError`: no supported sound, no samples at all, longer than
    `limits.max_audio_seconds`, too many samples that are not finite or beyond full scale.
    A sound that breaks off is taken up to the break unless `limits` says otherwise.
    """
    short = _short(source, limits)
    if short is not None:
        return short
    with NativeAudio(source, limits) as native:
        energies = np.zeros(native.channels)
        mean_energy = 0.0
        for block in native.blocks():
            found = _energies(block)
            energies += found[0]
            mean_energy += found[1]
        if native.frames == 0:
            raise MediaError("the sound holds no samples: only a header, or damaged from the start")
        _check_samples(native, limits)
        return Survey(
            rate=native.rate,
            channels=native.channels,
            frames=native.frames,
            channel=_channel(energies, mean_energy),
            truncated=native.truncated,
        )


def _short(source: Source, limits: Limits) -> Survey | None:
    """The survey of a sound that fits into `HELD_BYTES` and does not break off, with its samples;
    None for any other, and for what `survey` refuses."""
    held: list[F32] = []
    try:
        with NativeAudio(source, limits, unit=BLOCK_FRAMES) as native:
            most = HELD_BYTES // (4 * native.channels)
            if native.claimed > most:
                return None
            for block in native.blocks():
                held.append(block)
                if native.frames > most:
                    return None
            if native.truncated or native.frames == 0:
                return None
            _check_samples(native, limits)
    except MediaError:
        return None
    channel = _channel_of(held)
    mono = np.empty(native.frames, np.float32)
    at = 0
    for block in held:
        _downmix(block, channel, mono[at : at + len(block)])
        at += len(block)
    return Survey(native.rate, native.channels, native.frames, channel, False, mono)


def _energies(block: F32) -> tuple[npt.NDArray[np.float64], float]:
    """Of every channel, and of their mean."""
    energies = np.einsum("ij,ij->j", block, block, dtype=np.float64)
    if block.shape[1] == 1:
        return energies, 0.0
    mean = block.mean(axis=1, dtype=np.float64)
    return energies, float(mean @ mean)


def _channel(energies: npt.NDArray[np.float64], mean_energy: float) -> int | None:
    """The channel that stands for all where their mean cancels; None for the mean."""
    unrelated = float(energies.sum()) / len(energies) ** 2
    cancels = len(energies) > 1 and mean_energy < CANCELLED * unrelated
    return int(np.argmax(energies)) if cancels else None


def _channel_of(blocks: list[F32]) -> int | None:
    """`_channel` of a sound that is at hand. Products in float32 are ten times faster and settle
    all but the cases near the limit."""
    channels = blocks[0].shape[1]
    if channels == 1:
        return None
    products = np.zeros((channels, channels))
    for block in blocks:
        products += block.T @ block
    if products.sum() > 2 * CANCELLED * np.trace(products):
        return None
    found = [_energies(block) for block in blocks]
    return _channel(np.sum([each for each, _ in found], axis=0), sum(mean for _, mean in found))


def waves(
    source: Source,
    rate: int,
    limits: Limits = DEFAULT_LIMITS,
    *,
    surveyed: Survey | None = None,
    block_frames: int = BLOCK_FRAMES,
) -> Iterator[F32]:
    """Mono float32 blocks in [-1, 1] at `rate` Hz; joined, they are the whole sound.

    The channels are averaged; where that cancels over the whole sound (opposite phase) the
    channel with the most energy is taken. `block_frames` (frames of the file per step) bounds the
    memory and changes no sample. The survey is made at once unless it is given, so its errors
    come from this call; see `survey`.
    """
    if not MIN_RATE <= rate <= MAX_RATE:
        raise InvalidInput(f"rate must be {MIN_RATE} to {MAX_RATE} Hz, not {rate}")
    if block_frames < 1:
        raise InvalidInput("block_frames must be at least 1")
    return _resampled(
        source, rate, limits, survey(source, limits) if surveyed is None else surveyed, block_frames
    )


def decode_audio(source: Source, rate: int, limits: Limits = DEFAULT_LIMITS) -> Waveform:
    """The whole sound at once; for long files use `waves` or `windows`.

    Raises `MediaError` as `survey` does, and for a sound that is silent throughout.
    """
    blocks = list(waves(source, rate, limits))
    samples = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
    if len(samples) == 0:
        raise MediaError("the sound is too short to be resampled")
    if is_silent(samples):
        raise MediaError("the sound is silent", problem="silent")
    return Waveform(samples, rate)


def is_silent(samples: F32) -> bool:
    """Whether mono samples hold nothing that can be heard (`SILENT_RMS`)."""
    limit = SILENT_RMS**2 * len(samples)
    if float(samples @ samples) > 2 * limit:  # far more than what float32 may be wrong by
        return False
    wide = samples.astype(np.float64)
    return float(wide @ wide) < limit


def _check_samples(native: NativeAudio, limits: Limits) -> None:
    count = native.frames * native.channels
    if native.nonfinite > limits.max_nonfinite_share * count:
        raise MediaError(
            f"{native.nonfinite} of {count} samples are NaN or infinite (max_nonfinite_share is"
            f" {limits.max_nonfinite_share:g})"
        )
    if native.overshoots > limits.max_overshoot_share * count:
        raise MediaError(
            f"{native.overshoots} of {count} samples lie beyond [-1, 1] (max_overshoot_share is"
            f" {limits.max_overshoot_share:g}): divide by full scale and write the file again"
        )


def _resampled(
    source: Source, rate: int, limits: Limits, known: Survey, block_frames: int
) -> Iterator[F32]:
    if known.mono is not None:
        mono = iter((known.mono,))
    else:
        mono = _mono(source, limits, known, block_frames)
    if known.rate == rate:
        yield from mono
        return
    stream = soxr.ResampleStream(known.rate, rate, 1, dtype="float32", quality="HQ")
    for block in mono:
        made = stream.resample_chunk(block)
        if len(made):
            yield np.clip(made, -1.0, 1.0, out=made)
    made = stream.resample_chunk(np.zeros(0, np.float32), last=True)
    if len(made):
        yield np.clip(made, -1.0, 1.0, out=made)


def _mono(source: Source, limits: Limits, known: Survey, block_frames: int) -> Iterator[F32]:
    """Mono at the file's own rate, in blocks of `block_frames` (the last one shorter)."""
    waiting: list[F32] = []
    held = 0
    with NativeAudio(source, limits) as native:
        if (native.rate, native.channels) != (known.rate, known.channels):
            raise MediaError("the file changed while it was read")
        for block in native.blocks():
            mono = _downmix(block, known.channel)
            waiting.append(mono)
            held += len(mono)
            if held >= block_frames:
                joined = np.concatenate(waiting)
                whole = held - held % block_frames
                for start in range(0, whole, block_frames):
                    yield joined[start : start + block_frames]
                waiting, held = [joined[whole:]], held - whole
    if held:
        yield np.concatenate(waiting)


def _downmix(block: F32, channel: int | None, into: F32 | None = None) -> F32:
    """One channel, or the mean of all, rounded once from its exact value; in a new array or in
    `into`."""
    mono = np.empty(len(block), np.float32) if into is None else into
    if block.shape[1] == 1 or channel is not None:
        mono[:] = block[:, channel or 0]
    elif block.shape[1] == 2:
        np.add(block[:, 0], block[:, 1], out=mono)
        mono *= 0.5  # exact: the sum is the only rounding
    else:
        mono[:] = block.mean(axis=1, dtype=np.float64)
    return mono
