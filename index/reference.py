"""The yardstick: brute force written to be obviously right, never to be fast."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trichord.index.base import IndexInfo, Neighbours, checked_k, checked_queries, checked_vectors
from trichord.index.plan import Plan, Trace
from trichord.index.planner import exact_plan
from trichord.index.rowset import Allowed, rowset_of
from trichord.types import F32, I64


class ReferenceIndex:
    """Every row, one query at a time, products summed in float64 and rounded once to float32.

    Uses numpy only and none of the machinery that it judges.
    """

    def __init__(self, vectors: F32) -> None:
        self.vectors = checked_vectors(vectors)
        self._wide = self.vectors.astype(np.float64)

    @property
    def size(self) -> int:
        return len(self.vectors)

    @property
    def dim(self) -> int:
        return int(self.vectors.shape[1])

    @property
    def info(self) -> IndexInfo:
        return IndexInfo(kind="exact", requested="reference", reason="brute force")

    @property
    def pieces(self) -> Sequence[F32]:
        return (self.vectors,)

    def search(
        self,
        queries: F32,
        k: int,
        *,
        allowed: Allowed = None,
        recall: float | None = None,
        trace: Trace = None,
    ) -> Neighbours:
        queries, k = checked_queries(queries, self.dim), checked_k(k)
        rowset = rowset_of(allowed, self.size)
        answer = Neighbours.none(len(queries), k)
        for i, query in enumerate(queries):
            scores = (self._wide * query.astype(np.float64)).sum(axis=1).astype(np.float32)
            ranked = np.lexsort((np.arange(self.size), -scores))
            if rowset is not None:
                ranked = ranked[rowset.mask[ranked]]
            ranked = ranked[:k]
            answer.rows[i, : len(ranked)] = ranked
            answer.scores[i, : len(ranked)] = scores[ranked]
        return answer

    def plan(
        self, queries: int, k: int, allowed: Allowed = None, recall: float | None = None
    ) -> Plan:
        rowset = rowset_of(allowed, self.size)
        return exact_plan(queries, self.size if rowset is None else rowset.count, self.size)

    def scores(self, queries: F32, rows: I64) -> F32:
        queries = checked_queries(queries, self.dim)
        answer = np.full(rows.shape, -np.inf, dtype=np.float32)
        for i, j in np.argwhere(rows >= 0):
            answer[i, j] = float((self._wide[rows[i, j]] * queries[i].astype(np.float64)).sum())
        return answer
