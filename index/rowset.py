"""The rows that a filter allows, with what searches derive from them computed once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trichord.errors import InvalidInput
from trichord.types import I64, Bool

PARTS_KEPT = 8


class RowSet:
    """An immutable set of rows of an index: keep one per filter and snapshot and reuse it.

    mask: bool (size,), not changed afterwards by the caller.
    """

    __slots__ = ("_bits", "_count", "_parts", "_rows", "mask")

    def __init__(self, mask: Bool) -> None:
        mask = np.ascontiguousarray(mask)
        if mask.ndim != 1 or mask.dtype != np.bool_:
            raise InvalidInput(f"a row set is made of bool (size,), not {mask.dtype} {mask.shape}")
        self.mask: Bool = mask
        self._count: int | None = None
        self._rows: I64 | None = None
        self._bits: npt.NDArray[np.uint8] | None = None
        self._parts: dict[tuple[int, int], tuple[RowSet | None, RowSet]] = {}

    # The derived values are computed on first use. Two threads may both compute one: they store
    # equal values, so no lock is needed.

    @property
    def count(self) -> int:
        if self._count is None:
            self._count = int(np.count_nonzero(self.mask))
        return self._count

    @property
    def rows(self) -> I64:
        """The allowed rows, ascending: int64 (count,)."""
        if self._rows is None:
            self._rows = np.flatnonzero(self.mask).astype(np.int64, copy=False)
        return self._rows

    @property
    def bits(self) -> npt.NDArray[np.uint8]:
        """The mask, eight rows to a byte, the first in the lowest bit: uint8 (ceil(size / 8),)."""
        if self._bits is None:
            self._bits = np.packbits(self.mask, bitorder="little")
        return self._bits

    def part(self, start: int, stop: int, keep: RowSet | None = None) -> RowSet:
        """Rows start to stop, renumbered from 0, and (with `keep`) only those also in `keep`.

        The last answers are remembered, because a cached filter meets the same live index often.
        """
        known = self._parts.get((start, stop))
        if known is not None and known[0] is keep:
            return known[1]
        mask = self.mask[start:stop]
        part = RowSet(mask if keep is None else mask & keep.mask)
        if len(self._parts) >= PARTS_KEPT:
            self._parts = {}
        self._parts[start, stop] = (keep, part)
        return part


Allowed = Bool | RowSet | None
"""What `search` takes for a filter: a mask, a RowSet, or None for every row."""


def rowset_of(allowed: Allowed, size: int) -> RowSet | None:
    """`allowed` as a RowSet, or None when it excludes nothing; InvalidInput for a wrong size."""
    if allowed is None:
        return None
    rows = allowed if isinstance(allowed, RowSet) else RowSet(allowed)
    if len(rows.mask) != size:
        raise InvalidInput(f"the filter is over {len(rows.mask)} rows, the index has {size}")
    return None if rows.count == size else rows
