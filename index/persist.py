"""An index on disk: the matrix, the engine's file, the caller's tables and a manifest over all.

    <folder>/vectors.npy     float32 (size, dim), C order; read as a memory map
             index.faiss     the engine, if there is one
             array-<name>.npy  what the caller wants to find beside it (row tables)
             manifest.json   written last: sizes, checksums, parameters, measured recall, and the
                             caller's own facts (snapshot, frame, encoder)

The folder appears whole or not at all. It is a cache that this program wrote for itself: checksums
find damage, they are no defence against someone who can write into the folder.
"""

from __future__ import annotations

import errno
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trichord.errors import InvalidInput, StorageFull, StoreDamaged, StoreError
from trichord.index._faiss import faiss
from trichord.index.ann import AnnIndex
from trichord.index.base import IndexInfo
from trichord.index.checksums import file_checksum
from trichord.index.exact import ExactIndex
from trichord.index.failpoints import reach
from trichord.index.folders import replaced
from trichord.index.hnsw import HnswEngine
from trichord.index.ivf import IvfEngine
from trichord.index.plan import Curve
from trichord.types import F32

FORMAT = 1
MANIFEST, VECTORS, ENGINE = "manifest.json", "vectors.npy", "index.faiss"
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


def save(
    folder: Path | str,
    *,
    index: ExactIndex | AnnIndex,
    vectors: F32,
    meta: Mapping[str, Any],
    arrays: Mapping[str, Array] | None = None,
) -> Manifest:
    """Write an index and the matrix it was built from, replacing what was in `folder`.

    meta: JSON values. arrays: names of letters, digits, "_" and "-"; any dtype but object.
    A process that is killed on the way leaves the old index or none; the same folder may still be
    mapped by readers of the old one. Raises InvalidInput, StorageFull; OSError otherwise.
    """
    folder, arrays = Path(folder), dict(arrays or {})
    if vectors.shape != (index.size, index.dim) or vectors.dtype != np.float32:
        raise InvalidInput(
            f"the matrix is {vectors.dtype} {vectors.shape}, the index was built from float32 "
            f"({index.size}, {index.dim})"
        )
    for name, array in arrays.items():
        if not re.fullmatch(r"[A-Za-z0-9_-]+", name) or array.dtype.hasobject:
            raise InvalidInput(f"cannot save the array {name!r} of dtype {array.dtype}")
    try:
        meta = json.loads(json.dumps(dict(meta), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"meta must hold JSON values: {error}") from None
    try:
        with replaced(folder) as scratch:
            np.save(scratch / VECTORS, np.ascontiguousarray(vectors), allow_pickle=False)
            for name, array in arrays.items():
                np.save(scratch / _array_file(name), array, allow_pickle=False)
            if isinstance(index, AnnIndex):
                index.engine.write(scratch / ENGINE)
            reach("index-files-written")
            manifest = Manifest(
                size=index.size,
                dim=index.dim,
                info=index.info,
                meta=meta,
                created=datetime.now(UTC),
                faiss=faiss.__version__,
                files={
                    path.name: {"bytes": path.stat().st_size, "xxh3": file_checksum(path)}
                    for path in sorted(scratch.iterdir())
                },
            )
            (scratch / MANIFEST).write_text(_manifest_text(manifest), encoding="ascii")
            reach("index-manifest-written")
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull(f"no space to write the index to {folder}: {error}") from error
        raise
    except RuntimeError as error:  # what FAISS makes of a failed write
        kind = StorageFull if "No space left" in str(error) else StoreError
        raise kind(f"the index could not be written to {folder}: {error}") from error
    return manifest


def load(
    folder: Path | str, *, verify: bool = True, threads: int | None = None
) -> tuple[ExactIndex | AnnIndex, F32, Manifest]:
    """The index, its matrix (a read-only memory map) and its manifest.

    verify: compare every file's checksum (0.1 s per GB and core); sizes are compared always.
    Raises StoreDamaged if the index is missing, incomplete, damaged or of another FAISS version:
    build it again from the store.
    """
    folder = Path(folder)
    for attempt in (1, 2):
        before = _identity(folder)
        try:
            return _load(folder, verify, threads)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, StoreDamaged) as error:
            if attempt == 1 and before is not None and _identity(folder) not in (before, None):
                continue  # another process put a new index here meanwhile: read that one
            if isinstance(error, StoreDamaged):
                raise
            raise _damaged(folder, str(error) or type(error).__name__) from error
    raise AssertionError("unreachable")


def _load(
    folder: Path, verify: bool, threads: int | None
) -> tuple[ExactIndex | AnnIndex, F32, Manifest]:
    if not exists(folder):
        raise _damaged(folder, "there is none")
    manifest = _read_manifest(folder)
    for name, facts in manifest.files.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != facts["bytes"]:
            raise _damaged(folder, f"{name} is missing or not of the size that was written")
        if verify and file_checksum(path) != facts["xxh3"]:
            raise _damaged(folder, f"{name} does not have the checksum that was written")
    vectors = _read_array(folder / VECTORS)
    if vectors.shape != (manifest.size, manifest.dim) or vectors.dtype != np.float32:
        raise _damaged(folder, f"the matrix is {vectors.dtype} {vectors.shape}")
    arrays = {
        name.removeprefix("array-").removesuffix(".npy"): _read_array(folder / name)
        for name in manifest.files
        if name.startswith("array-")
    }
    index = _read_index(folder, manifest, vectors, threads)
    return index, vectors, Manifest(**{**_shallow(manifest), "arrays": arrays})


def _read_index(
    folder: Path, manifest: Manifest, vectors: F32, threads: int | None
) -> ExactIndex | AnnIndex:
    info = manifest.info
    if info.kind == "exact":
        return ExactIndex(vectors, info=info, threads=threads, checked=True)
    if manifest.faiss != faiss.__version__:
        raise _damaged(
            folder, f"it was written by FAISS {manifest.faiss}, this is {faiss.__version__}"
        )
    readers: dict[str, type[HnswEngine] | type[IvfEngine]] = {"hnsw": HnswEngine, "ivf": IvfEngine}
    engine = readers[info.kind].read(folder / ENGINE)
    if (engine.size, engine.dim) != vectors.shape:
        raise _damaged(folder, f"{ENGINE} holds ({engine.size}, {engine.dim})")
    curve = Curve.from_json(info.parameters["efforts"])
    return AnnIndex(vectors, engine, curve, info, threads=threads)


def _read_array(path: Path) -> Array:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    plain: Array = np.asarray(array)  # the same memory, without the cost of the memmap class
    return plain


def _manifest_text(manifest: Manifest) -> str:
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


def _read_manifest(folder: Path) -> Manifest:
    facts = json.loads((folder / MANIFEST).read_text(encoding="ascii"))
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise _damaged(folder, f"its manifest is not of format {FORMAT}")
    checksum = facts.pop("checksum", None)
    if checksum != _digest(facts):
        raise _damaged(folder, "its manifest does not have the checksum that was written")
    return Manifest(
        size=facts["size"],
        dim=facts["dim"],
        info=IndexInfo(**facts["info"]),
        meta=facts["meta"],
        created=datetime.fromisoformat(facts["created"]),
        faiss=facts["faiss"],
        files=facts["files"],
    )


def _shallow(manifest: Manifest) -> dict[str, Any]:
    return {name: getattr(manifest, name) for name in Manifest.__dataclass_fields__}


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _digest(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(_canonical(facts).encode("ascii")).hexdigest()


def _array_file(name: str) -> str:
    return f"array-{name}.npy"


def _identity(folder: Path) -> int | None:
    try:
        return folder.stat().st_ino
    except OSError:
        return None


def _damaged(folder: Path, what: str) -> StoreDamaged:
    return StoreDamaged(
        f"the index in {folder} cannot be used: {what}; build it again", folder=folder
    )
