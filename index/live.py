"""An index of one snapshot plus the rows added since, minus the rows removed since."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from time import perf_counter

import numpy as np

from trichord.errors import InvalidInput, VectorError
from trichord.index.ann import AnnIndex
from trichord.index.base import (
    PADDING,
    IndexInfo,
    Neighbours,
    VectorIndex,
    checked_queries,
    checked_vectors,
)
from trichord.index.exact import exact_search
from trichord.index.fresh import Grower
from trichord.index.narrow import FROM_ROWS, narrow_search
from trichord.index.plan import Plan, Trace, step
from trichord.index.planner import exact_plan
from trichord.index.rowset import Allowed, RowSet, rowset_of
from trichord.index.scoring import best, checked_pair_scores
from trichord.index.tail import TIERS, Tail, Tiers
from trichord.types import F32, I64, Bool

FEW_REMOVED = 0.01
"""Share of the base's rows that may be removed before they count as a filter: with a sixth of the
rows gone, and just the nearest of every query, a recall of 0.95 had become 0.93."""


class LiveIndex:
    """An immutable value; `with_changes` makes the next one and leaves this one valid.

    Rows below base.size are rows of the base, row base.size + i is the i-th fresh row. A removed
    row keeps its number and never appears in an answer. Fresh rows over an exact base are searched
    exactly; over another one, all but the newest by a graph that is grown in the background (see
    tail), and these, where they are many and the base has reduced rows, by reduced copies (see
    narrow). A value takes over graphs until one covers all it can see of them.
    """

    def __init__(self, base: VectorIndex, *, tiers: Tiers = TIERS) -> None:
        self.base = base
        # An exact index promises to be exact, fresh rows included.
        grower = Grower(base) if isinstance(base, AnnIndex) else None
        reduction = getattr(base.engine, "reduction", None) if isinstance(base, AnnIndex) else None
        self._tail = Tail(base.dim, grower, tiers, reduction=reduction)
        self._fresh = self._tail.view(0)
        self._graph: AnnIndex | None = None
        self._parts: tuple[int, RowSet | None, RowSet | None] | None = None
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
        after._tail, after._fresh, after._graph = self._tail, self._fresh, self._graph
        after._parts = None
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

    def search(
        self,
        queries: F32,
        k: int,
        *,
        allowed: Allowed = None,
        recall: float | None = None,
        trace: Trace = None,
    ) -> Neighbours:
        if allowed is None and self._keep_base is None and not len(self._fresh):
            return self.base.search(queries, k, recall=recall, trace=trace)
        rowset = rowset_of(allowed, self.size)
        of_base = self._of_base(rowset)
        recall = self._aim(rowset, recall)
        found = self.base.search(queries, k, allowed=of_base, recall=recall, trace=trace)
        if not len(self._fresh):
            return found
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        return self._with_fresh(found, queries, k, rowset, recall, trace)

    def search_unit(
        self,
        queries: F32,
        k: int,
        allowed: RowSet | None = None,
        recall: float | None = None,
        *,
        singly: bool = False,
    ) -> Neighbours:
        """As `search`, of queries that are known to be C-contiguous unit rows: looking at them
        again would take a tenth of the time of a batch. singly: each query finds what it would find
        alone; in a batch another way may be cheaper, and find others."""
        base = self.base
        if not isinstance(base, AnnIndex):
            return self.search(queries, k, allowed=allowed, recall=recall)
        rowset = rowset_of(allowed, self.size)
        of_base = self._of_base(rowset)
        recall = self._aim(rowset, recall)
        aim = base.aim(of_base, recall)
        found = base.search_checked(queries, k, of_base, aim, None, singly=singly)
        if not len(self._fresh):
            return found
        return self._with_fresh(found, queries, k, rowset, recall, None, singly)

    def _of_base(self, rowset: RowSet | None) -> RowSet | None:
        """Rows of the base that a search may find; None: all."""
        if rowset is None:
            return self._keep_base
        return rowset.part(0, self.base.size, self._keep_base)

    def _with_fresh(
        self,
        found: Neighbours,
        queries: F32,
        k: int,
        rowset: RowSet | None,
        recall: float | None,
        trace: Trace,
        singly: bool = False,
    ) -> Neighbours:
        """What was found in the base, and what is nearer among the fresh rows."""
        split, graph = self.base.size, self._grown()
        covered = 0 if graph is None else graph.size
        in_graph, in_rest = self._fresh_sets(rowset, covered)
        parts: list[tuple[Neighbours, int]] = []
        if graph is not None:
            near = self._in_graph(graph, queries, k, in_graph, recall, trace, singly)
            parts.append((near, split))
        if covered < len(self._fresh):
            began = perf_counter() if trace is not None else 0.0
            rest = self._in_rest(queries, k, covered, in_rest, recall)
            parts.append((rest, split + covered))
            if trace is not None:
                plan = self._rest_plan(len(queries), covered, in_rest)
                trace.append(step(plan, len(queries), began))
        return _merged(found, parts, k)

    def _aim(self, rowset: RowSet | None, recall: float | None) -> float | None:
        """The recall to ask of the tiers; None: what each takes under a filter. A few removed rows
        are no filter of the caller's; many may be just those that are near."""
        keep = self._keep_base
        if recall is not None or rowset is not None or keep is None:
            return recall
        few = keep.count >= (1 - FEW_REMOVED) * self.base.size
        return self.info.recall_target if few else None

    def plan(
        self, queries: int, k: int, allowed: Allowed = None, recall: float | None = None
    ) -> Plan:
        """That of the base, with the rows and the time of all tiers, which are its parts."""
        rowset = rowset_of(allowed, self.size)
        of_base = self._of_base(rowset)
        recall = self._aim(rowset, recall)
        base = self.base.plan(queries, k, of_base, recall)
        if not len(self._fresh):
            return base
        graph = self._grown()
        covered = 0 if graph is None else graph.size
        in_graph, in_rest = self._fresh_sets(rowset, covered)
        parts = [base]
        if graph is not None:
            over = graph.plan(queries, k, in_graph, recall)
            parts.append(replace(over, way="fresh" if over.effort else over.way))
        if covered < len(self._fresh):
            parts.append(self._rest_plan(queries, covered, in_rest))
        return replace(
            base,
            selectivity=(self.size if rowset is None else rowset.count) / self.size,
            scanned=sum(part.scanned for part in parts),
            microseconds=sum(part.microseconds for part in parts),
            parts=tuple(parts),
        )

    def settled(self, timeout: float = 60.0) -> bool:
        """Waits until the graph over fresh rows has caught up; False if it did not in `timeout`
        seconds. Searches need not wait: what is not in the graph is searched exactly."""
        return self._tail.settled(len(self._fresh), timeout)

    def _grown(self) -> AnnIndex | None:
        """The newest graph that knows no row beyond those of this value."""
        newest = self._tail.graph
        if newest is not self._graph and newest is not None and newest.size <= len(self._fresh):
            self._graph = newest
        return self._graph

    def _in_graph(
        self,
        graph: AnnIndex,
        queries: F32,
        k: int,
        rowset: RowSet | None,
        recall: float | None,
        trace: Trace,
        singly: bool,
    ) -> Neighbours:
        steps: Trace = None if trace is None else []
        aim = graph.aim(rowset, recall)
        found = graph.search_checked(queries, k, rowset, aim, steps, singly=singly)
        if trace is not None and steps is not None:
            trace += [replace(one, way="fresh" if one.effort else one.way) for one in steps]
        return found

    def _in_rest(
        self, queries: F32, k: int, covered: int, rowset: RowSet | None, recall: float | None
    ) -> Neighbours:
        """Rows that no graph carries yet: many of them by their reduced copies."""
        rest, reduction = self._fresh[covered:], self._tail.reduction
        count = len(rest) if rowset is None else rowset.count
        if reduction is None or count < FROM_ROWS or recall == 1:
            return exact_search(rest, queries, k, rowset)
        narrow = self._tail.narrow(covered, len(self._fresh))
        return narrow_search(rest, narrow, queries, reduction.queries(queries), k, rowset)

    def _fresh_sets(
        self, rowset: RowSet | None, covered: int
    ) -> tuple[RowSet | None, RowSet | None]:
        """Which fresh rows a search may find, in the graph and behind it; None: all."""
        parts = self._parts
        if parts is None or parts[0] != covered:
            keep = self._keep_fresh
            halves = (
                (None, None)
                if keep is None
                else (RowSet(keep.mask[:covered]), RowSet(keep.mask[covered:]))
            )
            parts = self._parts = (covered, *halves)
        _, in_graph, in_rest = parts
        if rowset is None:
            return in_graph, in_rest
        split, size = self.base.size, self.size
        return (
            rowset.part(split, split + covered, in_graph),
            rowset.part(split + covered, size, in_rest),
        )

    def _rest_plan(self, queries: int, covered: int, rowset: RowSet | None) -> Plan:
        size = len(self._fresh) - covered
        return exact_plan(queries, size if rowset is None else rowset.count, size)

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


def _merged(first: Neighbours, others: list[tuple[Neighbours, int]], k: int) -> Neighbours:
    """The best of several answers, each with the number that its rows begin with."""
    scores, rows = [first.scores], [first.rows]
    for found, start in others:
        shifted = found.rows + start
        if (found.rows[:, -1] == PADDING).any():  # padding comes last
            shifted[found.rows == PADDING] = PADDING
        scores.append(found.scores)
        rows.append(shifted)
    return best(np.concatenate(scores, axis=1), np.concatenate(rows, axis=1), k)


def _without(keep: RowSet | None, removed: I64, size: int) -> RowSet | None:
    if not len(removed):
        return keep
    mask = _mask(keep, size).copy()
    mask[removed] = False
    return RowSet(mask)


def _mask(keep: RowSet | None, size: int) -> Bool:
    return np.ones(size, dtype=bool) if keep is None else keep.mask
