"""Retrieval scores with honest lower bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trichord.types import F32, I64

_Z = 1.959964  # two-sided 95 %
_RESAMPLES = 2000


@dataclass(frozen=True)
class Scores:
    """`r1`: share of queries whose first hit is relevant; `hit10`: with one in the first ten;
    `_low`: lower 95 % bounds."""

    queries: int
    items: int
    r1: float
    r1_low: float
    hit10: float
    hit10_low: float

    @classmethod
    def pooled(cls, parts: Sequence[Scores]) -> Scores:
        """Queries of several galleries counted together (bounds: Wilson)."""
        n = sum(part.queries for part in parts)
        r1 = sum(part.r1 * part.queries for part in parts) / n
        hit10 = sum(part.hit10 * part.queries for part in parts) / n
        items = sum(part.items for part in parts)
        return cls(n, items, r1, wilson_low(r1, n), hit10, wilson_low(hit10, n))


def wilson_low(share: float, n: int) -> float:
    """Lower end of Wilson's 95 % score interval for `share` of `n` (E. B. Wilson, 1927)."""
    centre = share + _Z**2 / (2 * n)
    margin = _Z * np.sqrt(share * (1 - share) / n + _Z**2 / (4 * n * n))
    return float(max(0.0, (centre - margin) / (1 + _Z**2 / n)))


def lower_bound(good: npt.NDArray[np.bool_], cluster: I64) -> float:
    """The lesser of Wilson's bound and a bootstrap over clusters (2.5th percentile of 2,000
    resamples of whole clusters), because the queries of one concept are not independent."""
    _, which = np.unique(cluster, return_inverse=True)
    hits = np.bincount(which, weights=good)
    sizes = np.bincount(which)
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(sizes), (_RESAMPLES, len(sizes)))
    shares = hits[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    return min(float(np.percentile(shares, 2.5)), wilson_low(float(good.mean()), len(good)))


def rank_scores(
    queries: F32,
    items: F32,
    query_label: I64,
    item_label: I64,
    cluster: I64,
    *,
    skip_self: bool = False,
) -> Scores:
    """Ranks all items by cosine for every query; relevant is what has the query's label.

    `cluster` (n,) groups dependent queries for the bounds; `skip_self` takes query i out of its
    own ranking (queries and items are the same rows).
    """
    firsts: list[npt.NDArray[np.bool_]] = []
    tens: list[npt.NDArray[np.bool_]] = []
    for start in range(0, len(queries), 512):
        some = slice(start, start + 512)
        cosine = queries[some] @ items.T
        if skip_self:
            rows = np.arange(len(cosine))
            cosine[rows, rows + start] = -2.0
        top = np.argpartition(-cosine, min(10, cosine.shape[1] - 1), axis=1)[:, :10]
        order = np.argsort(-np.take_along_axis(cosine, top, axis=1), axis=1, kind="stable")
        top = np.take_along_axis(top, order, axis=1)
        relevant = item_label[top] == query_label[some, None]
        firsts.append(relevant[:, 0])
        tens.append(relevant.any(axis=1))
    first, ten = np.concatenate(firsts), np.concatenate(tens)
    return Scores(
        len(queries),
        len(items),
        float(first.mean()),
        lower_bound(first, cluster),
        float(ten.mean()),
        lower_bound(ten, cluster),
    )
