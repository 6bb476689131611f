"""Approximate search that answers like an exact one, only with a measured recall below 1.

An engine proposes candidates by its compressed vectors. Here they are screened by the filter,
scored exactly on the float matrix, ordered, and, where too few are left, searched for again with
more effort, finally exactly: an answer is never short while enough rows are allowed, a score is
never that of a compressed vector, and no row that the filter excludes can appear.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

import numpy as np

from trichord.index.base import (
    PADDING,
    IndexInfo,
    Neighbours,
    checked_k,
    checked_queries,
    checked_recall,
)
from trichord.index.costs import Costs, Line
from trichord.index.exact import exact_search
from trichord.index.plan import Curve, Curves, Effort, Plan, Trace, step
from trichord.index.planner import Planner, Worker, exact_plan
from trichord.index.rowset import Allowed, RowSet, rowset_of
from trichord.index.scoring import best, checked_pair_scores, pair_scores
from trichord.index.selftest import honours_selector
from trichord.index.threads import batch_threads, omp_threads
from trichord.types import F32, I64, Bool

WIDENING = 4
"""Depth grows by this factor when an answer came out short."""
FRONT = 4
"""So many times the depth, of the candidates, show whether filter and query go together."""


class Engine(Worker, Protocol):
    """A FAISS index that proposes rows."""

    @property
    def kind(self) -> str: ...

    @property
    def parameters(self) -> dict[str, Any]:
        """What it was built with, as JSON values."""
        ...

    @property
    def bytes(self) -> int:
        """What it takes in memory beside the vectors, as far as is known beforehand."""
        ...

    @property
    def typical(self) -> Line:
        """The usual costs of its `work` on a common machine."""
        ...

    @property
    def selects(self) -> bool:
        """Whether `selected` is there and worth while."""
        ...

    def candidates(self, queries: F32, effort: Effort) -> I64:
        """effort.candidates rows per query, best first by the engine's own distance; -1 pads."""
        ...

    def selected(self, queries: F32, effort: Effort, rowset: RowSet) -> I64:
        """The same among the rows of the set only."""
        ...

    def probes(self) -> Sequence[Effort]:
        """Efforts to measure costs with: one, and for each amount in `work` another that differs
        from it in that amount alone."""
        ...

    def ladders(self, depth: int) -> Sequence[Sequence[Effort]]:
        """Efforts worth trying for a depth, each ladder from cheap to thorough."""
        ...

    def write(self, path: Path) -> None: ...


class AnnIndex:
    """An engine over `vectors`, with the efforts that were tuned for it.

    curves: recall target -> efforts, or the efforts for `info.recall_target` alone. costs: None
    takes what is usual. samples: kind -> queries that it was tuned with, for what is tuned later.
    threads: OpenMP threads for a batch; None leaves the process default.
    """

    def __init__(
        self,
        vectors: F32,
        engine: Engine,
        curves: Curves | Curve,
        info: IndexInfo,
        *,
        costs: Costs | None = None,
        samples: Mapping[str, F32] | None = None,
        threads: int | None = None,
    ) -> None:
        self.vectors = vectors
        self.engine = engine
        self.samples = samples or {}
        self._info = info
        self._threads = threads
        self.curves = {info.recall_target: curves} if isinstance(curves, Curve) else dict(curves)
        self.planner = Planner(
            len(vectors),
            self.curves,
            costs or Costs.typical(engine.typical),
            engine,
            target=info.recall_target,
            recalls=_least_recalls(info),
            selects=engine.selects and honours_selector(engine),
        )

    @property
    def size(self) -> int:
        return len(self.vectors)

    @property
    def dim(self) -> int:
        return int(self.vectors.shape[1])

    @property
    def info(self) -> IndexInfo:
        return self._info

    @property
    def pieces(self) -> Sequence[F32]:
        return (self.vectors,)

    @property
    def curve(self) -> Curve:
        """The efforts for `info.recall_target`."""
        return self.curves.get(self._info.recall_target, Curve(()))

    @property
    def threads(self) -> int | None:
        return self._threads

    def over(self, vectors: F32) -> AnnIndex:
        """The same index beside a copy of its matrix."""
        return AnnIndex(
            vectors,
            self.engine,
            self.curves,
            self._info,
            costs=self.costs,
            samples=self.samples,
            threads=self._threads,
        )

    @property
    def costs(self) -> Costs:
        return self.planner.costs

    def search(
        self,
        queries: F32,
        k: int,
        *,
        allowed: Allowed = None,
        recall: float | None = None,
        trace: Trace = None,
    ) -> Neighbours:
        queries, k = checked_queries(queries, self.dim), checked_k(k)
        rowset = rowset_of(allowed, self.size)
        return self.search_checked(queries, k, rowset, self.aim(rowset, recall), trace)

    def search_checked(
        self,
        queries: F32,
        k: int,
        rowset: RowSet | None,
        recall: float,
        trace: Trace,
        *,
        singly: bool = False,
    ) -> Neighbours:
        """As `search`, of arguments that were checked. singly: each query goes the way that it
        would go alone, and so finds the same; in a batch another way may be cheaper."""
        # One query has nothing to share out, yet BLAS, which reduces it, would wake a thread for
        # it, and that takes as long as the search where the last call is some 0.1 ms ago.
        alone = len(queries) == 1
        with omp_threads(1) if alone else batch_threads(self._threads):
            return self._search(queries, k, rowset, recall, trace, singly)

    def plan(
        self, queries: int, k: int, allowed: Allowed = None, recall: float | None = None
    ) -> Plan:
        """How `queries` queries at once would be searched first. Raises InvalidInput."""
        rowset = rowset_of(allowed, self.size)
        available = self.size if rowset is None else rowset.count
        if not available:
            return exact_plan(queries, 0, self.size)
        return self.planner.plan(queries, checked_k(k), available, self.aim(rowset, recall))

    def scores(self, queries: F32, rows: I64) -> F32:
        return checked_pair_scores(self.vectors, checked_queries(queries, self.dim), rows)

    def effort(self, queries: int, k: int, allowed: int) -> Effort | None:
        """What a search by `queries` queries over `allowed` rows starts with; None: exact."""
        return self.planner.plan(queries, k, allowed, self._info.recall_target).effort

    def attempt(
        self, queries: F32, k: int, effort: Effort, rowset: RowSet | None = None
    ) -> tuple[Neighbours, Bool]:
        """One search at one effort, and per query whether it went deep enough for its answer."""
        rows = self.engine.candidates(queries, effort)
        if rowset is None:
            answer = best(pair_scores(self.vectors, queries, rows), rows, k)
            return answer, answer.rows[:, min(k, self.size) - 1] != PADDING
        # Candidates are more than the depth that they reach, since the engine's own order is rough.
        # Allowed rows must be as frequent among the foremost as `wanted` is in the depth.
        wanted, front = min(k, rowset.count), min(FRONT * effort.depth, effort.candidates)
        enough: Bool
        if len(rows) == 1 and rows[0, -1] != PADDING:  # the same as below, at a third of the time
            every = rows[0]
            passed = rowset.mask[every]
            least = min(wanted * max(1.0, front / effort.depth), front)
            enough = np.array([np.count_nonzero(passed[:front]) >= least])
            rows = every[passed][None, :]
        else:
            seen = rows != PADDING
            passed = rowset.mask[rows] & seen  # padding reads the last row's flag: `seen` drops it
            surplus = np.maximum(1.0, seen[:, :front].sum(axis=1) / effort.depth)
            enough = passed[:, :front].sum(axis=1) >= np.minimum(wanted * surplus, front)
            rows = np.where(passed, rows, PADDING)
        return best(pair_scores(self.vectors, queries, rows), rows, k), enough

    def _selected(
        self, queries: F32, k: int, effort: Effort, rowset: RowSet
    ) -> tuple[Neighbours, Bool]:
        """As `attempt`, by the engine's own filter; what it lets through wrongly is dropped."""
        rows = self.engine.selected(queries, effort, rowset)
        passed = rowset.mask[rows] & (rows != PADDING)
        enough: Bool = passed.sum(axis=1) >= min(effort.candidates, rowset.count)
        rows = np.where(passed, rows, PADDING)
        return best(pair_scores(self.vectors, queries, rows), rows, k), enough

    def _search(
        self,
        queries: F32,
        k: int,
        rowset: RowSet | None,
        recall: float,
        trace: Trace,
        singly: bool = False,
    ) -> Neighbours:
        available = self.size if rowset is None else rowset.count
        if available == 0 or len(queries) == 0:
            return Neighbours.none(len(queries), k)
        together = 1 if singly else len(queries)
        plan = self.planner.plan(together, k, available, recall)
        answer, enough = self._taken(plan, queries, k, rowset, trace, 0)
        if enough is None or (enough[0] if len(enough) == 1 else enough.all()):
            return answer
        depth = needed = plan.effort.depth if plan.effort else 0
        while not enough.all():
            open_ = np.flatnonzero(~enough)
            depth *= WIDENING
            together = 1 if singly else len(open_)
            plan = self.planner.deeper(together, depth, available, recall)
            widened = round(np.log(depth / needed) / np.log(WIDENING))
            found, good = self._taken(plan, queries[open_], k, rowset, trace, widened)
            answer.scores[open_], answer.rows[open_] = found.scores, found.rows
            enough[open_] = True if good is None else good
        return answer

    def _taken(
        self,
        plan: Plan,
        queries: F32,
        k: int,
        rowset: RowSet | None,
        trace: Trace,
        widened: int,
    ) -> tuple[Neighbours, Bool | None]:
        """What the plan finds, and per query whether that is enough; None: certainly."""
        began = perf_counter() if trace is not None else 0.0
        enough: Bool | None = None
        if plan.effort is None:
            answer = exact_search(self.vectors, queries, k, rowset)
        elif plan.way == "selector" and rowset is not None:
            answer, enough = self._selected(queries, k, plan.effort, rowset)
        else:
            answer, enough = self.attempt(queries, k, plan.effort, rowset)
        if trace is not None:
            trace.append(step(plan, len(queries), began, widened=widened))
        return answer, enough

    def aim(self, rowset: RowSet | None, recall: float | None) -> float:
        """The recall that a search over the rows of the set aims at. Raises InvalidInput."""
        if recall is not None:
            return checked_recall(recall)
        return self._info.recall_target if rowset is None else self.planner.filtered_recall


def _least_recalls(info: IndexInfo) -> dict[float, float]:
    """Target -> the recall of the kind of query that is hardest to answer."""
    targets = info.targets or {str(info.recall_target): info.recall}
    return {float(target): min(found.values()) for target, found in targets.items() if found}
