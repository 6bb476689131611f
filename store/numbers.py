"""How many segments an item has in each of its spaces.

In most stores that is one number, `items.segments`; where windows or tokenizers of spaces differ,
`items.space_segments` lists the numbers of the item's spaces, lowest bit first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from trichord.store.schema import SPACE_SEGMENTS, SPACE_SEGMENTS_TYPE
from trichord.types import Bool

BITS = 32
"""Bits of the mask that says in which spaces an item has segments."""

ALL_BITS = (1 << BITS) - 1

U32 = npt.NDArray[np.uint32]
I32 = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Numbers:
    """Of n items: `spaces` uint32 (n,) the mask, `segments` int32 (n,) the number in the item's
    first space, and `per_space` int32 (n,) by bit, for the spaces where the number of any of the
    items is another."""

    segments: I32
    spaces: U32
    per_space: Mapping[int, I32] = field(default_factory=dict)

    def of(self, bit: int) -> I32:
        """The number of segments in one space, int32 (n,); 0 where an item is not in it."""
        known = self.per_space.get(bit)
        if known is not None:
            return known
        return np.where(has(self.spaces, bit), self.segments, 0).astype(np.int32)


def has(mask: npt.NDArray[np.uint32], bit: int) -> Bool:
    """Which masks have the bit, bool (n,)."""
    return (mask >> np.uint32(bit) & np.uint32(1)).astype(np.bool_)


def bits_of(mask: npt.NDArray[np.uint32]) -> list[int]:
    """The bits that any of the masks has."""
    every = int(np.bitwise_or.reduce(mask)) if len(mask) else 0
    return [bit for bit in range(BITS) if every >> bit & 1]


def from_counts(counts: Mapping[int, npt.NDArray[np.int64] | I32], count: int) -> Numbers:
    """Of n items from the number of their segments in every space, (n,) by bit."""
    spaces = np.zeros(count, np.uint32)
    segments = np.zeros(count, np.int32)
    for bit in sorted(counts):
        there = counts[bit] > 0
        segments = np.where(there & (spaces == 0), counts[bit], segments).astype(np.int32)
        spaces |= there.astype(np.uint32) << np.uint32(bit)
    differing = {
        bit: number.astype(np.int32)
        for bit, number in counts.items()
        if ((number != segments) & (number > 0)).any()
    }
    return Numbers(segments, spaces, differing)


def packed(numbers: Numbers) -> pa.Array:
    """The column `space_segments`, null where one number is enough."""
    count = len(numbers.segments)
    differs = np.zeros(count, np.bool_)
    for bit, number in numbers.per_space.items():
        differs |= has(numbers.spaces, bit) & (number != numbers.segments)
    rows = np.flatnonzero(differs)
    if not len(rows):
        return pa.nulls(count, SPACE_SEGMENTS_TYPE)
    mask = numbers.spaces[rows]
    bits = bits_of(mask)
    inside = np.stack([has(mask, bit) for bit in bits], axis=1)
    flat = np.stack([numbers.of(bit)[rows] for bit in bits], axis=1)[inside]
    lengths = np.zeros(count, np.int64)
    lengths[rows] = inside.sum(axis=1)
    ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(
        pa.array(ends),
        pa.array(flat, pa.int32()),
        type=SPACE_SEGMENTS_TYPE,
        mask=pa.array(~differs),
    )


def unpacked(rows: pa.Table, live: int = ALL_BITS) -> Numbers:
    """Of rows of `items` with `segments`, `spaces` and, where the table has it, `space_segments`.
    Bits that are not in the mask `live` are of removed spaces and left out. A list that does not
    fit its mask counts as absent; `verify` names it."""
    segments = rows["segments"].to_numpy().astype(np.int32)
    spaces = (rows["spaces"].to_numpy() & ALL_BITS).astype(np.uint32)
    per_space = _differing(rows, segments, spaces)
    if not np.any(spaces & np.uint32(ALL_BITS & ~live)):
        return Numbers(segments, spaces, per_space)
    all_of = Numbers(segments, spaces, per_space)
    return from_counts(
        {bit: all_of.of(bit) for bit in bits_of(spaces) if live >> bit & 1}, len(segments)
    )


def fits(rows: pa.Table) -> Bool:
    """Which rows of `items` say the same in `segments`, `spaces` and `space_segments`."""
    good = np.ones(rows.num_rows, np.bool_)
    listed = _lists(rows)
    if listed is None:
        return good
    at, starts, lengths, flat = listed
    mask = (rows["spaces"].to_numpy() & ALL_BITS).astype(np.uint32)[at]
    good[at] = (lengths == _popcount(mask)) & (lengths > 0)
    some = lengths > 0
    first = rows["segments"].to_numpy()[at[some]]
    good[at[some]] &= flat[starts[some]] == first
    few = np.concatenate([[0], np.cumsum(flat < 1)])
    good[at] &= few[starts + lengths] == few[starts]
    return good


def _differing(rows: pa.Table, segments: I32, spaces: U32) -> dict[int, I32]:
    listed = _lists(rows)
    if listed is None:
        return {}
    at, starts, lengths, flat = listed
    sound = lengths == _popcount(spaces[at])
    at, starts = at[sound], starts[sound]
    found = {}
    for bit in bits_of(spaces[at]):
        number = np.where(has(spaces, bit), segments, 0).astype(np.int32)
        mine = has(spaces[at], bit)
        rank = _popcount(spaces[at[mine]] & np.uint32((1 << bit) - 1))
        number[at[mine]] = flat[starts[mine] + rank]
        if ((number != segments) & has(spaces, bit)).any():
            found[bit] = number
    return found


def _lists(
    rows: pa.Table,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64], I32] | None:
    """Rows that have a list, where theirs starts and how long it is, and all values."""
    if SPACE_SEGMENTS not in rows.column_names:
        return None
    column = rows[SPACE_SEGMENTS]
    if column.null_count == len(column):
        return None
    column = column.combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0)
    at = np.flatnonzero(np.asarray(column.is_valid()))
    offsets = column.offsets.to_numpy().astype(np.int64)
    flat = np.asarray(column.values.fill_null(0)).astype(np.int32)
    return at, offsets[at], (offsets[1:] - offsets[:-1])[at], flat


def _popcount(mask: U32) -> npt.NDArray[np.int64]:
    return sum(
        (has(mask, bit).astype(np.int64) for bit in range(BITS)), np.zeros(len(mask), np.int64)
    )
