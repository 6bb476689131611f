"""Search over rows by their reduced copies, with exact scores for the foremost: many times faster
than exact search over the rows themselves, for a recall that is nearly the same."""

from __future__ import annotations

import numpy as np

from trichord.index.base import Neighbours
from trichord.index.exact import product, score_all, score_rows
from trichord.index.leaders import Leaders
from trichord.index.rowset import RowSet
from trichord.index.scoring import best, pair_scores
from trichord.types import F32

FOREMOST = 8
"""So many times as many rows as are wanted are scored exactly. A reduction is taken where three
times as many hold 0.99 of the true ones."""
SCORES_AT_ONCE = 1 << 20
"""So many scores lie in the cache, and are gone through at once; more of them block by block."""
FROM_ROWS = 1024
"""Fewer rows are searched exactly in as much time."""


def narrow_search(
    vectors: F32, narrow: F32, queries: F32, asked: F32, k: int, rowset: RowSet | None
) -> Neighbours:
    """The k best allowed rows of `vectors` (n, dim), found among `narrow` (n, width), their reduced
    copies; `asked` are the reduced `queries`. Scores and order are exact."""
    available = len(vectors) if rowset is None else rowset.count
    foremost = min(FOREMOST * k, available)
    few = rowset is not None and rowset.count < len(vectors) // 8
    if len(queries) * len(vectors) <= SCORES_AT_ONCE and not few:
        scores = product(asked, narrow)
        if rowset is not None:
            scores[:, ~rowset.mask] = -np.inf
        cut = len(vectors) - foremost
        # Those that tie with the last are left to chance, as are all that lie beyond it.
        rows = np.argpartition(scores, max(0, cut - 1), axis=1)[:, cut:]
    else:
        leaders = Leaders(len(queries), foremost)
        if few and rowset is not None:
            score_rows(leaders, narrow, asked, rowset.rows)
        else:
            score_all(leaders, narrow, asked, rowset)
        rows = leaders.candidates()
    return best(pair_scores(vectors, queries, rows), rows, k)
