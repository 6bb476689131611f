"""What the writer remembers of every item and entity, so that a batch asks no table about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from trichord.store.keys import U64, Hashes, Ids, KeyDirectory, Lookup, grown
from trichord.store.numbers import ALL_BITS, Numbers, bits_of, from_counts, unpacked
from trichord.store.schema import SPACE_SEGMENTS
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


def item_columns(schema: pa.Schema) -> list[str]:
    """ITEM_COLUMNS and, where the table has it, the number of segments per space."""
    return [*ITEM_COLUMNS, *(name for name in [SPACE_SEGMENTS] if name in schema.names)]


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
    """Facts of n items: fingerprints uint64 (n, 2), generation int64, modality int8 (index in
    MODALITIES), deleted bool, and in how many segments each space has the item."""

    fingerprint: U64
    attributes_fingerprint: U64
    generation: I64
    modality: npt.NDArray[np.int8]
    deleted: Bool
    numbers: Numbers

    @classmethod
    def from_rows(cls, rows: pa.Table, live: int = ALL_BITS) -> ItemFacts:
        """Of rows of the table `items`; `live` are the bits of the spaces that there are."""
        return cls(
            fingerprint=words(rows["fingerprint"]),
            attributes_fingerprint=words(rows["attributes_fingerprint"]),
            generation=rows["generation"].to_numpy(),
            modality=modality_codes(rows["modality"]),
            deleted=np.asarray(rows["deleted"].to_numpy(), np.bool_),
            numbers=unpacked(rows, live),
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
        # By bit, for spaces in which any item has another number than in its first.
        self._per_space: dict[int, Any] = {}

    @property
    def nbytes(self) -> int:
        mine = (
            self._fingerprint,
            self._attributes,
            self._generation,
            self._segments,
            self._modality,
            self._spaces,
            *self._per_space.values(),
        )
        return int(super().nbytes + sum(a.nbytes for a in mine))

    def put(self, hashes: Hashes, positions: I64, facts: ItemFacts) -> None:
        """Set the facts of n items at `positions`; those at -1 are added."""
        new = positions < 0
        start, count = len(self), int(new.sum())
        positions = positions.copy()
        positions[new] = np.arange(start, start + count)
        self.add(hashes.take(new))
        for bit in facts.numbers.per_space.keys() - self._per_space.keys():
            self._per_space[bit] = Numbers(self._segments, self._spaces).of(bit)
        for name in ("_fingerprint", "_attributes", "_generation", "_segments", "_modality"):
            setattr(self, name, grown(getattr(self, name), start, count))
        self._spaces = grown(self._spaces, start, count)
        for bit, number in self._per_space.items():
            self._per_space[bit] = grown(number, start, count)
            self._per_space[bit][positions] = facts.numbers.of(bit)
        self._fingerprint[positions] = facts.fingerprint
        self._attributes[positions] = facts.attributes_fingerprint
        self._generation[positions] = np.where(facts.deleted, -facts.generation, facts.generation)
        self._segments[positions] = facts.numbers.segments
        self._modality[positions] = facts.modality
        self._spaces[positions] = facts.numbers.spaces

    def facts(self, positions: I64) -> ItemFacts:
        """Facts of n known items."""
        generation = self._generation[positions]
        return ItemFacts(
            fingerprint=self._fingerprint[positions],
            attributes_fingerprint=self._attributes[positions],
            generation=np.abs(generation),
            modality=self._modality[positions],
            deleted=generation < 0,
            numbers=Numbers(
                self._segments[positions],
                self._spaces[positions],
                {bit: number[positions] for bit, number in self._per_space.items()},
            ),
        )

    def live(self, positions: I64) -> Bool:
        """Which of n positions stand for an item that exists and is not deleted, bool (n,)."""
        found = positions >= 0
        found[found] = self._generation[positions[found]] > 0
        return found

    def forget(self, bit: int) -> None:
        """Take all items out of a space."""
        count = len(self)
        spaces = self._spaces[:count]
        numbers = Numbers(
            self._segments[:count],
            spaces,
            {other: number[:count] for other, number in self._per_space.items()},
        )
        rest = from_counts(
            {other: numbers.of(other) for other in bits_of(spaces) if other != bit}, count
        )
        self._segments, self._spaces = rest.segments, rest.spaces
        self._per_space = dict(rest.per_space)

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
        spaces = np.zeros(len(positions), np.uint32)
        spaces[found] = self._spaces[at]
        return Lookup(found, fingerprint, attributes, generation, spaces)

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
