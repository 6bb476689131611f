"""Exact answers by fp32 matrix products, and how much of them an engine found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.peers.rows import F32, I64, Mask

BLOCK = 16_384


def nearest(vectors: F32, queries: F32, limit: int, passing: Mask | None = None) -> I64:
    """Row numbers of the largest inner products, best first, int64 (queries, limit).

    Only rows of `passing` count, bool (n,); where fewer than `limit` pass, -1 fills up.
    """
    best = np.full((len(queries), limit), -np.inf, np.float32)
    rows = np.full((len(queries), limit), -1, np.int64)
    for start in range(0, len(vectors), BLOCK):
        here = np.arange(start, min(start + BLOCK, len(vectors)))
        block = vectors[start : start + BLOCK]
        if passing is not None:
            kept = passing[start : start + BLOCK]
            here, block = here[kept], block[kept]
        scores = queries @ block.T
        if len(here) > limit:
            top = np.argpartition(scores, -limit, axis=1)[:, -limit:]
            found, scores = here[top], np.take_along_axis(scores, top, axis=1)
        else:
            found = np.broadcast_to(here, scores.shape)
        scores = np.concatenate([best, scores], axis=1)
        found = np.concatenate([rows, found], axis=1)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :limit]
        best = np.take_along_axis(scores, order, axis=1)
        rows = np.take_along_axis(found, order, axis=1)
    return rows


def recall(found: Sequence[Sequence[int]], truth: I64, of: Mask | None = None) -> float | None:
    """Share of the true rows that were found, over all queries together.

    `of`, bool by row number: only these rows of the truth are looked for. None where the truth
    has none.
    """
    wanted = hits = 0
    for answer, true in zip(found, truth, strict=True):
        rows = {int(row) for row in true if row >= 0 and (of is None or of[row])}
        wanted += len(rows)
        hits += len(rows.intersection(answer))
    return hits / wanted if wanted else None
