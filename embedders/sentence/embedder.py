"""One modality of a loaded sentence-transformers model; satisfies `trichord.types.Embedder`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from trichord.embedders.running import finished, in_batches
from trichord.errors import TrichordError
from trichord.types import F32, Embedded, Encoder, Frame, Modality, Role

Run = Callable[[list[Any], Role], F32]

BATCH = {Modality.TEXT: 64, Modality.IMAGE: 32, Modality.AUDIO: 8}
"""Items per forward pass."""

PADDED_CHARACTERS = 4_096
"""A batch of texts on a CPU: its longest text times their number. Twenty texts of 200 characters
use a core as well as more do, and fewer of mixed lengths are padded: 512 texts of 8 to 400
characters took 40 % less time than in batches of 64."""

GPU_PADDED_CHARACTERS = 64 * 2_048


class SentenceEmbedder:
    """Decoded items -> unit rows. `convert` makes what the model takes of one item, or raises the
    error of its row; `run` is the model. Equal texts run once; texts run longest first in batches
    of nearly equal length; sounds run with sounds of the same length, so nothing is padded."""

    def __init__(
        self,
        modality: Modality,
        frame: Frame,
        encoder: Encoder,
        *,
        convert: Callable[[object], Any],
        run: Run,
        batch: int | None,
        on_cpu: bool,
        what: str,
    ) -> None:
        self.modality = modality
        self.frame = frame
        self.encoder = encoder
        self._convert = convert
        self._run = run
        self._most = batch or BATCH[modality]
        self._padded = PADDED_CHARACTERS if on_cpu else GPU_PADDED_CHARACTERS
        self._what = what

    @property
    def batch(self) -> int:
        """Segments per call that keep the model busy."""
        return self._most if self.modality is not Modality.TEXT else 8 * self._most

    def embed(self, batch: Sequence[Any], *, role: Role = Role.DOCUMENT) -> Embedded:
        """Rows float32 (n, dim) in input order; an item that the model cannot take becomes the
        error of its row. An empty batch gives (0, dim)."""
        rows = np.zeros((len(batch), self.frame.dim), np.float32)
        errors: dict[int, TrichordError] = {}
        ready: list[Any] = []
        places: list[list[int]] = []
        known: dict[str, int] = {}
        for index, item in enumerate(batch):
            try:
                if isinstance(item, str) and item in known:
                    places[known[item]].append(index)
                    continue
                converted = self._convert(item)
            except TrichordError as error:
                errors[index] = error
                continue
            if isinstance(item, str):
                known[item] = len(ready)
            ready.append(converted)
            places.append([index])
        if ready:
            for where, row in zip(places, self._rows(ready, role), strict=True):
                rows[where] = row
        return finished(rows, errors, self._what)

    def _rows(self, ready: list[Any], role: Role) -> F32:
        if self.modality is Modality.AUDIO:
            return self._by_length(ready, role)

        def some(indices: list[int]) -> F32:
            return self._run([ready[index] for index in indices], role)

        if self.modality is Modality.IMAGE:
            return in_batches(len(ready), None, self._most, some, self.frame.dim)
        sizes = [len(item["text"] if isinstance(item, dict) else item) for item in ready]
        return in_batches(len(ready), sizes, self._padded, some, self.frame.dim, at_most=self._most)

    def _by_length(self, ready: list[Any], role: Role) -> F32:
        rows = np.zeros((len(ready), self.frame.dim), np.float32)
        groups: defaultdict[int, list[int]] = defaultdict(list)
        for index, samples in enumerate(ready):
            groups[len(samples)].append(index)
        for same in groups.values():

            def some(indices: list[int], same: list[int] = same) -> F32:
                return self._run([ready[same[index]] for index in indices], role)

            rows[same] = in_batches(len(same), None, self._most, some, self.frame.dim)
        return rows
