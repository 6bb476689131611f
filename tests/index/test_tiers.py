"""Fresh rows in a graph of their own, grown behind the back of searches, against brute force."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from trichord.index import costs, tuning
from trichord.index.ann import AnnIndex
from trichord.index.background import Background
from trichord.index.build import build
from trichord.index.costs import ExactCosts
from trichord.index.exact import ExactIndex
from trichord.index.live import LiveIndex
from trichord.index.reference import ReferenceIndex
from trichord.index.synthetic import Synthetic
from trichord.index.tail import Tiers

DIM, BASE = 12, 400
TINY = Tiers(exact_rows=24, rest=8, step=16, step_share=0.25)
SOURCE = Synthetic(DIM, seed=3, clusters=20, intrinsic=6)
POOL = SOURCE.draw(6000, seed=1)[0]
QUERIES = SOURCE.draw(12, seed=2)[0]
DEAR = ExactCosts(1e6, 1.0, 1.0, 1.0, 1.0)
"""So few rows would be searched exactly otherwise, and no graph be asked."""


@pytest.fixture(autouse=True, scope="module")
def _exact_search_is_dear() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, "TYPICAL_EXACT", DEAR)
        patch.setattr(costs, "TYPICAL_EXACT", DEAR)
        yield


@functools.cache
def base() -> AnnIndex:
    index = build(POOL[:BASE], kind="hnsw", threads=1, fitted=False)
    assert isinstance(index, AnnIndex), index.info.reason
    return index


def agrees(
    index: LiveIndex, rows: np.ndarray, alive: np.ndarray, allowed: np.ndarray | None
) -> float:
    """At recall 1 the answer is that of brute force; else its rows may be others, not what holds
    of them. Returns the recall of the latter."""
    expected = alive if allowed is None else alive & allowed
    truth = ReferenceIndex(rows).search(QUERIES, 5, allowed=expected)
    exact = index.search(QUERIES, 5, allowed=allowed, recall=1.0)
    np.testing.assert_allclose(exact.scores, truth.scores, atol=1e-6)
    for i, j in np.argwhere(exact.rows != truth.rows):
        assert abs(rows[truth.rows[i, j]] @ QUERIES[i] - exact.scores[i, j]) <= 3e-7
    found = index.search(QUERIES, 5, allowed=allowed)
    real = found.rows >= 0
    assert np.array_equal(real, truth.rows >= 0)
    assert expected[found.rows[real]].all()
    assert all(len(set(row[row >= 0])) == np.count_nonzero(row >= 0) for row in found.rows)
    cosines = np.einsum("nkd,nd->nk", rows[found.rows], QUERIES, dtype=np.float64)
    np.testing.assert_allclose(found.scores[real], cosines[real], atol=1e-6)
    if not real.any():
        return 1.0
    return float((found.scores >= truth.scores - 1e-6)[real].mean())


class History(RuleBasedStateMachine):
    """Rows come and go; values fork; graphs grow whenever they like, or are waited for."""

    @initialize()
    def begin(self) -> None:
        start = LiveIndex(base(), tiers=TINY)
        self.values = [(start, POOL[:BASE], np.ones(BASE, dtype=bool))]
        self.used = BASE

    @rule(data=st.data(), count=st.integers(0, 60))
    def change(self, data: st.DataObject, count: int) -> None:
        index, rows, alive = data.draw(st.sampled_from(self.values[-3:]))
        added = POOL[self.used : self.used + count]
        self.used += count
        rows, alive = np.concatenate([rows, added]), np.append(alive, np.ones(count, dtype=bool))
        gone = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=12))
        gone += data.draw(st.lists(st.integers(max(0, len(rows) - 80), len(rows) - 1), max_size=12))
        alive[gone] = False
        after = index.with_changes(added if count else None, np.array(gone, dtype=np.int64))
        self.values.append((after, rows, alive))

    @rule()
    def wait(self) -> None:
        index, _, _ = self.values[-1]
        assert index.settled(60)
        behind = len(index.fresh) - (index._grown().size if index._grown() else 0)
        # A graph grows no more for values whose rows went on in a copy.
        assert behind <= TINY.exact_rows or index._tail._left

    @invariant()
    def answers_like_the_model(self) -> None:
        for index, rows, alive in self.values[-4:]:
            assert np.array_equal(np.concatenate(index.pieces), rows)
            graph = index._grown()
            assert graph is None or np.array_equal(graph.vectors, index.fresh[: graph.size])
            recalls = [
                agrees(index, rows, alive, allowed)
                for allowed in (None, np.arange(len(rows)) % 3 != 0, np.arange(len(rows)) % 50 == 0)
            ]
            assert np.mean(recalls) >= 0.85


TestHistory = History.TestCase
TestHistory.settings = settings(deadline=None, max_examples=12, stateful_step_count=8)


def test_a_graph_carries_most_of_the_fresh_rows() -> None:
    live = LiveIndex(base(), tiers=TINY)
    for start in range(BASE, 3000, 200):
        live = live.with_changes(POOL[start : start + 200])
    assert live.settled(60)
    graph = live._grown()
    assert graph is not None and len(live.fresh) - graph.size <= TINY.exact_rows
    assert graph.engine.kind == "hnsw" and graph.info.recall_target == base().info.recall_target
    alive = np.ones(live.size, dtype=bool)
    assert agrees(live, POOL[: live.size], alive, None) >= 0.9
    trace: list = []
    live.search(QUERIES, 5, trace=trace)
    assert [one.way for one in trace][:2] == ["graph", "fresh"]
    plan = live.plan(1, 5)
    assert [part.way for part in plan.parts][:2] == ["graph", "fresh"]
    assert plan.scanned == sum(part.scanned for part in plan.parts)
    # All at once instead of step by step, and with rows removed in the graph.
    gone = np.arange(BASE, 3000, 3)
    again = LiveIndex(base(), tiers=TINY).with_changes(POOL[BASE:3000], gone)
    assert again.settled(60)
    alive[gone] = False
    for allowed in (None, np.arange(again.size) % 5 != 0, np.arange(again.size) % 97 == 0):
        assert agrees(again, POOL[: again.size], alive, allowed) >= 0.9


def test_the_efforts_of_a_graph_reach_the_target_of_its_base() -> None:
    live = LiveIndex(base(), tiers=TINY).with_changes(POOL[BASE:3000])
    assert live.settled(60)
    graph = live._grown()
    assert graph is not None
    for target, found in graph.info.targets.items():
        assert min(found.values()) >= float(target)
    queries = SOURCE.draw(300, seed=9)[0]
    truth = ExactIndex(graph.vectors).search(queries, 10)
    found = graph.search(queries, 10)
    assert (found.scores >= truth.scores[:, -1:] - 1e-6).mean() >= 0.93


def test_an_old_value_does_not_take_over_a_graph_that_knows_more() -> None:
    old = LiveIndex(base(), tiers=TINY).with_changes(POOL[BASE : BASE + 20])
    middle = old.with_changes(POOL[BASE + 20 : BASE + 100])
    assert middle.settled(60)
    new = middle.with_changes(POOL[BASE + 100 : 2000])
    assert new.settled(60)
    assert old._grown() is None
    for index in (old, middle, new):
        graph = index._grown()
        assert graph is None or graph.size <= len(index.fresh)
        size = index.size
        agrees(index, POOL[:size], np.ones(size, dtype=bool), None)


def test_two_futures_keep_their_graphs_apart() -> None:
    start = LiveIndex(base(), tiers=TINY).with_changes(POOL[BASE:600])
    assert start.settled(60)
    left, right = start.with_changes(POOL[600:900]), start.with_changes(POOL[2000:2300])
    assert left.settled(60) and right.settled(60)
    for index, rows in ((left, POOL[:900]), (right, np.concatenate([POOL[:600], POOL[2000:2300]]))):
        graph = index._grown()
        assert graph is not None and graph.size > 200
        assert np.array_equal(graph.vectors, index.fresh[: graph.size])
        assert agrees(index, rows, np.ones(900, dtype=bool), None) >= 0.9


def test_an_exact_base_stays_exact() -> None:
    live = LiveIndex(ExactIndex(POOL[:100]), tiers=TINY).with_changes(POOL[100:1000])
    assert live.settled(1) and live._grown() is None
    assert agrees(live, POOL[:1000], np.ones(1000, dtype=bool), None) == 1.0


def test_old_values_answer_while_new_ones_are_made() -> None:
    """Eight threads search values that a ninth leaves behind, while graphs grow."""
    values = [(LiveIndex(base(), tiers=TINY), np.ones(BASE, dtype=bool))]
    done = threading.Event()

    def search(number: int) -> int:
        generator, checked = np.random.default_rng(number), 0
        while not done.is_set() or checked < 5:
            index, alive = values[int(generator.integers(len(values)))]
            agrees(index, POOL[: index.size], alive, None)
            checked += 1
        return checked

    def write() -> None:
        generator = np.random.default_rng(99)
        try:
            while values[-1][0].size < 2400:
                index, alive = values[-1]
                added = POOL[index.size : index.size + int(generator.integers(1, 90))]
                alive = np.append(alive, np.ones(len(added), dtype=bool))
                gone = generator.choice(len(alive), 5, replace=False)
                alive[gone] = False
                values.append((index.with_changes(added, gone), alive))
        finally:
            done.set()

    with ThreadPoolExecutor(max_workers=9) as pool:
        searches = [pool.submit(search, number) for number in range(8)]
        pool.submit(write).result()
        assert all(found.result() >= 5 for found in searches)
    assert values[-1][0].settled(60)


def test_work_in_the_background_survives_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    background, done = Background("trichord-test"), threading.Event()

    def fail() -> None:
        raise ZeroDivisionError("unforeseen")

    with caplog.at_level(logging.WARNING, "trichord.index"):
        background.run(fail)
        background.run(done.set)
        assert done.wait(30)
    assert [record.getMessage() for record in caplog.records] == ["trichord-test failed"]
