"""The smallest effort that reaches a recall, measured on sample queries against exact search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trichord.index.ann import AnnIndex, Engine
from trichord.index.base import IndexInfo
from trichord.index.exact import exact_search
from trichord.index.plan import Curve, Effort, exact_cost
from trichord.index.threads import omp_threads
from trichord.types import F32

SAMPLE_QUERIES = 256
DEEP_SAMPLE_QUERIES = 64
"""From a depth of 100 on: each of these queries contributes a hundred neighbours or more."""
PERTURBED_COSINE = 0.75
"""Cosine between a row and the query made from it. Closer queries flatter a graph that holds the
row itself: at 0.95 HNSW found 0.984 where truly new rows found 0.943; at 0.7, 0.934."""
TIE = 1e-6


@dataclass(frozen=True)
class Tuned:
    """curve: efforts that reached the target; recall: per query kind, at the first depth, for the
    chosen effort, or for the best one tried when the curve is empty."""

    curve: Curve
    recall: Mapping[str, float]


def tune(
    vectors: F32,
    engine: Engine,
    samples: Mapping[str, F32],
    *,
    target: float,
    k: int,
    threads: int | None,
) -> Tuned:
    """Efforts for depths k, about 3 k, 10 k ... as far as search stays cheaper than exact.

    samples: query kind -> float32 (n, dim). Every kind has to reach the target by itself, with one
    standard error to spare.
    """
    index = AnnIndex(vectors, engine, Curve(()), IndexInfo(kind=engine.kind), threads=threads)
    depths = _depths(k, len(vectors))
    ceiling = exact_cost(1, len(vectors), len(vectors))
    efforts: list[Effort] = []
    recall: dict[str, float] = {}
    with omp_threads(threads):
        bars = {
            kind: exact_search(vectors, queries, depths[-1], None).scores
            for kind, queries in samples.items()
        }
        for depth in depths:
            chosen: Effort | None = None
            for ladder in engine.ladders(depth):
                affordable = [effort for effort in ladder if engine.cost(effort) < ceiling]
                if efforts:  # deeper never needs less
                    affordable = [e for e in affordable if e.breadth >= efforts[-1].breadth]
                found = _first_good(index, affordable, samples, bars, target)
                if found is not None:
                    chosen = min((chosen or found, found), key=engine.cost)
            if depth == depths[0]:
                last = chosen or _most_thorough(engine, depth)
                recall = {
                    kind: float(_recalls(index, last, queries, bars[kind]).mean())
                    for kind, queries in samples.items()
                }
            if chosen is None:
                break
            efforts.append(chosen)
    return Tuned(Curve(tuple(efforts)), recall)


def perturbed_rows(vectors: F32, count: int, seed: int) -> F32:
    """`count` queries near rows of the matrix but equal to none: float32 (count, dim), unit."""
    generator = np.random.default_rng(seed)
    rows = generator.choice(len(vectors), min(count, len(vectors)), replace=False)
    noise = generator.standard_normal((len(rows), vectors.shape[1]))
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    mixed = PERTURBED_COSINE * vectors[np.sort(rows)] + np.sqrt(1 - PERTURBED_COSINE**2) * noise
    unit: F32 = (mixed / np.linalg.norm(mixed, axis=1, keepdims=True)).astype(np.float32)
    return unit


def _depths(k: int, size: int) -> list[int]:
    deepest = max(k, min(1024, size // 8))
    steps = (round(k * 10 ** (step / 2)) for step in range(12))
    return [depth for depth in steps if depth <= deepest]


def _first_good(
    index: AnnIndex,
    ladder: Sequence[Effort],
    samples: Mapping[str, F32],
    bars: Mapping[str, F32],
    target: float,
) -> Effort | None:
    """The cheapest effort of a ladder that reaches the target, by bisection: recall rises along
    it, up to noise, and what is returned has been measured itself."""
    low, high, good = 0, len(ladder) - 1, None
    while low <= high:
        middle = (low + high) // 2
        if all(
            _surely(_recalls(index, ladder[middle], queries, bars[kind])) >= target
            for kind, queries in samples.items()
        ):
            good, high = ladder[middle], middle - 1
        else:
            low = middle + 1
    return good


def _recalls(index: AnnIndex, effort: Effort, queries: F32, bars: F32) -> F32:
    """Per query, the share of the `depth` best that are as good as the true ones.

    By score, not by row, so that a tie between equal rows is no miss.
    """
    if effort.depth >= 100:
        queries, bars = queries[:DEEP_SAMPLE_QUERIES], bars[:DEEP_SAMPLE_QUERIES]
    found, _ = index.attempt(queries, effort.depth, effort)
    bar = bars[:, effort.depth - 1 : effort.depth] - TIE
    shares: F32 = (found.scores >= bar).mean(axis=1, dtype=np.float32)
    return shares


def _surely(recalls: F32) -> float:
    """The mean less one standard error."""
    return float(recalls.mean() - recalls.std() / np.sqrt(len(recalls)))


def _most_thorough(engine: Engine, depth: int) -> Effort:
    return max((ladder[-1] for ladder in engine.ladders(depth)), key=engine.cost)
