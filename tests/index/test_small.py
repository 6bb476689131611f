"""No rows, one row, all rows equal: where blocks and heaps go wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trichord.errors import VectorError
from trichord.index import exact as exact_module
from trichord.index.base import VectorIndex
from trichord.index.build import build
from trichord.index.exact import ExactIndex
from trichord.index.leaders import Leaders
from trichord.index.live import LiveIndex
from trichord.index.reference import ReferenceIndex
from trichord.index.scoring import best


def unit(count: int, dim: int = 5, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def all_kinds(rows: np.ndarray) -> list[VectorIndex]:
    half = len(rows) // 2
    return [
        ReferenceIndex(rows),
        ExactIndex(rows),
        build(rows, kind="hnsw"),
        build(rows, kind="ivf"),
        build(rows),
        LiveIndex(ExactIndex(rows[:half])).with_changes(rows[half:]),
        LiveIndex(ExactIndex(rows[:0])).with_changes(rows),
    ]


def test_no_rows() -> None:
    for index in all_kinds(unit(0)):
        found = index.search(unit(3, seed=1), 4)
        assert np.all(found.rows == -1) and np.isneginf(found.scores).all()
        assert found.rows.shape == (3, 4)
        nothing = np.ones(0, dtype=bool)
        assert np.all(index.search(unit(3, seed=1), 4, allowed=nothing).rows == -1)
        assert np.isneginf(index.scores(unit(1), np.array([[-1, -1]]))).all()


def test_one_row() -> None:
    rows = unit(1)
    for index in all_kinds(rows):
        found = index.search(rows, 3)
        assert found.rows.tolist() == [[0, -1, -1]]
        assert found.scores[0, 0] == pytest.approx(1.0, abs=1e-6)
        assert np.all(index.search(rows, 3, allowed=np.array([False])).rows == -1)


def test_all_rows_equal() -> None:
    rows = np.repeat(unit(1, dim=16), 3000, axis=0)
    for index in (ExactIndex(rows), LiveIndex(ExactIndex(rows[:100])).with_changes(rows[100:])):
        for queries in (unit(1, 16, 1), unit(20, 16, 1)):
            assert np.array_equal(
                index.search(queries, 7).rows, np.tile(np.arange(7), (len(queries), 1))
            )
    found = build(rows, kind="hnsw", recall_target=0.5).search(unit(4, 16, 1), 7)
    assert np.all(found.rows >= 0)


def test_rows_must_be_finite_unit_rows_of_one_matrix() -> None:
    good = unit(30)
    for bad in (2 * good, good * np.nan, np.zeros_like(good), good[0], good[:, :0]):
        for make in (ExactIndex, ReferenceIndex, build):
            with pytest.raises(VectorError):
                make(bad)
    last = good.copy()
    last[-1] *= 0.9
    with pytest.raises(VectorError, match="rows 0 to 29"):
        ExactIndex(last)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_running_top_k_is_a_sort(data: st.DataObject) -> None:
    """Blocks of any widths, few distinct scores (many ties), rows that are out."""
    queries = data.draw(st.integers(1, 4))
    k = data.draw(st.integers(1, 9))
    widths = data.draw(st.lists(st.integers(1, 12), min_size=1, max_size=6))
    size = sum(widths)
    values = st.sampled_from([-np.inf, -1.0, -0.25, 0.0, 0.5, 0.75, 1.0])
    flat = data.draw(st.lists(values, min_size=queries * size, max_size=queries * size))
    scores = np.array(flat, dtype=np.float32).reshape(queries, size)
    numbers = np.array(data.draw(st.permutations(range(size))), dtype=np.int64)
    leaders = Leaders(queries, k)
    start = 0
    for width in widths:
        leaders.add(scores[:, start : start + width], numbers[start : start + width])
        start += width
    rows = leaders.candidates()
    by_row = np.full((queries, size), -np.inf, dtype=np.float32)
    by_row[:, numbers] = scores
    known = np.where(rows >= 0, np.take_along_axis(by_row, np.maximum(rows, 0), axis=1), -np.inf)
    found = best(known.astype(np.float32), rows, k)
    for i in range(queries):
        order = sorted(range(size), key=lambda row: (-by_row[i, row], row))
        expected = [row for row in order if by_row[i, row] > -np.inf][:k]
        assert found.rows[i].tolist() == expected + [-1] * (k - len(expected))


@settings(deadline=None, max_examples=40)
@given(
    size=st.integers(1, 400),
    queries=st.integers(1, 12),
    k=st.integers(1, 30),
    share=st.sampled_from([0.02, 0.25, 0.35, 0.9, 1.0]),
    seed=st.integers(0, 10_000),
)
def test_exact_on_any_shape(size: int, queries: int, k: int, share: float, seed: int) -> None:
    """Small blocks, so that every path meets several of them."""
    generator = np.random.default_rng(seed)
    rows = unit(size, 6, seed)[generator.integers(0, size, size)]  # some rows repeat
    allowed = generator.random(size) < share
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact_module, "block_height", lambda queries: 37)
        patch.setattr(exact_module, "CACHED_ROWS", 10)
        patch.setattr(exact_module, "QUERY_BLOCK", 5)
        found = ExactIndex(rows).search(unit(queries, 6, seed + 1), k, allowed=allowed)
    truth = ReferenceIndex(rows).search(unit(queries, 6, seed + 1), k, allowed=allowed)
    np.testing.assert_allclose(found.scores, truth.scores, atol=1e-6)
    different = found.rows != truth.rows
    # float32 may order rows otherwise only where they differ in the last bits
    place = np.argwhere(different)
    for i, j in place:
        gap = truth.scores[i, j] - rows[found.rows[i, j]] @ unit(queries, 6, seed + 1)[i]
        assert abs(gap) <= 3e-7


@pytest.mark.parametrize("dim", [1, 2, 3, 4, 8, 12, 16])
def test_one_query_is_scored_as_in_a_batch_in_every_dimension(dim: int) -> None:
    """FAISS has kernels of its own for consecutive rows of some dimensions."""
    generator = np.random.default_rng(dim)
    rows, queries = (
        (wide / np.linalg.norm(wide, axis=1, keepdims=True)).astype(np.float32)
        for wide in (generator.standard_normal((300, dim)), generator.standard_normal((64, dim)))
    )
    index = ExactIndex(rows)
    together = index.search(queries, 10)
    for i in range(len(queries)):
        alone = index.search(queries[i : i + 1], 10)
        assert np.array_equal(alone.scores[0], together.scores[i])
        assert np.array_equal(alone.rows[0], together.rows[i])
