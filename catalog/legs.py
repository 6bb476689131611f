"""One leg of a search: the index of one (space, modality) and what its rows are segments of.

The base of a leg is a cache on disk, made from one snapshot; a newer snapshot is the base, the
segments written since, and less the rows whose item no longer names them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from trichord.catalog.items import ItemTable
from trichord.catalog.leg_rows import COLUMNS, Rows, Segments, drained
from trichord.catalog.placing import Place, as_it_is
from trichord.errors import StoreDamaged
from trichord.index.exact import ExactIndex
from trichord.index.live import LiveIndex
from trichord.index.matrix_file import MatrixFile
from trichord.index.persist import load
from trichord.store import Reader
from trichord.store.spaces import StoredSpace
from trichord.types import ABSENT, F32, I64, Modality

STALE_ROWS, STALE_EXACT_ROWS = 50_000, 10_000
"""A base is built anew when more rows than this, and than STALE_SHARE of it, came or went since.
The second figure is for an exact base, whose fresh rows no graph carries."""
STALE_SHARE = 0.05

IN_MEMORY = 1 << 26
"""Rows without a base take memory up to so many bytes; more of them go to disk and are mapped."""


@dataclass(frozen=True)
class Leg:
    """`built_from` and `revision` are of the snapshot that the base was built from; `kept`: the
    base was built as an index, here or on disk, and is not merely the rows as they were found."""

    space: str
    modality: Modality
    index: LiveIndex
    rows: Rows
    built_from: int
    revision: int
    kept: bool = False

    @property
    def stale(self) -> bool:
        """The base no longer carries enough of the leg, or a better kind of index is due."""
        base = self.index.base.size
        moved = len(self.index.fresh) + self.index.size - self.index.live
        floor = STALE_EXACT_ROWS if self.index.info.kind == "exact" else STALE_ROWS
        return moved > max(floor, STALE_SHARE * base)

    @cached_property
    def single(self) -> bool:
        """Every item has one segment only: a later one would have another ordinal than 0."""
        return not self.rows.ordinal.any()

    @cached_property
    def spanless(self) -> bool:
        """No segment says where it lies in its item."""
        return not (self.rows.spans != ABSENT).any()

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
        dead = self.index.alive & ~self.rows.live(items)
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
    store: Path,
    reader: Reader,
    stored: StoredSpace,
    modality: Modality,
    items: ItemTable,
    *,
    place: Place = as_it_is,
    verify: bool = True,
) -> Leg:
    """The leg from its cached base if there is a sound one, else by exact search over the store's
    rows; never builds an approximate index, so it is quick. place: where
    the base answers. verify: compare checksums."""
    snapshot, space = reader.snapshot, stored.space
    home, dim = folder(store, space.name, modality), space.frame.dim
    try:
        base, _, manifest = load(home, verify=verify)
        meta = manifest.meta
        if meta["snapshot"] > snapshot.id or meta["revision"] < snapshot.floor:
            raise StoreDamaged("the base is of another time")
        begun = stored.created_timestamp.isoformat()
        if meta.get("begun", begun) != begun:  # bases of earlier versions do not say
            raise StoreDamaged("the base is of a space that was removed")
        rows = Segments.unpacked(manifest.arrays).rows(items)
    except StoreDamaged:
        matrix, rows = read(reader, space.name, modality, items, dim, spool=home.parent)
        index = LiveIndex(ExactIndex(matrix))
        return Leg(space.name, modality, index, rows, snapshot.id, snapshot.revision)
    gone = np.flatnonzero(~rows.live(items))
    since = int(meta["revision"])
    fresh_vectors, fresh = read(reader, space.name, modality, items, dim, since=since)
    index = LiveIndex(place(base)).with_changes(fresh_vectors if len(fresh.item) else None, gone)
    return Leg(space.name, modality, index, rows + fresh, int(meta["snapshot"]), since, kept=True)


def read(
    reader: Reader,
    space: str,
    modality: Modality,
    items: ItemTable,
    dim: int,
    *,
    since: int | None = None,
    spool: Path | None = None,
) -> tuple[F32, Rows]:
    """Vectors float32 (n, dim) and rows of a leg's live segments as the store has them. With
    `spool`, many vectors go to a file without a name in that folder, and are mapped."""
    batches = reader.segments(space, modality, since=since, columns=COLUMNS)
    # Filled in place: holding all batches and then joining them would take the memory twice.
    expected = 0 if since else reader.snapshot.counts.get(f"segments.{space}.{modality}", 0)
    if spool is not None and 4 * expected * dim > IN_MEMORY:
        try:
            with MatrixFile.temporary(spool, dim) as matrix:
                found = drained(batches, dim, matrix.append)
                return matrix.mapped(), found.rows(items)
        except OSError:  # no room, or a store that cannot be written to
            return read(reader, space, modality, items, dim, since=since)
    gathered = Gathered(dim, expected)
    found = drained(batches, dim, gathered.append)
    return gathered.rows, found.rows(items)


class Gathered:
    """A matrix in memory that grows by whole rows; `expected` of them without a copy."""

    def __init__(self, dim: int, expected: int) -> None:
        self._matrix = np.empty((expected, dim), np.float32)
        self._used = 0

    def append(self, rows: F32) -> None:
        after = self._used + len(rows)
        if after > len(self._matrix):
            more = max(len(rows), self._used // 2)
            grown = np.empty((self._used + more, self._matrix.shape[1]), np.float32)
            grown[: self._used] = self.rows
            self._matrix = grown
        self._matrix[self._used : after] = rows
        self._used = after

    @property
    def rows(self) -> F32:
        return self._matrix[: self._used]
