"""The choice of an index, its tuning, and the guards around an engine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trichord.errors import InvalidInput, VectorError
from trichord.index.ann import AnnIndex
from trichord.index.base import IndexInfo
from trichord.index.build import build
from trichord.index.costs import TYPICAL_EXACT, Line
from trichord.index.exact import ExactIndex
from trichord.index.plan import Curve, Effort, Way, needed_depth
from trichord.index.rowset import RowSet
from trichord.index.synthetic import Synthetic, clustered
from trichord.index.tuning import perturbed_rows
from trichord.types import F32, I64


def test_auto_is_exact_while_small_and_measured_beyond(world) -> None:
    small = build(world.rows)
    assert isinstance(small, ExactIndex) and "fewer than 20000" in small.info.reason
    large = build(world.rows, exact_below=5000, queries=world.tuning, threads=1, fitted=False)
    assert isinstance(large, AnnIndex) and large.info.kind == "hnsw"
    assert large.info.requested == "auto"
    assert set(large.info.recall) == {"own", "given", "newest"}
    assert min(large.info.recall.values()) >= large.info.recall_target == 0.95
    lists = build(world.rows, exact_below=5000, ivf_from=6000, threads=1, fitted=False)
    assert lists.info.kind == "ivf" and set(lists.info.recall) == {"own", "newest"}


@pytest.mark.parametrize(("kind", "target"), [("hnsw", 0.8), ("hnsw", 0.99), ("ivf", 0.9)])
def test_recorded_recall_is_what_new_queries_find(world, kind: str, target: float) -> None:
    source = Synthetic(32, seed=7, modalities=2, clusters=150, intrinsic=12)
    index = build(
        world.rows, kind=kind, recall_target=target, queries=world.tuning, threads=1, fitted=False
    )  # type: ignore[arg-type]
    assert isinstance(index, AnnIndex), index.info.reason
    assert min(index.info.recall.values()) >= target
    for modality in (0, 1):
        queries = source.draw(300, modality=modality, seed=99)[0]
        found, _ = index.attempt(queries, 10, index.curve.efforts[0])
        truth = ExactIndex(world.rows).search(queries, 10)
        recall = float((found.scores >= truth.scores[:, -1:] - 1e-6).mean())
        assert recall >= target - 0.015


def test_a_higher_target_takes_more_effort(world) -> None:
    efforts = []
    for target in (0.7, 0.9, 0.99):
        index = build(world.rows, kind="hnsw", recall_target=target, threads=1, fitted=False)
        assert isinstance(index, AnnIndex)
        efforts.append(index.curve.efforts[0].breadth)
        depths = [effort.depth for effort in index.curve.efforts]
        breadths = [effort.breadth for effort in index.curve.efforts]
        assert depths == sorted(depths) and breadths == sorted(breadths)
    assert efforts == sorted(efforts) and efforts[0] < efforts[-1]


def test_exact_when_the_target_cannot_be_met() -> None:
    """31 dimensions can be cut into one or 31 pieces only, and unclustered rows compress badly."""
    rows = np.random.default_rng(0).standard_normal((4000, 31))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    index = build(rows, kind="ivf", recall_target=0.999, threads=1, fitted=False)
    assert isinstance(index, ExactIndex)
    assert index.info.kind == "exact" and index.info.requested == "ivf"
    assert "did not reach recall 0.999" in index.info.reason
    assert 0 < index.info.parameters["rejected_recall"]["own"] < 0.999


def test_refuses_bad_requests(world) -> None:
    for bad in ({"kind": "flat"}, {"recall_target": 0.0}, {"recall_target": 1.1}, {"k": 0}):
        with pytest.raises(InvalidInput):
            build(world.rows[:10], **bad)
    with pytest.raises(VectorError):
        build(world.rows[:10], queries=world.own[:, :4])
    with pytest.raises(InvalidInput):
        build(world.rows, kind="hnsw", threads=0)


class Scripted:
    """An engine that proposes what it is told to."""

    kind = "scripted"
    plain: Way = "graph"
    parameters: dict[str, object] = {}
    typical = Line(0.1, (0.0001,))
    selects = False
    bytes = 0

    def __init__(self, rows: I64, size: int) -> None:
        self._rows, self._size = rows, size
        self.calls: list[int] = []

    def candidates(self, queries: F32, effort: Effort) -> I64:
        self.calls.append(effort.depth)
        proposed = np.full((len(queries), effort.candidates), -1, dtype=np.int64)
        proposed[:, : len(self._rows)] = self._rows[: effort.candidates]
        return proposed

    def selected(self, queries: F32, effort: Effort, rowset: RowSet) -> I64:
        raise NotImplementedError

    def work(self, effort: Effort) -> tuple[float, ...]:
        return (float(effort.depth),)

    def scanned(self, effort: Effort) -> int:
        return effort.candidates

    def probes(self) -> list[Effort]:
        raise NotImplementedError

    def ladders(self, depth: int) -> list[list[Effort]]:
        return [[Effort(depth, depth, depth)]]

    def write(self, path: Path) -> None:
        raise NotImplementedError


def scripted(world, rows: I64) -> tuple[AnnIndex, Scripted]:
    engine = Scripted(np.asarray(rows, dtype=np.int64), len(world.rows))
    curve = Curve((Effort(10, 10, 10), Effort(1000, 1000, 1000)))
    return AnnIndex(world.rows, engine, curve, IndexInfo(kind="scripted")), engine


def test_a_silent_engine_costs_time_and_no_answers(world) -> None:
    index, engine = scripted(world, [])
    for queries in (world.own[:1], world.own[:7]):
        found = index.search(queries, 10)
        truth = ExactIndex(world.rows).search(queries, 10)
        assert np.array_equal(found.rows, truth.rows)
    assert engine.calls[:4] == [10, 40, 160, 640]


def test_an_engine_that_proposes_excluded_rows_only(world) -> None:
    allowed = np.arange(len(world.rows)) >= 3000
    index, engine = scripted(world, np.arange(1000))
    for queries in (world.own[:1], world.own[:7]):
        found = index.search(queries, 10, allowed=allowed)
        truth = world.reference.search(queries, 10, allowed=allowed)
        np.testing.assert_allclose(found.scores, truth.scores, atol=1e-6)
        assert allowed[found.rows].all()
    assert engine.calls


def test_too_few_allowed_rows_among_the_candidates_widen_the_search(world) -> None:
    """Half the rows are allowed, but one in ten of those that come first: at the first depth
    there would be enough to fill the answer, from too far down the list."""
    size = len(world.rows)
    allowed = np.zeros(size, dtype=bool)
    allowed[::10] = True
    allowed[1000:3500] = True
    index, engine = scripted(world, np.arange(1000))
    index.search(world.own[:1], 2, allowed=allowed)
    assert len(engine.calls) > 1 and engine.calls == sorted(engine.calls)


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_curves_interpolate_between_what_was_tuned(data: st.DataObject) -> None:
    depths = sorted(data.draw(st.sets(st.integers(1, 2000), min_size=1, max_size=5)))
    breadths = sorted(data.draw(st.lists(st.integers(1, 500), min_size=5, max_size=5)))
    efforts = [Effort(d, b, d * 2) for d, b in zip(depths, breadths, strict=False)]
    curve = Curve(tuple(efforts))
    assert Curve.from_json(curve.as_json()) == curve
    last = 0
    for depth in range(1, depths[-1] + 1):
        effort = curve.at(depth)
        assert effort is not None
        assert effort.depth >= depth and effort.candidates >= depth
        assert efforts[0].breadth <= effort.breadth <= efforts[-1].breadth
        assert effort.breadth >= last
        last = effort.breadth
    for effort in efforts:
        assert curve.at(effort.depth) == effort
    assert curve.at(depths[-1] + 1) is None
    assert Curve(()).at(1) is None


@given(size=st.integers(1, 10**7), data=st.data())
def test_depth_and_cost_behave(size: int, data: st.DataObject) -> None:
    allowed = data.draw(st.integers(1, size))
    wanted = data.draw(st.integers(1, min(allowed, 1000)))
    depth = needed_depth(wanted, allowed, size)
    assert wanted <= depth <= size
    assert depth >= wanted * size / allowed or depth == size
    if allowed == size:
        assert depth == wanted
    costs = [TYPICAL_EXACT.at(queries, allowed, size) for queries in (64, 7, 1)]
    assert 0 < costs[0] <= costs[1] <= costs[2]
    assert costs[2] <= TYPICAL_EXACT.at(1, min(size, allowed + 1), size)


@settings(deadline=None, max_examples=60)
@given(data=st.data(), size=st.integers(0, 60))
def test_row_sets(data: st.DataObject, size: int) -> None:
    flags = st.lists(st.booleans(), min_size=size, max_size=size)
    mask = np.array(data.draw(flags), dtype=bool)
    rows = RowSet(mask)
    assert rows.count == mask.sum() and np.array_equal(rows.rows, np.flatnonzero(mask))
    start = data.draw(st.integers(0, size))
    stop = data.draw(st.integers(start, size))
    keep = RowSet(np.array(data.draw(flags), dtype=bool)[start:stop])
    for _ in range(2):
        assert np.array_equal(rows.part(start, stop).mask, mask[start:stop])
        assert np.array_equal(rows.part(0, start).mask, mask[:start])
        assert np.array_equal(np.unpackbits(rows.bits, count=size, bitorder="little"), mask)
        assert np.array_equal(rows.part(start, stop, keep).mask, mask[start:stop] & keep.mask)
    with pytest.raises(InvalidInput):
        RowSet(mask.astype(np.int8))


def test_synthetic_data_have_a_gap_and_do_not_repeat() -> None:
    source = Synthetic(48, modalities=2)
    first, clusters = source.draw(500)
    again, _ = source.draw(500)
    other, _ = source.draw(500, modality=1)
    assert np.array_equal(first, again) and clusters.shape == (500,)
    np.testing.assert_allclose(np.linalg.norm(first, axis=1), 1, atol=1e-6)
    assert (first[:250] @ first[250:].T).mean() > (first @ other.T).mean() + 0.2
    assert not np.array_equal(source.draw(500, seed=2)[0], first)
    assert np.array_equal(clustered(5, 48), Synthetic(48).draw(5)[0])


def test_perturbed_rows_are_near_but_not_rows(world) -> None:
    queries = perturbed_rows(world.rows, 50, 0)
    nearest = ExactIndex(world.rows).search(queries, 1).scores
    assert queries.dtype == np.float32 and len(queries) == 50
    assert np.all(nearest < 0.999) and nearest.mean() > 0.7
    assert len(perturbed_rows(world.rows[:3], 50, 0)) == 3


def test_needs_neither_tables_nor_models() -> None:
    """The index runs where only numpy, FAISS and xxhash are installed."""
    code = """
import pkgutil, sys
import faiss, numpy, trichord, xxhash
before = {name.partition(".")[0] for name in sys.modules}
import trichord.index
for module in pkgutil.iter_modules(trichord.index.__path__):
    __import__("trichord.index." + module.name)
added = {name.partition(".")[0] for name in sys.modules} - before
added -= sys.stdlib_module_names
sys.exit(str(added) if added else 0)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
