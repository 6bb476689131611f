"""An index of one snapshot plus the rows added since, minus the rows removed since."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from trichord.errors import InvalidInput, VectorError
from trichord.index.base import (
    PADDING,
    IndexInfo,
    Neighbours,
    VectorIndex,
    checked_k,
    checked_queries,
    checked_vectors,
)
from trichord.index.exact import exact_search
from trichord.index.rowset import Allowed, RowSet, rowset_of
from trichord.index.scoring import best, checked_pair_scores
from trichord.types import F32, I64, Bool


class LiveIndex:
    """An immutable value; `with_changes` makes the next one and leaves this one valid.

    Rows below base.size are rows of the base, row base.size + i is the i-th fresh row. A removed
    row keeps its number and never appears in an answer. Fresh rows are searched exactly.
    """

    def __init__(self, base: VectorIndex) -> None:
        self.base = base
        self._tail = _Tail(base.dim)
        self._fresh = self._tail.view(0)
        self._keep_base: RowSet | None = None  # None: no row of this part is removed
        self._keep_fresh: RowSet | None = None

    @property
    def size(self) -> int:
        return self.base.size + len(self._fresh)

    @property
    def dim(self) -> int:
        return self.base.dim

    @property
    def info(self) -> IndexInfo:
        """That of the base."""
        return self.base.info

    @property
    def pieces(self) -> Sequence[F32]:
        return (*self.base.pieces, self._fresh)

    @property
    def fresh(self) -> F32:
        """The rows since the base, removed ones included: float32 (size - base.size, dim)."""
        return self._fresh

    @property
    def live(self) -> int:
        """Number of rows that are not removed."""
        base = self.base.size if self._keep_base is None else self._keep_base.count
        fresh = len(self._fresh) if self._keep_fresh is None else self._keep_fresh.count
        return base + fresh

    @property
    def alive(self) -> Bool:
        """Which rows are not removed: bool (size,)."""
        parts = ((self._keep_base, self.base.size), (self._keep_fresh, len(self._fresh)))
        return np.concatenate([_mask(keep, size) for keep, size in parts])

    @cached_property
    def removed(self) -> I64:
        """The rows that are removed, ascending: int64 (size - live,)."""
        return np.flatnonzero(~self.alive).astype(np.int64, copy=False)

    def with_changes(
        self, added: F32 | None = None, removed_rows: I64 | Sequence[int] = ()
    ) -> LiveIndex:
        """The index after appending `added` (float32 (n, dim), unit rows) and removing rows.

        Added rows get the numbers size, size + 1, ...; removed rows may be among them. Removing a
        row twice changes nothing. Costs the copy of `added`, and a copy of the row flags if rows
        are removed. Raises VectorError, InvalidInput.
        """
        after = object.__new__(LiveIndex)
        after.base, after._keep_base, after._keep_fresh = (
            self.base,
            self._keep_base,
            self._keep_fresh,
        )
        after._tail, after._fresh = self._tail, self._fresh
        if added is not None and len(added):
            rows = checked_vectors(added)
            if rows.shape[1] != self.dim:
                raise VectorError(
                    f"added rows have {rows.shape[1]} dimensions, the index has {self.dim}"
                )
            after._tail, after._fresh = self._tail.appended(len(self._fresh), rows)
            if after._keep_fresh is not None:
                grown = np.ones(len(after._fresh), dtype=bool)
                grown[: len(self._fresh)] = after._keep_fresh.mask
                after._keep_fresh = RowSet(grown)
        removed = np.asarray(removed_rows, dtype=np.int64).reshape(-1)
        if len(removed):
            if removed.min() < 0 or removed.max() >= after.size:
                raise InvalidInput(f"removed rows must lie in 0..{after.size - 1}")
            in_base = removed < self.base.size
            after._keep_base = _without(after._keep_base, removed[in_base], self.base.size)
            after._keep_fresh = _without(
                after._keep_fresh, removed[~in_base] - self.base.size, len(after._fresh)
            )
        return after

    def search(self, queries: F32, k: int, *, allowed: Allowed = None) -> Neighbours:
        queries, k = checked_queries(queries, self.dim), checked_k(k)
        rowset = rowset_of(allowed, self.size)
        split, size = self.base.size, self.size
        of_base, of_fresh = self._keep_base, self._keep_fresh
        if rowset is not None:
            of_base = rowset.part(0, split, of_base)
            if len(self._fresh):
                fresh_mask = rowset.mask[split:size]
                of_fresh = RowSet(fresh_mask if of_fresh is None else fresh_mask & of_fresh.mask)
        found = self.base.search(queries, k, allowed=of_base)
        if not len(self._fresh):
            return found
        newer = exact_search(self._fresh, queries, k, of_fresh)
        rows = np.where(newer.rows == PADDING, PADDING, newer.rows + split)
        return best(
            np.concatenate([found.scores, newer.scores], axis=1),
            np.concatenate([found.rows, rows], axis=1),
            k,
        )

    def scores(self, queries: F32, rows: I64) -> F32:
        queries, rows = checked_queries(queries, self.dim), np.asarray(rows, dtype=np.int64)
        if rows.size and (rows.min() < PADDING or rows.max() >= self.size):
            raise InvalidInput(f"rows must lie in 0..{self.size - 1} (or be -1)")
        split = self.base.size
        of_base = self.base.scores(queries, np.where(rows < split, rows, PADDING))
        if not len(self._fresh):
            return of_base
        shifted = np.where(rows >= split, rows - split, PADDING)
        return np.maximum(of_base, checked_pair_scores(self._fresh, queries, shifted))

    def take(self, rows: I64 | Sequence[int]) -> F32:
        """Copies of rows, removed ones included: float32 (n, dim). Raises InvalidInput."""
        return take(self, rows)

    def compacted(self) -> tuple[F32, I64]:
        """The matrix of a new base: the rows that are not removed, in order, float32 (live, dim),
        and the number that each had here, int64 (live,)."""
        kept = np.flatnonzero(self.alive).astype(np.int64, copy=False)
        return take(self, kept), kept


def take(index: VectorIndex, rows: I64 | Sequence[int]) -> F32:
    """Copies of an index's rows: float32 (n, dim). Raises InvalidInput for a row it has not."""
    wanted = np.asarray(rows, dtype=np.int64).reshape(-1)
    if len(wanted) and (wanted.min() < 0 or wanted.max() >= index.size):
        raise InvalidInput(f"rows must lie in 0..{index.size - 1}")
    taken = np.empty((len(wanted), index.dim), dtype=np.float32)
    start = 0
    for piece in index.pieces:
        here = (wanted >= start) & (wanted < start + len(piece))
        taken[here] = piece[wanted[here] - start]
        start += len(piece)
    return taken


def _without(keep: RowSet | None, removed: I64, size: int) -> RowSet | None:
    if not len(removed):
        return keep
    mask = _mask(keep, size).copy()
    mask[removed] = False
    return RowSet(mask)


def _mask(keep: RowSet | None, size: int) -> Bool:
    return np.ones(size, dtype=bool) if keep is None else keep.mask


class _Tail:
    """A growing matrix that the successive values of one LiveIndex share.

    A value sees the first rows only, so appending behind them disturbs no one. If two values are
    made from the same one, the first appends in place and the second copies.
    """

    def __init__(self, dim: int, capacity: int = 0) -> None:
        self._rows: F32 = np.empty((capacity, dim), dtype=np.float32)
        self._used = 0
        self._lock = threading.Lock()

    def view(self, count: int) -> F32:
        view = self._rows[:count]
        view.flags.writeable = False
        return view

    def appended(self, count: int, rows: F32) -> tuple[_Tail, F32]:
        """The tail and its view after `rows` were put behind its first `count` rows."""
        total = count + len(rows)
        with self._lock:
            if self._used == count and total <= len(self._rows):
                self._rows[count:total] = rows
                self._used = total
                return self, self.view(total)
        other = _Tail(self._rows.shape[1], capacity=max(64, 2 * total))
        other._rows[:count] = self._rows[:count]
        other._rows[count:total] = rows
        other._used = total
        return other, other.view(total)
