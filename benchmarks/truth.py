"""Exact nearest rows by blocked matrix products in numpy, and recall against them.

None of the code that is measured takes part. A returned row counts if it is among the true ones by
score: the k best, and rows behind them that are equal to the last one but for rounding.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from trichord.types import F32, I64, Bool

SPARE = 10
"""Rows kept behind the k best, because some may be equal to the last one."""
TIE = 1e-6
BLOCK = 16_384


@dataclass(frozen=True)
class Truth:
    """`rows` int64 (n, k + SPARE) and `scores` float32, best first; -1 and -inf where there are
    fewer rows."""

    rows: I64
    scores: F32
    k: int

    def __len__(self) -> int:
        return len(self.rows)

    def recalls(self, found: Sequence[Sequence[int]]) -> F32:
        """Per query, the share of the k best that the row numbers of `found` hold: float32 (n,).

        Where fewer than k rows exist, of those that do. Rows beyond the first k do not count.
        """
        if len(found) != len(self):
            raise ValueError(f"{len(found)} answers for {len(self)} queries")
        shares = np.ones(len(self), np.float32)
        for query, answer in enumerate(found):
            there = self.rows[query] >= 0
            wanted = min(self.k, int(there.sum()))
            if not wanted:
                continue
            bar = self.scores[query, wanted - 1] - TIE
            good = set(self.rows[query][there & (self.scores[query] >= bar)].tolist())
            shares[query] = len(good.intersection(list(answer)[: self.k])) / wanted
        return shares

    def recall(self, found: Sequence[Sequence[int]]) -> float:
        return float(self.recalls(found).mean())

    def part(self, queries: slice) -> Truth:
        return Truth(self.rows[queries], self.scores[queries], self.k)


class Running:
    """The truth over rows that come in blocks and need not be kept."""

    def __init__(self, queries: F32, k: int = 10) -> None:
        self._queries = queries
        self._k = k
        depth = k + SPARE
        self._rows: I64 = np.full((len(queries), depth), -1, np.int64)
        self._scores: F32 = np.full((len(queries), depth), -np.inf, np.float32)

    def add(self, block: F32, numbers: I64) -> None:
        """`block` float32 (n, dim); `numbers` int64 (n,) are what its rows are called."""
        if not len(block):
            return
        depth = self._rows.shape[1]
        scores = self._queries @ block.T
        if len(block) > depth:
            best = np.argpartition(scores, len(block) - depth, axis=1)[:, -depth:]
            scores = np.take_along_axis(scores, best, axis=1)
            rows = numbers[best]
        else:
            rows = np.broadcast_to(numbers, scores.shape)
        scores = np.concatenate([self._scores, scores], axis=1)
        rows = np.concatenate([self._rows, rows], axis=1)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :depth]
        self._scores = np.take_along_axis(scores, order, axis=1)
        self._rows = np.take_along_axis(rows, order, axis=1)

    def truth(self) -> Truth:
        return Truth(self._rows, self._scores, self._k)


def nearest(vectors: F32, queries: F32, k: int = 10, allowed: Bool | None = None) -> Truth:
    """The truth over the rows of a matrix; `allowed`, bool (n,), lets only some of them pass."""
    running = Running(queries, k)
    numbers = np.arange(len(vectors), dtype=np.int64)
    for start in range(0, len(vectors), BLOCK):
        block, rows = vectors[start : start + BLOCK], numbers[start : start + BLOCK]
        if allowed is not None:
            kept = allowed[start : start + BLOCK]
            block, rows = block[kept], rows[kept]
        running.add(np.asarray(block), rows)
    return running.truth()


def violations(found: Iterable[Sequence[int]], allowed: Bool) -> int:
    """Returned rows that the filter excludes."""
    return sum(int(not allowed[row]) for answer in found for row in answer)
