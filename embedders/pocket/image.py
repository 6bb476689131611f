"""Pictures -> unit rows of the pocket frame."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trichord.embedders.pocket import frontend, identity, weights
from trichord.embedders.pocket.rows import checked
from trichord.embedders.pocket.text import FRAME
from trichord.embedders.pocket.towers import ImageTower
from trichord.errors import MediaError, TrichordError
from trichord.types import Embedded, Encoder, Modality, Role


class PocketImage:
    """uint8 RGB arrays (height, width, 3) of any size -> float32 (n, 384) unit rows.

    Satisfies `trichord.types.Embedder`; thread-safe. Raises ModelError at the first use when the
    weights are missing or damaged.
    """

    modality = Modality.IMAGE
    frame = FRAME

    def __init__(self, folder: Path = weights.BUNDLED, *, batch_size: int = 64) -> None:
        self._folder = folder
        self._batch_size = batch_size
        self._lock = threading.Lock()

    @cached_property
    def encoder(self) -> Encoder:
        return identity.image_encoder(self._folder)

    @cached_property
    def _tower(self) -> ImageTower:
        tower = ImageTower()
        weights.load(tower, Modality.IMAGE, self._folder)
        return tower

    def embed(self, batch: Sequence[Any], *, role: Role = Role.DOCUMENT) -> Embedded:
        """Rows in input order; what is not a picture becomes the error of its row."""
        vectors = np.zeros((len(batch), FRAME.dim), np.float32)
        errors: dict[int, TrichordError] = {}
        ready: list[tuple[int, np.ndarray[Any, np.dtype[np.uint8]]]] = []
        for index, item in enumerate(batch):
            try:
                ready.append((index, frontend.picture(item)))
            except MediaError as error:
                errors[index] = error
        for start in range(0, len(ready), self._batch_size):
            some = ready[start : start + self._batch_size]
            with self._lock, torch.inference_mode():
                x = frontend.pictures_to_tensor(np.stack([pixels for _, pixels in some]))
                found = self._tower(x).numpy()
            checked([index for index, _ in some], found, vectors, errors)
        return Embedded(vectors, errors)
