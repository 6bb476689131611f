"""An index on disk: the matrix, the engine's file, the caller's tables and a manifest over all.

    <folder>/vectors.npy     float32 (size, dim), C order; read as a memory map
             index.faiss     the engine, if there is one
             samples-<kind>.npy  queries that it was tuned with
             array-<name>.npy  what the caller wants to find beside it (row tables)
             manifest.json   written last: sizes, checksums, parameters, measured recall, and the
                             caller's own facts (snapshot, frame, encoder)

The folder appears whole or not at all. It is a cache that this program wrote for itself: checksums
find damage, they are no defence against someone who can write into the folder.
"""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from trichord.errors import InvalidInput, StorageFull, StoreDamaged, StoreError
from trichord.index._faiss import faiss
from trichord.index.ann import AnnIndex
from trichord.index.checksums import file_checksum
from trichord.index.costs import Costs, machine
from trichord.index.exact import ExactIndex
from trichord.index.failpoints import reach
from trichord.index.fitting import fit
from trichord.index.folders import replaced
from trichord.index.hnsw import HnswEngine
from trichord.index.ivf import IvfEngine
from trichord.index.manifest import MANIFEST, Array, Manifest, damaged, exists, read, text_of
from trichord.index.matrix_file import MatrixFile
from trichord.index.plan import Curve
from trichord.types import F32

VECTORS, ENGINE, SAMPLES = "vectors.npy", "index.faiss", "samples-"
BLOCK = 8192


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
    if vectors.shape != (index.size, index.dim) or vectors.dtype != np.float32:
        raise InvalidInput(
            f"the matrix is {vectors.dtype} {vectors.shape}, the index was built from float32 "
            f"({index.size}, {index.dim})"
        )
    checked = _checked_arrays(arrays or {})
    meta = _checked_meta(meta)
    with drafted(folder) as draft:
        with draft.matrix(index.dim) as matrix:
            for start in range(0, len(vectors), BLOCK):
                matrix.append(vectors[start : start + BLOCK])
            matrix.mapped()
        return draft.finish(index, meta, checked)


class Draft:
    """An index in the making: first its matrix, row by row to disk; then the index built from the
    mapped matrix, the caller's facts and the manifest. Use `drafted`."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch

    def matrix(self, dim: int) -> MatrixFile:
        """Where the vectors go, once; to be closed before `finish`."""
        return MatrixFile(self._scratch / VECTORS, dim)

    def finish(
        self,
        index: ExactIndex | AnnIndex,
        meta: Mapping[str, Any],
        arrays: Mapping[str, Array] | None = None,
    ) -> Manifest:
        """Writes all but the matrix; `meta` and `arrays` as for `save`. Raises InvalidInput."""
        scratch, meta = self._scratch, _checked_meta(meta)
        for name, array in _checked_arrays(arrays or {}).items():
            np.save(scratch / _array_file(name), array, allow_pickle=False)
        if isinstance(index, AnnIndex):
            try:
                index.engine.write(scratch / ENGINE)
            except RuntimeError as error:  # what FAISS makes of a failed write
                kind = StorageFull if "No space left" in str(error) else StoreError
                raise kind(f"the index could not be written to {scratch}: {error}") from error
            for name, queries in index.samples.items():
                np.save(scratch / f"{SAMPLES}{name}.npy", queries, allow_pickle=False)
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
        (scratch / MANIFEST).write_text(text_of(manifest), encoding="ascii")
        reach("index-manifest-written")
        return manifest


@contextmanager
def drafted(folder: Path | str) -> Iterator[Draft]:
    """A draft that replaces what is in `folder` when the block ends well. A process that is killed
    on the way leaves the old index or none. Raises StorageFull; OSError otherwise."""
    folder = Path(folder)
    try:
        with replaced(folder) as scratch:
            yield Draft(scratch)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull(f"no space to write the index to {folder}: {error}") from error
        raise


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
            raise damaged(folder, str(error) or type(error).__name__) from error
    raise AssertionError("unreachable")


def _load(
    folder: Path, verify: bool, threads: int | None
) -> tuple[ExactIndex | AnnIndex, F32, Manifest]:
    if not exists(folder):
        raise damaged(folder, "there is none")
    manifest = read(folder)
    for name, facts in manifest.files.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != facts["bytes"]:
            raise damaged(folder, f"{name} is missing or not of the size that was written")
        if verify and file_checksum(path) != facts["xxh3"]:
            raise damaged(folder, f"{name} does not have the checksum that was written")
    vectors = _read_array(folder / VECTORS)
    if vectors.shape != (manifest.size, manifest.dim) or vectors.dtype != np.float32:
        raise damaged(folder, f"the matrix is {vectors.dtype} {vectors.shape}")
    arrays = {
        name.removeprefix("array-").removesuffix(".npy"): _read_array(folder / name)
        for name in manifest.files
        if name.startswith("array-")
    }
    index = _read_index(folder, manifest, vectors, threads)
    return index, vectors, replace(manifest, arrays=arrays)


def _read_index(
    folder: Path, manifest: Manifest, vectors: F32, threads: int | None
) -> ExactIndex | AnnIndex:
    info = manifest.info
    if info.kind == "exact":
        return ExactIndex(vectors, info=info, threads=threads, checked=True)
    if manifest.faiss != faiss.__version__:
        raise damaged(
            folder, f"it was written by FAISS {manifest.faiss}, this is {faiss.__version__}"
        )
    readers: dict[str, type[HnswEngine] | type[IvfEngine]] = {"hnsw": HnswEngine, "ivf": IvfEngine}
    engine = readers[info.kind].read(folder / ENGINE)
    if (engine.size, engine.dim) != vectors.shape:
        raise damaged(folder, f"{ENGINE} holds ({engine.size}, {engine.dim})")
    efforts = info.parameters["efforts"]
    if isinstance(efforts, list):  # of one target only, as in format 1
        efforts = {str(info.recall_target): efforts}
    curves = {float(target): Curve.from_json(rows) for target, rows in efforts.items()}
    costs = None
    if "costs" in info.parameters:
        costs = Costs.from_json(info.parameters["costs"])
    if costs is None or costs.machine != machine():
        costs = fit(vectors, engine, threads=threads)
    samples = {
        name.removeprefix(SAMPLES).removesuffix(".npy"): _read_array(folder / name)
        for name in manifest.files
        if name.startswith(SAMPLES)
    }
    return AnnIndex(vectors, engine, curves, info, costs=costs, samples=samples, threads=threads)


def _read_array(path: Path) -> Array:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    plain: Array = np.asarray(array)  # the same memory, without the cost of the memmap class
    return plain


def _checked_arrays(arrays: Mapping[str, Array]) -> Mapping[str, Array]:
    for name, array in arrays.items():
        if not re.fullmatch(r"[A-Za-z0-9_-]+", name) or array.dtype.hasobject:
            raise InvalidInput(f"cannot save the array {name!r} of dtype {array.dtype}")
    return arrays


def _checked_meta(meta: Mapping[str, Any]) -> dict[str, Any]:
    try:
        checked: dict[str, Any] = json.loads(json.dumps(dict(meta), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"meta must hold JSON values: {error}") from None
    return checked


def _array_file(name: str) -> str:
    return f"array-{name}.npy"


def _identity(folder: Path) -> int | None:
    try:
        return folder.stat().st_ino
    except OSError:
        return None
