"""The pocket space as a model family, so that definitions can compose with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trichord.embedders.backend import AudioCut, Runtime, TextCut
from trichord.embedders.pocket import preprocessing, weights
from trichord.embedders.pocket.space import load
from trichord.types import Embedder, Frame, Modality


class Pocket:
    """Satisfies `trichord.embedders.backend.Backend` for all three modalities; thread-safe.

    It is small enough to run on the CPU in fp32 whatever `runtime` says, and never asks a hub.
    Raises ModelError when the weights or all-MiniLM-L6-v2 are missing or damaged.
    """

    audio: AudioCut | None = AudioCut(
        preprocessing.RATE, preprocessing.WINDOW_MS, preprocessing.HOP_MS
    )
    text: TextCut | None = TextCut(
        preprocessing.TEXT_CHUNK_TOKENS, preprocessing.TEXT_OVERLAP_TOKENS
    )
    image_side: int | None = None
    """Pictures are decoded as for the bundled space, so that both make the same vectors."""

    modalities = frozenset(Modality)

    def __init__(self, folder: Path = weights.BUNDLED, *, runtime: Runtime | None = None) -> None:
        self._space = load(folder=Path(folder))

    @property
    def frame(self) -> Frame:
        return self._space.frame

    def facts(self, modality: Modality) -> Mapping[str, Any]:
        """The same as of the bundled space."""
        return self._space.encoders[modality].facts

    def token_offsets(self, text: str) -> Sequence[tuple[int, int]]:
        return self._space.token_offsets(text)

    def embedder(self, modality: Modality) -> Embedder:
        return self._space.embedder(modality)
