"""Text -> unit rows of an open_clip model's frame."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from trichord.embedders.openclip.loading import Tower, lengths
from trichord.embedders.openclip.tokens import Tokens
from trichord.embedders.running import finished, in_batches
from trichord.errors import InvalidInput, ModelError, TrichordError
from trichord.types import F32, Embedded, Encoder, Frame, Modality, Role

BATCH = 64


class OpenClipText:
    """str -> float32 (n, dim) unit rows; equal texts of a batch are embedded once.

    Satisfies `trichord.types.Embedder`; thread-safe. Text beyond the model's context is cut off at
    its end: cut long text into chunks first. A question and a document are embedded alike. Texts of
    a batch are padded to the longest of it, which changes no vector by more than the precision's
    rounding (fp32: 1e-6; bf16: a cosine of 0.9999).
    """

    modality = Modality.TEXT

    def __init__(
        self,
        tower: Tower,
        tokens: Tokens,
        encoder: Encoder,
        frame: Frame,
        *,
        batch: int,
        vocabulary: int,
    ) -> None:
        self.encoder, self.frame = encoder, frame
        self._tower, self._tokens = tower, tokens
        self._batch, self._vocabulary = batch, vocabulary
        self._empty = tokens.ids([""])[0]
        self._lock = threading.Lock()

    def embed(self, batch: Sequence[Any], *, role: Role = Role.DOCUMENT) -> Embedded:
        """Rows in input order; empty text and other types become errors of their rows."""
        vectors = np.zeros((len(batch), self.frame.dim), np.float32)
        errors: dict[int, TrichordError] = {}
        places: dict[str, list[int]] = {}
        for index, item in enumerate(batch):
            try:
                places.setdefault(_checked(item), []).append(index)
            except InvalidInput as error:
                errors[index] = error
        if places:
            found = self._embed(list(places))
            for at, indices in enumerate(places.values()):
                vectors[indices] = found.vectors[at]
                if at in found.errors:
                    errors.update(dict.fromkeys(indices, found.errors[at]))
        return Embedded(vectors, errors)

    def _embed(self, texts: list[str]) -> Embedded:
        ids = self._tokens.ids(texts)
        errors: dict[int, TrichordError] = {
            int(index): ModelError("the tokenizer gave a token that the text tower does not know")
            for index in np.flatnonzero((ids >= self._vocabulary).any(axis=1) | (ids < 0).any(1))
        }
        for index in np.flatnonzero((ids == self._empty).all(axis=1)):
            errors[int(index)] = InvalidInput("the tokenizer finds no tokens in this text")
        ids[list(errors)] = self._empty
        sizes = lengths(self._tower, ids)

        def run(indices: list[int]) -> F32:
            longest = ids.shape[1] if sizes is None else max(sizes[index] for index in indices)
            with self._lock:
                return self._tower(torch.from_numpy(ids[indices, :longest]))

        most, dim = self._batch, self.frame.dim
        rows = in_batches(
            len(texts), sizes, most * (ids.shape[1] if sizes else 1), run, dim, at_most=most
        )
        return finished(rows, errors, self._tower.name)


def _checked(text: object) -> str:
    if not isinstance(text, str):
        raise InvalidInput(f"text must be a str, not {type(text).__name__}")
    if not text.strip():
        raise InvalidInput("the text is empty")
    return text
