"""What lies beside a saved index: sizes, checksums, measured recall, the caller's own facts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy.typing as npt

from trichord.errors import StoreDamaged
from trichord.index.base import IndexInfo

FORMAT = 2
FORMATS = (1, 2)
"""Format 1 knew one recall target and no costs: these are measured when it is loaded."""
MANIFEST = "manifest.json"
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Manifest:
    """What a saved index is. `meta` is the caller's (snapshot, frame, encoder ...), `arrays` the
    caller's named arrays, memory-mapped; `files` maps a file name to its size and checksum."""

    size: int
    dim: int
    info: IndexInfo
    meta: Mapping[str, Any]
    created: datetime
    faiss: str
    files: Mapping[str, Mapping[str, Any]]
    arrays: Mapping[str, Array] = field(default_factory=dict, compare=False, repr=False)


def exists(folder: Path | str) -> bool:
    """Whether a finished index lies in the folder (not whether it is undamaged)."""
    return (Path(folder) / MANIFEST).is_file()


def manifest_of(folder: Path | str) -> Manifest:
    """What the manifest of a saved index says, without reading anything else. Raises StoreDamaged
    if there is none or it is damaged."""
    folder = Path(folder)
    if not exists(folder):
        raise damaged(folder, "there is none")
    try:
        return read(folder)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise damaged(folder, str(error) or type(error).__name__) from error


def text_of(manifest: Manifest) -> str:
    facts = {
        "format": FORMAT,
        "size": manifest.size,
        "dim": manifest.dim,
        "info": asdict(manifest.info),
        "meta": manifest.meta,
        "created": manifest.created.isoformat(),
        "faiss": manifest.faiss,
        "files": manifest.files,
    }
    return _canonical({**facts, "checksum": _digest(facts)})


def read(folder: Path) -> Manifest:
    facts = json.loads((folder / MANIFEST).read_text(encoding="ascii"))
    if not isinstance(facts, dict) or facts.get("format") not in FORMATS:
        raise damaged(folder, f"its manifest is of none of the formats {FORMATS}")
    checksum = facts.pop("checksum", None)
    if checksum != _digest(facts):
        raise damaged(folder, "its manifest does not have the checksum that was written")
    return Manifest(
        size=facts["size"],
        dim=facts["dim"],
        info=IndexInfo(**facts["info"]),
        meta=facts["meta"],
        created=datetime.fromisoformat(facts["created"]),
        faiss=facts["faiss"],
        files=facts["files"],
    )


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _digest(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(_canonical(facts).encode("ascii")).hexdigest()


def damaged(folder: Path, what: str) -> StoreDamaged:
    return StoreDamaged(
        f"the index in {folder} cannot be used: {what}; build it again", folder=folder
    )
