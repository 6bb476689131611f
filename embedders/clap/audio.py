"""Sounds -> unit rows of a CLAP frame."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch

from trichord.embedders.backend import Runtime
from trichord.embedders.clap.ahead import Ahead
from trichord.embedders.clap.frontend import FrontEnd, LogMel
from trichord.embedders.clap.sounds import checked
from trichord.embedders.clap.towers import AudioTower
from trichord.embedders.running import finished, in_batches, pick_device, pick_dtype
from trichord.errors import MediaError, TrichordError
from trichord.types import F32, Embedded, Encoder, Frame, Modality, Role

BATCH = 4
"""Windows of a forward pass on a CPU: eight take a sixth longer each, as they no longer fit into
its caches. On a GPU `GPU_BATCH`."""

GPU_BATCH = 64


class ClapAudio:
    """Waveforms at the model's rate, up to one window each -> float32 (n, dim) unit rows.

    Every window is padded to the model's length by itself, so that in fp32 a row does not depend
    on its batch mates. The tower is loaded by `load` or at the first use; log-mel frames of the
    next windows are made while it works. Satisfies `trichord.types.Embedder`; thread-safe.
    """

    modality = Modality.AUDIO

    def __init__(
        self,
        frame: Frame,
        encoder: Encoder,
        front: FrontEnd,
        window_ms: int,
        load: Callable[[], AudioTower],
        runtime: Runtime,
    ) -> None:
        self.frame = frame
        self.encoder = encoder
        self._front = front
        self._window_ms = window_ms
        self._load = load
        self._runtime = runtime
        self._lock = threading.RLock()

    @cached_property
    def _device(self) -> torch.device:
        return pick_device(self._runtime)

    @cached_property
    def _log_mel(self) -> LogMel:
        return LogMel(self._front, self._device)

    @cached_property
    def _tower(self) -> AudioTower:
        tower = self._load()

        def measure(dtype: torch.dtype) -> float:
            trial = copy.deepcopy(tower)
            trial.cast(self._device, dtype)
            return _seconds(trial, self._front)

        plain = tower.hears_samples and self._runtime.precision == "auto"
        dtype = torch.float32 if plain else pick_dtype(self._runtime, self._device, measure)
        tower.cast(self._device, dtype)
        return tower

    def load(self) -> None:
        """Reads the weights, once. Raises ModelError for those that are missing or false."""
        with self._lock:
            _ = self._tower

    def warm_up(self) -> None:
        """Loads the tower and runs it once; raises ModelError as `load` does."""
        with self._lock, torch.inference_mode():
            self._tower.embed(_silence(self._tower, self._front).to(self._device))

    def embed(self, batch: Sequence[Any], *, role: Role = Role.DOCUMENT) -> Embedded:
        """Rows in input order; silence, empty, damaged, too long sound or sound of another rate
        becomes the error of its row. The role makes no difference."""
        sounds: list[F32] = []
        places: list[int] = []
        errors: dict[int, TrichordError] = {}
        for index, item in enumerate(batch):
            try:
                sounds.append(checked(item, self._front.rate, self._window_ms))
                places.append(index)
            except MediaError as error:
                errors[index] = error
        vectors = np.zeros((len(batch), self.frame.dim), np.float32)
        if sounds:
            with self._lock:
                vectors[places] = self._rows(sounds)
        return finished(vectors, errors, "the audio tower of CLAP")

    def _rows(self, sounds: Sequence[F32]) -> F32:
        tower = self._tower
        on_cpu = self._device.type == "cpu"
        limit = self._runtime.batch or (BATCH if on_cpu else GPU_BATCH)

        def prepare(index: int) -> torch.Tensor:
            padded = self._front.padded(sounds[index])
            # On a GPU the spectrogram is made there: a processor's core would be the slower one.
            here = on_cpu and not tower.hears_samples
            return torch.from_numpy(self._log_mel.of(padded) if here else padded)

        def run(indices: list[int]) -> F32:
            with torch.inference_mode():
                x = ahead.take(indices).to(self._device)
                if not on_cpu and not tower.hears_samples:
                    x = self._log_mel.batch(x)
                found = tower.embed(x).float().cpu().numpy()
            ahead.done(indices)
            rows: F32 = found.astype(np.float32, copy=False)
            return rows

        with Ahead(len(sounds), prepare, limit) as ahead:
            return in_batches(len(sounds), None, limit, run, self.frame.dim)


def _silence(tower: AudioTower, front: FrontEnd) -> torch.Tensor:
    if tower.hears_samples:
        return torch.zeros(1, front.samples)
    return torch.full((1, front.frames, front.mels), -100.0)


def _seconds(tower: AudioTower, front: FrontEnd) -> float:
    x = _silence(tower, front).expand(2, *_silence(tower, front).shape[1:])
    x = x.to(next(tower.module.parameters()).device)
    taken = []
    with torch.inference_mode():
        for _ in range(3):  # the first pass only warms up
            begun = time.perf_counter()
            tower.embed(x)
            taken.append(time.perf_counter() - begun)
    return min(taken[1:])
