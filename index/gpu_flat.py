"""Exact search with a GPU: it proposes, and a bound on its rounding proves that nothing is missing.

A GPU adds up products in another order than the CPU, and with half the bits if memory is short, so
its order of near rows is not to be trusted. Its scores are, up to a bound: when the k-th best exact
score of its candidates lies above the last candidate's score by more than that bound, no other row
can belong to the answer, ties included. Queries for which this does not hold are asked again with
more candidates, and in the end of the CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Any

import numpy as np

from trichord.index.base import (
    PADDING,
    IndexInfo,
    Neighbours,
    checked_k,
    checked_queries,
    checked_recall,
)
from trichord.index.batching import Batcher
from trichord.index.exact import exact_search
from trichord.index.gpu import Gpu, NoGpu
from trichord.index.plan import Plan, Trace, needed_depth, step
from trichord.index.planner import exact_plan
from trichord.index.rounding import SAMPLE, kept_bound, nearest
from trichord.index.rowset import Allowed, RowSet, rowset_of
from trichord.index.scoring import best, checked_pair_scores, pair_scores
from trichord.types import F32, I64, Bool

FEW_ALLOWED = 2048
"""Up to this many allowed rows, the CPU scores them all sooner than a GPU call returns."""
SPARE = 16
WIDENING = 4
MOST_QUERIES = 4096

_Job = tuple[F32, int]
_Found = tuple[F32, I64]


class GpuFlat:
    """A VectorIndex with recall 1. `vectors` stay where they are: exact scores come from them."""

    def __init__(self, vectors: F32, index: Any, gpu: Gpu, info: IndexInfo, bound: float) -> None:
        """index: a FAISS index of inner products over all rows; bound: its largest error."""
        self.vectors = vectors
        self.bound = np.float32(bound)
        self.microseconds = (0.0, 0.0)  # of one query, and per query of a batch
        self.proven = 0  # queries that the device settled; counts, not locked: near enough
        self.left_to_cpu = 0  # those that it could not, for want of proof or beyond its limits
        self._index, self._gpu, self._info = index, gpu, info
        self._limit = min(gpu.flat_limit, len(vectors))
        self._ask = Batcher[_Job, _Found](
            self._run,
            key=lambda job: job[1],
            weight=lambda job: len(job[0]),
            most=MOST_QUERIES,
        )

    @classmethod
    def build(
        cls, vectors: F32, gpu: Gpu, *, half: bool | None = None, requested: str = "exact"
    ) -> GpuFlat:
        """half: rows in 16 bits; None decides by the free memory. Raises NoGpu."""
        rows, dim = vectors.shape
        if half is None:
            half = not _fits(4 * rows * dim, gpu)
        gpu.require((2 if half else 4) * rows * dim, "an exact index")
        with gpu.use("an exact index"):
            index = gpu.flat(dim, half=half)
            index.add(vectors)
        bound = kept_bound(vectors, index, gpu, half=half)
        info = IndexInfo(
            kind="exact",
            requested=requested,
            recall={"exact": 1.0},
            parameters={
                "device": gpu.name,
                "stored": "float16" if half else "float32",
                "bound": float(bound),
            },
            reason=f"in the memory of {gpu.name}",
        )
        made = cls(vectors, index, gpu, info, bound)
        made.microseconds = made._measured()
        return made

    @property
    def stored(self) -> str:
        """How the device keeps the rows: "float32" or "float16"."""
        return str(self._info.parameters["stored"])

    @property
    def size(self) -> int:
        return len(self.vectors)

    @property
    def dim(self) -> int:
        return int(self.vectors.shape[1])

    @property
    def info(self) -> IndexInfo:
        return self._info

    @property
    def pieces(self) -> Sequence[F32]:
        return (self.vectors,)

    def scores(self, queries: F32, rows: I64) -> F32:
        return checked_pair_scores(self.vectors, checked_queries(queries, self.dim), rows)

    def search(
        self,
        queries: F32,
        k: int,
        *,
        allowed: Allowed = None,
        recall: float | None = None,
        trace: Trace = None,
    ) -> Neighbours:
        queries, k, _ = checked_queries(queries, self.dim), checked_k(k), checked_recall(recall)
        rowset = rowset_of(allowed, self.size)
        began = perf_counter() if trace is not None else 0.0
        available = self.size if rowset is None else rowset.count
        if available <= FEW_ALLOWED:
            found = exact_search(self.vectors, queries, k, rowset)
            if trace is not None:
                trace.append(step(self.plan(len(queries), k, rowset), len(queries), began))
            return found
        answer = Neighbours.none(len(queries), k)
        open_ = np.arange(len(queries))
        depth = needed_depth(min(k, available), available, self.size)
        depth += SPARE + depth // 4
        while len(open_) and depth <= self._limit:
            count = min(1 << (depth - 1).bit_length(), self._limit)  # few sizes: more can share
            try:
                found, sure = self._attempt(queries[open_], k, count, rowset, available)
            except NoGpu:
                break
            done = open_[sure]
            answer.scores[done], answer.rows[done] = found.scores[sure], found.rows[sure]
            open_ = open_[~sure]
            depth = WIDENING * count
        self.proven += len(queries) - len(open_)
        if len(open_):
            self.left_to_cpu += len(open_)
            rest = exact_search(self.vectors, queries[open_], k, rowset)
            answer.scores[open_], answer.rows[open_] = rest.scores, rest.rows
        if trace is not None:
            trace.append(step(self.plan(len(queries), k, rowset), len(queries), began))
        return answer

    def plan(
        self, queries: int, k: int, allowed: Allowed = None, recall: float | None = None
    ) -> Plan:
        rowset = rowset_of(allowed, self.size)
        available = self.size if rowset is None else rowset.count
        if available <= FEW_ALLOWED:
            return exact_plan(queries, available, self.size)
        alone, batched = self.microseconds
        price = batched + (alone - batched) / max(1, queries)
        return Plan("exact", available / self.size, self.size, None, 1.0, price)

    def _attempt(
        self, queries: F32, k: int, count: int, rowset: RowSet | None, available: int
    ) -> tuple[Neighbours, Bool]:
        """The best of `count` candidates, and for which queries they are proven the answer."""
        proposed, rows = self._ask((np.ascontiguousarray(queries), count))
        if rowset is not None:
            rows = np.where(rowset.mask[rows] & (rows != PADDING), rows, PADDING)
        found = best(pair_scores(self.vectors, queries, rows), rows, k)
        # Every row that was not proposed scores at most this. The last place is the worst one.
        ceiling = proposed[:, -1] + self.bound
        sure: Bool = found.scores[:, min(k, available) - 1] > ceiling
        return found, sure

    def _measured(self) -> tuple[float, float]:
        """The least of three runs each, after one to warm up."""
        queries = np.ascontiguousarray(self.vectors[:SAMPLE])
        count, found = min(32, self._limit), []
        for batch in (queries[:1], queries):
            times = []
            for _ in range(4):
                began = perf_counter()
                self._ask((batch, count))
                times.append(perf_counter() - began)
            found.append(1e6 * min(times[1:]) / len(batch))
        return found[0], found[1]

    def _run(self, jobs: Sequence[_Job]) -> list[_Found]:
        queries = jobs[0][0] if len(jobs) == 1 else np.concatenate([job[0] for job in jobs])
        with self._gpu.use("an exact search"):
            scores, rows = nearest(self._index, queries, jobs[0][1])
        answers, start = [], 0
        for job in jobs:
            stop = start + len(job[0])
            answers.append((scores[start:stop], rows[start:stop]))
            start = stop
        return answers


def _fits(needed: int, gpu: Gpu) -> bool:
    try:
        gpu.require(needed, "")
    except NoGpu:
        return False
    return True
