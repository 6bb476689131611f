"""The best distinct groups: one podcast is many rows, but one place in the answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from trichord.errors import InvalidInput
from trichord.index.base import PADDING, Neighbours, VectorIndex, checked_k, checked_queries
from trichord.index.exact import product
from trichord.index.leaders import SLACK
from trichord.index.live import LiveIndex
from trichord.index.rowset import Allowed, RowSet, rowset_of
from trichord.index.scoring import best
from trichord.types import F32, I64, Bool

DEEPEST = 4096
"""Rows per query that a widening search asks for before all groups are scanned instead."""
SCANNED_SCORES = 1 << 21


class Groups:
    """The group of every row, prepared once for many searches.

    numbers: int64 (size,), row -> group number >= 0; a row of group -1 belongs to none and is
    left out of every answer. Not changed afterwards by the caller.
    """

    def __init__(self, numbers: I64) -> None:
        self.numbers = np.ascontiguousarray(numbers, dtype=np.int64)
        if self.numbers.ndim != 1:
            raise InvalidInput(f"groups have the shape {self.numbers.shape}, not (rows,)")
        self.grouped: RowSet | None = None
        """The rows that have a group; None: all."""
        if len(self.numbers) and self.numbers.min() < 0:
            self.grouped = RowSet(self.numbers >= 0)
        self._sorted: tuple[I64, I64] | None = None

    def prepared(self) -> tuple[I64, I64]:
        """All rows sorted by group, and the group of each: computed once."""
        if self._sorted is None:
            rows = np.argsort(self.numbers, kind="stable").astype(np.int64, copy=False)
            self._sorted = rows, self.numbers[rows]
        return self._sorted

    def among(self, chosen: I64) -> tuple[I64, I64]:
        """As `prepared`, for the rows of the chosen groups only: when there is one search."""
        rows = np.flatnonzero(np.isin(self.numbers, chosen)).astype(np.int64, copy=False)
        rows = rows[np.argsort(self.numbers[rows], kind="stable")]
        return rows, self.numbers[rows]


@dataclass(frozen=True)
class GroupedNeighbours:
    """groups int64 (n, k) and scores float32 (n, k), that of the group's best row, descending;
    rows int64 and row_scores float32 (n, k, per_group), best first. Padding: -1 and -inf.
    Groups of equal score are ordered by their best row."""

    groups: I64
    scores: F32
    rows: I64
    row_scores: F32


def search_groups(
    index: VectorIndex,
    queries: F32,
    k: int,
    groups: I64 | Groups,
    *,
    allowed: Allowed = None,
    per_group: int = 1,
    **how: Any,
) -> GroupedNeighbours:
    """The k groups with the best rows, per query, each with its `per_group` best rows.

    queries: float32 (n, dim), unit rows. groups: Groups, or the array that it is made of (prepared
    groups make the rows within groups many times cheaper). Fewer than k groups come back only if
    fewer have an allowed row. On an exact index the answer is exact; on another, a group is missed
    where the index misses its best row, and the rows within the groups found are exact.
    For a later page ask for a larger k. `how` goes to the index's search (recall, trace). Raises
    VectorError, InvalidInput.
    """
    queries, k, per_group = checked_queries(queries, index.dim), checked_k(k), checked_k(per_group)
    table = groups if isinstance(groups, Groups) else Groups(groups)
    if len(table.numbers) != index.size:
        raise InvalidInput(f"{len(table.numbers)} rows have groups, the index has {index.size}")
    rowset = rowset_of(allowed, index.size)
    if table.grouped is not None:
        rowset = table.grouped if rowset is None else RowSet(table.grouped.mask & rowset.mask)
    if isinstance(index, LiveIndex) and len(index.removed):
        # The scans below read rows themselves: what the index removed must not come back.
        if rowset is None:
            rowset = RowSet(index.alive)
        elif rowset.mask[index.removed].any():
            rowset = RowSet(rowset.mask & index.alive)
    leaders = _leading_rows(index, queries, k, table.numbers, rowset, how)
    if per_group == 1:
        chosen = _groups_of(leaders.rows, table.numbers)
        return GroupedNeighbours(
            chosen, leaders.scores, leaders.rows[:, :, None], leaders.scores[:, :, None]
        )
    return _with_members(
        index, queries, leaders, table, rowset, per_group, reusable=table is groups
    )


def first_of_each(groups: I64) -> Bool:
    """Which places are the first of their group in their row: groups int64 (n, m), negative ones
    belong to none; bool (n, m)."""
    order = np.argsort(groups, axis=1, kind="stable")
    along = np.take_along_axis(groups, order, axis=1)
    first = along >= 0
    first[:, 1:] &= along[:, 1:] != along[:, :-1]
    answer = np.empty(groups.shape, bool)
    np.put_along_axis(answer, order, first, axis=1)
    return answer


def _leaders(found: Neighbours, groups: I64, k: int) -> tuple[I64, F32, I64]:
    """The best row of each of the first k groups of every query, int64 (n, k), their scores, and
    how many groups there were, int64 (n,)."""
    of = groups[found.rows]
    of[found.rows == PADDING] = PADDING
    leads = first_of_each(of)
    counts = np.minimum(leads.sum(axis=1), k)
    at = np.argsort(~leads, axis=1, kind="stable")[:, :k]
    answer = Neighbours.none(len(of), k)
    width = at.shape[1]
    there = np.arange(width) < counts[:, None]
    rows = np.take_along_axis(found.rows, at, axis=1)
    scores = np.take_along_axis(found.scores, at, axis=1)
    answer.rows[:, :width] = np.where(there, rows, PADDING)
    answer.scores[:, :width] = np.where(there, scores, -np.inf)
    return answer.rows, answer.scores, counts


def _leading_rows(
    index: VectorIndex,
    queries: F32,
    k: int,
    groups: I64,
    rowset: RowSet | None,
    how: dict[str, Any],
) -> Neighbours:
    """The best row of each of the k best groups, by widening until k different ones are seen."""
    available = index.size if rowset is None else rowset.count
    answer = Neighbours.none(len(queries), k)
    pending = np.arange(len(queries))
    depth = k
    while len(pending) and available:
        found = index.search(queries[pending], min(depth, available), allowed=rowset, **how)
        rows, scores, counts = _leaders(found, groups, k)
        if len(pending) == len(queries):
            answer = Neighbours(scores, rows)
        else:
            answer.rows[pending], answer.scores[pending] = rows, scores
        if depth >= available:
            return answer
        pending = pending[counts < k]
        # What a round cost tells how deep the next must go; twice as deep at least.
        fewest = int(counts.min())
        depth = max(2 * depth, int(1.5 * depth * k / max(1, fewest)))
        if depth > max(DEEPEST, 4 * k):
            break
    if len(pending) and available:
        scanned = _scan(index, queries[pending], k, groups, rowset)
        answer.rows[pending], answer.scores[pending] = scanned.rows, scanned.scores
    return answer


def _scan(
    index: VectorIndex, queries: F32, k: int, groups: I64, rowset: RowSet | None
) -> Neighbours:
    """As _leading_rows, from the best score of every group: one pass over all rows, whose cost
    does not depend on how many rows a group has."""
    if int(groups.max()) >= 4 * index.size:  # numbers too sparse for a table
        dense = np.unique(groups, return_inverse=True)[1].astype(np.int64, copy=False)
        groups = np.where(groups < 0, PADDING, dense)
    count = int(groups.max()) + 1
    tops = np.full((len(queries), count), -np.inf, dtype=np.float32)
    for start, block in _blocks(index, max(1, SCANNED_SCORES // len(queries))):
        stop = start + len(block)
        scores = product(queries, block)
        if rowset is not None:
            scores[:, ~rowset.mask[start:stop]] = -np.inf
        # Rows without a group are excluded by the row set: their -inf changes no group.
        of_group = np.maximum(groups[start:stop], 0)
        for top, row_scores in zip(tops, scores, strict=True):
            np.maximum.at(top, of_group, row_scores)
    cut = max(0, count - k)
    bars = np.partition(tops, cut, axis=1)[:, cut] if cut else np.full(len(queries), -np.inf)
    answer = Neighbours.none(len(queries), k)
    for i, (top, bar) in enumerate(zip(tops, bars, strict=True)):
        # Groups within the rounding of a matrix product of the k-th are compared exactly.
        chosen = (top >= bar - SLACK) & (top > -np.inf)
        rows = np.flatnonzero(_members(groups, chosen, rowset)).astype(np.int64, copy=False)
        ranked = best(index.scores(queries[i : i + 1], rows[None, :]), rows[None, :], len(rows))
        ranked_rows = ranked.rows[0]
        first = np.sort(np.unique(groups[ranked_rows], return_index=True)[1])[:k]
        answer.rows[i, : len(first)] = ranked_rows[first]
        answer.scores[i, : len(first)] = ranked.scores[0, first]
    return answer


def _with_members(
    index: VectorIndex,
    queries: F32,
    leaders: Neighbours,
    table: Groups,
    rowset: RowSet | None,
    per_group: int,
    *,
    reusable: bool,
) -> GroupedNeighbours:
    groups = _groups_of(leaders.rows, table.numbers)
    rows = np.full((*groups.shape, per_group), PADDING, dtype=np.int64)
    row_scores = np.full(rows.shape, -np.inf, dtype=np.float32)
    order, of_row = table.prepared() if reusable else table.among(np.unique(groups))
    starts = np.searchsorted(of_row, groups, side="left")
    counts = np.searchsorted(of_row, groups, side="right") - starts
    counts[groups == PADDING] = 0
    for i in range(len(queries)):
        rows[i], row_scores[i] = _best_members(
            index, queries[i : i + 1], starts[i], counts[i], order, rowset, per_group
        )
    # An approximate index may have found a group by another row than its best.
    by_best = np.lexsort((rows[:, :, 0], -row_scores[:, :, 0]))
    rows = np.take_along_axis(rows, by_best[:, :, None], axis=1)
    row_scores = np.take_along_axis(row_scores, by_best[:, :, None], axis=1)
    groups = np.take_along_axis(groups, by_best, axis=1)
    return GroupedNeighbours(groups, row_scores[:, :, 0], rows, row_scores)


def best_members(
    index: VectorIndex,
    query: F32,
    chosen: I64,
    groups: Groups,
    *,
    allowed: RowSet | None = None,
    per_group: int = 1,
) -> tuple[I64, F32]:
    """The best rows of given groups: query float32 (1, dim), chosen int64 (k,); int64 and float32
    (k, per_group), padded with -1 and -inf. Removed rows of a live index are left out."""
    order, of_row = groups.prepared()
    starts = np.searchsorted(of_row, chosen, side="left")
    counts = np.searchsorted(of_row, chosen, side="right") - starts
    counts[chosen == PADDING] = 0
    if isinstance(index, LiveIndex) and len(index.removed):
        alive = RowSet(index.alive)
        allowed = alive if allowed is None else RowSet(alive.mask & allowed.mask)
    return _best_members(index, query, starts, counts, order, allowed, per_group)


def _best_members(
    index: VectorIndex,
    query: F32,
    starts: I64,
    counts: I64,
    order: I64,
    rowset: RowSet | None,
    per_group: int,
) -> tuple[I64, F32]:
    """Groups are runs of `order`: `counts` (k,) rows from `starts` on."""
    columns = np.arange(int(counts.max(initial=0)))
    if not len(columns):
        nothing = Neighbours.none(len(counts), per_group)
        return nothing.rows, nothing.scores
    inside = columns < counts[:, None]
    members = np.where(inside, order[np.where(inside, starts[:, None] + columns, 0)], PADDING)
    if rowset is not None:
        members = np.where(rowset.mask[members], members, PADDING)
    scores = index.scores(query, members.reshape(1, -1)).reshape(members.shape)
    # best() moves padding, whose score is -inf, behind the rows that are allowed.
    ranked = best(scores, members, per_group)
    return ranked.rows, ranked.scores


def _groups_of(rows: I64, groups: I64) -> I64:
    if not len(groups):
        return np.full(rows.shape, PADDING, dtype=np.int64)
    return np.where(rows == PADDING, PADDING, groups[rows])


def _members(groups: I64, chosen: Bool, rowset: RowSet | None) -> Bool:
    mask: Bool = chosen[np.where(groups < 0, 0, groups)] & (groups >= 0)
    return mask if rowset is None else mask & rowset.mask


def _blocks(index: VectorIndex, height: int) -> list[tuple[int, F32]]:
    blocks = []
    start = 0
    for piece in index.pieces:
        for offset in range(0, len(piece), height):
            blocks.append((start + offset, piece[offset : offset + height]))
        start += len(piece)
    return blocks
