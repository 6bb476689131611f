"""Canaries: fixed texts, pictures and sounds whose vectors tell whether a machine computes what
another one did.

The inputs are in `canary_inputs`. A runtime agrees with stored vectors
when every cosine is at least 0.995 and the ten nearest stored canaries of each are, on average,
to 95 % those of the stored vector itself.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trichord.embedders.canary_inputs import COUNTS, INPUTS, LONGEST_MS, pictures, sounds, texts
from trichord.embedders.spaces import JointSpace
from trichord.errors import FrameMismatch, InvalidInput, ModelError, StoreDamaged
from trichord.types import F32, Decoded, Modality

MIN_COSINE = 0.995
MIN_OVERLAP = 0.95
NEAREST = 10
TIE = 1e-3
"""Canaries that lie this close to the tenth one may stand in for it: they are equally near, as far
as vectors kept in half precision can tell."""


def inputs(joint: JointSpace, modality: Modality) -> Sequence[Decoded]:
    """The canaries of one modality as the space takes them."""
    if modality is Modality.TEXT:
        return texts()
    if modality is Modality.IMAGE:
        return pictures()
    return sounds(joint.audio_rate, min(LONGEST_MS, joint.audio_window_ms))


@dataclass(frozen=True, eq=False)
class Canaries:
    """Vectors of the canaries by modality, float32 (n, dim), unit rows."""

    vectors: Mapping[Modality, F32]

    def to_json(self) -> dict[str, Any]:
        """JSON values: half precision, base64; some 60 KB per modality at most."""
        return {
            "inputs": INPUTS,
            "vectors": {
                str(modality): {
                    "shape": list(rows.shape),
                    "fp16": base64.b64encode(np.asarray(rows, "<f2").tobytes()).decode(),
                }
                for modality, rows in self.vectors.items()
            },
        }

    @classmethod
    def from_json(cls, value: Any) -> Canaries:
        """Raises StoreDamaged for what `to_json` never gave."""
        try:
            if value["inputs"] != INPUTS:
                raise StoreDamaged(
                    f"these canaries are of inputs {value['inputs']}, this version makes {INPUTS}"
                )
            found = {}
            for name, entry in value["vectors"].items():
                data = base64.b64decode(entry["fp16"], validate=True)
                shape = tuple(int(n) for n in entry["shape"])
                rows = np.frombuffer(data, "<f2").reshape(shape).astype(np.float32)
                found[Modality(name)] = _checked(rows, Modality(name))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StoreDamaged(f"the canaries are damaged: {error}") from error
        return cls(found)

    def save(self, path: Path) -> None:
        """One safetensors file of float32 tensors named after the modalities."""
        from safetensors.numpy import save_file

        tensors = {str(m): np.ascontiguousarray(rows, "<f4") for m, rows in self.vectors.items()}
        save_file(tensors, str(path), {"trichord-canaries": str(INPUTS)})

    @classmethod
    def load(cls, path: Path) -> Canaries:
        """Raises ModelError for a file that is missing, damaged or of other inputs."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(str(path), framework="numpy") as file:
                about = (file.metadata() or {}).get("trichord-canaries")
                names = file.keys()
                found = {Modality(name): file.get_tensor(name) for name in names}
            if about != str(INPUTS):
                raise ModelError(f"{path} holds canaries {about}, this version makes {INPUTS}")
            return cls({m: _checked(np.asarray(rows, np.float32), m) for m, rows in found.items()})
        except (SafetensorError, OSError, ValueError) as error:
            raise ModelError(f"{path} is damaged or missing: {error}", path=path) from error


def vectors(joint: JointSpace, modalities: Sequence[Modality] | None = None) -> Canaries:
    """Embeds the canaries with all encoders of the space, or those of `modalities`.

    Loads the models. Raises ModelError when one cannot be embedded or its vector is not a unit one.
    """
    found: dict[Modality, F32] = {}
    for modality in sorted(joint.encoders) if modalities is None else modalities:
        embedded = joint.embedder(modality).embed(inputs(joint, modality))
        for row, error in embedded.errors.items():
            raise ModelError(
                f"space {joint.name!r} cannot embed {modality} canary {row}: {error}"
            ) from error
        try:
            found[modality] = _checked(embedded.vectors, modality)
        except ValueError as error:
            raise ModelError(f"space {joint.name!r}: {error}") from error
    return Canaries(found)


@dataclass(frozen=True)
class Figures:
    """How near two runs are: the lowest cosine of a canary with itself, and the mean share of its
    `NEAREST` stored neighbours that both find."""

    cosine: float
    overlap: float

    @property
    def agrees(self) -> bool:
        return self.cosine >= MIN_COSINE and self.overlap >= MIN_OVERLAP


@dataclass(frozen=True)
class Agreement:
    """Figures by modality; `agrees` if all do."""

    figures: Mapping[Modality, Figures]

    @property
    def agrees(self) -> bool:
        return all(figures.agrees for figures in self.figures.values())

    def __str__(self) -> str:
        """ "audio cosine 0.9991 overlap 1.000, image …", those that do not agree first."""
        worst = sorted(self.figures.items(), key=lambda pair: (pair[1].agrees, pair[0]))
        return ", ".join(
            f"{modality} cosine {f.cosine:.4f} overlap {f.overlap:.3f}" for modality, f in worst
        )

    def to_json(self) -> dict[str, dict[str, float]]:
        return {
            str(m): {"cosine": round(f.cosine, 6), "overlap": round(f.overlap, 4)}
            for m, f in self.figures.items()
        }


def agreement(stored: Canaries, now: Canaries) -> Agreement:
    """Compares the modalities that both have, queries of now against what is stored.

    Raises InvalidInput when they have none in common, FrameMismatch for another dimension.
    """
    common = sorted(set(stored.vectors) & set(now.vectors))
    if not common:
        raise InvalidInput("the two sets of canaries have no modality in common")
    return Agreement({m: _figures(stored.vectors[m], now.vectors[m], m) for m in common})


def _figures(stored: F32, now: F32, modality: Modality) -> Figures:
    if stored.shape != now.shape:
        raise FrameMismatch(
            f"{modality} canaries are stored with {stored.shape[1]} dimensions, these have"
            f" {now.shape[1]}"
        )
    a, b = stored.astype(np.float64), now.astype(np.float64)
    a /= np.linalg.norm(a, axis=1, keepdims=True)
    b /= np.linalg.norm(b, axis=1, keepdims=True)
    cosines = np.einsum("ij,ij->i", a, b)
    own, asked = a @ a.T, b @ a.T
    np.fill_diagonal(own, -2)
    np.fill_diagonal(asked, -2)
    count = min(NEAREST, len(a) - 1)
    tenth = np.sort(own, axis=1)[:, -count] - TIE
    found = np.argpartition(-asked, count - 1, axis=1)[:, :count]
    shared = np.take_along_axis(own, found, axis=1) >= tenth[:, None]
    return Figures(float(cosines.min()), float(shared.mean()))


def _checked(rows: F32, modality: Modality) -> F32:
    if rows.ndim != 2 or len(rows) != COUNTS[modality]:
        raise ValueError(f"{modality} canaries of shape {rows.shape}, not ({COUNTS[modality]}, n)")
    lengths = np.linalg.norm(rows, axis=1)
    if not bool((np.abs(lengths - 1) < 1e-2).all()):
        raise ValueError(f"{modality} canaries that are not of length 1")
    return rows
