"""Running top k over blocks of scores, without sorting what cannot win."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from trichord.index.base import PADDING
from trichord.types import F32, I64

SLACK = np.float32(1e-5)
"""Blocks come from matrix products, whose rounding differs by position (some 1e-7 for unit rows).
Rows this close below the k-th stay candidates, until they are scored by the exact kernel."""

Value = TypeVar("Value", bound=np.generic)


class Leaders:
    """Per query, all rows that can still be among the k best, while blocks of scores stream by.

    Once k rows have been seen, a block is only compared with the k-th best so far: on average few
    of its scores pass, and only those are gathered.
    """

    def __init__(self, queries: int, k: int) -> None:
        self._k = k
        self._best = np.full((queries, k), -np.inf, dtype=np.float32)
        self._bar = np.full(queries, -np.inf, dtype=np.float32)  # the k-th best so far
        self._kept: list[tuple[I64, I64, F32]] = []  # query numbers, rows, scores

    def add(self, scores: F32, rows: I64 | int) -> None:
        """scores float32 (n, block), -inf for rows that are out; rows int64 (block,), or the first
        row of a consecutive block."""
        queries, width = scores.shape
        bar = self._bar
        if width > self._k and bar.min() == -np.inf:
            cut = width - self._k
            bar = np.maximum(bar, np.partition(scores, cut, axis=1)[:, cut])
        # max(): with fewer than k rows seen the bar is -inf, and -inf scores must not pass.
        floor = np.maximum(bar - SLACK, np.finfo(np.float32).min)
        owner, column = np.nonzero(scores >= floor[:, None])
        if not len(owner):
            return
        passed = scores[owner, column]
        chosen = column + rows if isinstance(rows, int) else rows[column]
        self._kept.append((owner, chosen, passed))
        block = _table(owner, queries, passed, -np.inf)
        merged = np.concatenate([self._best, block], axis=1)
        cut = merged.shape[1] - self._k
        if cut:
            merged = np.partition(merged, cut, axis=1)[:, cut:]
        self._best, self._bar = merged, merged.min(axis=1)

    def candidates(self) -> I64:
        """The rows to be scored exactly: int64 (n, m), padded with -1; all tied ones included."""
        queries = len(self._best)
        if not self._kept:
            return np.empty((queries, 0), dtype=np.int64)
        owner = np.concatenate([kept[0] for kept in self._kept])
        rows = np.concatenate([kept[1] for kept in self._kept])
        scores = np.concatenate([kept[2] for kept in self._kept])
        alive = scores >= (self._bar - SLACK)[owner]
        owner, rows = owner[alive], rows[alive]
        order = np.argsort(owner, kind="stable")
        return _table(owner[order], queries, rows[order], PADDING)


def _table(owner: I64, owners: int, values: npt.NDArray[Value], fill: float) -> npt.NDArray[Value]:
    """values, grouped by ascending owner number, as rows of a table padded with `fill`."""
    if owners == 1:
        return values[None, :]
    counts = np.bincount(owner, minlength=owners)
    starts = np.cumsum(counts) - counts
    table = np.full((owners, int(counts.max())), fill, dtype=values.dtype)
    table[owner, np.arange(len(owner)) - starts[owner]] = values
    return table
