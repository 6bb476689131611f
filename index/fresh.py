"""Graphs over rows that came since an index was built, grown from copy to copy."""

from __future__ import annotations

from collections.abc import Mapping

from trichord.index.ann import AnnIndex
from trichord.index.base import IndexInfo
from trichord.index.costs import TYPICAL_EXACT, Costs, machine
from trichord.index.hnsw import TYPICAL, HnswEngine
from trichord.index.planner import FILTERED_RECALL
from trichord.index.reduction import fitted
from trichord.index.threads import omp_threads
from trichord.index.tuning import perturbed_rows, tune
from trichord.types import F32

SAMPLES = 64
"""Queries of each kind that efforts are measured with."""
DEEPEST = 320
"""Efforts are tuned up to this depth: beyond, few thousand rows are better searched exactly."""
TUNED_AGAIN = 1.5
"""Efforts are measured again when the graph has grown by this factor."""


class Grower:
    """Grows graphs that answer like `base`: at its recall target, for queries like those that it
    was tuned with."""

    def __init__(self, base: AnnIndex) -> None:
        self._info = base.info
        self._threads = base.threads
        self._samples = {
            kind: queries[:SAMPLES] for kind, queries in base.samples.items() if kind != "own"
        }
        self._costs = base.costs
        if not isinstance(base.engine, HnswEngine):
            exact = base.costs.exact
            line = TYPICAL.times(exact.gathered / TYPICAL_EXACT.gathered)
            self._costs = Costs(exact, line, line, machine())

    def grown(self, graph: AnnIndex | None, rows: F32) -> AnnIndex:
        """A graph over all `rows`, the first of which are those of `graph`. One thread's work."""
        with omp_threads(1):
            if graph is None:
                # Not the base's own: what is new may lie elsewhere.
                reduction = fitted(rows, self._kinds(rows), self._info.k)
                engine = HnswEngine.begun(rows, reduction=reduction).extended(rows)
                return self._tuned(rows, engine)
            assert isinstance(graph.engine, HnswEngine)
            engine = graph.engine.extended(rows[graph.size :])
            tuned_at = int(graph.info.parameters["tuned_at"])
            if len(rows) > TUNED_AGAIN * tuned_at:
                return self._tuned(rows, engine)
            return AnnIndex(
                rows, engine, graph.curves, graph.info, costs=graph.costs, threads=self._threads
            )

    def _kinds(self, rows: F32) -> Mapping[str, F32]:
        return {"own": perturbed_rows(rows, SAMPLES, 0), **self._samples}

    def _tuned(self, rows: F32, engine: HnswEngine) -> AnnIndex:
        target = self._info.recall_target
        samples = self._kinds(rows)
        tuned = tune(
            rows,
            engine,
            samples,
            target=target,
            further=(max(target, FILTERED_RECALL),),
            k=self._info.k,
            threads=1,
            deepest=DEEPEST,
            costs=self._costs.alone,
            exact=self._costs.exact,
        )
        info = IndexInfo(
            kind=engine.kind,
            recall=dict(tuned.recall),
            recall_target=target,
            k=self._info.k,
            parameters={"tuned_at": len(rows)},
            targets={str(one): dict(found) for one, found in tuned.recalls.items()},
        )
        return AnnIndex(rows, engine, tuned.curves, info, costs=self._costs, threads=self._threads)
