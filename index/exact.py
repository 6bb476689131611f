"""Exact search: blocked matrix products, a running top k, and one kernel for the final scores."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

import numpy as np

from trichord.index._faiss import faiss
from trichord.index.base import (
    IndexInfo,
    Neighbours,
    checked_k,
    checked_queries,
    checked_recall,
    checked_vectors,
)
from trichord.index.leaders import Leaders
from trichord.index.plan import Plan, Trace, step
from trichord.index.planner import exact_plan
from trichord.index.rowset import Allowed, RowSet, rowset_of
from trichord.index.scoring import best, checked_pair_scores, pair_scores
from trichord.index.threads import batch_threads, omp_threads
from trichord.types import F32, I64

QUERY_BLOCK = 128
SCORES_PER_BLOCK = 1 << 20  # 4 MB of float32: the block of scores stays in the cache
GATHER_BELOW = 0.3
"""Below this allowed share, reading only the allowed rows is faster than streaming all of them."""
FEW_QUERIES = 8
"""Up to this many queries, one row at a time beats a matrix product (12.7 against 30 ms for one
query over 200,000 x 512; equal at 8)."""
CACHED_ROWS = 1024
ONE_BLOCK = 4096
OTHER_KERNELS = (2, 4, 8, 12)
"""Dimensions for which FAISS multiplies consecutive rows by kernels of their own, whose last bit is
another than that of single pairs."""
SCATTERED_QUERIES = 4
"""Up to this many queries, allowed rows are scored where they lie instead of being copied first."""


class ExactIndex:
    """Recall 1 by construction. vectors: float32 (n, dim), unit rows, also a memory map.

    threads: OpenMP threads for scoring single rows; None leaves the process default. Matrix
    products use numpy's own BLAS threads.
    """

    def __init__(
        self,
        vectors: F32,
        *,
        info: IndexInfo | None = None,
        threads: int | None = None,
        checked: bool = False,
    ) -> None:
        """checked: the rows are known to be unit rows (a file whose checksum holds)."""
        self.vectors = np.asarray(vectors) if checked else checked_vectors(vectors)
        self._info = info or IndexInfo(kind="exact", recall={}, reason="asked for")
        self._threads = threads

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
        with batch_threads(self._threads) if len(queries) > 1 else omp_threads(None):
            found = exact_search(self.vectors, queries, k, rowset)
        if trace is not None:
            trace.append(step(self.plan(len(queries), k, rowset), len(queries), began))
        return found

    def plan(
        self, queries: int, k: int, allowed: Allowed = None, recall: float | None = None
    ) -> Plan:
        rowset = rowset_of(allowed, self.size)
        return exact_plan(queries, self.size if rowset is None else rowset.count, self.size)

    def scores(self, queries: F32, rows: I64) -> F32:
        return checked_pair_scores(self.vectors, checked_queries(queries, self.dim), rows)


def exact_search(vectors: F32, queries: F32, k: int, rowset: RowSet | None) -> Neighbours:
    """The k best allowed rows of `vectors`; all arguments are checked already."""
    available = len(vectors) if rowset is None else rowset.count
    if available == 0 or len(queries) == 0:
        return Neighbours.none(len(queries), k)
    parts = [
        _exact_block(vectors, queries[start : start + QUERY_BLOCK], k, rowset)
        for start in range(0, len(queries), QUERY_BLOCK)
    ]
    if len(parts) == 1:
        return parts[0]
    return Neighbours(
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.rows for part in parts]),
    )


def _exact_block(vectors: F32, queries: F32, k: int, rowset: RowSet | None) -> Neighbours:
    available = len(vectors) if rowset is None else rowset.count
    if len(queries) == 1 and available <= ONE_BLOCK:
        return _one_query(vectors, queries, k, rowset)
    leaders = Leaders(len(queries), min(k, len(vectors)))
    if rowset is not None and rowset.count < GATHER_BELOW * len(vectors):
        score_rows(leaders, vectors, queries, rowset.rows)
    else:
        score_all(leaders, vectors, queries, rowset)
    rows = leaders.candidates()
    return best(pair_scores(vectors, queries, rows), rows, k)


def _one_query(vectors: F32, query: F32, k: int, rowset: RowSet | None) -> Neighbours:
    """One query over few rows, where running top k would cost more than the scores."""
    if rowset is None and vectors.shape[1] not in OTHER_KERNELS:
        scores, rows = product(query, vectors), None
    elif rowset is None:
        rows = np.arange(len(vectors), dtype=np.int64)[None, :]
        scores = pair_scores(vectors, query, rows)
    else:
        rows = rowset.rows[None, :]
        scores = pair_scores(vectors, query, rows)
    cut = scores.shape[1] - k
    if cut > 0:  # these scores are of the exact kernel already: no slack, only ties
        kept = np.flatnonzero(scores[0] >= np.partition(scores[0], cut)[cut])
        scores, rows = scores[:, kept], kept[None, :] if rows is None else rows[:, kept]
    elif rows is None:
        rows = np.arange(scores.shape[1])[None, :]
    return best(scores, rows, k)


def score_all(leaders: Leaders, vectors: F32, queries: F32, rowset: RowSet | None) -> None:
    """All rows, block by block, less those that the set excludes."""
    height = block_height(len(queries))
    penalty = None
    if rowset is not None:
        penalty = np.where(rowset.mask, np.float32(0), np.float32(-np.inf))
    for start in range(0, len(vectors), height):
        scores = product(queries, vectors[start : start + height])
        if penalty is not None:
            scores += penalty[start : start + height]
        leaders.add(scores, start)


def score_rows(leaders: Leaders, vectors: F32, queries: F32, rows: I64) -> None:
    """Given rows only, where they lie or copied block by block."""
    height = block_height(len(queries))
    for start in range(0, len(rows), height):
        block = rows[start : start + height]
        if len(queries) <= SCATTERED_QUERIES:
            table = np.broadcast_to(block, (len(queries), len(block)))
            leaders.add(pair_scores(vectors, queries, table), block)
        else:
            leaders.add(product(queries, vectors[block]), block)


def block_height(queries: int) -> int:
    """Rows per block for a number of queries."""
    return max(1024, min(65536, SCORES_PER_BLOCK // queries))


def product(queries: F32, block: F32) -> F32:
    """queries (n, dim) times block (b, dim) transposed: float32 (n, b)."""
    if len(queries) > FEW_QUERIES:
        return queries @ block.T
    # BLAS packs the whole block first, which for few queries costs more than the product itself.
    scores = np.empty((len(queries), len(block)), dtype=np.float32)
    for start in range(0, len(block), CACHED_ROWS):
        rows = block[start : start + CACHED_ROWS]
        for i in range(len(queries)):
            faiss.fvec_inner_products_ny(
                faiss.swig_ptr(scores[i, start : start + len(rows)]),
                faiss.swig_ptr(queries[i]),
                faiss.swig_ptr(rows),
                rows.shape[1],
                len(rows),
            )
    return scores
