"""Retrieval figures with bootstrap intervals, over whole clusters of queries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trichord.types import F32, I64

RESAMPLES = 2000
DEPTHS = (1, 5, 10)


@dataclass(frozen=True)
class Interval:
    """A mean over queries and its 95 % percentile interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Figures:
    """Recall at 1, 5 and 10 (a relevant item among the first) and the mean reciprocal rank."""

    queries: int
    items: int
    r1: Interval
    r5: Interval
    r10: Interval
    mrr: Interval


def first_ranks(queries: F32, items: F32, relevant: npt.NDArray[np.bool_]) -> I64:
    """The rank (1 is best) of each query's best relevant item by cosine.

    `relevant` is (queries, items), with at least one True per row. Equal scores count against:
    an item that is not relevant goes before a relevant one of the same score.
    """
    cosine = queries @ items.T
    best = np.where(relevant, cosine, -np.inf).max(axis=1, keepdims=True)
    ahead = (cosine >= best) & ~relevant
    return np.asarray(ahead.sum(axis=1) + 1, np.int64)


def interval(values: npt.NDArray[np.float64], clusters: I64, *, seed: int = 0) -> Interval:
    """The mean of `values` (n,) and a bootstrap over clusters: the queries of one concept are not
    independent of one another, so concepts are drawn, not queries."""
    _, which = np.unique(clusters, return_inverse=True)
    sums = np.bincount(which, weights=values)
    sizes = np.bincount(which)
    rng = np.random.default_rng(seed)
    means = np.empty(RESAMPLES)
    for start in range(0, RESAMPLES, 200):
        drawn = rng.integers(0, len(sizes), (200, len(sizes)))
        means[start : start + 200] = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(float(np.mean(values)), float(low), float(high))


def figures(ranks: I64, items: int, clusters: I64) -> Figures:
    """All figures of ranks that were found among `items` items: (n,), or (runs, n) of several runs
    over the same queries, which are averaged query by query."""
    runs = np.atleast_2d(ranks)
    at = [interval((runs <= depth).mean(axis=0), clusters) for depth in DEPTHS]
    return Figures(
        runs.shape[1], items, at[0], at[1], at[2], interval((1.0 / runs).mean(axis=0), clusters)
    )
