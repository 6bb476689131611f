"""Projectors: vectors of one frame carried into another, by a rotation, a linear map or an MLP."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from trichord.errors import FrameMismatch, InvalidInput, ModelError, VectorError
from trichord.types import F32, Frame

KINDS = ("procrustes", "ridge", "mlp")
FORMAT = "trichord-projector"
SCHEMA = 1
_LINEAR = ("centre", "linear", "target_mean")
_HIDDEN = ("bias", "down", "up")


@dataclass(frozen=True, eq=False)
class Projector:
    """y = unit((x - centre) @ linear [+ relu((x - centre) @ up + bias) @ down] + target_mean).

    `tensors`, all float32: `centre` (ds,), `linear` (ds, dt), `target_mean` (dt,), and for an MLP
    `up` (ds, h), `bias` (h,), `down` (h, dt). `about` says how it was fitted (captions, settings,
    scores); it is stored with it and is no part of its identity. Make one with `fitting.fit` or
    `load`. Raises InvalidInput for tensors that do not fit the kind or the frames.
    """

    kind: str
    source: Frame
    target: Frame
    tensors: Mapping[str, F32]
    about: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InvalidInput(f"a projector is one of {', '.join(KINDS)}, not {self.kind!r}")
        names = sorted(_LINEAR + (_HIDDEN if self.kind == "mlp" else ()))
        if sorted(self.tensors) != names:
            raise InvalidInput(f"a projector of kind {self.kind} has the tensors {names}")
        ds, dt = self.source.dim, self.target.dim
        shapes: dict[str, tuple[int, ...]] = {
            "centre": (ds,), "linear": (ds, dt), "target_mean": (dt,)
        }  # fmt: skip
        if self.kind == "mlp":
            hidden = self.tensors["bias"].size
            shapes |= {"up": (ds, hidden), "bias": (hidden,), "down": (hidden, dt)}
        for name, shape in shapes.items():
            tensor = self.tensors[name]
            if tensor.shape != shape or tensor.dtype != np.float32:
                raise InvalidInput(
                    f"{name} of a projector from {self.source.id} to {self.target.id} is float32 "
                    f"{shape}, not {tensor.dtype} {tensor.shape}"
                )
            if not np.isfinite(tensor).all():
                raise InvalidInput(f"{name} of the projector is not finite")

    @property
    def sha256(self) -> str:
        """Identity: the hash of all that changes a vector (kind, frames, tensors)."""
        digest = hashlib.sha256()
        head = [FORMAT, SCHEMA, self.kind, self.source.id, self.target.id]
        digest.update(json.dumps(head).encode())
        for name in sorted(self.tensors):
            tensor = np.ascontiguousarray(self.tensors[name], "<f4")
            digest.update(json.dumps([name, tensor.shape]).encode())
            digest.update(tensor.tobytes())
        return digest.hexdigest()

    def apply(self, vectors: F32) -> F32:
        """float32 (n, ds) -> float32 (n, dt), unit rows.

        A row of zeros (an item that could not be embedded) stays zeros. Raises VectorError for
        another shape and for rows that are not finite.
        """
        x = np.asarray(vectors, np.float32)
        if x.ndim != 2 or x.shape[1] != self.source.dim:
            raise VectorError(
                f"this projector takes vectors (n, {self.source.dim}) of the frame "
                f"{self.source.id}, not {x.shape}"
            )
        if not np.isfinite(x).all():
            raise VectorError("vectors to project must be finite")
        t = self.tensors
        centred = x - t["centre"]
        y = centred @ t["linear"]
        if self.kind == "mlp":
            y += np.maximum(centred @ t["up"] + t["bias"], 0) @ t["down"]
        y += t["target_mean"]
        lengths = np.linalg.norm(y, axis=1, keepdims=True)
        y /= np.maximum(lengths, 1e-12)
        y[~x.any(axis=1)] = 0
        return np.ascontiguousarray(y, np.float32)

    def centred_on(self, items: F32) -> Projector:
        """The same map, but taking the mean of `items` (n, ds; some hundred sounds, no labels)
        off the vectors instead of the mean of the captions.

        Sounds and texts of one contrastive model lie in two separate clouds (W. Liang et al.,
        "Mind the gap", 2022); this lays the one on the other. Raises VectorError.
        """
        x = np.asarray(items, np.float32)
        if x.ndim != 2 or x.shape[1] != self.source.dim or len(x) == 0 or not np.isfinite(x).all():
            raise VectorError(
                f"to centre on items give finite vectors (n, {self.source.dim}), not {x.shape}"
            )
        kept = x[x.any(axis=1)]
        if len(kept) == 0:
            raise VectorError("to centre on items give at least one that is not zero")
        centre = kept.mean(axis=0, dtype=np.float64).astype(np.float32)
        return replace(
            self,
            tensors={**self.tensors, "centre": centre},
            about={**self.about, "centred_on": f"{len(kept)} items"},
        )

    def require(self, *, source: Frame | None = None, target: Frame | None = None) -> None:
        """Raises FrameMismatch unless it goes from `source` to `target` (None: any)."""
        for word, wanted, found in (
            ("from", source, self.source),
            ("into", target, self.target),
        ):
            if wanted is not None and wanted != found:
                raise FrameMismatch(
                    f"the projector goes {word} {found.id}, not {word} {wanted.id}: fit one for "
                    "these models (trichord space fit)",
                    found=found.id,
                    wanted=wanted.id,
                )

    def save(self, path: Path) -> None:
        """Writes one safetensors file; what is described is in its metadata as JSON."""
        from safetensors.numpy import save_file

        description = {
            "format": FORMAT,
            "schema": SCHEMA,
            "kind": self.kind,
            "source": self.source.id,
            "target": self.target.id,
            "sha256": self.sha256,
            "about": dict(self.about),
        }
        tensors = {name: np.ascontiguousarray(t, "<f4") for name, t in self.tensors.items()}
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
        try:
            save_file(tensors, str(partial), {FORMAT: json.dumps(description, sort_keys=True)})
            partial.chmod(0o644)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    @classmethod
    def load(
        cls, path: Path, *, source: Frame | None = None, target: Frame | None = None
    ) -> Projector:
        """Reads one and verifies its checksum.

        Raises ModelError for a file that is missing, damaged or no projector, FrameMismatch when
        `source` or `target` is given and is not its own.
        """
        description, tensors = _read(Path(path))
        try:
            found = cls(
                str(description["kind"]),
                Frame.from_id(str(description["source"])),
                Frame.from_id(str(description["target"])),
                tensors,
                dict(description["about"]),
            )
            wanted = str(description["sha256"])
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"{path} is damaged: {error}", path=path) from error
        if found.sha256 != wanted:
            raise ModelError(
                f"{path} is damaged: its contents do not match its checksum", path=path
            )
        found.require(source=source, target=target)
        return found


def _read(path: Path) -> tuple[dict[str, Any], dict[str, F32]]:
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise ModelError(f"no projector at {path}: make one with trichord space fit", path=path)
    try:
        with safe_open(str(path), framework="numpy") as file:
            written = (file.metadata() or {}).get(FORMAT)
            names = file.keys()
            tensors = {name: np.asarray(file.get_tensor(name)) for name in names}
        description = json.loads(written) if written else {}
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"{path} is damaged: {error}", path=path) from error
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise ModelError(f"{path} is no projector (trichord space fit makes them)", path=path)
    if description.get("schema") != SCHEMA:
        raise ModelError(
            f"{path} has schema {description.get('schema')}, this version reads {SCHEMA}", path=path
        )
    return description, tensors
