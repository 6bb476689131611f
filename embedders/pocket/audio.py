"""Sounds -> unit rows of the pocket frame."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trichord.embedders.pocket import frontend, identity, weights
from trichord.embedders.pocket.rows import checked
from trichord.embedders.pocket.text import FRAME
from trichord.embedders.pocket.towers import AudioTower
from trichord.errors import MediaError, TrichordError
from trichord.types import F32, Embedded, Encoder, Modality, Role, Waveform


class PocketAudio:
    """Waveforms of any rate, up to 10 s each -> float32 (n, 384) unit rows.

    Sounds of equal length run together and no sound is padded to another's length, so a row never
    depends on its batch mates. Below one second, zeros are added. Satisfies
    `trichord.types.Embedder`; thread-safe. Raises ModelError at the first use when the weights are
    missing or damaged.
    """

    modality = Modality.AUDIO
    frame = FRAME

    def __init__(self, folder: Path = weights.BUNDLED, *, batch_size: int = 32) -> None:
        self._folder = folder
        self._batch_size = batch_size
        self._lock = threading.Lock()

    @cached_property
    def encoder(self) -> Encoder:
        return identity.audio_encoder(self._folder)

    @cached_property
    def _tower(self) -> AudioTower:
        tower = AudioTower()
        weights.load(tower, Modality.AUDIO, self._folder)
        return tower

    def embed(self, batch: Sequence[Any], *, role: Role = Role.DOCUMENT) -> Embedded:
        """Rows in input order; silence, empty or damaged sound becomes the error of its row."""
        vectors = np.zeros((len(batch), FRAME.dim), np.float32)
        errors: dict[int, TrichordError] = {}
        by_length: defaultdict[int, list[tuple[int, F32]]] = defaultdict(list)
        for index, item in enumerate(batch):
            try:
                if not isinstance(item, Waveform):
                    raise MediaError(f"a sound must be a Waveform, not {type(item).__name__}")
                samples = frontend.sound(item)
                by_length[len(samples)].append((index, samples))
            except MediaError as error:
                errors[index] = error
        for same in by_length.values():
            for start in range(0, len(same), self._batch_size):
                some = same[start : start + self._batch_size]
                with self._lock, torch.inference_mode():
                    x = torch.from_numpy(np.stack([samples for _, samples in some]))
                    found = self._tower(frontend.log_mel(x)).numpy()
                checked([index for index, _ in some], found, vectors, errors)
        return Embedded(vectors, errors)
