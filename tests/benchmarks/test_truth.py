"""The exact answers that engines are measured against, compared with plain numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.peers import truth
from benchmarks.peers.datasets import DataSet, Sizes
from benchmarks.peers.rows import LIMIT, MODALITIES, Rows, Where
from benchmarks.peers.workloads import MIXED, PLAIN


def by_sorting(
    vectors: np.ndarray, queries: np.ndarray, passing: np.ndarray | None = None
) -> np.ndarray:
    scores = queries.astype(np.float64) @ vectors.astype(np.float64).T
    if passing is not None:
        scores[:, ~passing] = -np.inf
    return np.argsort(-scores, axis=1, kind="stable")[:, :LIMIT]


@pytest.mark.parametrize("share", [1.0, 0.5, 0.02])
def test_nearest_is_what_sorting_all_scores_gives(
    share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(truth, "BLOCK", 97)
    generator = np.random.default_rng(3)
    vectors = generator.standard_normal((1000, 24)).astype(np.float32)
    queries = generator.standard_normal((20, 24)).astype(np.float32)
    passing = generator.random(1000) < share
    assert passing.sum() >= LIMIT
    found = truth.nearest(vectors, queries, LIMIT, passing)
    np.testing.assert_array_equal(found, by_sorting(vectors, queries, passing))


def test_where_fewer_pass_the_rest_is_filled_up() -> None:
    vectors = np.eye(8, dtype=np.float32)
    passing = np.zeros(8, bool)
    passing[[2, 5]] = True
    found = truth.nearest(vectors, vectors[5:6] + 0.1, 4, passing)
    assert found.tolist() == [[5, 2, -1, -1]]


def test_recall_counts_rows_over_all_queries() -> None:
    exact = np.array([[1, 2, 3, 4], [5, 6, -1, -1]])
    assert truth.recall([[4, 1, 9], [6]], exact) == 3 / 6
    fresh = np.arange(7) >= 4
    assert truth.recall([[4, 1, 9], [6]], exact, of=fresh) == 2 / 3
    assert truth.recall([[1], [2]], exact, of=np.zeros(7, bool)) is None


@given(st.permutations(range(LIMIT)))
def test_the_order_of_an_answer_does_not_matter(answer: list[int]) -> None:
    assert truth.recall([answer], np.arange(LIMIT)[None, :]) == 1.0


@pytest.fixture(params=[PLAIN, MIXED])
def data(request: pytest.FixtureRequest, tmp_path: Path) -> DataSet:
    sizes = Sizes(rows=1200, dim=32, measured=30, tuning=20, fresh=90, deleted=120)
    made = DataSet(request.param, tmp_path, sizes)
    made.make()
    return made


def test_the_answers_of_a_data_set(data: DataSet) -> None:
    """With a filter, with fresh rows, and without deleted ones, all at once."""
    where = Where("kind", "=", "image") if data.name == MIXED else Where("part", "<", 500)
    stored, fresh = Rows.load(data.stored), Rows.load(data.fresh)
    assert fresh.numbers.tolist() == list(range(1200, 1290))
    vectors = np.concatenate([stored.vectors, fresh.vectors[:60]])
    if data.name == MIXED:
        passing = np.concatenate([stored.kinds, fresh.kinds[:60]]) == MODALITIES.index("image")
    else:
        passing = np.concatenate([stored.parts, fresh.parts[:60]]) < 500
    assert 0.3 < passing.mean() < 0.6
    deleted = np.load(data.deleted_file)
    assert len(set(deleted.tolist())) == 120 and deleted.max() < 1200
    passing[deleted] = False
    found = np.load(data.truth_file("text", "measured", where, fresh=60, deleted=True))
    queries = np.load(data.queries_file("text", "measured"))
    np.testing.assert_array_equal(found, by_sorting(vectors, queries, passing))
    assert (found >= 1200).any(), "no fresh row is among the answers: the test shows nothing"


def test_queries_for_tuning_are_others(data: DataSet) -> None:
    measured = np.load(data.queries_file("image", "measured"))
    tuning = np.load(data.queries_file("image", "tuning"))
    both = np.concatenate([measured, tuning, Rows.load(data.stored).vectors])
    assert len(np.unique(both, axis=0)) == len(both)
    np.testing.assert_allclose(np.linalg.norm(both, axis=1), 1, rtol=1e-5)


def test_the_modalities_lie_apart(tmp_path: Path) -> None:
    data = DataSet(MIXED, tmp_path, Sizes(1200, 64, 30, 10, 30, 10))
    data.make()
    stored = Rows.load(data.stored)
    assert np.bincount(stored.kinds).tolist() == [400, 400, 400]
    asked = np.load(data.queries_file("text", "measured"))
    scores = asked @ stored.vectors.T
    means = [scores[:, stored.kinds == kind].mean() for kind in range(3)]
    text = MODALITIES.index("text")
    assert means[text] > 0.2 + max(means[kind] for kind in range(3) if kind != text)
