"""The cheapest way to an answer within one index, by the costs measured on this machine.

Three ways: exact search over the allowed rows; the index, whose candidates are screened by the
filter; the index with FAISS's selector, where the engine gains by it (docs/decisions/0002).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from trichord.index.costs import BATCH, TYPICAL_EXACT, Costs, ExactCosts
from trichord.index.plan import Curves, Effort, Plan, Way, needed_depth

FILTERED_RECALL = 0.99
"""What a filtered search aims at unless it is told otherwise: the filter has cost it depth already,
and recall lost by a filter is what people notice."""
TIMES_AS_MUCH = 20
CLEARLY, SELECTIVE = 0.8, 0.1
"""A selector must cost less than this share of screening to be taken, and the filter allow less
than this share of the rows: screening tells more surely when it did not go deep enough (with the 60
nearest rows of every query removed, a selector over the other 79 % lost 3 % of recall)."""
PLANS_KEPT = 1024
_EPSILON = 1e-9

Key = tuple[int, int, int, float]


class Worker(Protocol):
    """The part of an engine that costs are about."""

    @property
    def plain(self) -> Way:
        """The way of a search without a filter: "graph" or "lists"."""
        ...

    def work(self, effort: Effort) -> tuple[float, ...]:
        """What one query costs, in the units of its own that `Line.rates` prices."""
        ...

    def scanned(self, effort: Effort) -> int:
        """Rows whose distance to one query is computed, as estimated."""
        ...


def exact_plan(queries: int, allowed: int, size: int, costs: ExactCosts = TYPICAL_EXACT) -> Plan:
    """Exact search by `queries` queries over `allowed` of `size` rows."""
    price = costs.at(queries, allowed, size) if allowed else 0.0
    return Plan("exact", allowed / max(1, size), allowed, None, 1.0, price)


class Planner:
    """Plans over `size` rows. target: what is aimed at without a filter. recalls: target -> the
    least measured recall of its first effort. selects: whether the engine takes a selector and
    heeds it. Plans are remembered."""

    def __init__(
        self,
        size: int,
        curves: Curves,
        costs: Costs,
        worker: Worker,
        *,
        target: float,
        recalls: Mapping[float, float],
        selects: bool,
    ) -> None:
        self.size = size
        self.curves = dict(sorted(curves.items()))
        self.costs = costs
        self._worker = worker
        self._recalls = recalls
        self._selects = selects
        self._plans: dict[Key, Plan] = {}
        self.filtered_recall = self._filtered_recall(target)

    def plan(self, queries: int, k: int, allowed: int, recall: float) -> Plan:
        """For the k best of `allowed` rows at the recall: by the efforts of the least tuned target
        that is no smaller, exact where there is none or where it is cheaper."""
        key = (min(queries, BATCH), k, allowed, recall)
        plan = self._plans.get(key)
        if plan is None:
            depth = needed_depth(min(k, allowed), allowed, self.size)
            plan = self.deeper(queries, depth, allowed, recall)
            if len(self._plans) >= PLANS_KEPT:
                self._plans.clear()
            self._plans[key] = plan
        return plan

    def deeper(self, queries: int, depth: int, allowed: int, recall: float) -> Plan:
        """As `plan`, for a given depth."""
        share = allowed / self.size
        exact = exact_plan(queries, allowed, self.size, self.costs.exact)
        target = next((t for t in self.curves if t >= recall - _EPSILON), None)
        effort = None if target is None else self.curves[target].at(depth)
        if target is None or effort is None:
            return exact
        plan = self._priced("screen" if share < 1 else self._worker.plain, queries, effort, share)
        if self._selects and share < SELECTIVE:
            chosen = self._priced("selector", queries, self._selecting(effort, share), share)
            if chosen.microseconds < CLEARLY * plan.microseconds:
                plan = chosen
        if plan.microseconds >= exact.microseconds:
            return exact
        return replace(plan, recall=self._recalls.get(target, target))

    def _filtered_recall(self, target: float) -> float:
        """What a search with a filter aims at: more than without one. Where no effort reached so
        much, exact search takes over, unless it costs many times as much as the best effort."""
        wanted, reached = max(target, FILTERED_RECALL), max(self.curves, default=0.0)
        if not self.curves or reached >= wanted or not self.curves[reached].efforts:
            return wanted
        best = self.costs.of_engine(1, self._worker.work(self.curves[reached].efforts[0]))
        far = self.costs.exact.at(1, self.size, self.size) > TIMES_AS_MUCH * best
        return max(target, reached) if far else wanted

    def _priced(self, way: Way, queries: int, effort: Effort, share: float) -> Plan:
        price = self.costs.of_engine(queries, self._worker.work(effort))
        return Plan(way, share, self._worker.scanned(effort), effort, 0.0, price)

    def _selecting(self, effort: Effort, share: float) -> Effort:
        """As many candidates as pass the screen; more, so that half the allowed rows of the region
        that is searched are among them: if they are not there, the filter and the query do not go
        together, and the search must widen."""
        passing = math.ceil(effort.candidates * share)
        expected = math.ceil(self._worker.scanned(effort) * share / 2)
        return replace(effort, candidates=max(1, min(effort.candidates, max(passing, expected))))
