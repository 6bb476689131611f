"""The smallest effort that reaches a recall, measured on sample queries against exact search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trichord.index.ann import Engine
from trichord.index.costs import TYPICAL_EXACT, ExactCosts, Line
from trichord.index.exact import exact_search
from trichord.index.plan import Curve, Effort
from trichord.index.progress import Progress, unheard
from trichord.index.scoring import pair_scores
from trichord.index.threads import omp_threads
from trichord.types import F32

SAMPLE_QUERIES = 256
DEEP, DEEP_SAMPLE_QUERIES = 100, 48
"""From this depth on so many: each of these queries contributes a hundred neighbours or more."""
DEEPEST = 1024
PERTURBED_COSINE = 0.95
"""Cosine between a row and the query made from it."""
TIE = 1e-6

Recalls = Mapping[str, float]
"""Kind of sample query -> measured recall."""


@dataclass(frozen=True)
class Tuned:
    """`curves`: target -> the efforts that reached it, without targets that none reached.
    `recalls`: for each of these, the recall at the first depth. `recall`: that for the `target`
    that was asked for, or, where it was not reached, that of the most thorough effort."""

    target: float
    curves: Mapping[float, Curve]
    recalls: Mapping[float, Recalls]
    recall: Recalls

    @property
    def curve(self) -> Curve:
        """The efforts for the target; empty if it was not reached."""
        return self.curves.get(self.target, Curve(()))


def tune(
    vectors: F32,
    engine: Engine,
    samples: Mapping[str, F32],
    *,
    target: float,
    k: int,
    threads: int | None,
    further: Sequence[float] = (),
    costs: Line | None = None,
    deepest: int = DEEPEST,
    exact: ExactCosts | None = None,
    on_progress: Progress = unheard,
) -> Tuned:
    """Efforts for depths k, about 3 k, 10 k ... as far as search stays cheaper than exact.

    samples: query kind -> float32 (n, dim). Every kind has to reach the target by itself, with one
    standard error to spare. further: more targets, each with efforts of its own. costs: what one
    query was measured to cost; None: what is usual. deepest: the largest depth. exact: what exact
    search costs, which no effort may exceed; None: both as is usual, so that a busy moment does
    not decide what kind of index comes out.
    """
    targets = sorted({target, *further})
    costs = costs or engine.typical

    def price(effort: Effort) -> float:
        return costs.at(engine.work(effort))

    meter = _Meter(vectors, engine, samples, _depths(k, len(vectors), deepest))
    ceiling = (exact or TYPICAL_EXACT).at(1, len(vectors), len(vectors))
    bounded = engine.typical if exact is None else costs
    chosen: dict[float, list[Effort]] = {one: [] for one in targets}
    recalls: dict[float, Recalls] = {}
    with omp_threads(threads):
        meter.prepare()
        for number, depth in enumerate(meter.depths):
            ladders = [
                [effort for effort in ladder if bounded.at(engine.work(effort)) < ceiling]
                for ladder in engine.ladders(depth)
            ]
            for one in targets:
                if len(chosen[one]) < number:
                    continue  # it failed at a smaller depth
                at_least = chosen[one][-1].breadth if chosen[one] else 0  # deeper needs no less
                cheapest: Effort | None = None
                for ladder in ladders:
                    usable = [effort for effort in ladder if effort.breadth >= at_least]
                    if cheapest is not None:
                        bar = price(cheapest)
                        usable = [effort for effort in usable if price(effort) < bar]
                        if not usable or meter.surely(usable[-1]) < one:
                            continue
                    cheapest = _first_good(usable, meter, one) or cheapest
                if cheapest is None:
                    continue
                chosen[one].append(cheapest)
                if not number:
                    recalls[one] = meter.means(chosen[one][0])
            on_progress(number + 1, len(meter.depths))
        best: Recalls = recalls.get(target, {})
        if target not in recalls:
            thorough = [ladder[-1] for ladder in engine.ladders(meter.depths[0])]
            best = meter.means(max(thorough, key=lambda e: engine.typical.at(engine.work(e))))
    curves = {one: Curve(tuple(efforts)) for one, efforts in chosen.items() if efforts}
    return Tuned(target, curves, recalls, best)


def perturbed_rows(vectors: F32, count: int, seed: int) -> F32:
    """`count` queries near rows of the matrix but equal to none: float32 (count, dim), unit.

    Each row is moved along the difference of two others, a direction in which rows do differ. Over
    200,000 x 512 a graph found 0.952 of the neighbours of such queries and 0.952 of those of truly
    new rows; with noise alike in all dimensions, which no row has, 0.965, and at a cosine of 0.75
    0.873, for neighbours that differ in nothing but that noise.
    """
    generator = np.random.default_rng(seed)
    size, count = len(vectors), min(count, len(vectors))
    rows = np.sort(generator.choice(size, count, replace=False))
    one, other = generator.integers(0, size, (2, count))
    away = vectors[one].astype(np.float64) - vectors[other]
    lengths = np.linalg.norm(away, axis=1, keepdims=True)
    same = lengths[:, 0] < 1e-3  # rows that are equal have no direction
    away[same] = generator.standard_normal((int(same.sum()), vectors.shape[1]))
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    mixed = PERTURBED_COSINE * vectors[rows] + np.sqrt(1 - PERTURBED_COSINE**2) * away
    unit: F32 = (mixed / np.linalg.norm(mixed, axis=1, keepdims=True)).astype(np.float32)
    return unit


class _Meter:
    """Recall of efforts, each measured once."""

    def __init__(
        self, vectors: F32, engine: Engine, samples: Mapping[str, F32], depths: list[int]
    ) -> None:
        self._vectors, self._engine = vectors, engine
        self._samples = samples
        self._bars: dict[str, F32] = {}
        self._known: dict[Effort, dict[str, F32]] = {}
        self.depths = depths

    def prepare(self) -> None:
        """The truth for all samples: the scores of their nearest rows."""
        for kind, queries in self._samples.items():
            self._bars[kind] = exact_search(self._vectors, queries, self.depths[-1], None).scores

    def means(self, effort: Effort) -> dict[str, float]:
        return {kind: float(recalls.mean()) for kind, recalls in self._measured(effort).items()}

    def surely(self, effort: Effort) -> float:
        """The mean less one standard error, of the worst kind."""
        return min(
            float(recalls.mean() - recalls.std() / np.sqrt(len(recalls)))
            for recalls in self._measured(effort).values()
        )

    def _measured(self, effort: Effort) -> dict[str, F32]:
        if effort not in self._known:
            self._known[effort] = {
                kind: self._recalls(effort, queries, self._bars[kind])
                for kind, queries in self._samples.items()
            }
        return self._known[effort]

    def _recalls(self, effort: Effort, queries: F32, bars: F32) -> F32:
        """Per query, the share of the `depth` best that are as good as the true ones.

        By score, not by row, so that a tie between equal rows is no miss.
        """
        if effort.depth >= DEEP:
            queries, bars = queries[:DEEP_SAMPLE_QUERIES], bars[:DEEP_SAMPLE_QUERIES]
        scores = pair_scores(self._vectors, queries, self._engine.candidates(queries, effort))
        bar = bars[:, effort.depth - 1 : effort.depth] - TIE
        found = np.minimum((scores >= bar).sum(axis=1), effort.depth)
        shares: F32 = (found / effort.depth).astype(np.float32)
        return shares


def _depths(k: int, size: int, deepest: int) -> list[int]:
    most = max(k, min(deepest, size // 8))
    steps = (round(k * 10 ** (step / 2)) for step in range(12))
    return [depth for depth in steps if depth <= most]


def _first_good(ladder: Sequence[Effort], meter: _Meter, target: float) -> Effort | None:
    """The cheapest effort of a ladder that reaches the target: recall rises along it, up to noise,
    and what is returned has been measured itself. Longer and longer steps up from the cheapest,
    then bisection, so that no effort is measured that costs a multiple of what is needed."""
    low, high, good, stride = 0, 0, None, 1
    while high < len(ladder) and meter.surely(ladder[high]) < target:
        low, high, stride = high + 1, high + stride, 2 * stride
    high = min(high, len(ladder) - 1)
    while low <= high:
        middle = (low + high) // 2
        if meter.surely(ladder[middle]) >= target:
            good, high = ladder[middle], middle - 1
        else:
            low = middle + 1
    return good
