"""Bases are written: the vectors of a leg stream from the store into the file that the base is then
built from and served from, so that they are never all in memory."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from trichord.catalog.leg_rows import COLUMNS, Segments, drained
from trichord.catalog.legs import folder
from trichord.errors import StorageFull
from trichord.index.ann import AnnIndex
from trichord.index.build import build
from trichord.index.exact import ExactIndex
from trichord.index.persist import drafted
from trichord.index.progress import OnProgress, unheeded
from trichord.store import Reader
from trichord.store.spaces import StoredSpace
from trichord.types import F32, Modality


@dataclass(frozen=True)
class Built:
    """A base in memory, mapped from what was written of it. `saved`: it lies in its folder whole;
    else there was no room for all of it."""

    base: ExactIndex | AnnIndex
    segments: Segments
    saved: bool


def write_base(
    store: Path,
    reader: Reader,
    stored: StoredSpace,
    modality: Modality,
    *,
    queries: F32 | None,
    on_progress: OnProgress = unheeded,
    **options: Any,
) -> Built:
    """A new base from the reader's snapshot, tuned to its recall target.

    `queries` are sample vectors of other modalities, float32 (m, dim), so that recall is measured
    across the modality gap too. `on_progress(stage, done, total)`; options go to
    `trichord.index.build.build`. A disk that is full once the vectors are written costs the file,
    not the index; before that it raises StorageFull.
    """
    snapshot, space, dim = reader.snapshot, stored.space, stored.space.frame.dim
    meta = {
        "snapshot": snapshot.id,
        "revision": snapshot.revision,
        "space": space.name,
        "frame": space.frame.id,
        "modality": str(modality),
        "encoder": space.encoders[modality],
        "begun": stored.created_timestamp.isoformat(),
    }
    total = snapshot.counts.get(f"segments.{space.name}.{modality}", 0)
    built: Built | None = None
    try:
        with drafted(folder(store, space.name, modality)) as draft:
            with draft.matrix(dim) as matrix:
                segments = drained(
                    reader.segments(space.name, modality, columns=COLUMNS),
                    dim,
                    matrix.append,
                    lambda rows: on_progress("vectors", rows, max(rows, total)),
                )
                vectors = matrix.mapped()
            base = build(vectors, queries=queries, on_progress=on_progress, **options)
            built = Built(base, segments, saved=False)
            draft.finish(base, meta, segments.packed())
    except StorageFull:
        if built is None:
            raise
        return built
    return replace(built, saved=True)


@contextmanager
def only_builder(store: Path, space: str, modality: Modality, *, wait: bool) -> Iterator[bool]:
    """Whether no other process builds this base; with `wait`, as soon as none does."""
    home = folder(store, space, modality)
    home.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(home.parent / f".{home.name}.building", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(handle)
