"""Sound -> the log-mel picture that CLAP's audio tower sees, as ClapFeatureExtractor makes it.

Measured against that extractor (48 kHz, 10 s): the dB values differ by at most 3e-5 where a band
holds noise, and by a few hundredths in bands that lie 90 dB below a pure tone beside them, where
single precision ends. One clip takes 4 to 4.5 ms of one core, the extractor's 14 to 22.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from trichord.errors import ModelError
from trichord.types import F32

FLOOR = 1e-10
"""Power below this counts as this (-100 dB)."""

BLOCK = 32
"""Frames that are transformed at a time: their spectra stay in the processor's cache."""

PADDINGS = ("repeatpad", "repeat", "pad")
BANKS = ("slaney", "htk")


@dataclass(frozen=True)
class FrontEnd:
    """How samples become log-mel frames; the defaults are LAION's own.

    `rate` and the frequencies are in Hz, `fft` and `hop` in samples, `seconds` is the length that
    every sound is brought to by `padding`: "repeatpad" (whole repetitions, then zeros), "repeat"
    (repetitions, the last one cut) or "pad" (zeros). `bank`: the mel filters of fused checkpoints
    are "htk" (heights of one), all others' "slaney" (unit area).
    """

    rate: int = 48_000
    mels: int = 64
    fft: int = 1024
    hop: int = 480
    low_hz: float = 50.0
    high_hz: float = 14_000.0
    seconds: int = 10
    padding: str = "repeatpad"
    bank: str = "slaney"

    def __post_init__(self) -> None:
        whole = (self.rate, self.mels, self.fft, self.hop, self.seconds)
        if any(not isinstance(value, int) or value < 1 for value in whole):
            raise ModelError(f"the sound settings must be positive whole numbers: {self}")
        if self.padding not in PADDINGS or self.bank not in BANKS:
            raise ModelError(f"unknown sound settings {self.padding!r}, {self.bank!r}")
        if not 0 <= self.low_hz < self.high_hz <= self.rate / 2:
            raise ModelError(f"{self.low_hz} to {self.high_hz} Hz is no band below half the rate")
        # Reflection at the ends needs more samples than it reflects.
        if self.fft % 2 or self.hop > self.fft or self.fft // 2 >= self.samples:
            raise ModelError(f"frames of {self.fft} samples every {self.hop} make no spectrogram")

    @property
    def samples(self) -> int:
        """Samples of a sound after padding; none may have more."""
        return self.rate * self.seconds

    @property
    def frames(self) -> int:
        return self.samples // self.hop + 1

    @property
    def facts(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of_extractor(cls, config: Mapping[str, Any]) -> FrontEnd:
        """The settings of a stored ClapFeatureExtractor; what it leaves out has its defaults.

        Raises ModelError for another extractor and for settings that make no sense.
        """
        kind = config.get("feature_extractor_type", "ClapFeatureExtractor")
        if kind != "ClapFeatureExtractor":
            raise ModelError(f"the sound settings are those of {kind}, not ClapFeatureExtractor")
        truncation = config.get("truncation", "fusion")
        if truncation not in ("fusion", "rand_trunc"):
            raise ModelError(f"unknown truncation {truncation!r} in the sound settings")
        try:
            return cls(
                rate=config.get("sampling_rate", 48_000),
                mels=config.get("feature_size", 64),
                fft=config.get("fft_window_size", 1024),
                hop=config.get("hop_length", 480),
                low_hz=float(config.get("frequency_min", 0)),
                high_hz=float(config.get("frequency_max", 14_000)),
                seconds=config.get("max_length_s", 10),
                padding=config.get("padding", "repeatpad"),
                bank="htk" if truncation == "fusion" else "slaney",
            )
        except (TypeError, ValueError) as error:
            raise ModelError(f"the sound settings cannot be read: {error}") from error

    def padded(self, samples: F32) -> F32:
        """float32 (n,) with 1 <= n <= self.samples -> (self.samples,)."""
        missing = self.samples - len(samples)
        if missing == 0:
            return samples
        if self.padding == "repeat":
            return np.tile(samples, self.samples // len(samples) + 1)[: self.samples]
        if self.padding == "repeatpad":
            samples = np.tile(samples, self.samples // len(samples))
        return np.pad(samples, (0, self.samples - len(samples)))


def mel_filters(front: FrontEnd) -> npt.NDArray[np.float64]:
    """Triangular filters (fft // 2 + 1, mels).

    The slaney scale is linear below 1 kHz and logarithmic above (Slaney, Auditory Toolbox, 1998);
    HTK's is 2595 log10(1 + f / 700).
    """
    slaney = front.bank == "slaney"
    step = np.log(6.4) / 27

    def to_mel(hz: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        if not slaney:
            return 2595 * np.log10(1 + hz / 700)
        return np.where(hz < 1000, 3 * hz / 200, 15 + np.log(np.maximum(hz, 1) / 1000) / step)

    def to_hz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        if not slaney:
            return 700 * (10 ** (mel / 2595) - 1)
        return np.where(mel < 15, 200 * mel / 3, 1000 * np.exp(step * (mel - 15)))

    low, high = to_mel(np.array([front.low_hz, front.high_hz]))
    hz = to_hz(np.linspace(low, high, front.mels + 2))
    bins = np.linspace(0, front.rate // 2, front.fft // 2 + 1)[:, None]
    rising = (bins - hz[:-2]) / (hz[1:-1] - hz[:-2])
    falling = (hz[2:] - bins) / (hz[2:] - hz[1:-1])
    filters: npt.NDArray[np.float64] = np.clip(np.minimum(rising, falling), 0, None)
    if slaney:
        filters *= 2 / (hz[2:] - hz[:-2])
    return filters


class LogMel:
    """Padded sounds -> log-mel frames in dB: one by one in one thread of the processor (`of`), or
    many on a device (`batch`)."""

    def __init__(self, front: FrontEnd, device: torch.device) -> None:
        self.front = front
        self._device = device

    @cached_property
    def _window(self) -> F32:
        return np.hanning(self.front.fft + 1)[:-1].astype(np.float32)

    @cached_property
    def _filters(self) -> F32:
        filters = mel_filters(self.front)
        used = int(np.flatnonzero(filters.any(axis=1)).max()) + 1  # above, no filter looks
        return filters[:used].astype(np.float32)

    def of(self, sound: F32) -> F32:
        """float32 (front.samples,) -> float32 (front.frames, front.mels), power in dB.

        Numpy, because it works beside a model that uses all cores: torch would split each of these
        small steps among threads that then wait for the model's.
        """
        x = np.pad(sound, self.front.fft // 2, mode="reflect")
        frames = np.lib.stride_tricks.sliding_window_view(x, self.front.fft)[:: self.front.hop]
        out = np.empty((len(frames), self.front.mels), np.float32)
        used = len(self._filters)
        for start in range(0, len(frames), BLOCK):
            spectrum = np.fft.rfft(frames[start : start + BLOCK] * self._window)[:, :used]
            power = np.square(spectrum.real) + np.square(spectrum.imag)
            block = power.astype(np.float32, copy=False) @ self._filters
            np.maximum(block, FLOOR, out=block)
            out[start : start + BLOCK] = np.log10(block, out=block)
        out *= 10
        return out

    @cached_property
    def _there(self) -> tuple[torch.Tensor, torch.Tensor]:
        window, filters = torch.from_numpy(self._window), torch.from_numpy(self._filters)
        return window.to(self._device), filters.to(self._device)

    def batch(self, sounds: torch.Tensor) -> torch.Tensor:
        """float32 (n, front.samples) -> float32 (n, front.frames, front.mels), on the device."""
        half = self.front.fft // 2
        window, filters = self._there
        x = torch.nn.functional.pad(sounds.to(self._device), (half, half), mode="reflect")
        frames = x.unfold(1, self.front.fft, self.front.hop)
        spectrum = torch.fft.rfft(frames * window)[..., : len(filters)]
        power = torch.view_as_real(spectrum).square().sum(-1)
        return (power @ filters).clamp_(min=FLOOR).log10_().mul_(10)
