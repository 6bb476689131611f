"""An open_clip model as a backend: identity from its files, towers when they are first needed."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from trichord.embedders.backend import AudioCut, Runtime, TextCut
from trichord.embedders.hashing import sha256_of
from trichord.embedders.openclip.files import Hub
from trichord.embedders.openclip.source import find, open_clip
from trichord.errors import InvalidInput, ModelError
from trichord.types import Embedder, Encoder, Frame, Modality

if TYPE_CHECKING:
    import torch

    from trichord.embedders.openclip.tokens import Tokens

SCHEMA = 1
"""Raised when the code changes what a vector is while weights and settings stay."""

OVERLAP = 1 / 6
"""Of a chunk of text, how much the next one repeats."""


ORDINARY = (
    "Rain falls on the window of an old house by the river while a slow melody is played on a piano"
    " in the next room, and a dog barks at the people who walk home with their umbrellas."
)
"""A text of ordinary length, to measure a precision with."""


class OpenClip:
    """Satisfies `trichord.embedders.backend.Backend` for images and text; thread-safe.

    `model` is a name that open_clip knows ("ViT-B-32") with the tag of its pretrained weights,
    "hf-hub:org/name" (with an optional `revision`), or "local-dir:/path" to a folder with
    open_clip_config.json and weights. Missing files are downloaded by this constructor unless
    `runtime.offline`.

    Raises InvalidInput for a name that makes no sense, ModelError for an unknown model or tag and
    for files that are missing or damaged, MissingExtra without open_clip.
    """

    modalities = frozenset({Modality.IMAGE, Modality.TEXT})
    audio: AudioCut | None = None

    def __init__(
        self,
        model: str,
        *,
        pretrained: str = "",
        revision: str | None = None,
        runtime: Runtime = Runtime(),  # noqa: B008 (frozen)
    ) -> None:
        open_clip()
        self._runtime = runtime
        self._source = find(model, pretrained, revision, Hub(runtime.offline, runtime.cache))
        self._lock = threading.RLock()
        self._embedders: dict[Modality, Embedder] = {}

    @cached_property
    def _weights(self) -> str:
        return sha256_of(self._source.weights)

    @property
    def frame(self) -> Frame:
        return Frame(f"open_clip/{self._source.name}@{self._weights[:12]}", self._source.dim)

    @property
    def image_side(self) -> int | None:
        return max(self._source.size)

    @property
    def text(self) -> TextCut | None:
        chunk = self._tokens.chunk_tokens
        return TextCut(chunk, int(chunk * OVERLAP))

    def facts(self, modality: Modality) -> Mapping[str, Any]:
        source = self._source
        if modality not in self.modalities:
            raise self._refusal(modality)
        shared: dict[str, Any] = {
            "backend": "open_clip",
            "model": source.name,
            "version": source.version,
            "weights": self._weights,
            "schema": SCHEMA,
        }
        if not source.tagged:
            # The same weights under another configuration (heads, activation) are another model.
            shared["config"] = dict(source.config)
        if modality is Modality.IMAGE:
            return shared | {"preprocessing": dict(source.preprocessing)}
        from trichord.embedders.openclip.tokens import digest

        return shared | {"tokenizer": digest(source), "context_length": source.context_length}

    def token_offsets(self, text: str) -> Sequence[tuple[int, int]]:
        """Offsets of which `text.chunk_tokens` always fit into the context; see `WordOffsets`."""
        if not isinstance(text, str):
            raise InvalidInput(f"text must be a str, not {type(text).__name__}")
        return self._tokens.offsets(text)

    def embedder(self, modality: Modality) -> Embedder:
        if modality not in self.modalities:
            raise self._refusal(modality)
        with self._lock:
            if modality not in self._embedders:
                self._embedders |= self._load()
            return self._embedders[modality]

    def warm_up(self) -> None:
        """Loads both towers and embeds one sample with each. Raises ModelError when the model
        gives other shapes than its configuration says, or nothing finite."""
        self.embedder(Modality.IMAGE)
        self.embedder(Modality.TEXT)

    @cached_property
    def _tokens(self) -> Tokens:
        from trichord.embedders.openclip import tokens

        with self._lock:
            return tokens.load(self._source)

    def _encoder(self, modality: Modality) -> Encoder:
        return Encoder(modality, self.facts(modality))

    def _load(self) -> dict[Modality, Embedder]:
        import torch

        from trichord.embedders.openclip import image, loading, text, tokens
        from trichord.embedders.openclip.pictures import Preprocess

        source, frame = self._source, self.frame
        ordinary = torch.from_numpy(self._tokens.ids([ORDINARY] * 4))
        model: torch.nn.Module = loading.load(source)
        loaded: dict[Modality, Embedder] = {
            Modality.IMAGE: image.OpenClipImage(
                loading.image_tower(model, source, self._runtime),
                Preprocess(source.preprocessing),
                self._encoder(Modality.IMAGE),
                frame,
                self._runtime.batch or image.BATCH,
            ),
            Modality.TEXT: text.OpenClipText(
                loading.text_tower(model, source, self._runtime, ordinary),
                self._tokens,
                self._encoder(Modality.TEXT),
                frame,
                batch=self._runtime.batch or text.BATCH,
                vocabulary=tokens.vocabulary(source),
            ),
        }
        samples: dict[Modality, list[Any]] = {
            Modality.IMAGE: [np.full((*source.size, 3), 127, np.uint8)],
            Modality.TEXT: ["rain on a window", "a dog barks"],
        }
        for modality, embedder in loaded.items():
            try:
                found = embedder.embed(samples[modality])
            except RuntimeError as error:
                raise ModelError(f"{source.name} does not run: {error}") from error
            if found.errors:
                raise next(iter(found.errors.values()))
            if modality is Modality.TEXT and np.array_equal(*found.vectors):
                raise ModelError(f"{source.name} gives different texts the same vector")
        return loaded

    def _refusal(self, modality: Modality) -> InvalidInput:
        return InvalidInput(f"{self._source.name} embeds images and text, not {modality}")
