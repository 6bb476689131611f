"""Text -> unit rows of a CLAP frame."""

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
from trichord.embedders.clap.tokens import Tokens
from trichord.embedders.clap.towers import TextTower
from trichord.embedders.running import finished, in_batches, pick_device, pick_dtype
from trichord.errors import InvalidInput, TrichordError
from trichord.types import F32, Embedded, Encoder, Frame, Modality, Role

BATCH = 64
"""Texts of a forward pass at most, and as many tokens as that many of the longest would have."""


class ClapText:
    """Text -> float32 (n, dim) unit rows; text beyond the model's length is cut behind it, so cut
    long text into chunks first.

    Equal texts are embedded once; texts of nearly equal length run together. Satisfies
    `trichord.types.Embedder`; thread-safe.
    """

    modality = Modality.TEXT

    def __init__(
        self,
        frame: Frame,
        encoder: Encoder,
        tokens: Tokens,
        load: Callable[[], TextTower],
        runtime: Runtime,
    ) -> None:
        self.frame = frame
        self.encoder = encoder
        self._tokens = tokens
        self._load = load
        self._runtime = runtime
        self._lock = threading.RLock()

    @cached_property
    def _device(self) -> torch.device:
        return pick_device(self._runtime)

    @cached_property
    def _tower(self) -> TextTower:
        self._tokens.open()
        tower = self._load()

        def measure(dtype: torch.dtype) -> float:
            trial = copy.deepcopy(tower)
            trial.cast(self._device, dtype)
            return _seconds(trial, self._probe(8))

        dtype = pick_dtype(self._runtime, self._device, measure)
        tower.cast(self._device, dtype)
        return tower

    def _probe(self, count: int) -> torch.Tensor:
        ids = self._tokens.ids(["the sound of rain on a roof " * 4])[0]
        return torch.tensor([ids] * count, device=self._device)

    def load(self) -> None:
        """Reads the weights, once. Raises ModelError for those that are missing or false."""
        with self._lock:
            _ = self._tower

    def warm_up(self) -> None:
        """Loads the tower and runs it once; raises ModelError as `load` does."""
        with self._lock, torch.inference_mode():
            tower = self._tower
            probe = self._probe(1)
            tower.embed(probe, torch.ones_like(probe))

    def embed(self, batch: Sequence[Any], *, role: Role = Role.DOCUMENT) -> Embedded:
        """Rows in input order; empty text and other types become errors of their rows. The role
        makes no difference."""
        errors: dict[int, TrichordError] = {}
        rows: dict[str, list[int]] = {}
        for index, item in enumerate(batch):
            if not isinstance(item, str):
                errors[index] = InvalidInput(f"text must be a str, not {type(item).__name__}")
            elif not item.strip():
                errors[index] = InvalidInput("the text is empty")
            else:
                rows.setdefault(item, []).append(index)
        vectors = np.zeros((len(batch), self.frame.dim), np.float32)
        if rows:
            with self._lock:
                found = self._rows(list(rows))
            for places, vector in zip(rows.values(), found, strict=True):
                vectors[places] = vector
        return finished(vectors, errors, "the text tower of CLAP")

    def _rows(self, texts: list[str]) -> F32:
        tower = self._tower
        ids = self._tokens.ids(texts)
        pad = self._tokens.vocabulary.pad
        most = self._runtime.batch or BATCH

        def run(indices: list[int]) -> F32:
            longest = max(len(ids[index]) for index in indices)
            padded = torch.full((len(indices), longest), pad)
            mask = torch.zeros_like(padded)
            for row, index in enumerate(indices):
                padded[row, : len(ids[index])] = torch.tensor(ids[index])
                mask[row, : len(ids[index])] = 1
            with torch.inference_mode():
                found = tower.embed(padded.to(self._device), mask.to(self._device)).float().cpu()
            made: F32 = found.numpy()
            return made

        limit = most * self._tokens.vocabulary.longest
        sizes = [len(found) for found in ids]
        return in_batches(len(texts), sizes, limit, run, self.frame.dim, at_most=most)


def _seconds(tower: TextTower, ids: torch.Tensor) -> float:
    taken = []
    with torch.inference_mode():
        for _ in range(3):  # the first pass only warms up
            begun = time.perf_counter()
            tower.embed(ids, torch.ones_like(ids))
            taken.append(time.perf_counter() - begun)
    return min(taken[1:])
