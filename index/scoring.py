"""Exact scores of (query, row) pairs, and the choice of the best.

A pair's score comes from one kernel, whatever the batch, the index or the neighbours in memory:
matrix products give the same pair a different last bit in another block, which would order equal
rows at random and change scores between pages.
"""

from __future__ import annotations

import numpy as np

from trichord.errors import InvalidInput
from trichord.index._faiss import faiss
from trichord.index.base import PADDING, Neighbours
from trichord.index.threads import omp_threads
from trichord.types import F32, I64


def pair_scores(vectors: F32, queries: F32, rows: I64) -> F32:
    """Dot products of query i with rows[i, :]: float32 (n, m); -inf where the row is -1.

    vectors (size, dim) and queries (n, dim) must be C-contiguous float32 and every row below
    size: this reads memory without a check (`checked_pair_scores` does check).
    """
    rows = np.ascontiguousarray(rows)
    scores = np.empty(rows.shape, dtype=np.float32)
    # FAISS shares queries out among threads; waking those for a single one takes milliseconds
    # when the processors are busy.
    with omp_threads(1 if len(rows) == 1 else None):
        faiss.fvec_inner_products_by_idx(
            faiss.swig_ptr(scores),
            faiss.swig_ptr(queries),
            faiss.swig_ptr(vectors),
            faiss.swig_ptr(rows),
            vectors.shape[1],
            rows.shape[0],
            rows.shape[1],
        )
    return scores


def checked_pair_scores(vectors: F32, queries: F32, rows: I64) -> F32:
    """As pair_scores, for rows from outside; InvalidInput if one does not exist."""
    rows = np.ascontiguousarray(rows, dtype=np.int64)
    if rows.ndim != 2 or len(rows) != len(queries):
        raise InvalidInput(f"rows have the shape {rows.shape}, not ({len(queries)}, m)")
    if rows.size == 0:
        return np.empty(rows.shape, dtype=np.float32)
    if rows.min() < PADDING or rows.max() >= len(vectors):
        raise InvalidInput(f"rows must lie in 0..{len(vectors) - 1} (or be -1)")
    if len(vectors) == 0:
        return np.full(rows.shape, -np.inf, dtype=np.float32)
    return pair_scores(vectors, queries, rows)


def best(scores: F32, rows: I64, k: int) -> Neighbours:
    """The k best of given (n, m) candidates, by descending score, then ascending row."""
    if len(scores) == 1:  # plain indexing is several times faster than by tables of places
        picked = np.lexsort((rows, -scores), axis=-1)[0, :k]
        scores, rows = scores[:, picked], rows[:, picked]
    else:
        scores, rows = _best_of_many(scores, rows, k)
    missing = k - scores.shape[1]
    if missing:
        pad = Neighbours.none(len(rows), missing)
        scores = np.concatenate([scores, pad.scores], axis=1)
        rows = np.concatenate([rows, pad.rows], axis=1)
    return Neighbours(scores, rows)


def _best_of_many(scores: F32, rows: I64, k: int) -> tuple[F32, I64]:
    queries, width = scores.shape
    falling = -scores
    # One key is sorted in a fifth of the time of two, and equal scores are rare: those between
    # which the row decides, down to the first that is left out, are looked for afterwards.
    order = np.argsort(falling, axis=1)[:, : k + 1]
    first = np.arange(queries, dtype=np.int64)[:, None] * width
    places = order + first
    found = falling.take(places)
    tied = (found[:, 1:] == found[:, :-1]).any(axis=1)
    if tied.any():
        order[tied] = np.lexsort((rows[tied], falling[tied]), axis=-1)[:, : k + 1]
        places = order + first
        found = falling.take(places)
    return -found[:, :k], rows.take(places[:, :k])
