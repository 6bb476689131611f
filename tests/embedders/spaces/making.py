"""Model families without models: words have one meaning, every frame its own way to write it.

A meaning is a unit vector of 16 numbers (see tests.fakes); a frame of any dimension is a fixed
isometric map of it, so an exact projector between two frames is known.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.fakes import colour_of, embed_text, pitch_of
from trichord.embedders.backend import AudioCut, Runtime, TextCut
from trichord.embedders.bridge.projector import Projector
from trichord.errors import InvalidInput, ModelError, TrichordError
from trichord.types import F32, Embedded, Encoder, Frame, Modality, Role

MEANING = 16
DIMS = {"open_clip": 32, "clap": 24, "sentence-transformers": 20}


def writing(anchor: str, dim: int) -> F32:
    """The isometric map of a frame, float32 (16, dim)."""
    rng = np.random.default_rng(zlib.crc32(anchor.encode()))
    q, _ = np.linalg.qr(rng.standard_normal((dim, MEANING)))
    return np.asarray(q.T, np.float32)


def projector(source: Frame, target: Frame, *, tilt: float = 0.0) -> Projector:
    """The exact projector between two frames of fake families; `tilt` makes it another one."""
    linear = writing(source.anchor, source.dim).T @ writing(target.anchor, target.dim)
    mean = np.full(target.dim, tilt, np.float32)
    return Projector(
        "procrustes",
        source,
        target,
        {"centre": np.zeros(source.dim, np.float32), "linear": linear, "target_mean": mean},
    )


def grain(content: Any) -> str:
    """A word of its own for every different picture and sound."""
    data = content if isinstance(content, np.ndarray) else content.samples
    return hashlib.sha256(np.ascontiguousarray(data).tobytes()).hexdigest()[:8]


@dataclass
class FakeBackend:
    """`model` may be a file: its bytes are the weights, and vectors depend on them as `noise`."""

    family: str
    model: str
    options: Mapping[str, Any]
    runtime: Runtime
    noise: float = 0.0
    loads: list[Modality] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.model.startswith("missing"):
            raise ModelError(
                f"{self.model} is not on this machine: fetch it where there is network"
            )
        path = Path(self.model.removeprefix("local-dir:"))
        data = path.read_bytes() if path.is_file() else self.model.encode()
        self.weights = hashlib.sha256(data).hexdigest()

    @property
    def modalities(self) -> frozenset[Modality]:
        return {
            "open_clip": frozenset({Modality.IMAGE, Modality.TEXT}),
            "clap": frozenset({Modality.AUDIO, Modality.TEXT}),
            "sentence-transformers": frozenset({Modality.TEXT}),
        }[self.family]

    @property
    def frame(self) -> Frame:
        return Frame(f"{self.family}/fake@{self.weights[:8]}", DIMS[self.family])

    @property
    def audio(self) -> AudioCut | None:
        if Modality.AUDIO not in self.modalities:
            return None
        windows = self.options.get("window_ms", 2_000), self.options.get("hop_ms", 2_000)
        return AudioCut(8_000, *windows)

    text = TextCut(12, 3)
    image_side = 24

    def facts(self, modality: Modality) -> Mapping[str, Any]:
        kept = {k: v for k, v in self.options.items() if k not in ("window_ms", "hop_ms")}
        return {"backend": self.family, "weights": self.weights, "of": str(modality), **kept}

    def token_offsets(self, text: str) -> Sequence[tuple[int, int]]:
        return [match.span() for match in re.finditer(r"\w+", text)]

    def embedder(self, modality: Modality) -> FakeEmbedder:
        self.loads.append(modality)
        return FakeEmbedder(
            modality, self.frame, Encoder(modality, self.facts(modality)), self.noise
        )


@dataclass
class FakeEmbedder:
    modality: Modality
    frame: Frame
    encoder: Encoder
    noise: float = 0.0

    def embed(self, batch: Sequence[Any], *, role: Role = Role.DOCUMENT) -> Embedded:
        vectors = np.zeros((len(batch), self.frame.dim), np.float32)
        errors: dict[int, TrichordError] = {}
        for row, content in enumerate(batch):
            try:
                if self.modality is Modality.IMAGE:
                    content = f"{colour_of(content)} {grain(content)}"
                elif self.modality is Modality.AUDIO:
                    content = f"{pitch_of(content)} {grain(content)}"
                meaning = embed_text(content, MEANING)
                rng = np.random.default_rng(zlib.crc32(content.encode()))
                meaning = meaning + self.noise * rng.standard_normal(MEANING).astype(np.float32)
                meaning /= np.linalg.norm(meaning)
                vectors[row] = meaning @ writing(self.frame.anchor, self.frame.dim)
            except InvalidInput as error:
                errors[row] = error
        return Embedded(vectors, errors)


@dataclass
class Families:
    """An opener that remembers what it opened; `noise` disturbs what models compute."""

    noise: float = 0.0
    opened: list[FakeBackend] = field(default_factory=list)

    def __call__(
        self, backend: str, model: str, options: Mapping[str, Any], runtime: Runtime
    ) -> FakeBackend:
        made = FakeBackend(backend, model, dict(options), runtime, self.noise)
        self.opened.append(made)
        return made


DEFINITION = """
name = "both"
[image]
backend = "open_clip"
model = "{image}"
[text]
backend = "open_clip"
model = "{image}"
[audio]
backend = "clap"
model = "{sound}"
projector = "bridge.safetensors"
window_ms = 1000
[models."{sound}"]
licence = "CC0-1.0"
check = "the label"
download_mb = 3
"""


def clip_and_clap(folder: Path, *, tilt: float = 0.0) -> Path:
    """Writes both.toml with its two weight files and the projector; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {"image": folder / "image.bin", "sound": folder / "sound.bin"}
    for name, path in files.items():
        if not path.exists():
            path.write_bytes(f"weights of {name}".encode())
    frames = [
        FakeBackend(family, str(path), {}, Runtime()).frame
        for family, path in (("clap", files["sound"]), ("open_clip", files["image"]))
    ]
    projector(*frames, tilt=tilt).save(folder / "bridge.safetensors")
    text = DEFINITION.format(image=files["image"], sound=files["sound"])
    (folder / "both.toml").write_text(text, "utf-8")
    return folder / "both.toml"
