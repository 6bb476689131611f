"""Every implementation against brute force: scores, rows, filters, padding, ties, batches."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from trichord.errors import InvalidInput, VectorError
from trichord.index.base import Neighbours, VectorIndex
from trichord.index.rowset import RowSet
from trichord.types import F32, Bool

TARGET = 0.95
SHARES = {"half": 0.5, "a fifth": 0.2, "a twentieth": 0.05, "a thousandth": 0.001}


def is_exact(index: VectorIndex) -> bool:
    return index.info.kind == "exact"


def masks(size: int) -> dict[str, Bool | None]:
    generator = np.random.default_rng(11)
    found: dict[str, Bool | None] = {"everything": None, "all true": np.ones(size, dtype=bool)}
    found |= {name: generator.random(size) < share for name, share in SHARES.items()}
    found["all but a few"] = generator.random(size) < 0.999
    found["one row"] = np.arange(size) == size - 3
    found["nothing"] = np.zeros(size, dtype=bool)
    return found


def check(found: Neighbours, truth: Neighbours, world, queries: F32, allowed: Bool | None) -> float:
    """What holds for every answer of every implementation; returns the recall."""
    assert found.scores.shape == found.rows.shape == truth.rows.shape
    assert found.scores.dtype == np.float32 and found.rows.dtype == np.int64
    # As many as there are, no row twice, none that is not allowed, padding as promised.
    assert np.array_equal(found.rows >= 0, truth.rows >= 0)
    assert np.array_equal(np.isneginf(found.scores), found.rows < 0)
    assert np.all(found.rows[found.rows < 0] == -1)
    for rows in found.rows:
        real = rows[rows >= 0]
        assert len(set(real)) == len(real)
        assert allowed is None or allowed[real].all()
    assert np.all(found.scores[:, :-1] >= found.scores[:, 1:])
    # The score of a row is its cosine, whoever found it.
    cosines = np.einsum("nkd,nd->nk", world.rows[found.rows], queries, dtype=np.float64)
    real = found.rows >= 0
    np.testing.assert_allclose(found.scores[real], cosines[real], atol=1e-5)
    real = truth.rows >= 0
    if not real.any():
        return 1.0
    worst = np.where(real, truth.scores, np.inf).min(axis=1, keepdims=True)
    return float((found.scores >= worst - 1e-6)[real].mean())


def same_rows(found: Neighbours, truth: Neighbours) -> None:
    """Equal rows in equal order, but where the truth itself is closer than float32 resolves."""
    np.testing.assert_allclose(found.scores, truth.scores, atol=1e-5)
    for i, j in np.argwhere(found.rows != truth.rows):
        place = np.flatnonzero(truth.rows[i] == found.rows[i, j])
        near = truth.scores[i, place[0]] if len(place) else truth.scores[i, -1]
        assert abs(near - truth.scores[i, j]) <= 2e-7, (i, j)


_truths: dict[tuple[str, str], Neighbours] = {}


def truth_of(world, kind: str, name: str, k: int) -> Neighbours:
    """Brute force, once for all implementations."""
    if (kind, name) not in _truths:
        allowed = masks(world.reference.size)[name]
        _truths[kind, name] = world.reference.search(getattr(world, kind), 100, allowed=allowed)
    truth = _truths[kind, name]
    return Neighbours(truth.scores[:, :k], truth.rows[:, :k])


@pytest.mark.parametrize("name", list(masks(1)))
@pytest.mark.parametrize("k", [1, 10, 100])
def test_agrees_with_brute_force(index: VectorIndex, world, name: str, k: int) -> None:
    allowed = masks(index.size)[name]
    for kind in ("own", "cross"):
        queries, truth = getattr(world, kind), truth_of(world, kind, name, k)
        found = index.search(queries, k, allowed=allowed)
        recall = check(found, truth, world, queries, allowed)
        if is_exact(index):
            assert recall == 1.0
            same_rows(found, truth)
        else:
            assert recall >= TARGET - 0.01  # 64 queries tell recall within 0.01 or so
            if allowed is not None and np.count_nonzero(allowed) <= k:
                assert recall == 1.0
            if allowed is not None and np.count_nonzero(allowed) < 100:
                same_rows(found, truth)  # so few rows are searched exactly


@pytest.mark.parametrize("name", ["everything", "half", "a twentieth"])
@pytest.mark.parametrize("recall", [0.9, 0.99, 1.0])
def test_the_recall_that_is_asked_for(index: VectorIndex, world, name: str, recall: float) -> None:
    allowed = masks(index.size)[name]
    for kind in ("own", "cross"):
        queries, truth = getattr(world, kind), truth_of(world, kind, name, 10)
        found = index.search(queries, 10, allowed=allowed, recall=recall)
        reached = check(found, truth, world, queries, allowed)
        # 64 queries tell recall within 0.01 or so.
        assert reached >= (recall - 0.015 if recall < 1 else 1.0)
        plan = index.plan(len(queries), 10, allowed, recall)
        assert plan.recall >= recall and plan.microseconds > 0


@pytest.mark.parametrize("name", ["everything", "half", "a twentieth", "one row"])
def test_a_query_does_not_depend_on_its_batch(index: VectorIndex, world, name: str) -> None:
    """Bit for bit, so that pages and batches agree."""
    allowed = masks(index.size)[name]
    queries = np.concatenate([world.own[:6], world.cross[:6]])
    together = index.search(queries, 10, allowed=allowed)
    for i in range(len(queries)):
        alone = index.search(queries[i : i + 1], 10, allowed=allowed)
        shared = np.isin(alone.rows[0], together.rows[i])
        if is_exact(index):
            assert shared.all()
            assert np.array_equal(alone.scores[0], together.scores[i])
            assert np.array_equal(alone.rows[0], together.rows[i])
        both = alone.rows[0][shared]
        place = [int(np.flatnonzero(together.rows[i] == row)[0]) for row in both]
        assert np.array_equal(alone.scores[0][shared], together.scores[i][place])


def test_equal_rows_come_in_order_of_their_numbers(index: VectorIndex, world) -> None:
    twins = np.arange(40)
    for queries in (world.rows[:40], world.rows[:1]):
        found = index.search(queries, 2)
        if is_exact(index):
            expected = np.stack([twins, twins + index.size - 40], axis=1)[: len(queries)]
            assert np.array_equal(found.rows, expected)
        equal = found.scores[:, 0] == found.scores[:, 1]
        assert np.all(found.rows[equal, 0] < found.rows[equal, 1])


def test_a_filter_that_keeps_only_the_far_rows(index: VectorIndex, world) -> None:
    """The nearest rows of each query are all excluded: what approximate filters get wrong."""
    for query in (*world.own[:4], *world.cross[:4]):
        cosines = world.rows @ query
        allowed = cosines < np.quantile(cosines, 0.6)
        found = index.search(query[None], 10, allowed=allowed)
        truth = world.reference.search(query[None], 10, allowed=allowed)
        assert check(found, truth, world, query[None], allowed) >= 0.9


def test_more_than_there_are(index: VectorIndex, world) -> None:
    found = index.search(world.own[:2], index.size + 5)
    truth = world.reference.search(world.own[:2], index.size + 5)
    assert np.array_equal(np.sort(found.rows), np.sort(truth.rows))
    same_rows(found, truth)


def test_a_row_set_answers_like_its_mask(index: VectorIndex, world) -> None:
    mask = masks(index.size)["a fifth"]
    assert mask is not None
    rows = RowSet(mask)
    plain = index.search(world.own, 10, allowed=mask)
    for _ in range(2):  # the second time from what the first left in the row set
        again = index.search(world.own, 10, allowed=rows)
        assert np.array_equal(plain.rows, again.rows)
        assert np.array_equal(plain.scores, again.scores)


def test_scores_of_given_rows(index: VectorIndex, world) -> None:
    generator = np.random.default_rng(3)
    rows = generator.integers(-1, index.size, (5, 30))
    scores = index.scores(world.own[:5], rows)
    np.testing.assert_allclose(scores, world.reference.scores(world.own[:5], rows), atol=1e-6)
    assert index.scores(world.own[:5], rows[:, :0]).shape == (5, 0)
    for bad in (index.size, -2):
        with pytest.raises(InvalidInput):
            index.scores(world.own[:1], np.array([[0, bad]]))


def test_no_queries(index: VectorIndex) -> None:
    found = index.search(np.empty((0, index.dim), dtype=np.float32), 3)
    assert found.rows.shape == found.scores.shape == (0, 3)


def test_many_threads_at_once(index: VectorIndex, world) -> None:
    jobs = [
        (queries, k, allowed)
        for queries in (world.own, world.cross, world.own[:1], world.cross[:3])
        for k in (1, 20)
        for allowed in list(masks(index.size).values())[::2]
    ]

    def run(job: tuple[F32, int, Bool | None]) -> Neighbours:
        return index.search(job[0], job[1], allowed=job[2])

    alone = [run(job) for job in jobs]
    with ThreadPoolExecutor(max_workers=8) as pool:
        for found, expected in zip(pool.map(run, jobs), alone, strict=True):
            assert np.array_equal(found.rows, expected.rows)
            assert np.array_equal(found.scores, expected.scores)


def test_refuses_what_it_cannot_answer(index: VectorIndex, world) -> None:
    good = world.own[:2]
    nan = good.copy()
    nan[1, 4] = np.nan
    for bad in (good[:, :-1], good[0], 2 * good, 2 * good[:1], nan, nan[1:], 0 * good):
        with pytest.raises(VectorError):
            index.search(bad, 3)
    for k in (0, -1):
        with pytest.raises(InvalidInput):
            index.search(good, k)
    for mask in (np.ones(index.size + 1, dtype=bool), np.ones(index.size, dtype=np.int8)):
        with pytest.raises(InvalidInput):
            index.search(good, 3, allowed=mask)  # type: ignore[arg-type]


def test_pieces_are_the_rows(index: VectorIndex, world) -> None:
    assert np.array_equal(np.concatenate(index.pieces), world.rows)
    assert (index.size, index.dim) == world.rows.shape
