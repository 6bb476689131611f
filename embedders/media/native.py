"""An audio file as clean blocks of samples at its own rate and with its own channels.

libsndfile decodes. What it is not trusted with: the number of frames in a header (a cut MP3
claims all of them, a cut Ogg none), the name of the file, and seeking; so reading goes strictly
forward until no samples come.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
import soundfile as sf

from trichord.embedders.media.endings import ends_early
from trichord.embedders.media.limits import Limits
from trichord.embedders.media.sniff import HEAD_BYTES, sniff
from trichord.embedders.media.source import Source, open_source
from trichord.errors import MediaError
from trichord.types import F32, Modality

UNIT_FRAMES = 4096
"""Frames per read. Fixed, because a read that fails is lost as a whole: where a damaged sound
breaks off must not depend on how its samples are handed on."""

MIN_RATE, MAX_RATE = 2_000, 384_000
"""Sampling rates in Hz outside of which a header is taken for damaged."""

_CONTAINERS = {"WAV", "WAVEX", "RF64", "FLAC", "OGG", "MPEG", "MP3"}


class NativeAudio:
    """An opened sound: `rate` in Hz and `channels`; then read `blocks` once.

    While and after reading: `frames` read, `nonfinite` and `overshoots` samples that were
    repaired, `truncated` if the sound broke off before the end that it claims. A context manager.
    `unit` frames are decoded at a time: only of a sound that does not break off may it differ from
    UNIT_FRAMES, see there.
    Raises `MediaError` if the bytes are no supported sound or its header is absurd.
    """

    def __init__(self, source: Source, limits: Limits, unit: int = UNIT_FRAMES) -> None:
        self._limits = limits
        self._unit = unit
        self._stream = _Stream(open_source(source, limits))
        self.frames = self.nonfinite = self.overshoots = 0
        try:
            self.truncated = ends_early(self._stream)
            self._stream.seek(0)
            self._file = self._open()
            self.rate: int = self._file.samplerate
            self.channels: int = self._file.channels
            self._check_header()
        except BaseException:
            self.close()
            raise

    def _open(self) -> sf.SoundFile:
        kind = sniff(self._stream.read(HEAD_BYTES))
        self._stream.seek(0)
        if kind.modality is not Modality.AUDIO:
            raise MediaError(f"this is {kind.mime}, not a sound")
        try:
            return _Forward(self._stream)
        except (sf.LibsndfileError, RuntimeError, TypeError, ValueError) as error:
            raise MediaError(f"damaged {kind.mime}: it cannot be opened as a sound") from error

    def _check_header(self) -> None:
        if self._file.format not in _CONTAINERS:
            raise MediaError(f"unsupported kind of sound: {self._file.format}")
        if not MIN_RATE <= self.rate <= MAX_RATE:
            raise MediaError(f"a sampling rate of {self.rate} Hz is not {MIN_RATE} to {MAX_RATE}")
        if not 1 <= self.channels <= self._limits.max_audio_channels:
            raise MediaError(
                f"{self.channels} channels; the limit is {self._limits.max_audio_channels}"
                " (max_audio_channels)"
            )

    def blocks(self) -> Iterator[F32]:
        """Fresh float32 (n, channels) arrays, 1 <= n <= unit, all within [-1, 1].

        Raises `MediaError` once the sound exceeds `max_audio_seconds`, and at a break if
        `accept_truncated_audio` is off.
        """
        longest = int(self._limits.max_audio_seconds * self.rate)
        while (block := self._read()) is not None:
            self.frames += len(block)
            if self.frames > longest:
                raise MediaError(
                    f"the sound is longer than {self._limits.max_audio_seconds:g} s"
                    " (max_audio_seconds)"
                )
            self._repair(block)
            yield block
        # Counts in the headers of compressed sound are estimates: a tenth of a second is no break.
        self.truncated |= self.frames + self.rate // 10 < self.claimed
        if self.truncated and not self._limits.accept_truncated_audio:
            raise MediaError(
                f"the sound breaks off after {self.frames / self.rate:.3f} s"
                " (accept_truncated_audio is off)"
            )

    @property
    def claimed(self) -> int:
        """Frames by the header, which may lie; 0 if it does not know."""
        # Unknown lengths are written as zero or as a number that no file can hold.
        frames = int(self._file.frames)
        return frames if frames < 1 << 40 else 0

    def _read(self) -> F32 | None:
        block = np.empty((self._unit, self.channels), np.float32)
        try:
            block = self._file.read(out=block)
        except (sf.LibsndfileError, RuntimeError):
            self.truncated = True
            return None
        finally:
            if self._stream.failure is not None:
                raise MediaError(f"reading failed ({self._stream.failure})")
        return block if len(block) else None

    def _repair(self, block: F32) -> None:
        low, high = float(block.min()), float(block.max())
        if low >= -1.0 and high <= 1.0:  # false for NaN too
            return
        finite = np.isfinite(block)
        self.nonfinite += block.size - int(np.count_nonzero(finite))
        block[~finite] = 0.0
        self.overshoots += int(np.count_nonzero(np.abs(block) > 1.0))
        np.clip(block, -1.0, 1.0, out=block)

    def close(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()
        self._stream.close()

    def __enter__(self) -> NativeAudio:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Forward(sf.SoundFile):  # type: ignore[misc]
    """Never seeks and never asks how many frames are left."""

    def seekable(self) -> bool:
        return False


class _Stream:
    """What libsndfile calls back into: no name, and no exception may pass through C."""

    def __init__(self, inner: BinaryIO) -> None:
        self._inner = inner
        self._size = inner.seek(0, 2)
        inner.seek(0)
        self.failure: OSError | None = None

    def read(self, count: int = -1) -> bytes:
        try:
            return self._inner.read(count)
        except OSError as error:
            self.failure = error
            return b""

    def readinto(self, buffer: Any) -> int:
        try:
            return int(self._inner.readinto(buffer))  # type: ignore[attr-defined]
        except OSError as error:
            self.failure = error
            return 0

    def seek(self, offset: int, whence: int = 0) -> int:
        base = {1: self.tell(), 2: self._size}.get(whence, 0)
        return self._inner.seek(min(max(base + offset, 0), self._size))

    def tell(self) -> int:
        return self._inner.tell()

    def write(self, data: bytes) -> int:
        return 0

    def close(self) -> None:
        self._inner.close()
