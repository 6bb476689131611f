"""Texts and sounds -> unit rows of the duet frame."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch

from trichord.embedders.duet import frontend, weights, words
from trichord.embedders.duet.towers import AudioTower, TextTower
from trichord.embedders.running import finished
from trichord.errors import InvalidInput, TrichordError
from trichord.types import F32, Embedded, Encoder, Frame, Modality, Role

Ready = TypeVar("Ready")


class _Embedder(Generic[Ready]):
    """Items of equal length run together and none is padded, so that a row does not depend on its
    batch mates. Satisfies `trichord.types.Embedder`; thread-safe."""

    modality: Modality

    def __init__(self, folder: Path, frame: Frame, encoder: Encoder, batch: int) -> None:
        self.frame = frame
        self.encoder = encoder
        self._batch = batch
        self._lock = threading.Lock()
        self._tower = self._load(folder)

    def _load(self, folder: Path) -> torch.nn.Module:
        raise NotImplementedError

    def _ready(self, item: object) -> Ready:
        """The item as the tower takes it, `len` of which groups it. Raises InvalidInput."""
        raise NotImplementedError

    def _run(self, some: Sequence[Ready]) -> torch.Tensor:
        raise NotImplementedError

    def embed(self, batch: Sequence[Any], *, role: Role = Role.DOCUMENT) -> Embedded:
        """float32 (n, 256) unit rows in input order; a bad item becomes the error of its row.
        The role changes nothing."""
        vectors = np.zeros((len(batch), self.frame.dim), np.float32)
        errors: dict[int, TrichordError] = {}
        by_length: defaultdict[int, list[tuple[int, Ready]]] = defaultdict(list)
        for index, item in enumerate(batch):
            try:
                ready = self._ready(item)
                by_length[len(ready)].append((index, ready))  # type: ignore[arg-type]
            except InvalidInput as error:
                errors[index] = error
        for same in by_length.values():
            for start in range(0, len(same), self._batch):
                some = same[start : start + self._batch]
                with self._lock, torch.inference_mode():
                    found = self._run([ready for _, ready in some]).numpy()
                vectors[[index for index, _ in some]] = found
        return finished(vectors, errors, f"the {self.modality} tower of duet")


class DuetText(_Embedder[list[str]]):
    """str items; beyond 64 tokens a text is cut (cut long text into chunks first)."""

    modality = Modality.TEXT

    def _load(self, folder: Path) -> torch.nn.Module:
        tower = TextTower()
        weights.load(tower, "text", folder)
        return tower

    def _ready(self, item: object) -> list[str]:
        return words.tokens(words.check_text(item))

    def _run(self, some: Sequence[list[str]]) -> torch.Tensor:
        return self._tower(some)  # type: ignore[no-any-return]


class DuetAudio(_Embedder[F32]):
    """Waveforms of any rate, up to 10 s each. Below one second, zeros are added."""

    modality = Modality.AUDIO

    def _load(self, folder: Path) -> torch.nn.Module:
        tower = AudioTower()
        weights.load(tower, "audio", folder)
        return tower

    def _ready(self, item: object) -> F32:
        return frontend.sound(item)

    def _run(self, some: Sequence[F32]) -> torch.Tensor:
        return self._tower(frontend.log_mel(torch.from_numpy(np.stack(some))))  # type: ignore[no-any-return]
