"""Which keys the store holds, in memory: ids by hash, in sorted runs.

A batch of new ids is told from known ones without touching a table, at a cost that hardly grows
with the store. An item takes 65 bytes: 64 + 32 bits of hash, 32 of position, and its facts;
where the numbers of segments differ between spaces, 4 more per space.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from trichord.errors import InvalidInput
from trichord.types import I64, Bool

U64 = npt.NDArray[np.uint64]
U32 = npt.NDArray[np.uint32]
Scalar = TypeVar("Scalar", bound=np.generic)

# Two hashes of 64 and 32 bits: among 10^8 ids a false match has a chance below 10^-12, and the
# seeds are drawn per directory, so that nobody can prepare ids that collide.
_MERGE_RATIO = 4


@dataclass(frozen=True)
class Hashes:
    """Hashes of n ids in their order: `high` uint64 (n,), `low` uint32 (n,)."""

    high: U64
    low: U32

    def __len__(self) -> int:
        return len(self.high)

    @cached_property
    def order(self) -> npt.NDArray[np.intp]:
        """Positions in rising order of `high`."""
        return np.argsort(self.high)

    @cached_property
    def ordered(self) -> U64:
        """`high` in rising order."""
        return self.high[self.order]

    def take(self, which: Bool) -> Hashes:
        """Those where `which` is true."""
        return self if which.all() else Hashes(self.high[which], self.low[which])

    def first_duplicate(self) -> int | None:
        """Position of one id that stands twice, or None."""
        if not (self.ordered[1:] == self.ordered[:-1]).any():
            return None
        order = np.lexsort((self.low, self.high))
        high, low = self.high[order], self.low[order]
        twice = np.flatnonzero((high[1:] == high[:-1]) & (low[1:] == low[:-1]))
        return int(order[twice[0] + 1]) if len(twice) else None


class KeyDirectory:
    """ids -> positions 0, 1, 2, … in the order of `add`."""

    def __init__(self) -> None:
        self._seeds = (secrets.randbits(63), secrets.randbits(63))
        self._runs: list[tuple[U64, U32]] = []
        self._low = np.empty(0, np.uint32)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def nbytes(self) -> int:
        return self._low.nbytes + sum(a.nbytes + b.nbytes for a, b in self._runs)

    def hash(self, ids: Ids) -> Hashes:
        """Hash n ids. Raises InvalidInput for a null or empty one."""
        series = as_series(ids)
        if series.null_count() or (series == "").any():
            raise InvalidInput("an id is null or empty")
        low = series.hash(self._seeds[1]).to_numpy().astype(np.uint32)
        return Hashes(series.hash(self._seeds[0]).to_numpy(), low)

    def locate(self, hashes: Hashes) -> I64:
        """Position of every id, int64 (n,); -1 where it is unknown."""
        found = np.full(len(hashes), -1, np.int64)
        if not self._count or not len(hashes):
            return found
        # Sorted questions walk through a run in order, which is kinder to the cache.
        order, high = hashes.order, hashes.ordered
        low = hashes.low[order]
        answer = np.full(len(hashes), -1, np.int64)
        for run, positions in self._runs:
            at = np.searchsorted(run, high)
            open_ = np.flatnonzero(at < len(run))
            while len(open_):
                here = at[open_]
                same = run[here] == high[open_]
                open_, here = open_[same], here[same]
                position = positions[here]
                hit = self._low[position] == low[open_]
                answer[open_[hit]] = position[hit]
                open_ = open_[~hit]
                at[open_] += 1
                open_ = open_[at[open_] < len(run)]
        found[order] = answer
        return found

    def add(self, hashes: Hashes) -> None:
        """Take n ids that are not in the directory; they get the next n positions."""
        count = len(hashes)
        if not count:
            return
        start = self._count
        self._low = grown(self._low, start, count)
        self._low[start : start + count] = hashes.low
        self._count += count
        self._runs.append((hashes.ordered, (hashes.order + start).astype(np.uint32)))
        while len(self._runs) > 1 and len(self._runs[-2][0]) < _MERGE_RATIO * len(
            self._runs[-1][0]
        ):
            newer, older = self._runs.pop(), self._runs.pop()
            self._runs.append(_merged(older, newer))

    def _size(self, run: int) -> int:
        return len(self._runs[run][0])


Ids: TypeAlias = pa.Array | pa.ChunkedArray | pl.Series | Sequence[str]


def as_series(ids: Ids) -> pl.Series:
    """Ids as one polars string column. Raises InvalidInput for anything but strings."""
    if isinstance(ids, pl.Series):
        series = ids
    elif isinstance(ids, pa.Array | pa.ChunkedArray):
        series = pl.Series(values=ids)
    else:
        try:
            series = pl.Series(values=list(ids), dtype=pl.String)
        except (TypeError, pl.exceptions.PolarsError) as error:
            raise InvalidInput(f"ids must be strings: {error}") from error
    if series.dtype != pl.String:
        if series.dtype not in (pl.Categorical, pl.Null):
            raise InvalidInput(f"ids must be strings, not {series.dtype}")
        series = series.cast(pl.String)
    return series


def grown(array: npt.NDArray[Scalar], used: int, more: int) -> npt.NDArray[Scalar]:
    """`array` itself if `used + more` rows fit, otherwise a copy with an eighth to spare."""
    need = used + more
    if need <= len(array):
        return array
    bigger = np.empty((max(need + need // 8, 1024), *array.shape[1:]), array.dtype)
    bigger[:used] = array[:used]
    return bigger


def _merged(a: tuple[U64, U32], b: tuple[U64, U32]) -> tuple[U64, U32]:
    """Two sorted runs as one, in linear time."""
    at = np.searchsorted(a[0], b[0]) + np.arange(len(b[0]))
    mine = np.ones(len(a[0]) + len(b[0]), np.bool_)
    mine[at] = False
    keys = np.empty(len(mine), np.uint64)
    positions = np.empty(len(mine), np.uint32)
    keys[mine], keys[at] = a[0], b[0]
    positions[mine], positions[at] = a[1], b[1]
    return keys, positions


@dataclass(frozen=True)
class Lookup:
    """What the store knows of n ids, in their order.

    found                    bool (n,)      the item exists and is not deleted
    fingerprint              uint64 (n, 2)  its 16 bytes as two little-endian words; 0 if not found
    attributes_fingerprint   uint64 (n, 2)
    generation               int64 (n,)     the commit that last changed its content
    spaces                   uint32 (n,)    bit i: it has segments in the space of bit i
    """

    found: Bool
    fingerprint: U64
    attributes_fingerprint: U64
    generation: I64
    spaces: U32

    def has(self, bit: int) -> Bool:
        """Which items have segments in the space of this bit (Reader.space_bit), bool (n,)."""
        return (self.spaces >> np.uint32(bit) & np.uint32(1)).astype(np.bool_)
