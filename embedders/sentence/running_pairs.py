"""The loaded cross-encoder behind `CrossEncoderModel`: checked and cast."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import CrossEncoder
from tokenizers import Tokenizer

from trichord.embedders.backend import Runtime
from trichord.embedders.running import in_batches, pick_device, pick_dtype
from trichord.embedders.sentence.loading import load_cross_encoder
from trichord.embedders.sentence.tokens import check
from trichord.errors import InvalidInput, ModelError, TrichordError
from trichord.types import F32

PADDED_CHARACTERS = 16_384
"""A batch: its longest pair times their number."""

_PROBES = ("a red bird sings in the morning", "seven cold machines under the hill")
_MEASURED = 8
_LARGEST_MAX_TOKENS = 1_000_000
"""Tokenizers without a limit say numbers like 10^30."""
_FALLBACK_TOKENS = 512


class RunningPairs:
    """Raises ModelError for a model that is not what a reranker must be. Not thread-safe."""

    def __init__(self, folder: Path, runtime: Runtime, max_tokens: int | None) -> None:
        self._folder = folder
        device = pick_device(runtime)
        self._raw = torch.nn.Identity()
        self._model: CrossEncoder = load_cross_encoder(folder, device=device)
        if self._model.num_labels != 1:
            raise ModelError(
                f"the model in {folder} gives {self._model.num_labels} numbers for a pair of texts:"
                " it tells classes, a reranker gives one score"
            )
        self._limit(max_tokens)
        self._check()
        self.dtype = pick_dtype(runtime, device, self._measure)
        self._model.to(self.dtype)

    @property
    def max_tokens(self) -> int:
        return int(self._model.max_seq_length)

    def score(self, query: str, texts: Sequence[str], batch: int) -> F32:
        """The model's raw output for (query, text), float32 (n,); texts that are equal run once."""
        place = {text: number for number, text in enumerate(dict.fromkeys(texts))}
        distinct = list(place)

        def some(indices: list[int]) -> F32:
            return self._predict([(query, distinct[index]) for index in indices])[:, None]

        sizes = [len(query) + len(text) for text in distinct]
        scores = in_batches(len(distinct), sizes, PADDED_CHARACTERS, some, 1, at_most=batch)[:, 0]
        # What has no finite score is worse than everything that has one.
        scores[~np.isfinite(scores)] = -np.inf
        found: F32 = scores[[place[text] for text in texts]]
        return found

    def _predict(self, pairs: list[tuple[str, str]], model: CrossEncoder | None = None) -> F32:
        """float32 (n,). A pair of strings is text to every model, whatever it looks like."""
        try:
            found = (model or self._model).predict(
                pairs,
                batch_size=len(pairs),
                show_progress_bar=False,
                activation_fn=self._raw,
                convert_to_numpy=True,
            )
        except (TrichordError, torch.OutOfMemoryError, MemoryError, RuntimeError):
            raise
        except Exception as error:  # what a model's own processing raises
            raise ModelError(
                f"the model in {self._folder} failed: {error or type(error).__name__}"
            ) from error
        return np.asarray(found, np.float32).reshape(len(pairs))

    def _limit(self, wanted: int | None) -> None:
        """Sets how many tokens are read: no more than the model has positions for, beyond which it
        would fail at the first long text."""
        known = [
            number
            for number in (self._model.max_seq_length, self._positions())
            if number is not None and 0 < number < _LARGEST_MAX_TOKENS
        ]
        most = min(known, default=None)
        if wanted is not None and most is not None and wanted > most:
            raise InvalidInput(
                f"max_tokens is {wanted}, but the model in {self._folder} takes {most}"
            )
        self._model.max_seq_length = wanted or most or _FALLBACK_TOKENS

    def _positions(self) -> int | None:
        """Rows of the table of positions, less those that a model like RoBERTa leaves free."""
        for name, module in self._model.named_modules():
            if isinstance(module, torch.nn.Embedding) and name.endswith("position_embeddings"):
                free = 0 if module.padding_idx is None else module.padding_idx + 1
                return int(module.num_embeddings) - free
        return None

    def _check(self) -> None:
        """An empty tokenizer scores all texts alike, silently."""
        backend = getattr(self._model.tokenizer, "backend_tokenizer", None)
        if backend is not None:
            check(Tokenizer.from_str(backend.to_str()), self._folder)
        query, text = _PROBES
        long = " ".join([text] * self.max_tokens)
        try:
            scores = self._predict([(query, query), (query, text), (query, long)])
        except (RuntimeError, IndexError, ModelError) as error:
            raise ModelError(
                f"the model in {self._folder} cannot read {self.max_tokens} tokens: give max_tokens"
                f" ({error or type(error).__name__})"
            ) from error
        if not np.isfinite(scores).all() or scores[0] == scores[1]:
            raise ModelError(
                f"the model in {self._folder} gives different texts the same score, or none: its"
                " tokenizer or its weights are damaged"
            )

    def _measure(self, dtype: torch.dtype) -> float:
        """Seconds of a fixed amount of work in that precision, best of three."""
        # On a copy: weights rounded to bfloat16 do not get their digits back.
        model = self._model if dtype == torch.float32 else copy.deepcopy(self._model).to(dtype)
        pairs = [(_PROBES[0], " ".join(_PROBES * 4))] * _MEASURED
        took = []
        for _ in range(4):
            began = time.perf_counter()
            self._predict(pairs, model)
            took.append(time.perf_counter() - began)
        return min(took[1:])
