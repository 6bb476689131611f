"""Histories of additions and removals against a model that is a list."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from trichord.errors import InvalidInput, VectorError
from trichord.index.ann import AnnIndex
from trichord.index.exact import ExactIndex
from trichord.index.live import LiveIndex, take
from trichord.index.reference import ReferenceIndex
from trichord.index.rowset import RowSet
from trichord.index.synthetic import Synthetic
from trichord.index.tail import Tiers

DIM = 6
POOL = np.random.default_rng(0).standard_normal((500, DIM))
POOL = (POOL / np.linalg.norm(POOL, axis=1, keepdims=True)).astype(np.float32)


class History(RuleBasedStateMachine):
    """All values that were ever made are kept: an old one must go on answering as before."""

    @initialize(base=st.integers(0, 40))
    def begin(self, base: int) -> None:
        self.used = base
        rows = POOL[:base]
        self.values = [(LiveIndex(ExactIndex(rows)), rows, np.ones(base, dtype=bool))]

    @rule(data=st.data(), count=st.integers(0, 30))
    def change(self, data: st.DataObject, count: int) -> None:
        index, rows, alive = data.draw(st.sampled_from(self.values[-3:]))
        added = POOL[(self.used + np.arange(count)) % len(POOL)]
        self.used += count
        rows = np.concatenate([rows, added])
        removed = (
            data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=8)) if len(rows) else []
        )
        alive = np.concatenate([alive, np.ones(count, dtype=bool)])
        alive[removed] = False
        after = index.with_changes(added if count else None, np.array(removed, dtype=np.int64))
        self.values.append((after, rows, alive))

    @invariant()
    def answers_like_the_model(self) -> None:
        for index, rows, alive in self.values[-4:]:
            assert (index.size, index.live) == (len(rows), int(alive.sum()))
            assert np.array_equal(index.alive, alive)
            assert np.array_equal(np.concatenate(index.pieces), rows)
            assert np.array_equal(index.fresh, rows[index.base.size :])
            queries = POOL[-3:]
            allowed = np.arange(len(rows)) % 3 != 0
            reference = ReferenceIndex(rows)
            for mask, expected in ((None, alive), (allowed, alive & allowed)):
                found = index.search(queries, 5, allowed=mask)
                truth = reference.search(queries, 5, allowed=expected)
                np.testing.assert_allclose(found.scores, truth.scores, atol=1e-6)
                real = found.rows >= 0
                assert np.array_equal(real, truth.rows >= 0)
                assert expected[found.rows[real]].all()
                for i, j in np.argwhere((found.rows != truth.rows) & real):
                    assert found.scores[i, j] == pytest.approx(
                        float(rows[truth.rows[i, j]] @ queries[i]), abs=3e-7
                    )
            matrix, kept = index.compacted()
            assert np.array_equal(kept, np.flatnonzero(alive))
            assert np.array_equal(matrix, rows[alive])


TestHistory = History.TestCase
TestHistory.settings = settings(deadline=None, max_examples=15, stateful_step_count=8)


def test_a_removed_row_is_gone_from_an_approximate_base(ann: AnnIndex, world) -> None:
    """Removing each query's nearest rows, time and again, while better ones are added."""
    live, reference = LiveIndex(ann), world.reference
    truth = reference.search(world.own, 60)
    alive = np.ones(live.size, dtype=bool)
    for start in range(0, 60, 20):
        gone = np.unique(truth.rows[:, start : start + 20])
        live = live.with_changes(None, gone)
        alive[gone] = False
        found = live.search(world.own, 10)
        assert alive[found.rows].all()
        expected = reference.search(world.own, 10, allowed=alive)
        recall = (found.scores >= expected.scores[:, -1:] - 1e-6).mean()
        assert recall >= 0.95
    live = live.with_changes(world.own)
    found = live.search(world.own, 1)
    assert np.array_equal(found.rows[:, 0], ann.size + np.arange(len(world.own)))
    np.testing.assert_allclose(found.scores, 1.0, atol=1e-6)
    live = live.with_changes(None, found.rows[:, 0])
    assert not np.isin(live.search(world.own, 5).rows, found.rows[:, 0]).any()


def test_two_futures_of_one_value() -> None:
    """Both append behind the same rows; neither may see the other's."""
    start = LiveIndex(ExactIndex(POOL[:10])).with_changes(POOL[10:20])
    left, right = start.with_changes(POOL[20:30]), start.with_changes(POOL[30:40])
    assert np.array_equal(start.fresh, POOL[10:20])
    assert np.array_equal(left.fresh, POOL[10:30])
    assert np.array_equal(right.fresh, np.concatenate([POOL[10:20], POOL[30:40]]))
    with pytest.raises(ValueError, match="read-only"):
        left.fresh[0] = 0


def test_appending_from_many_threads_keeps_every_future_apart() -> None:
    start = LiveIndex(ExactIndex(POOL[:1])).with_changes(POOL[1:3])
    with ThreadPoolExecutor(max_workers=8) as pool:
        made = list(pool.map(lambda i: start.with_changes(POOL[i : i + 4]), range(100)))
    for i, index in enumerate(made):
        assert np.array_equal(index.fresh[2:], POOL[i : i + 4])


def test_a_long_row_of_additions_copies_each_row_a_few_times_at_most() -> None:
    live, buffers = LiveIndex(ExactIndex(POOL[:0])), set()
    for i in range(len(POOL)):
        live = live.with_changes(POOL[i : i + 1])
        buffers.add(live.fresh.__array_interface__["data"][0])
    assert np.array_equal(live.fresh, POOL)
    assert len(buffers) <= 5


def test_refuses_rows_that_are_not_there_or_do_not_fit() -> None:
    live = LiveIndex(ExactIndex(POOL[:10])).with_changes(POOL[10:12])
    for bad in ([12], [-1], [3, 99]):
        with pytest.raises(InvalidInput):
            live.with_changes(None, bad)
        with pytest.raises(InvalidInput):
            live.take(bad)
        with pytest.raises(InvalidInput):
            live.scores(POOL[:1], np.array([bad]) - (bad == [-1]))
    with pytest.raises(VectorError):
        live.with_changes(2 * POOL[:3])
    with pytest.raises(VectorError):
        live.with_changes(np.eye(DIM + 1, dtype=np.float32))
    assert live.with_changes(None, [11]).live == 11  # a row added just now may be removed


def test_take_crosses_the_seam() -> None:
    live = LiveIndex(ExactIndex(POOL[:10])).with_changes(POOL[10:20])
    rows = [15, 0, 9, 10, 15]
    assert np.array_equal(take(live, rows), POOL[rows])
    assert take(live, []).shape == (0, DIM)


@pytest.mark.parametrize("share", [1.0, 0.5, 0.2, 0.03])
@pytest.mark.parametrize("recall", [None, 0.9])
def test_a_batch_can_find_what_each_query_finds_alone(
    ann: AnnIndex, world, share: float, recall: float | None
) -> None:
    """Also where exact search is what a batch would take."""
    exact = replace(ann.costs.exact, batch_gathered=1e-6, batch_streamed=1e-6)
    cheap = AnnIndex(
        ann.vectors,
        ann.engine,
        ann.curves,
        ann.info,
        costs=replace(ann.costs, exact=exact),
        samples=ann.samples,
    )
    mask = np.random.default_rng(5).random(len(world.rows) + 900) < share
    new = Synthetic(32, seed=7, modalities=2, clusters=150, intrinsic=12).draw(900, seed=9)[0]
    live = LiveIndex(cheap, tiers=Tiers(exact_rows=200, rest=100, step=400))
    live = live.with_changes(new, np.arange(0, 3000, 37))
    assert live.settled()
    rowset = RowSet(mask & live.alive) if share < 1 else None
    queries = np.ascontiguousarray(np.concatenate([world.own[:20], world.cross[:20]]))
    together = live.search_unit(queries, 10, rowset, recall, singly=True)
    for number in range(len(queries)):
        alone = live.search(queries[number : number + 1], 10, allowed=rowset, recall=recall)
        assert np.array_equal(together.rows[number], alone.rows[0])
        assert np.array_equal(together.scores[number], alone.scores[0])
    assert cheap.plan(len(queries), 10, None, recall).way == "exact"
    if share == 1:
        assert cheap.plan(1, 10, None, recall).way != "exact"
    as_batch = live.search_unit(queries, 10, rowset, recall)
    checked = live.search(queries, 10, allowed=rowset, recall=recall)
    assert np.array_equal(as_batch.rows, checked.rows)
