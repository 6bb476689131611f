"""Named arrays in a folder that appears whole or not at all, with a manifest and checksums.

    <folder>/array-<name>.npy   read as memory maps
             manifest.json      written last: sizes, checksums, and the caller's own facts

For caches that this program writes for itself: checksums find damage, they are no defence against
someone who can write into the folder.
"""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trichord.errors import StorageFull, StoreDamaged
from trichord.index.checksums import file_checksum
from trichord.index.failpoints import reach
from trichord.index.folders import replaced

FORMAT = 1
MANIFEST = "manifest.json"
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Saved:
    """What a folder holds: the caller's facts, and its arrays (read-only memory maps)."""

    meta: Mapping[str, Any]
    arrays: Mapping[str, Array]


def exists(folder: Path) -> bool:
    """Whether something finished lies in the folder (not whether it is undamaged)."""
    return (folder / MANIFEST).is_file()


def save(folder: Path, arrays: Mapping[str, Array], meta: Mapping[str, Any]) -> None:
    """Writes the arrays (of any dtype but object) and `meta` (JSON values), replacing what was in
    `folder`. A process that is killed on the way leaves the old content or none.

    Raises StorageFull; OSError otherwise.
    """
    try:
        with replaced(folder) as scratch:
            for name, array in arrays.items():
                np.save(scratch / _file(name), np.ascontiguousarray(array), allow_pickle=False)
            reach("index-files-written")
            facts = {
                "format": FORMAT,
                "meta": dict(meta),
                "files": {
                    path.name: {"bytes": path.stat().st_size, "xxh3": file_checksum(path)}
                    for path in sorted(scratch.iterdir())
                },
            }
            text = _canonical({**facts, "checksum": _digest(facts)})
            (scratch / MANIFEST).write_text(text, encoding="ascii")
            reach("index-manifest-written")
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull(f"no space to write to {folder}: {error}") from error
        raise


def load(folder: Path) -> Saved:
    """What `save` left there, every file's checksum compared. Raises StoreDamaged if something is
    missing, incomplete or damaged: it is made again from the store."""
    for attempt in (1, 2):
        before = _identity(folder)
        try:
            return _load(folder)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            if attempt == 1 and before is not None and _identity(folder) not in (before, None):
                continue  # another process put a new one here meanwhile: read that
            raise StoreDamaged(
                f"{folder} cannot be used: {error or type(error).__name__}", folder=folder
            ) from error
    raise AssertionError("unreachable")


def _load(folder: Path) -> Saved:
    facts = json.loads((folder / MANIFEST).read_text(encoding="ascii"))
    checksum = facts.pop("checksum")
    if facts["format"] != FORMAT or checksum != _digest(facts):
        raise ValueError(f"its manifest is damaged or not of format {FORMAT}")
    arrays = {}
    for name, expected in facts["files"].items():
        path = folder / name
        if path.stat().st_size != expected["bytes"] or file_checksum(path) != expected["xxh3"]:
            raise ValueError(f"{name} is not what was written")
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        # The same memory, without the cost of the memmap class.
        arrays[name.removeprefix("array-").removesuffix(".npy")] = np.asarray(mapped)
    return Saved(facts["meta"], arrays)


def _file(name: str) -> str:
    return f"array-{name}.npy"


def _canonical(value: Any) -> str:
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )


def _digest(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(_canonical(facts).encode("ascii")).hexdigest()


def _identity(folder: Path) -> int | None:
    try:
        return folder.stat().st_ino
    except OSError:
        return None
