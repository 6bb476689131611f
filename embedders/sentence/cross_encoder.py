"""A cross-encoder of sentence-transformers behind `Reranker`, from a folder of this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trichord.embedders.backend import Runtime
from trichord.embedders.sentence import folder as folders
from trichord.errors import InvalidInput, ModelError
from trichord.types import F32

if TYPE_CHECKING:
    from trichord.embedders.sentence.running_pairs import RunningPairs

SCHEMA = 1
BATCH, GPU_BATCH = 4, 64
"""Texts per call: on a CPU few, because a call is not cut short when a time is up."""
_DEFAULT_RUNTIME = Runtime()


class CrossEncoderModel:
    """`folder`: what CrossEncoder.save wrote, or a sequence classifier of transformers with one
    output and its tokenizer. A score is the model's raw output (its logit): the sigmoid that many
    models put behind it orders alike, but is 1 for every good text. See `Reranker`."""

    def __init__(
        self,
        folder: str | Path,
        *,
        max_tokens: int | None = None,
        runtime: Runtime = _DEFAULT_RUNTIME,
    ) -> None:
        if max_tokens is not None and max_tokens < 8:
            raise InvalidInput(f"max_tokens must be at least 8, not {max_tokens}")
        self.folder = Path(folder).resolve()
        self.runtime = runtime
        _check_configuration(self.folder)
        self.sha256 = folders.checksum(self.folder)
        self.name = folders.model_name(str(folder), self.folder)
        self._max_tokens = max_tokens
        self._lock = threading.RLock()

    @property
    def facts(self) -> Mapping[str, Any]:
        return {
            "backend": "sentence-transformers cross-encoder",
            "model": self.name,
            "files": self.sha256,
            "max_tokens": self._max_tokens,
            "schema": SCHEMA,
        }

    @property
    def batch(self) -> int:
        if self.runtime.batch is not None:
            return self.runtime.batch
        from trichord.embedders.running import pick_device

        return BATCH if pick_device(self.runtime).type == "cpu" else GPU_BATCH

    def load(self) -> None:
        with self._lock:
            _ = self._running

    def score(self, query: str, texts: Sequence[str]) -> F32:
        for text in (query, *texts):
            if not isinstance(text, str):
                raise InvalidInput(f"text must be a str, not {type(text).__name__}")
            try:
                text.encode()
            except UnicodeEncodeError as error:
                raise InvalidInput("the text is not valid Unicode text") from error
        if not query.strip():
            raise InvalidInput("the query text is empty: write what to look for")
        if not texts:
            return np.zeros(0, np.float32)
        with self._lock:
            return self._running.score(query, texts, self.batch)

    @cached_property
    def _running(self) -> RunningPairs:
        from trichord.embedders.sentence.running_pairs import RunningPairs

        return RunningPairs(self.folder, self.runtime, self._max_tokens)


def _check_configuration(folder: Path) -> None:
    """Raises ModelError for what is no folder of a cross-encoder, and for one that needs code of
    its own."""
    if not folder.is_dir():
        raise ModelError(f"there is no folder {folder}: give one that holds a cross-encoder")
    own: list[str] = []
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        own += map(str, config.get("auto_map", {}).values())
        if (folder / folders.MODULES).is_file():
            modules = json.loads((folder / folders.MODULES).read_text("utf-8"))
            kinds = [str(module["type"]) for module in modules]
            own += [kind for kind in kinds if not kind.startswith("sentence_transformers.")]
            own_config = folder / "config_sentence_transformers.json"
            kind = json.loads(own_config.read_text("utf-8")).get("model_type")
            if kind != "CrossEncoder":
                raise ModelError(
                    f"{folder} holds a {kind or 'SentenceTransformer'}, which embeds texts one by"
                    " one: a reranker is a CrossEncoder"
                )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{folder} holds no cross-encoder: {error or type(error).__name__}"
        ) from error
    if own:
        raise ModelError(
            f"the model in {folder} needs code of its own ({', '.join(own)}), which is not run"
        )
