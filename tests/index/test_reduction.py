"""Rows in fewer dimensions: what stays as it was, and when they are taken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from trichord.index import narrow
from trichord.index._faiss import faiss
from trichord.index.ann import AnnIndex
from trichord.index.build import build
from trichord.index.fresh import Grower
from trichord.index.hnsw import HnswEngine
from trichord.index.ivf import IvfEngine
from trichord.index.live import LiveIndex
from trichord.index.persist import load, save
from trichord.index.plan import Effort
from trichord.index.reduction import Reduction, fitted, split
from trichord.index.reference import ReferenceIndex
from trichord.index.rowset import RowSet
from trichord.index.synthetic import Synthetic
from trichord.index.tail import Tiers
from trichord.types import F32

DIM = 96


@pytest.fixture(scope="module")
def low() -> tuple[F32, F32]:
    """Rows and new queries of twelve dimensions and some noise, among 96."""
    source = Synthetic(DIM, clusters=40, intrinsic=12, noise=0.2)
    return source.draw(4000, seed=1)[0], source.draw(100, seed=2)[0]


def unit(rows: F32) -> F32:
    return np.ascontiguousarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def basis(dim: int, count: int, seed: int = 0) -> F32:
    random = np.random.default_rng(seed).standard_normal((dim, count))
    return np.ascontiguousarray(np.linalg.qr(random)[0], np.float32)


def nearest(rows: F32, queries: F32, k: int) -> list[set[int]]:
    return [set(found.tolist()) for found in np.argsort(-(queries @ rows.T), axis=1)[:, :k]]


@settings(max_examples=50, deadline=None)
@given(
    raw=arrays(np.float32, (6, 20), elements=st.floats(-1, 1, width=32)),
    width=st.integers(2, 12),
    seed=st.integers(0, 5),
)
def test_reduced_rows_are_unit_rows_and_keep_projected_products(
    raw: F32, width: int, seed: int
) -> None:
    rows = unit(raw + np.float32(1e-3) + np.eye(6, 20, dtype=np.float32))
    projection = basis(20, width - 1, seed)
    reduction = Reduction(projection)
    reduced = reduction.rows(rows)
    np.testing.assert_allclose(np.linalg.norm(reduced, axis=1), 1, atol=1e-3)
    np.testing.assert_allclose(reduced[:, :-1], rows @ projection, atol=1e-5)
    # The nearest by Euclidean distance to a query without the last dimension are the nearest by
    # the projected dot product.
    query = np.append(rows[0] @ projection, np.float32(0))
    distances = ((reduced - query) ** 2).sum(axis=1)
    products = (rows @ projection) @ (rows[0] @ projection)
    np.testing.assert_allclose(distances, 1 + (query**2).sum() - 2 * products, atol=1e-3)


def test_a_faiss_index_behind_it_takes_full_queries(low: tuple[F32, F32]) -> None:
    rows, queries = low
    reduction = Reduction(basis(DIM, 15))
    inner = faiss.IndexFlatL2(16)
    inner.add(reduction.rows(rows))
    whole = reduction.before(inner)
    found = whole.search(queries, 5)[1]
    projected = (queries @ reduction.projection) @ (rows @ reduction.projection).T
    assert np.array_equal(found, np.argsort(-projected, axis=1)[:, :5])
    again, part = split(whole)
    assert again is not None and np.array_equal(again.projection, reduction.projection)
    assert part.ntotal == len(rows) and split(inner)[0] is None


def test_the_narrowest_that_suffices_is_taken(low: tuple[F32, F32]) -> None:
    rows, queries = low
    reduction = fitted(rows, {"new": queries}, 10)
    assert reduction is not None and reduction.width == 32  # and not 48, the half of 96
    kept = nearest(reduction.rows(rows)[:, :-1], queries @ reduction.projection, 20)
    true = nearest(rows, queries, 10)
    share = sum(len(a & b) for a, b in zip(true, kept, strict=True)) / 1000
    assert share >= 0.99


def test_rows_that_fill_their_space_are_left_as_they_are() -> None:
    rows = unit(np.random.default_rng(1).standard_normal((4000, DIM)).astype(np.float32))
    queries = unit(np.random.default_rng(2).standard_normal((50, DIM)).astype(np.float32))
    assert fitted(rows, {"new": queries}, 10) is None
    index = build(rows, kind="ivf", recall_target=0.3, threads=1, fitted=False)
    if isinstance(index, AnnIndex):
        assert index.engine.reduction is None  # type: ignore[attr-defined]


def test_one_kind_of_query_that_needs_more_decides(low: tuple[F32, F32]) -> None:
    """Rows that differ, beside what all queries look at, in what only some queries look at."""
    rows, queries = low
    generator = np.random.default_rng(3)
    fine = basis(DIM, 40, seed=9)
    detailed = unit(rows + 0.3 * generator.standard_normal((len(rows), 40)) @ fine.T)
    details = unit((generator.standard_normal((60, 40)) @ fine.T).astype(np.float32))
    coarse_only = fitted(detailed, {"new": queries}, 10)
    both = fitted(detailed, {"new": queries, "details": details}, 10)
    assert both is None or (coarse_only is not None and both.width > coarse_only.width)


@pytest.mark.parametrize("rows", [0, 1, 15])
def test_few_rows_and_no_queries_have_none(rows: int, low: tuple[F32, F32]) -> None:
    assert fitted(low[0][:rows], {"new": low[1]}, 10) is None
    assert fitted(low[0], {}, 10) is None
    assert fitted(low[0], {"new": low[1][:0]}, 10) is None


@pytest.mark.parametrize("kind", ["hnsw", "ivf"])
def test_an_index_over_reduced_rows_reaches_its_recall_with_exact_scores(
    kind: str, low: tuple[F32, F32], tmp_path: Path
) -> None:
    rows, queries = low
    built = build(rows, kind=kind, threads=1, fitted=False)  # type: ignore[arg-type]
    assert isinstance(built, AnnIndex), built.info.reason
    assert built.info.parameters["width"] == 32 and built.dim == DIM
    save(tmp_path / "index", index=built, vectors=rows, meta={})
    loaded = load(tmp_path / "index")[0]
    true = nearest(rows, queries, 10)
    for index in (built, loaded):
        assert isinstance(index, AnnIndex) and index.engine.size == len(rows)
        found = index.search(queries, 10)
        hits = sum(len(a & set(b.tolist())) for a, b in zip(true, found.rows, strict=True))
        assert hits / 1000 >= 0.94
        expected = np.take_along_axis(queries @ rows.T, found.rows, axis=1)
        np.testing.assert_allclose(found.scores, expected, atol=1e-5)
        allowed = np.arange(len(rows)) % 7 == 0
        few = index.search(queries[:10], 10, allowed=allowed)
        assert allowed[few.rows].all()
    assert np.array_equal(built.search(queries, 10).rows, loaded.search(queries, 10).rows)


@pytest.mark.parametrize("kind", [HnswEngine, IvfEngine])
def test_rows_that_are_added_later_are_reduced_too(
    kind: type[HnswEngine] | type[IvfEngine], low: tuple[F32, F32]
) -> None:
    rows, _ = low
    reduction = fitted(rows, {"new": low[1]}, 10)
    assert reduction is not None
    engine = kind.build(rows[:3000], reduction=reduction, threads=1)
    engine.add(rows[3000:])
    assert engine.size == 4000
    found = engine.candidates(rows[3000:3100], Effort(1, 64, 40))
    assert all(3000 + i in row for i, row in enumerate(found.tolist()))


def test_a_graph_over_fresh_rows_fits_a_reduction_of_its_own(low: tuple[F32, F32]) -> None:
    rows, queries = low
    base = build(rows[:2000], kind="hnsw", threads=1, fitted=False)
    assert isinstance(base, AnnIndex)
    elsewhere = Synthetic(DIM, seed=5, clusters=40, intrinsic=12, noise=0.2)
    fresh = elsewhere.draw(3000, seed=1)[0]
    asked = elsewhere.draw(60, seed=2)[0]
    grower = Grower(base)
    graph = grower.grown(grower.grown(None, fresh[:2000]), fresh)
    assert isinstance(graph.engine, HnswEngine) and graph.engine.reduction is not None
    assert isinstance(base.engine, HnswEngine) and base.engine.reduction is not None
    assert not np.allclose(graph.engine.reduction.projection, base.engine.reduction.projection)
    found = graph.search(asked, 10).rows
    true = nearest(fresh, asked, 10)
    hits = sum(len(a & set(b.tolist())) for a, b in zip(true, found, strict=True))
    assert hits / 600 >= 0.92


@pytest.mark.parametrize("share", [1.0, 0.5, 0.02])
@pytest.mark.parametrize("queries", [1, 40])
@pytest.mark.parametrize("at_once", [1 << 20, 1 << 12])
def test_rows_without_a_graph_are_found_by_their_reduced_copies(
    low: tuple[F32, F32],
    share: float,
    queries: int,
    at_once: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(narrow, "SCORES_AT_ONCE", at_once)
    rows, asked = low[0], low[1][:queries]
    reduction = fitted(rows, {"new": low[1]}, 10)
    assert reduction is not None
    mask = np.random.default_rng(1).random(len(rows)) < share
    rowset = None if share == 1 else RowSet(mask)
    found = narrow.narrow_search(
        rows, reduction.rows(rows), asked, reduction.queries(asked), 10, rowset
    )
    true = ReferenceIndex(rows).search(asked, 10, allowed=mask)
    assert found.rows.shape == true.rows.shape
    hits = sum(len(set(a) & set(b)) for a, b in zip(found.rows, true.rows, strict=True))
    assert hits >= 0.995 * true.rows.size
    assert mask[found.rows].all()
    expected = np.take_along_axis(asked @ rows.T, found.rows, axis=1)
    np.testing.assert_allclose(found.scores, expected, atol=1e-6)
    assert (np.diff(found.scores, axis=1) <= 0).all()


def test_reduced_copies_follow_a_live_index(low: tuple[F32, F32]) -> None:
    """Through additions in place, forks and removals; with a recall of 1 they are not used."""
    rows, asked = low
    base = build(rows[:2000], kind="hnsw", threads=1, fitted=False)
    assert isinstance(base, AnnIndex)
    waiting = Tiers(exact_rows=10**9)
    parts = [rows[2000:2600], rows[2600:3300], rows[3300:4000]]
    live = LiveIndex(base, tiers=waiting)
    for part in parts[:2]:
        live = live.with_changes(part)
    fork = live.with_changes(parts[2][::-1].copy(), np.arange(2000, 2100))
    live = live.with_changes(parts[2], np.arange(2050, 2150))
    for value, order in ((live, parts[2]), (fork, parts[2][::-1])):
        whole = np.concatenate([rows[:3300], order])
        true = ReferenceIndex(whole).search(asked, 10, allowed=value.alive)
        for ask in (value.search, value.search_unit):
            found = ask(asked, 10)
            hits = sum(len(set(a) & set(b)) for a, b in zip(found.rows, true.rows, strict=True))
            assert hits >= 0.96 * true.rows.size  # the base aims at 0.95
            assert value.alive[found.rows].all()
        assert np.array_equal(value.search(asked, 10, recall=1.0).rows, true.rows)
        only_fresh = np.arange(len(whole)) >= 2000
        found = value.search(asked, 10, allowed=only_fresh & value.alive)
        true = ReferenceIndex(whole).search(asked, 10, allowed=only_fresh & value.alive)
        hits = sum(len(set(a) & set(b)) for a, b in zip(found.rows, true.rows, strict=True))
        assert hits >= 0.995 * true.rows.size
