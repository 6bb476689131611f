"""Pictures -> unit rows of an open_clip model's frame."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from trichord.embedders.openclip.loading import Tower
from trichord.embedders.openclip.pictures import Ahead, Preprocess
from trichord.embedders.running import finished, in_batches
from trichord.errors import MediaError, TrichordError
from trichord.types import F32, Embedded, Encoder, Frame, Modality, Role

BATCH = 32


class OpenClipImage:
    """uint8 RGB arrays (height, width, 3) of any size -> float32 (n, dim) unit rows.

    Satisfies `trichord.types.Embedder`; thread-safe. Pictures are prepared in threads while the
    tower works on those before them.
    """

    modality = Modality.IMAGE

    def __init__(
        self, tower: Tower, preprocess: Preprocess, encoder: Encoder, frame: Frame, batch: int
    ) -> None:
        self.encoder, self.frame = encoder, frame
        self._tower, self._preprocess, self._batch = tower, preprocess, batch
        self._lock = threading.Lock()

    def embed(self, batch: Sequence[Any], *, role: Role = Role.DOCUMENT) -> Embedded:
        """Rows in input order; what is not a picture becomes the error of its row."""
        errors: dict[int, TrichordError] = {}
        with Ahead(self._preprocess, batch, 2 * self._batch) as ahead:

            def run(indices: list[int]) -> F32:
                rows = np.zeros((len(indices), self.frame.dim), np.float32)
                taken = ahead.take(indices[0], indices[-1] + 1)
                good = [at for at, found in enumerate(taken) if not isinstance(found, MediaError)]
                for index, found in zip(indices, taken, strict=True):
                    if isinstance(found, MediaError):
                        errors[index] = found
                if good:
                    pictures = [found for found in taken if not isinstance(found, MediaError)]
                    x = self._preprocess.tensor(pictures, self._tower.device)
                    with self._lock:
                        rows[good] = self._tower(x)
                return rows

            rows = in_batches(len(batch), None, self._batch, run, self.frame.dim)
        return finished(rows, errors, self._tower.name)
