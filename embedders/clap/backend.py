"""LAION-CLAP as a model family."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from trichord.embedders.backend import AudioCut, Runtime, TextCut
from trichord.embedders.clap import files
from trichord.embedders.clap.audio import ClapAudio
from trichord.embedders.clap.sources import (
    FolderSource,
    LaionSource,
    PackageSource,
    Source,
    tokenizer_folder,
)
from trichord.embedders.clap.text import ClapText
from trichord.errors import InvalidInput, ModelError
from trichord.types import Encoder, Frame, Modality

SCHEMA = 1
"""Raised when this code starts to make other vectors from the same model."""

OVERLAP_TOKENS = 12
SPECIAL_TOKENS = 2

Loader = Literal["transformers", "laion-pt", "package"]


class Clap:
    """One CLAP model, for sound and text.

    `loader` and `model`: "transformers" takes a hub id or the folder of a checkpoint, with or
    without fusion; "laion-pt" a `.pt` file of LAION's without fusion (HTSAT and RoBERTa), converted
    in memory; "package" the same file, run by the laion-clap package in an environment of its own.
    `tokenizer` is for the last two: a folder or hub id with roberta-base's tokenizer files, by
    default those beside the `.pt` file, else roberta-base of the hub.

    Sound is cut into windows of `window_ms` every `hop_ms`, never longer than the model's own
    length (10 s). The identity is the sha256 of the weight files with all settings, whatever
    place, revision or loader they come through: "laion-pt" and "package" share it. The same
    weights stored as another file (a `.pt` converted and saved by transformers) have another.

    Raises ModelError for files that are missing, damaged or false, InvalidInput for arguments that
    make no sense, MissingExtra for "package" without laion-clap. Thread-safe.
    """

    modalities = frozenset({Modality.AUDIO, Modality.TEXT})
    image_side: int | None = None

    def __init__(
        self,
        model: str,
        *,
        loader: Loader = "transformers",
        revision: str | None = None,
        window_ms: int = 10_000,
        hop_ms: int = 10_000,
        tokenizer: str | None = None,
        runtime: Runtime = Runtime(),  # noqa: B008  (frozen)
    ) -> None:
        self.runtime = runtime
        self._source = _source(model, loader, revision, tokenizer, runtime)
        longest = self._source.front.seconds * 1000
        if not 0 < hop_ms <= window_ms <= longest:
            raise InvalidInput(
                f"windows of {window_ms} ms every {hop_ms} ms: the model hears at most {longest} ms"
                " at a time, and hops are not longer than windows"
            )
        self.audio = AudioCut(self._source.front.rate, window_ms, hop_ms)
        self.text = TextCut(self._source.tokens.vocabulary.longest - SPECIAL_TOKENS, OVERLAP_TOKENS)
        if self.text.chunk_tokens <= OVERLAP_TOKENS:
            raise ModelError(f"{model}: texts of {self.text.chunk_tokens} tokens are too short")
        self._embedders: dict[Modality, ClapAudio | ClapText] = {}
        self._lock = threading.Lock()

    @property
    def frame(self) -> Frame:
        source = self._source
        return Frame(f"clap/{source.name}@{source.weights[:12]}", source.dim)

    def facts(self, modality: Modality) -> Mapping[str, Any]:
        common = {
            "backend": "clap",
            "model": self._source.name,
            "weights": self._source.weights,
            "dim": self._source.dim,
            "schema": SCHEMA,
        }
        if modality is Modality.AUDIO:
            return {
                **common,
                "tower": self._source.sizes["audio"],
                "front_end": self._source.front.facts,
                "window_ms": self.audio.window_ms,
                "hop_ms": self.audio.hop_ms,
            }
        if modality is Modality.TEXT:
            return {
                **common,
                "tower": self._source.sizes["text"],
                "tokenizer": self._source.tokens.sha256,
                "max_tokens": self._source.tokens.vocabulary.longest,
            }
        raise self._no(modality)

    def token_offsets(self, text: str) -> Sequence[tuple[int, int]]:
        return self._source.tokens.offsets(text)

    def embedder(self, modality: Modality) -> ClapAudio | ClapText:
        """The same object every time; the first call for a modality loads its tower."""
        if modality not in self.modalities:
            raise self._no(modality)
        with self._lock:
            if modality not in self._embedders:
                made = self._audio() if modality is Modality.AUDIO else self._text()
                made.load()
                self._embedders[modality] = made
            return self._embedders[modality]

    def _audio(self) -> ClapAudio:
        source, encoder = self._source, Encoder(Modality.AUDIO, self.facts(Modality.AUDIO))
        window_ms = self.audio.window_ms
        return ClapAudio(
            self.frame, encoder, source.front, window_ms, source.audio_tower, self.runtime
        )

    def _text(self) -> ClapText:
        source, encoder = self._source, Encoder(Modality.TEXT, self.facts(Modality.TEXT))
        return ClapText(self.frame, encoder, source.tokens, source.text_tower, self.runtime)

    def warm_up(self) -> None:
        """Loads both towers and runs each once; raises ModelError as `embedder` does."""
        for modality in sorted(self.modalities):
            self.embedder(modality).warm_up()

    def _no(self, modality: Modality) -> InvalidInput:
        return InvalidInput(f"CLAP embeds audio and text, not {modality}")


def _source(
    model: str, loader: str, revision: str | None, tokenizer: str | None, runtime: Runtime
) -> Source:
    if loader == "transformers":
        if tokenizer is not None:
            raise InvalidInput("the tokenizer of a transformers checkpoint is its own")
        return FolderSource(files.find(model, revision, runtime))
    if loader not in ("laion-pt", "package"):
        raise InvalidInput(
            f'the loader of CLAP is "transformers", "laion-pt" or "package", not {loader!r}'
        )
    if revision is not None:
        raise InvalidInput(f"loader {loader!r} takes a file, which has no revision")
    path = Path(model).expanduser()
    if not path.is_file():
        raise ModelError(f"there is no file {path}: loader {loader!r} takes LAION's .pt", path=path)
    if loader == "package":
        from trichord.embedders.clap import package

        package.require()
    folder = tokenizer_folder(tokenizer, path, runtime)
    return (PackageSource if loader == "package" else LaionSource)(path, folder)
