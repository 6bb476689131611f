"""One leg of a search: the index of one (space, modality) and what its rows are segments of.

The base of a leg is a cache on disk, made from one snapshot; a newer snapshot is the base, the
segments written since, and less the rows whose item no longer names them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from trichord.catalog.items import ItemTable
from trichord.errors import StorageFull, StoreDamaged
from trichord.index.build import build
from trichord.index.exact import ExactIndex
from trichord.index.live import LiveIndex
from trichord.index.persist import load, save
from trichord.store import Reader
from trichord.store.spaces import StoredSpace
from trichord.types import ABSENT, F32, I64, Modality

COLUMNS = (
    "item_id",
    "ordinal",
    "generation",
    "start_ms",
    "end_ms",
    "start_char",
    "end_char",
    "vector",
)
SPANS = ("start_ms", "end_ms", "start_char", "end_char")

STALE_ROWS = 20_000
STALE_SHARE = 0.2
"""A base is built anew when more rows than both came or went since."""


@dataclass(frozen=True)
class Rows:
    """What each row of an index is: `item` is the row of the item table, -1 for one that is gone.
    `ordinal`, `generation` int64 (n,), `spans` int64 (n, 4) in the order of SPANS."""

    item: I64
    ordinal: I64
    generation: I64
    spans: I64

    def __add__(self, other: Rows) -> Rows:
        if not len(other.item):
            return self
        return Rows(
            np.concatenate([self.item, other.item]),
            np.concatenate([self.ordinal, other.ordinal]),
            np.concatenate([self.generation, other.generation]),
            np.concatenate([self.spans, other.spans]),
        )


@dataclass(frozen=True)
class Leg:
    """`built_from` and `revision` are of the snapshot that the base was built from; `built`: this
    process built the base itself, so there is nothing better on disk."""

    space: str
    modality: Modality
    index: LiveIndex
    rows: Rows
    built_from: int
    revision: int
    built: bool = False

    @property
    def stale(self) -> bool:
        """The base no longer carries enough of the leg, or a better kind of index is due."""
        base = self.index.base.size
        moved = len(self.index.fresh) + self.index.size - self.index.live
        return moved > max(STALE_ROWS, STALE_SHARE * base)

    @cached_property
    def single(self) -> bool:
        """Every item has one segment only: a later one would have another ordinal than 0."""
        return not self.rows.ordinal.any()

    @cached_property
    def exact(self) -> LiveIndex:
        """The same rows searched without approximation."""
        if self.index.info.kind == "exact":
            return self.index
        twin = LiveIndex(ExactIndex(self.index.base.pieces[0], checked=True))
        return twin.with_changes(self.index.fresh, np.flatnonzero(~self.index.alive))

    def refreshed(self, items: ItemTable, touched: I64 | None, reader: Reader, since: int) -> Leg:
        """The leg at the reader's snapshot; `touched` are the item rows that changed since, None
        when that is not known."""
        vectors, fresh = read(reader, self.space, self.modality, items, self.index.dim, since=since)
        dead = self.index.alive & ~_live(self.rows, items)
        if touched is not None:
            dead &= np.isin(self.rows.item, touched)
        gone = np.flatnonzero(dead)
        if not len(fresh.item) and not len(gone):
            return self
        index = self.index.with_changes(vectors if len(fresh.item) else None, gone)
        return replace(self, index=index, rows=self.rows + fresh)


def folder(store: Path, space: str, modality: Modality) -> Path:
    return store / "indexes" / space / str(modality)


def open_leg(
    store: Path, reader: Reader, stored: StoredSpace, modality: Modality, items: ItemTable
) -> Leg:
    """The leg from its cached base if there is a sound one, else by exact search over the store's
    rows; never builds an approximate index, so it is quick."""
    snapshot, space = reader.snapshot, stored.space
    home, dim = folder(store, space.name, modality), space.frame.dim
    try:
        base, _, manifest = load(home)
        meta = manifest.meta
        if meta["snapshot"] > snapshot.id or meta["revision"] < snapshot.floor:
            raise StoreDamaged("the base is of another time")
        begun = stored.created_timestamp.isoformat()
        if meta.get("begun", begun) != begun:  # bases of earlier versions do not say
            raise StoreDamaged("the base is of a space that was removed")
        rows = _unpacked(manifest.arrays, items)
    except StoreDamaged:
        matrix, rows = read(reader, space.name, modality, items, dim)
        index = LiveIndex(ExactIndex(matrix))
        return Leg(space.name, modality, index, rows, snapshot.id, snapshot.revision)
    gone = np.flatnonzero(~_live(rows, items))
    since = int(meta["revision"])
    fresh_vectors, fresh = read(reader, space.name, modality, items, dim, since=since)
    index = LiveIndex(base).with_changes(fresh_vectors if len(fresh.item) else None, gone)
    return Leg(space.name, modality, index, rows + fresh, int(meta["snapshot"]), since)


def rebuild(
    store: Path,
    reader: Reader,
    stored: StoredSpace,
    modality: Modality,
    items: ItemTable,
    *,
    queries: F32 | None,
    **options: Any,
) -> Leg:
    """A new base from the reader's snapshot, tuned to its recall target and kept on disk.

    `queries` are sample vectors of other modalities, float32 (m, dim), so that recall is measured
    across the modality gap too. A disk without room costs the file, not the index.
    """
    snapshot, space = reader.snapshot, stored.space
    matrix, rows = read(reader, space.name, modality, items, space.frame.dim)
    base = build(matrix, queries=queries, **options)
    meta = {
        "snapshot": snapshot.id,
        "revision": snapshot.revision,
        "space": space.name,
        "frame": space.frame.id,
        "modality": str(modality),
        "encoder": space.encoders[modality],
        "begun": stored.created_timestamp.isoformat(),
    }
    home = folder(store, space.name, modality)
    try:
        save(home, index=base, vectors=matrix, meta=meta, arrays=_packed(rows, items))
    except StorageFull:
        pass
    else:
        base, _, manifest = load(home)
        rows = _unpacked(manifest.arrays, items)
    return Leg(
        space.name, modality, LiveIndex(base), rows, snapshot.id, snapshot.revision, built=True
    )


def read(
    reader: Reader,
    space: str,
    modality: Modality,
    items: ItemTable,
    dim: int,
    *,
    since: int | None = None,
) -> tuple[F32, Rows]:
    """Vectors float32 (n, dim) and rows of a leg's live segments as the store has them."""
    batches = reader.segments(space, modality, since=since, columns=COLUMNS)
    # Filled in place: holding all batches and then joining them would take the memory twice.
    expected = 0 if since else reader.snapshot.counts.get(f"segments.{space}.{modality}", 0)
    vectors, used = np.empty((expected, dim), np.float32), 0
    rows: list[pa.RecordBatch] = []
    for batch in batches:
        column = batch.column("vector")
        flat = column.flatten().to_numpy(zero_copy_only=True)
        after = used + len(column)
        if after > len(vectors):
            vectors = np.concatenate(
                [vectors[:used], np.empty((max(after - used, used // 2), dim), np.float32)]
            )
        vectors[used:after] = flat.reshape(-1, dim)
        used = after
        rows.append(batch.drop_columns(["vector"]))
    if not rows:
        nothing = np.zeros(0, np.int64)
        return vectors[:0], Rows(nothing, nothing, nothing, np.zeros((0, len(SPANS)), np.int64))
    table = pa.Table.from_batches(rows)
    spans = np.stack([table[name].fill_null(ABSENT).to_numpy() for name in SPANS], axis=1)
    return vectors[:used], Rows(
        items.rows_of(table["item_id"]),
        table["ordinal"].to_numpy().astype(np.int64),
        table["generation"].to_numpy().astype(np.int64),
        np.ascontiguousarray(spans, np.int64),
    )


def _live(rows: Rows, items: ItemTable) -> Any:
    """Which rows a live item names, bool (n,)."""
    known = (rows.item >= 0) & (rows.item < len(items))
    at = np.where(known, rows.item, 0)
    if not len(items):
        return np.zeros(len(rows.item), bool)
    return known & items.alive[at] & (items.generation[at] == rows.generation)


def _packed(rows: Rows, items: ItemTable) -> dict[str, Any]:
    """The rows as plain arrays; ids as UTF-8 bytes and offsets."""
    ids = items.frame["item_id"].gather(rows.item).to_arrow().cast(pa.large_string())
    _, offsets, data = ids.buffers()
    count = len(ids) + 1
    starts = np.frombuffer(offsets, np.int64)[ids.offset : ids.offset + count]
    text = np.frombuffer(data, np.uint8)[starts[0] : starts[-1]] if len(ids) else np.zeros(0, "u1")
    return {
        "item_id_offsets": starts - starts[0],
        "item_id_bytes": text,
        "ordinal": rows.ordinal,
        "generation": rows.generation,
        "spans": rows.spans,
    }


def _unpacked(arrays: Any, items: ItemTable) -> Rows:
    offsets, text = arrays["item_id_offsets"], arrays["item_id_bytes"]
    ids = pa.LargeStringArray.from_buffers(
        len(offsets) - 1,
        pa.py_buffer(np.ascontiguousarray(offsets)),
        pa.py_buffer(np.ascontiguousarray(text)),
    )
    return Rows(
        items.rows_of(ids),
        np.asarray(arrays["ordinal"], np.int64),
        np.asarray(arrays["generation"], np.int64),
        np.asarray(arrays["spans"], np.int64),
    )
