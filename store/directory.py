"""What the writer remembers of every item and entity, so that a batch asks no table about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from trichord.store.keys import U64, Hashes, Ids, KeyDirectory, Lookup, grown
from trichord.types import I64, Bool, Modality

MODALITIES = tuple(Modality)
_CODES = pa.array([str(m) for m in MODALITIES])

ITEM_COLUMNS = [
    "item_id",
    "fingerprint",
    "attributes_fingerprint",
    "generation",
    "deleted",
    "segments",
    "modality",
    "spaces",
]


def modality_codes(column: pa.ChunkedArray | pa.Array) -> npt.NDArray[np.int8]:
    """Index of every value in MODALITIES, int8 (n,); -1 for what is none of them."""
    if column.type != pa.string():
        column = column.cast(pa.string())
    codes = pc.fill_null(pc.index_in(column, value_set=_CODES), -1)
    return np.asarray(codes).astype(np.int8)


def words(column: pa.ChunkedArray | pa.Array) -> U64:
    """16-byte values as uint64 (n, 2), little-endian; nulls are 0."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if column.null_count:
        column = pc.fill_null(column, bytes(16))
    data = np.frombuffer(column.buffers()[1], np.dtype("<u8"))
    return data[2 * column.offset : 2 * (column.offset + len(column))].reshape(-1, 2)


@dataclass(frozen=True)
class ItemFacts:
    """Facts of n items: fingerprints uint64 (n, 2), generation int64, segments int32, modality
    int8 (index in MODALITIES), spaces uint32 (bit i: i-th space), deleted bool."""

    fingerprint: U64
    attributes_fingerprint: U64
    generation: I64
    segments: npt.NDArray[np.int32]
    modality: npt.NDArray[np.int8]
    spaces: npt.NDArray[np.uint32]
    deleted: Bool

    @classmethod
    def from_rows(cls, rows: pa.Table) -> ItemFacts:
        """Of rows of the table `items`."""
        return cls(
            fingerprint=words(rows["fingerprint"]),
            attributes_fingerprint=words(rows["attributes_fingerprint"]),
            generation=rows["generation"].to_numpy(),
            segments=rows["segments"].to_numpy(),
            modality=modality_codes(rows["modality"]),
            spaces=rows["spaces"].to_numpy().astype(np.uint32),
            deleted=np.asarray(rows["deleted"].to_numpy(), np.bool_),
        )


class ItemDirectory(KeyDirectory):
    """Ids of all rows of `items`, deleted ones included, with their facts."""

    def __init__(self) -> None:
        super().__init__()
        self._fingerprint: Any = np.empty((0, 2), np.uint64)
        self._attributes: Any = np.empty((0, 2), np.uint64)
        # A deleted item keeps its generation, negated.
        self._generation: Any = np.empty(0, np.int64)
        self._segments: Any = np.empty(0, np.int32)
        self._modality: Any = np.empty(0, np.int8)
        self._spaces: Any = np.empty(0, np.uint32)

    @property
    def nbytes(self) -> int:
        mine = (
            self._fingerprint,
            self._attributes,
            self._generation,
            self._segments,
            self._modality,
            self._spaces,
        )
        return int(super().nbytes + sum(a.nbytes for a in mine))

    def put(self, hashes: Hashes, positions: I64, facts: ItemFacts) -> None:
        """Set the facts of n items at `positions`; those at -1 are added."""
        new = positions < 0
        start, count = len(self), int(new.sum())
        positions = positions.copy()
        positions[new] = np.arange(start, start + count)
        self.add(hashes.take(new))
        for name in ("_fingerprint", "_attributes", "_generation", "_segments", "_modality"):
            setattr(self, name, grown(getattr(self, name), start, count))
        self._spaces = grown(self._spaces, start, count)
        self._fingerprint[positions] = facts.fingerprint
        self._attributes[positions] = facts.attributes_fingerprint
        self._generation[positions] = np.where(facts.deleted, -facts.generation, facts.generation)
        self._segments[positions] = facts.segments
        self._modality[positions] = facts.modality
        self._spaces[positions] = facts.spaces

    def facts(self, positions: I64) -> ItemFacts:
        """Facts of n known items."""
        generation = self._generation[positions]
        return ItemFacts(
            fingerprint=self._fingerprint[positions],
            attributes_fingerprint=self._attributes[positions],
            generation=np.abs(generation),
            segments=self._segments[positions],
            modality=self._modality[positions],
            spaces=self._spaces[positions],
            deleted=generation < 0,
        )

    def live(self, positions: I64) -> Bool:
        """Which of n positions stand for an item that exists and is not deleted, bool (n,)."""
        found = positions >= 0
        found[found] = self._generation[positions[found]] > 0
        return found

    def lookup(self, ids: Ids) -> Lookup:
        """See Lookup; unknown and deleted items are not found."""
        positions = self.locate(self.hash(ids))
        found = self.live(positions)
        at = positions[found]
        fingerprint = np.zeros((len(positions), 2), np.uint64)
        attributes = np.zeros((len(positions), 2), np.uint64)
        generation = np.zeros(len(positions), np.int64)
        fingerprint[found] = self._fingerprint[at]
        attributes[found] = self._attributes[at]
        generation[found] = self._generation[at]
        return Lookup(found, fingerprint, attributes, generation)

    def has_generation(self, hashes: Hashes, generation: I64) -> Bool:
        """Which of n segment rows belong to what a live item names, bool (n,)."""
        positions = self.locate(hashes)
        found = positions >= 0
        found[found] = self._generation[positions[found]] == generation[found]
        return found


class EntityDirectory(KeyDirectory):
    """Ids of all rows of `entities`, and which of them are live."""

    def __init__(self) -> None:
        super().__init__()
        self._live: Any = np.empty(0, np.bool_)

    def put(self, hashes: Hashes, positions: I64, live: Bool) -> None:
        """Set whether n entities live; those at position -1 are added."""
        new = positions < 0
        start, count = len(self), int(new.sum())
        positions = positions.copy()
        positions[new] = np.arange(start, start + count)
        self.add(hashes.take(new))
        self._live = grown(self._live, start, count)
        self._live[positions] = live

    def live(self, positions: I64) -> Bool:
        found = positions >= 0
        found[found] = self._live[positions[found]]
        return found
