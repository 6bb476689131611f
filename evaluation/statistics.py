"""Intervals and tests over queries: what would another sample of such queries have said?

- Intervals: the bootstrap over queries (Efron and Tibshirani, An Introduction to the Bootstrap,
  1993), bias-corrected and accelerated (BCa, chapter 14.3) or by percentiles; whole clusters are
  drawn where queries depend on each other.
- Tests: the paired randomisation test (Fisher's; for retrieval see Smucker, Allan and Carterette,
  CIKM 2007): under the null hypothesis the sign of each query's difference is a coin toss. All
  signs are tried where there are few queries, else so many random ones.
- Many tests: Holm's step-down correction (Scandinavian Journal of Statistics, 1979).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
import numpy.typing as npt

from trichord.errors import InvalidInput
from trichord.types import I64

F64 = npt.NDArray[np.float64]
Method = Literal["bca", "percentile"]
Alternative = Literal["two-sided", "less", "greater"]

RESAMPLES = 10_000
CONFIDENCE = 0.95
MOST_TRIES = 400_000
CHUNK = 2_000_000
"""Drawn numbers held at a time: 16 MB of indices."""


@dataclass(frozen=True)
class Interval:
    """A mean over queries and the ends of its confidence interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


@dataclass(frozen=True)
class Difference:
    """Mean of b - a over queries with its interval, and the p value of its being zero (two-sided)
    or whatever was tested; `better` and `worse` count queries with b > a and b < a."""

    interval: Interval
    p: float
    better: int
    worse: int


def mean_intervals(
    values: F64,
    *,
    clusters: Sequence[object] | None = None,
    bounds: tuple[float, float] = (0.0, 1.0),
    method: Method = "bca",
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[Interval]:
    """The mean of every column of `values` float64 (queries, measures), with its interval.

    `clusters` (queries,) names groups of dependent queries, drawn as wholes. The resamples are the
    same for all columns and depend on `seed` alone.

    Where all queries (clusters) have one value v a bootstrap is silent. Then at least a share
    q = ((1 - confidence) / 2) ** (1 / n) of all queries has it, or n draws in a row would have
    been a surprise; the others lie within `bounds` of a query's value, which bounds the mean.

    Raises InvalidInput for no queries or values that are not finite.
    """
    if values.ndim != 2 or not len(values) or not np.isfinite(values).all():
        raise InvalidInput("intervals need finite values of at least one query")
    if method not in ("bca", "percentile"):
        raise InvalidInput(f"method is 'bca' or 'percentile', not {method!r}")
    if not 0 < confidence < 1 or resamples < 100:
        raise InvalidInput("confidence lies between 0 and 1, and 100 resamples are the least")
    sums, sizes = _grouped(values, clusters)
    means = sums.sum(axis=0) / sizes.sum()
    drawn = _resampled(sums, sizes, resamples, seed)
    left_out = (sums.sum(axis=0) - sums) / np.maximum(sizes.sum() - sizes, 1)[:, None]
    tail = (1 - confidence) / 2
    found = []
    for column, mean in enumerate(means):
        own = sums[:, column] / sizes
        if np.ptp(own) < 1e-12:
            share = tail ** (1 / len(sizes))
            rest = [share * mean + (1 - share) * bound for bound in bounds]
            low, high = min(rest[0], mean), max(rest[1], mean)
        else:
            ends = (tail, 1 - tail)
            if method == "bca":
                ends = _bca(drawn[:, column], mean, left_out[:, column], ends)
            low, high = np.quantile(drawn[:, column], ends)
        found.append(Interval(float(mean), float(low), float(high)))
    return found


def paired(
    a: F64,
    b: F64,
    *,
    clusters: Sequence[object] | None = None,
    alternative: Alternative = "two-sided",
    margin: float = 0.0,
    method: Method = "bca",
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    tries: int | None = None,
    seed: int = 0,
) -> list[Difference]:
    """b - a over the same queries, float64 (queries, measures) each; one result per column.

    `alternative` "less" asks whether the mean difference is below `margin`, "greater" whether it is
    above, "two-sided" whether it is another than `margin`. `tries` random signs (None: as many as
    `resamples`) give p = (as extreme + 1) / (tries + 1), so it is never 0.
    """
    if a.shape != b.shape or a.ndim != 2 or not len(a):
        raise InvalidInput("a paired test needs the values of the same queries, at least one")
    difference = np.asarray(b - a, np.float64)
    intervals = mean_intervals(
        difference,
        clusters=clusters,
        bounds=(-1.0, 1.0),
        method=method,
        confidence=confidence,
        resamples=resamples,
        seed=seed,
    )
    p_values = sign_flips(
        difference - margin,
        clusters=clusters,
        alternative=alternative,
        tries=resamples if tries is None else tries,
        seed=seed,
    )
    better, worse = (difference > 1e-12).sum(axis=0), (difference < -1e-12).sum(axis=0)
    return [
        Difference(interval, p, int(up), int(down))
        for interval, p, up, down in zip(intervals, p_values, better, worse, strict=True)
    ]


def sign_flips(
    difference: F64,
    *,
    clusters: Sequence[object] | None = None,
    alternative: Alternative = "two-sided",
    tries: int = RESAMPLES,
    seed: int = 0,
) -> list[float]:
    """The p value of the randomisation test on the mean of every column of `difference`
    (queries, measures). All 2^n signs are tried when these are at most `tries`."""
    sums, _ = _grouped(difference, clusters)
    observed = sums.sum(axis=0)
    n = len(sums)
    every = n < 60 and 2**n <= tries
    count = 2**n if every else tries
    rng = np.random.default_rng(seed)
    extreme = np.zeros(sums.shape[1], np.int64)
    step = max(1, CHUNK // n)
    # Sums of the same numbers in another order differ by rounding.
    slack = 1e-12 * np.maximum(1.0, np.abs(sums).sum(axis=0))
    for start in range(0, count, step):
        size = min(step, count - start)
        if every:
            bits = (np.arange(start, start + size)[:, None] >> np.arange(n)) & 1
        else:
            bits = rng.integers(0, 2, (size, n), np.int8)
        flipped = 2.0 * (bits.astype(np.float64) @ sums) - observed
        if alternative == "less":
            extreme += (flipped <= observed + slack).sum(axis=0)
        elif alternative == "greater":
            extreme += (flipped >= observed - slack).sum(axis=0)
        else:
            extreme += (np.abs(flipped) >= np.abs(observed) - slack).sum(axis=0)
    return [int(one) / count if every else (int(one) + 1) / (count + 1) for one in extreme]


def tries_for(tests: int, confidence: float = CONFIDENCE, least: int = RESAMPLES) -> int:
    """Random signs per test so that Holm's correction over so many tests can still find something:
    the least p value there can be, times `tests`, is a twentieth of what counts as significant, as
    long as that takes no more than `MOST_TRIES`."""
    return max(least, min(MOST_TRIES, round(20 * tests / (1 - confidence))))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p values: that of rank i (from 0) of m is the greatest (m - j) * p_j of j <= i, at
    most 1. Rejecting those below alpha keeps the chance of any false rejection below alpha."""
    m = len(p_values)
    adjusted = [1.0] * m
    greatest = 0.0
    for rank, place in enumerate(sorted(range(m), key=lambda one: p_values[one])):
        greatest = max(greatest, (m - rank) * p_values[place])
        adjusted[place] = min(1.0, greatest)
    return adjusted


def _grouped(values: F64, clusters: Sequence[object] | None) -> tuple[F64, F64]:
    """Sums (groups, columns) and sizes (groups,); every query is its own group without clusters."""
    if clusters is None:
        return values, np.ones(len(values))
    if len(clusters) != len(values):
        raise InvalidInput(f"{len(values)} queries have {len(clusters)} names of clusters")
    numbers: dict[object, int] = {}
    which: I64 = np.array([numbers.setdefault(one, len(numbers)) for one in clusters], np.int64)
    sums = np.zeros((len(numbers), values.shape[1]))
    np.add.at(sums, which, values)
    return sums, np.bincount(which).astype(np.float64)


def _resampled(sums: F64, sizes: F64, resamples: int, seed: int) -> F64:
    """Means (resamples, columns) of as many groups, drawn with replacement."""
    n = len(sizes)
    rng = np.random.default_rng(seed)
    made = np.empty((resamples, sums.shape[1]))
    step = max(1, CHUNK // n)
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        drawn = rng.integers(0, n, (size, n)) + np.arange(size)[:, None] * n
        counts = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n).astype(np.float64)
        made[start : start + size] = (counts @ sums) / (counts @ sizes)[:, None]
    return made


def _bca(drawn: F64, mean: float, left_out: F64, ends: tuple[float, float]) -> tuple[float, float]:
    """The quantiles of the resamples that BCa takes instead of `ends`."""
    normal = NormalDist()
    slack = 1e-12
    below = ((drawn < mean - slack).mean() + (drawn <= mean + slack).mean()) / 2
    if not 0 < below < 1:
        return ends
    bias = normal.inv_cdf(float(below))
    off = left_out.mean() - left_out
    spread = float((off**2).sum())
    acceleration = float((off**3).sum()) / (6 * spread**1.5) if spread > 0 else 0.0

    def moved(end: float) -> float:
        z = bias + normal.inv_cdf(end)
        return normal.cdf(bias + z / (1 - acceleration * z))

    return moved(ends[0]), moved(ends[1])
