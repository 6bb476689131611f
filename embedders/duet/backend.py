"""The duet model as a model family: texts and sounds in one frame of its own, offline."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from trichord.embedders.backend import AudioCut, Runtime, TextCut
from trichord.embedders.duet import weights, words
from trichord.embedders.duet.preprocessing import (
    AUDIO_FACTS,
    DIM,
    HOP_MS,
    RATE,
    TEXT_CHUNK_TOKENS,
    TEXT_FACTS,
    TEXT_OVERLAP_TOKENS,
    WINDOW_MS,
)
from trichord.errors import NotFound
from trichord.types import Embedder, Frame, Modality

BUNDLED = weights.BUNDLED
SCHEMA = 1
"""Raised when the code changes what a vector is while weights and preprocessing stay."""


class Duet:
    """Texts and sounds of up to 10 s in 256 dimensions; satisfies `backend.Backend`.

    Constructing one only verifies the weights' checksums; torch comes with the first `embedder`.
    Raises ModelError for weights that are missing or damaged. It is small enough to run on the CPU
    in fp32 whatever `runtime` says of device and precision, and needs no network; `runtime.batch`
    bounds the items per forward pass. Thread-safe.
    """

    audio: AudioCut | None = AudioCut(RATE, WINDOW_MS, HOP_MS)
    text: TextCut | None = TextCut(TEXT_CHUNK_TOKENS, TEXT_OVERLAP_TOKENS)
    image_side: int | None = None
    modalities = frozenset({Modality.TEXT, Modality.AUDIO})

    def __init__(self, folder: Path = BUNDLED, *, runtime: Runtime | None = None) -> None:
        self._folder = Path(folder)
        self._runtime = runtime or Runtime()
        self._lock = threading.Lock()
        self._made: dict[Modality, Embedder] = {}
        self._hashes = weights.verified(self._folder)

    @cached_property
    def frame(self) -> Frame:
        """Named by the text weights: they are the anchor that the sounds were trained with."""
        return Frame(f"trichord-duet@{self._hashes['text'][:8]}", DIM)

    def facts(self, modality: Modality) -> Mapping[str, Any]:
        """All that changes a vector of the modality. Raises NotFound for pictures."""
        modality = self._known(modality)
        return {
            "backend": f"trichord.duet.{modality.value}",
            "weights": self._hashes[modality.value],
            "preprocessing": dict(TEXT_FACTS if modality is Modality.TEXT else AUDIO_FACTS),
            "schema": SCHEMA,
        }

    def token_offsets(self, text: str) -> Sequence[tuple[int, int]]:
        return words.offsets(text)

    def embedder(self, modality: Modality) -> Embedder:
        """The embedder of texts or of sounds; the weights are read at the first call."""
        modality = self._known(modality)
        with self._lock:
            if modality not in self._made:
                from trichord.embedders.duet.embedders import DuetAudio, DuetText
                from trichord.types import Encoder

                encoder = Encoder(modality, self.facts(modality))
                kind = DuetText if modality is Modality.TEXT else DuetAudio
                self._made[modality] = kind(
                    self._folder, self.frame, encoder, self._runtime.batch or 64
                )
            return self._made[modality]

    def _known(self, modality: Modality) -> Modality:
        modality = Modality(modality)
        if modality not in self.modalities:
            raise NotFound(f"duet embeds texts and sounds, not {modality}")
        return modality
