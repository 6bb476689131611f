"""The pocket space as one object. Importing this module imports no torch."""

from __future__ import annotations

import threading
from functools import cached_property
from pathlib import Path

from trichord.embedders.backend import Runtime
from trichord.embedders.pocket import identity, preprocessing, text, weights
from trichord.types import Embedder, Encoder, Frame, Modality, Space


class PocketSpace:
    """Text, pictures and sounds in the 384 dimensions of all-MiniLM-L6-v2, offline.

    `space` and `frame` come from checksums alone; torch is imported by the first
    `embedder(IMAGE | AUDIO)` and by the first text that is embedded. Thread-safe.
    """

    name = "pocket"
    runtime = Runtime(device="cpu")
    frame: Frame = text.FRAME
    audio_rate = preprocessing.RATE
    audio_window_ms = preprocessing.WINDOW_MS
    audio_hop_ms = preprocessing.HOP_MS
    text_chunk_tokens = preprocessing.TEXT_CHUNK_TOKENS
    text_overlap_tokens = preprocessing.TEXT_OVERLAP_TOKENS

    def __init__(self, minilm: Path | None = None, folder: Path = weights.BUNDLED) -> None:
        self._folder = folder
        self._text = text.PocketText(minilm)
        self._lock = threading.Lock()
        self._made: dict[Modality, Embedder] = {Modality.TEXT: self._text}

    @cached_property
    def encoders(self) -> dict[Modality, Encoder]:
        """What makes the vectors. Reads the weight files once; raises ModelError if damaged."""
        return {
            Modality.TEXT: text.ENCODER,
            Modality.IMAGE: identity.image_encoder(self._folder),
            Modality.AUDIO: identity.audio_encoder(self._folder),
        }

    @cached_property
    def space(self) -> Space:
        """Frame and encoder ids; raises ModelError if a weight file is damaged."""
        ids = {modality: encoder.id for modality, encoder in self.encoders.items()}
        return Space(self.name, self.frame, ids)

    def embedder(self, modality: Modality) -> Embedder:
        """The embedder of one modality, made once."""
        with self._lock:
            if modality not in self._made:
                self._made[modality] = self._make(modality)
            return self._made[modality]

    def _make(self, modality: Modality) -> Embedder:
        if modality is Modality.IMAGE:
            from trichord.embedders.pocket.image import PocketImage

            return PocketImage(self._folder)
        from trichord.embedders.pocket.audio import PocketAudio

        return PocketAudio(self._folder)

    def token_offsets(self, content: str) -> list[tuple[int, int]]:
        """(start, end) characters of every token, for cutting long text into chunks."""
        return self._text.token_offsets(content)


def load(*, minilm: Path | None = None, folder: Path = weights.BUNDLED) -> PocketSpace:
    """The pocket space with text from `minilm` (see text.find_minilm) and the bundled towers.

    Cheap: nothing heavy is opened before it is needed. Raises ModelError when the towers' weights
    or all-MiniLM-L6-v2 are not there, so that a wrong installation shows at once.
    """
    made = PocketSpace(minilm, folder)
    weights.read_config(folder)
    text.find_minilm(minilm)
    return made
