"""A deterministic joint space without any model, so that all but the models is tested in seconds.

Words are random directions; a text is the sum of its words, a picture is the word of its colour
("red", "green", "blue", "dark", "bright"), a sound the word of its pitch ("low", "middle", "high").
So "red" finds red pictures, and a high sound finds the text "high", as in a real joint space.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import soundfile
from PIL import Image

from trichord.errors import InvalidInput, TrichordError
from trichord.types import F32, Embedded, Encoder, Frame, Modality, Role, Space, Waveform


def direction(word: str, dim: int) -> F32:
    seed = int.from_bytes(hashlib.sha256(word.lower().encode()).digest()[:8], "little")
    vector = np.random.default_rng(seed).standard_normal(dim)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def embed_text(text: str, dim: int, anchor: str = "hash") -> F32:
    words = re.findall(r"\w+", text)
    if not words:
        raise InvalidInput("the text is empty")
    prefix = "" if anchor == "hash" else f"{anchor}/"
    total = np.sum([direction(prefix + word, dim) for word in words], axis=0)
    return (total / np.linalg.norm(total)).astype(np.float32)


def colour_of(picture: np.ndarray[Any, Any]) -> str:
    mean = picture.reshape(-1, 3).mean(0)
    if mean.max() - mean.min() < 30:
        return "dark" if mean.mean() < 128 else "bright"
    return ("red", "green", "blue")[int(mean.argmax())]


def pitch_of(wave: Waveform) -> str:
    crossings = np.count_nonzero(np.diff(np.signbit(wave.samples)))
    hertz = crossings / 2 / max(len(wave.samples) / wave.rate, 1e-9)
    return "low" if hertz < 300 else "middle" if hertz < 1000 else "high"


@dataclass(frozen=True)
class HashEmbedder:
    modality: Modality
    frame: Frame
    encoder: Encoder

    def embed(self, batch: Sequence[Any], *, role: Role = Role.DOCUMENT) -> Embedded:
        vectors = np.zeros((len(batch), self.frame.dim), np.float32)
        errors: dict[int, TrichordError] = {}
        for row, content in enumerate(batch):
            try:
                word = content
                if self.modality is Modality.IMAGE:
                    word = colour_of(content)
                elif self.modality is Modality.AUDIO:
                    word = pitch_of(content)
                vectors[row] = embed_text(word, self.frame.dim, self.frame.anchor)
            except TrichordError as error:
                errors[row] = error
        return Embedded(vectors, errors)


@dataclass(frozen=True)
class HashSpace:
    """`version` changes the encoder ids, as another model would; another `anchor` is another frame,
    in which every word has another direction."""

    dim: int = 32
    version: int = 1
    name: str = "hash"
    audio_rate: int = 8_000
    audio_window_ms: int = 1_000
    audio_hop_ms: int = 1_000
    text_chunk_tokens: int = 16
    text_overlap_tokens: int = 4
    modalities: Sequence[Modality] = field(default=tuple(Modality))
    anchor: str = "hash"

    @property
    def encoders(self) -> Mapping[Modality, Encoder]:
        return {
            m: Encoder(m, {"backend": "hash", "version": self.version}) for m in self.modalities
        }

    @property
    def space(self) -> Space:
        ids = {modality: encoder.id for modality, encoder in self.encoders.items()}
        return Space(self.name, Frame(self.anchor, self.dim), ids)

    @property
    def token_offsets(self) -> Callable[[str], Sequence[tuple[int, int]]]:
        return lambda text: [match.span() for match in re.finditer(r"\w+|[^\w\s]", text)]

    def embedder(self, modality: Modality) -> HashEmbedder:
        return HashEmbedder(modality, self.space.frame, self.encoders[modality])


COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220)}
PITCHES = {"low": 110.0, "middle": 500.0, "high": 2000.0}


def png(colour: str, *, size: int = 16, seed: int = 0) -> bytes:
    """A PNG of one colour; `seed` sets one pixel, so that files of one colour can differ."""
    pixels = np.full((size, size, 3), COLOURS[colour], np.uint8)
    pixels[0, 0] = (seed % 256, seed // 256 % 256, 7)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def wav(pitch: str | Sequence[str], *, rate: int = 8_000, seed: int = 0) -> bytes:
    """A WAV of one second per pitch, so several pitches make several segments."""
    time = np.arange(rate) / rate
    pitches = [pitch] if isinstance(pitch, str) else pitch
    sound = np.concatenate([0.4 * np.sin(2 * np.pi * PITCHES[p] * time + seed) for p in pitches])
    out = io.BytesIO()
    soundfile.write(out, sound.astype(np.float32), rate, format="WAV")
    return out.getvalue()
