"""Which way a search takes by given costs, how costs are measured, and what a search tells."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trichord.errors import InvalidInput
from trichord.index import fitting
from trichord.index.ann import AnnIndex
from trichord.index.base import IndexInfo
from trichord.index.build import build
from trichord.index.costs import BATCH, TYPICAL_EXACT, Costs, ExactCosts, Line, machine
from trichord.index.exact import ExactIndex
from trichord.index.fitting import fit
from trichord.index.ivf import IvfEngine
from trichord.index.live import LiveIndex
from trichord.index.plan import Curve, Effort, Step, Way, needed_depth
from trichord.index.planner import Planner
from trichord.index.rowset import RowSet
from trichord.types import F32, I64

SIZE = 100_000
CURVES = {
    0.9: Curve((Effort(10, 10, 20), Effort(1000, 500, 2000))),
    0.95: Curve((Effort(10, 20, 40), Effort(1000, 1000, 4000))),
    0.99: Curve((Effort(10, 40, 80), Effort(1000, 2000, 8000))),
}
RECALLS = {0.9: 0.91, 0.95: 0.96, 0.99: 0.992}


class Priced:
    """An engine of which only the costs matter."""

    plain: Way = "lists"

    def work(self, effort: Effort) -> tuple[float, ...]:
        return float(effort.breadth), float(effort.candidates)

    def scanned(self, effort: Effort) -> int:
        return 10 * effort.breadth


def planner(alone: Line, batched: Line | None = None, *, selects: bool = False) -> Planner:
    costs = Costs(TYPICAL_EXACT, alone, batched or alone, "here")
    return Planner(SIZE, CURVES, costs, Priced(), target=0.9, recalls=RECALLS, selects=selects)


def test_the_least_target_that_is_no_smaller_is_taken() -> None:
    plans = planner(Line(1.0, (0.1, 0.1)))
    for recall, breadth, expected in (
        (0.5, 10, 0.91),
        (0.9, 10, 0.91),
        (0.93, 20, 0.96),
        (0.95, 20, 0.96),
        (0.951, 40, 0.992),
        (0.99, 40, 0.992),
    ):
        plan = plans.plan(1, 10, SIZE, recall)
        assert plan.way == "lists" and plan.recall == expected
        assert plan.effort is not None and plan.effort.breadth == breadth
        assert plan.scanned == 10 * breadth
        assert plan.microseconds == pytest.approx(1 + 0.1 * breadth + 0.2 * breadth)
    for recall in (0.991, 1.0):
        assert plans.plan(1, 10, SIZE, recall).way == "exact"
    assert plans.plan(1, 1001, SIZE, 0.95).way == "exact"  # deeper than anything that was tuned


def test_what_a_filtered_search_aims_at() -> None:
    def aim(rate: float, curves: dict[float, Curve], target: float = 0.9) -> float:
        line = Line(0.0, (rate, 0.0))
        costs = Costs(TYPICAL_EXACT, line, line, "here")  # exact over all rows: 6610 µs
        found = Planner(SIZE, curves, costs, Priced(), target=target, recalls={}, selects=False)
        return found.filtered_recall

    low = {0.9: CURVES[0.9], 0.95: CURVES[0.95]}
    assert aim(1.0, CURVES) == 0.99
    assert aim(1.0, CURVES, target=0.995) == 0.995
    assert aim(20.0, low) == 0.99  # 400 µs: exact search is not so far off
    assert aim(1.0, low) == 0.95  # 20 µs: it is
    assert aim(1.0, {0.9: CURVES[0.9]}, target=0.9) == 0.9
    assert aim(1.0, {}) == 0.99


@settings(deadline=None, max_examples=200)
@given(
    allowed=st.integers(1, SIZE),
    k=st.integers(1, 300),
    queries=st.sampled_from([1, 2, 7, 64, 1000]),
    call=st.floats(0, 500),
    rates=st.tuples(st.floats(0.0001, 3), st.floats(0.0001, 3)),
    selects=st.booleans(),
)
def test_no_plan_is_dearer_than_exact_search(
    allowed: int,
    k: int,
    queries: int,
    call: float,
    rates: tuple[float, float],
    selects: bool,
) -> None:
    plans = planner(Line(call, rates), Line(call / 3, rates), selects=selects)
    plan = plans.plan(queries, k, allowed, 0.99)
    exact = TYPICAL_EXACT.at(min(queries, BATCH), allowed, SIZE)
    assert plan.microseconds <= exact * (1 + 1e-9)
    assert plan.selectivity == allowed / SIZE
    assert plan is plans.plan(queries, k, allowed, 0.99)  # remembered
    if plan.effort is None:
        assert plan.way == "exact" and plan.scanned == allowed and plan.recall == 1.0
        return
    assert plan.way == ("lists" if allowed == SIZE else plan.way)
    assert plan.way in ("lists", "screen", "selector") and plan.recall == 0.992
    depth = needed_depth(min(k, allowed), allowed, SIZE)
    screened = CURVES[0.99].at(depth)
    assert screened is not None and plan.effort.breadth == screened.breadth
    if plan.way == "selector":
        assert selects and allowed < 0.1 * SIZE
        expected = plan.scanned * allowed / SIZE
        assert math.floor(expected / 2) <= plan.effort.candidates <= screened.candidates
        assert plan.microseconds < 0.8 * plans.costs.of_engine(
            min(queries, BATCH), Priced().work(screened)
        )
    else:
        assert plan.effort == screened


def test_a_selector_is_taken_where_candidates_are_dear_and_few_are_allowed() -> None:
    dear = Line(0.0, (0.001, 0.5))
    assert planner(dear, selects=True).plan(1, 10, 5000, 0.9).way == "selector"
    assert planner(dear, selects=False).plan(1, 10, 5000, 0.9).way == "screen"
    assert planner(dear, selects=True).plan(1, 10, 30_000, 0.9).way == "screen"
    assert planner(Line(0.0, (1.0, 0.001)), selects=True).plan(1, 10, 5000, 0.9).way != "selector"


def test_costs_mix_between_one_query_and_many() -> None:
    costs = Costs(ExactCosts(10, 0.1, 0.05, 0.02, 0.01), Line(5, (2.0,)), Line(1, (0.5,)), "here")
    assert costs.exact.at(1, 100, 1000) == pytest.approx(10 + 100 * 0.1)
    assert costs.exact.at(1, 900, 1000) == pytest.approx(10 + 1000 * 0.05)
    assert costs.exact.at(10**9, 100, 1000) == pytest.approx(100 * 0.02)
    assert costs.exact.at(2, 100, 1000) == pytest.approx(2 + (20 - 2) / 2)
    assert costs.of_engine(1, (10,)) == pytest.approx(25)
    assert costs.of_engine(4, (10,)) == pytest.approx(6 + 19 / 4)
    assert Costs.from_json(json.loads(json.dumps(costs.as_json()))) == costs
    assert Line(2, (3.0,)).times(2) == Line(4, (6.0,))


def test_what_is_measured_is_what_work_costs(
    monkeypatch: pytest.MonkeyPatch, world, ann: AnnIndex
) -> None:
    """The clock is replaced by one that counts work: the fit must find its rates again."""
    clock = {"now": 0.0}
    monkeypatch.setattr(fitting, "thread_time", lambda: clock["now"])
    rates = {"rows": 3.0, "call": 7.0, "work": [2.0, 0.5]}

    def exact(vectors: F32, queries: F32, k: int, rowset: RowSet | None) -> None:
        rows = len(vectors) if rowset is None else rowset.count
        clock["now"] += 1e-6 * len(queries) * (rates["call"] + rates["rows"] * rows)

    def attempt(self: AnnIndex, queries: F32, k: int, effort: Effort) -> None:
        spent = 11.0 + sum(
            r * w for r, w in zip(rates["work"], ann.engine.work(effort), strict=False)
        )
        clock["now"] += 1e-6 * len(queries) * spent

    monkeypatch.setattr(fitting, "exact_search", exact)
    monkeypatch.setattr(AnnIndex, "attempt", attempt)
    costs = fit(world.rows, ann.engine, threads=2)
    assert costs.machine == machine()
    assert costs.exact.gathered == pytest.approx(3.0) and costs.exact.call == pytest.approx(7.0)
    assert costs.exact.streamed == pytest.approx(3.0)
    assert costs.exact.batch_streamed == pytest.approx(3.0, rel=0.01)
    amounts = len(ann.engine.work(Effort(10, 10, 10)))
    assert costs.alone.rates == pytest.approx(rates["work"][:amounts])
    assert costs.alone.call == pytest.approx(11.0)
    assert costs.batched.rates == pytest.approx([r / 2 for r in rates["work"][:amounts]])


def test_measured_costs_are_costs(world, ann: AnnIndex) -> None:
    costs = fit(world.rows, ann.engine, threads=1)
    for value in (*vars(costs.exact).values(), *costs.alone.rates, *costs.batched.rates):
        assert 0 <= value < 1e5
    assert min(costs.exact.gathered, costs.exact.streamed, *costs.alone.rates) > 0


def test_a_manifest_of_another_machine_is_measured_again(world, tmp_path) -> None:
    from trichord.index.persist import load, save

    index = build(world.rows[:3000], kind="hnsw", threads=1, fitted=False)
    assert isinstance(index, AnnIndex)
    save(tmp_path / "here", index=index, vectors=world.rows[:3000], meta={})
    again = load(tmp_path / "here")[0]
    assert isinstance(again, AnnIndex) and again.costs == index.costs
    elsewhere = replace(index.costs, machine="an abacus").as_json()
    parameters = {**index.info.parameters, "costs": elsewhere}
    moved = AnnIndex(
        index.vectors, index.engine, index.curves, replace(index.info, parameters=parameters)
    )
    save(tmp_path / "moved", index=moved, vectors=world.rows[:3000], meta={})
    again = load(tmp_path / "moved")[0]
    assert isinstance(again, AnnIndex)
    assert again.costs.machine == machine() and again.costs != index.costs


def eager(index: AnnIndex, line: Line | None = None) -> AnnIndex:
    """The same index, which takes exact search for dear."""
    line = line or index.engine.typical
    costs = Costs(ExactCosts(1e6, 1, 1, 1, 1), line, line, machine())
    return AnnIndex(index.vectors, index.engine, index.curves, index.info, costs=costs)


def test_what_a_search_tells(world, ann: AnnIndex) -> None:
    ann = eager(ann)
    plain: Way = "graph" if ann.info.kind == "hnsw" else "lists"
    for allowed, ways in (
        (None, [plain]),
        (np.arange(ann.size) % 2 == 0, ["screen"]),
        (np.arange(ann.size) < 30, ["exact"]),
    ):
        for queries in (world.own[:1], world.own[:3]):
            trace: list[Step] = []
            found = ann.search(queries, 10, allowed=allowed, recall=0.95, trace=trace)
            silent = ann.search(queries, 10, allowed=allowed, recall=0.95)
            assert np.array_equal(found.rows, silent.rows)
            assert trace[0].way == ways[0] and trace[0].widened == 0
            assert all(step.microseconds > 0 and step.scanned > 0 for step in trace)
            plan = ann.plan(len(queries), 10, allowed, 0.95)
            assert plan.way == ways[0] and plan.scanned * len(queries) == trace[0].scanned
            assert trace[0].effort == (plan.effort.breadth if plan.effort else 0)
            assert plan.selectivity == (1.0 if allowed is None else np.mean(allowed))
    exact: list[Step] = []
    ann.search(world.own, 10, recall=1.0, trace=exact)
    assert [step.way for step in exact] == ["exact"]
    far = world.rows @ world.own[0] < np.quantile(world.rows @ world.own[0], 0.6)
    widened: list[Step] = []
    ann.search(world.own[:1], 10, allowed=far, recall=0.95, trace=widened)
    assert len(widened) > 1 and widened[-1].widened == len(widened) - 1
    assert ann.plan(1, 10, np.zeros(ann.size, dtype=bool)).scanned == 0


def test_plans_and_traces_of_the_other_indexes(world) -> None:
    exact = ExactIndex(world.rows)
    trace: list[Step] = []
    exact.search(world.own[:3], 5, allowed=np.arange(exact.size) < 100, trace=trace)
    assert [(step.way, step.scanned) for step in trace] == [("exact", 300)]
    assert exact.plan(1, 5).scanned == exact.size
    live = LiveIndex(ExactIndex(world.rows[:4000])).with_changes(world.rows[4000:])
    trace = []
    live.search(world.own[:1], 5, trace=trace)
    assert [step.scanned for step in trace] == [4000, 2000]
    plan = live.plan(1, 5, np.arange(6000) % 2 == 0)
    assert [part.scanned for part in plan.parts] == [2000, 1000] and plan.selectivity == 0.5


def test_recall_is_a_share(world, ann: AnnIndex) -> None:
    for index in (ann, ExactIndex(world.rows), LiveIndex(ann)):
        for bad in (0.0, -0.5, 1.01, float("nan")):
            with pytest.raises(InvalidInput, match="recall must lie"):
                index.search(world.own[:1], 3, recall=bad)


def test_a_selector_never_leaks_and_tells_when_it_found_too_little(world) -> None:
    """Candidates are made dear, so that the selector is taken; then the rows that it may find lie
    far from the queries, and it must notice."""
    index = build(world.rows, kind="ivf", queries=world.tuning, threads=1, fitted=False)
    assert isinstance(index, AnnIndex)
    index = eager(index, Line(0.0, (1e-6, 1e-3)))
    generator = np.random.default_rng(2)
    for share in (0.09, 0.06, 0.04):
        allowed = generator.random(index.size) < share
        assert index.plan(1, 5, allowed, 0.95).way == "selector"
        for queries in (world.own, world.own[:1], world.cross):
            found = index.search(queries, 5, allowed=allowed, recall=0.95)
            truth = world.reference.search(queries, 5, allowed=allowed)
            assert allowed[found.rows].all()
            assert (found.scores >= truth.scores[:, -1:] - 1e-6).mean() >= 0.93
    # In the clusters that are farthest from each query.
    for query in world.own[:10]:
        cosines = world.rows @ query
        allowed = cosines < np.quantile(cosines, 0.04)
        trace: list[Step] = []
        found = index.search(query[None], 5, allowed=allowed, recall=0.95, trace=trace)
        truth = world.reference.search(query[None], 5, allowed=allowed)
        assert trace[0].way == "selector" and trace[-1].widened > 0
        np.testing.assert_allclose(found.scores, truth.scores, atol=1e-6)


def test_rows_that_a_selector_lets_through_wrongly_are_dropped(world) -> None:
    class Leaky(IvfEngine):
        def selected(self, queries: F32, effort: Effort, rowset: RowSet) -> I64:
            return self.candidates(queries, effort)

    engine = Leaky(IvfEngine.build(world.rows, threads=1)._index)
    curve = Curve((Effort(5, 8, 40), Effort(700, 64, 4000)))
    costs = Costs(TYPICAL_EXACT, Line(0.0, (1e-9, 1e-3)), Line(0.0, (1e-9, 1e-3)), machine())
    info = IndexInfo("ivf", recall_target=0.99)
    index = AnnIndex(world.rows, engine, {0.99: curve}, info, costs=costs)
    allowed = np.random.default_rng(4).random(index.size) < 0.05
    assert index.plan(1, 5, allowed).way == "selector"
    found = index.search(world.own, 5, allowed=allowed)
    assert allowed[found.rows].all()
    truth = world.reference.search(world.own, 5, allowed=allowed)
    assert (found.scores >= truth.scores[:, -1:] - 1e-6).mean() >= 0.95
