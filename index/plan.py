"""How deep a search has to go, what a plan says, and what a search says of itself.

The measure of everything here is depth: how many of a query's true nearest rows a search at some
effort finds at the recall that was tuned for. A filter that lets a share s of the rows pass turns
"the k best allowed" into "the allowed among some k / s best", so a filtered search is a deeper
unfiltered one whose candidates are screened. That is also what tells when it fails: if fewer
allowed rows than expected stand among the candidates (the filter picks rows that lie far from the
query), the depth was too small, and the search widens until exact search is cheaper.

Which way is taken is a matter of cost: see planner.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Literal

from trichord.explanation import Step

Way = Literal["exact", "graph", "lists", "screen", "selector", "fresh"]
"""exact: the scores of all allowed rows. graph (HNSW), lists (IVF): the index without a filter.
screen: the index, its candidates held against the filter. selector: the index proposes allowed rows
only, by FAISS's selector; they are held against the filter all the same. fresh: the graph over rows
that came since the index was built."""


@dataclass(frozen=True)
class Effort:
    """depth: true neighbours found at the tuned recall; breadth: efSearch or nprobe;
    candidates: rows that the engine hands over to exact scoring."""

    depth: int
    breadth: int
    candidates: int


@dataclass(frozen=True)
class Plan:
    """What a search would do; that of a live index has a part for each of its tiers.

    selectivity: share of the rows that are allowed. scanned: rows per query whose distance to it
    will be computed, as estimated. effort: None for exact search. recall: the least that was
    measured for this effort. microseconds: per query, by the costs measured on this machine.
    """

    way: Way
    selectivity: float
    scanned: int
    effort: Effort | None
    recall: float
    microseconds: float
    parts: tuple[Plan, ...] = ()


Trace = list[Step] | None
"""Where a search writes its steps; None: it does not."""


def step(
    plan: Plan, queries: int, began: float, *, widened: int = 0, way: Way | None = None
) -> Step:
    """What came of a plan that was begun at `began` (perf_counter) and is done now."""
    breadth = 0 if plan.effort is None else plan.effort.breadth
    spent = 1e6 * (perf_counter() - began)
    return Step(way or plan.way, plan.scanned * queries, spent, breadth, widened)


@dataclass(frozen=True)
class Curve:
    """Tuned efforts by ascending depth; between two of them, interpolation in logarithms."""

    efforts: tuple[Effort, ...]

    def at(self, depth: int) -> Effort | None:
        """The effort for a depth, or None beyond the deepest that was tuned."""
        efforts = self.efforts
        if not efforts or depth > efforts[-1].depth:
            return None
        if depth <= efforts[0].depth:
            return efforts[0]
        right = bisect_left([effort.depth for effort in efforts], depth)
        low, high = efforts[right - 1], efforts[right]
        if depth == high.depth:
            return high
        share = math.log(depth / low.depth) / math.log(high.depth / low.depth)
        return Effort(
            depth,
            _between(low.breadth, high.breadth, share),
            max(depth, _between(low.candidates, high.candidates, share)),
        )

    def as_json(self) -> list[list[int]]:
        return [[e.depth, e.breadth, e.candidates] for e in self.efforts]

    @classmethod
    def from_json(cls, rows: Sequence[Sequence[int]]) -> Curve:
        return cls(tuple(Effort(*(int(value) for value in row)) for row in rows))


Curves = Mapping[float, Curve]
"""Recall target -> the efforts that reached it."""


def needed_depth(wanted: int, allowed: int, size: int) -> int:
    """The depth at which `wanted` allowed rows are expected with two standard deviations to spare
    if the filter picks rows independently of the query."""
    share = allowed / size
    spare = 2.0 * math.sqrt(wanted * (1.0 - share))
    return min(size, math.ceil((wanted + spare) / share))


def _between(low: int, high: int, share: float) -> int:
    return math.ceil(low * math.exp(share * math.log(high / low)))
