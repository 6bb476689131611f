"""Indexes in GPU memory: what they promise beyond the suite that every index passes.

Tests marked `gpu` need a device. The others run the same code over FAISS's CPU indexes behind the
limits and manners of a GPU (see stand_in): they show our part, not what the kernels of a GPU do.
"""

from __future__ import annotations

import ctypes
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.index.gpu_makers import device, have_gpu, on
from tests.index.stand_in import StandIn
from trichord.errors import InvalidInput
from trichord.index import gpu as gpu_module
from trichord.index import gpu_build, gpu_flat
from trichord.index._faiss import faiss
from trichord.index.ann import AnnIndex
from trichord.index.base import IndexInfo, VectorIndex
from trichord.index.build import build
from trichord.index.coarse import fill
from trichord.index.cuda import Driver, DriverError, Facts
from trichord.index.exact import ExactIndex
from trichord.index.gpu import NoGpu, open_gpu, trial
from trichord.index.gpu_cagra import GpuCagraEngine, built_on_gpu, hnsw_of
from trichord.index.gpu_flat import GpuFlat
from trichord.index.gpu_ivf import GpuIvfEngine, subspaces
from trichord.index.hnsw import HnswEngine
from trichord.index.persist import load, save
from trichord.index.placement import placed
from trichord.index.plan import Effort
from trichord.index.rounding import error_bound
from trichord.index.synthetic import Synthetic
from trichord.index.threads import omp_threads
from trichord.index.tuning import perturbed_rows, tune
from trichord.types import F32


def unit(rows: np.ndarray) -> F32:
    found: F32 = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return found


def same(index: VectorIndex, truth: VectorIndex, queries: F32, k: int, allowed=None) -> None:
    found, expected = (each.search(queries, k, allowed=allowed) for each in (index, truth))
    assert np.array_equal(found.rows, expected.rows)
    assert np.array_equal(found.scores, expected.scores)


# Exact search: the proof


@pytest.mark.parametrize("half", [False, True])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_exact_means_exact_whatever_the_rounding(half: bool, data: st.DataObject) -> None:
    """Bit for bit what the CPU answers, on rows made to be closer than the device can tell."""
    seed = data.draw(st.integers(0, 2**32 - 1))
    size, dim = data.draw(st.integers(30, 400)), data.draw(st.sampled_from([3, 16, 24, 40]))
    closeness = data.draw(st.sampled_from([0.0, 1e-6, 1e-4, 1e-2, 1.0]))
    k, limit = data.draw(st.integers(1, 30)), data.draw(st.sampled_from([8, 64, 2048]))
    generator = np.random.default_rng(seed)
    centres = generator.standard_normal((4, dim))
    rows = unit(
        centres[generator.integers(0, 4, size)]
        + closeness * generator.standard_normal((size, dim))
        + 1e-9
    )
    queries = unit(generator.standard_normal((5, dim)))
    allowed = None
    if data.draw(st.booleans()):
        allowed = generator.random(size) < data.draw(st.sampled_from([0.02, 0.5, 0.98]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpu_flat, "FEW_ALLOWED", 0)
        patch.setattr(gpu_flat, "SPARE", data.draw(st.sampled_from([0, 16])))
        index = GpuFlat.build(rows, StandIn(limit=limit), half=half)
        same(index, ExactIndex(rows), queries, k, allowed)


def test_what_16_bits_lose_is_found_again() -> None:
    """Rows that float16 cannot tell apart: its own order is wrong, the answer is right."""
    generator = np.random.default_rng(0)
    rows = unit(np.ones((5000, 16)) + 2e-3 * generator.standard_normal((5000, 16)))
    queries = unit(np.ones((8, 16)) + 2e-2 * generator.standard_normal((8, 16)))
    device = StandIn()
    index = GpuFlat.build(rows, device, half=True)
    assert index.stored == index.info.parameters["stored"] == "float16"
    _, raw = index._index.inner.search(queries, 10)
    truth = ExactIndex(rows).search(queries, 10)
    assert (np.sort(raw, axis=1) != np.sort(truth.rows, axis=1)).any()
    same(index, ExactIndex(rows), queries, 10)
    assert index.left_to_cpu + index.proven == len(queries)


def test_what_it_says_of_itself(world) -> None:
    index = GpuFlat.build(world.rows, StandIn())
    few, most = np.arange(index.size) < 100, np.arange(index.size) % 2 == 0
    for allowed, scanned in ((few, 100), (most, index.size), (None, index.size)):
        trace = []
        index.search(world.own[:3], 5, allowed=allowed, recall=0.9, trace=trace)
        plan = index.plan(3, 5, allowed)
        assert (plan.way, plan.scanned, plan.recall, plan.effort) == ("exact", scanned, 1.0, None)
        assert plan.microseconds > 0
        assert [(each.way, each.scanned) for each in trace] == [("exact", 3 * scanned)]
    alone, batched = index.microseconds
    assert index.plan(1, 5).microseconds == alone > 0
    assert index.plan(1000, 5).microseconds == pytest.approx(batched, abs=alone / 500)
    with pytest.raises(InvalidInput):
        index.search(world.own[:1], 5, recall=0.0)


def test_the_proof_succeeds_on_ordinary_rows(world) -> None:
    for half in (False, True):
        index = GpuFlat.build(world.rows, StandIn(), half=half)
        same(index, ExactIndex(world.rows), world.own, 10)
        same(index, ExactIndex(world.rows), world.cross, 10)
        assert index.proven == 2 * len(world.own) and index.left_to_cpu == 0


@pytest.mark.parametrize("dim", [8, 128, 768])
def test_the_bound_holds_and_tells_the_precisions_apart(dim: int) -> None:
    generator = np.random.default_rng(dim)
    rows, queries = (unit(generator.standard_normal((count, dim))) for count in (2000, 200))
    true = queries.astype(np.float64) @ rows.astype(np.float64).T
    half = (queries.astype(np.float16).astype(np.float64)) @ rows.astype(np.float16).T
    cut = [
        (each.view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32).astype(np.float64)
        for each in (queries, rows)  # as TF32 units may do it: 10 bits of the fraction are kept
    ]
    wide, narrow = error_bound(dim, reduced=False), error_bound(dim, reduced=True)
    assert np.abs(queries @ rows.T - true).max() <= wide
    for rounded in (half, cut[0] @ cut[1].T):
        error = np.abs(rounded - true).max()
        assert 0.01 * narrow < error <= narrow
    assert GpuFlat.build(rows, StandIn(), half=False).bound == np.float32(wide)
    assert GpuFlat.build(rows, StandIn(), half=True).bound == np.float32(narrow)


def test_a_device_whose_scores_are_wrong_is_not_used(world) -> None:
    class Liar(StandIn):
        """Scores of compressed rows."""

        def flat(self, dim: int, *, half: bool):
            kind = faiss.ScalarQuantizer.QT_4bit
            wrong = faiss.IndexScalarQuantizer(dim, kind, faiss.METRIC_INNER_PRODUCT)
            wrong.train(world.rows)
            return wrong

    class Shifted(StandIn):
        """Finds the right rows and says they lie a little farther away."""

        def flat(self, dim: int, *, half: bool):
            inner = super().flat(dim, half=half)
            search = inner.search_c

            def shifted(n, x, k, d, i, params=None):
                search(n, x, k, d, i, params)
                address = ctypes.cast(int(d), ctypes.POINTER(ctypes.c_float))
                np.ctypeslib.as_array(address, (n * k,))[:] -= 0.01

            inner.search_c = shifted
            return inner

    for bad in (Liar(), Shifted()):
        with pytest.raises(NoGpu, match="are off by"):
            GpuFlat.build(world.rows, bad)
    home = ExactIndex(world.rows)
    found = placed(home, gpu=Liar())
    assert found.index is home and found.device == "cpu" and "are off by" in found.reason


# Limits, memory, failure


@pytest.mark.parametrize("kind", ["flat", "ivf-flat", "ivf-pq", "cagra"])
def test_beyond_the_limits_the_cpu_answers(world, kind) -> None:
    """More neighbours than the device can, and filters that need more candidates than it can."""
    index = on(world, StandIn(limit=96), kind)
    if isinstance(index, AnnIndex):
        efforts = index.curve.efforts
        assert efforts and all(effort.candidates <= index.engine.limit for effort in efforts)
    for allowed in (None, np.arange(index.size) % 40 == 0):
        for k in (97, 500):
            same(index, ExactIndex(world.rows), world.own[:3], k, allowed)
    if isinstance(index, AnnIndex):
        assert not index.engine.failures  # it was never asked for too much


def test_an_effort_beyond_the_limits_is_cut(world) -> None:
    device = StandIn(limit=64)
    for engine in (
        GpuIvfEngine.build(world.rows, device, coding="flat"),
        GpuIvfEngine.build(world.rows, device, coding="pq", lists=64),
        GpuCagraEngine.build(world.rows, device),
    ):
        engine.limit = min(engine.limit, 64)
        rows = engine.candidates(world.own[:4], Effort(900, 5000, 900))
        assert rows.shape == (4, 64) and (rows >= 0).all()
        assert not engine.failures
        for depth in (10, 40, 64):
            for ladder in engine.ladders(depth):
                breadths = [effort.breadth for effort in ladder]
                assert breadths == sorted(breadths)
                assert all(e.depth == depth and depth <= e.candidates <= 64 for e in ladder)
        assert not any(len(ladder) for ladder in engine.ladders(65))
        works = [engine.work(Effort(10, each, each)) for each in (32, 64)]
        assert engine.typical.at(works[0]) < engine.typical.at(works[1])
        first, *others = (engine.work(effort) for effort in engine.probes())
        assert len(first) == len(others) == len(engine.typical.rates)
        for number, work in enumerate(others):  # one amount differs, the others are equal
            assert [a < b for a, b in zip(first, work, strict=True)] == [
                number == place for place in range(len(first))
            ]
        assert all(effort.candidates <= engine.limit for effort in engine.probes())
        assert 0 < engine.scanned(Effort(10, 32, 32)) <= engine.size
        assert not engine.selects and engine.bytes == 0


def test_memory_decides_what_is_kept(world) -> None:
    scratch, home = gpu_module.SCRATCH, ExactIndex(world.rows)
    floats = 4 * world.rows.size

    def kept(memory: float, kind: str = "auto"):
        gpu = StandIn(memory=scratch + int(memory * floats), cuvs=False)
        return placed(home, kind=kind, recall_target=0.8, threads=1, fitted=False, gpu=gpu)  # type: ignore[arg-type]

    assert kept(1.2).index.info.parameters["stored"] == "float32"
    assert kept(0.6).index.info.parameters["stored"] == "float16"
    none = kept(0.4)
    assert none.index is home and none.device == "cpu"
    assert "GiB of scratch on stand-in, where 0.5 GiB are free" in none.reason
    unknown = placed(home, gpu=StandIn(memory=None))
    assert unknown.index.info.parameters["stored"] == "float32"
    approximate = AnnIndex(  # what "auto" makes of an approximate index
        world.rows,
        HnswEngine.build(world.rows[:500], threads=1),
        tune_free_curve(),
        IndexInfo(kind="hnsw", recall_target=0.8),
    )
    for memory, coding in ((2.0, "ivf-flat"), (0.9, "ivf-pq"), (0.1, None)):
        gpu = StandIn(memory=scratch + int(memory * floats), cuvs=False)
        found = placed(approximate, threads=1, fitted=False, gpu=gpu)
        if coding is None:
            assert found.index is approximate and "needs" in found.reason
        else:
            assert found.index.info.kind == f"gpu-{coding}", found.reason


def tune_free_curve():
    from trichord.index.plan import Curve

    return Curve((Effort(10, 64, 64),))


@pytest.mark.parametrize("kind", ["flat", "ivf-flat"])
def test_a_device_that_fails_while_searching_is_made_up_for(world, kind) -> None:
    gpu = StandIn()
    index = on(world, gpu, kind)
    gpu.broken = True
    for allowed in (None, np.arange(index.size) % 3 == 0):
        same(index, ExactIndex(world.rows), world.own, 10, allowed)
    if isinstance(index, AnnIndex):
        assert index.engine.failures > 0
        assert index.engine.last_failure == "a search failed on stand-in: 'err' failed: alloc fail"
    gpu.broken = False
    before = gpu.calls
    index.search(world.own, 10)
    assert gpu.calls > before  # and it is used again


@pytest.mark.parametrize("kind", ["auto", "flat", "ivf-flat", "cagra"])
def test_a_device_that_fails_while_building_leaves_the_cpu(world, kind) -> None:
    gpu, home = StandIn(), ExactIndex(world.rows)
    gpu.broken = True
    found = placed(home, kind=kind, recall_target=0.9, gpu=gpu)
    assert found.index is home and found.device == "cpu"
    assert found.reason.endswith("failed on stand-in: 'err' failed: alloc fail")
    with pytest.raises(NoGpu):
        built_on_gpu(world.rows, gpu)


def test_a_target_out_of_reach_leaves_the_cpu() -> None:
    rows = unit(np.random.default_rng(0).standard_normal((4000, 31)))
    home = ExactIndex(rows)
    found = placed(home, kind="ivf-pq", recall_target=0.9999, threads=1, gpu=StandIn(limit=64))
    assert found.index is home and "did not reach recall 0.9999" in found.reason


def test_cagra_needs_cuvs_and_rows(world) -> None:
    with pytest.raises(NoGpu, match="needs FAISS with cuVS"):
        gpu_module.Gpu.cagra(StandIn(cuvs=False), 32, 64)
    few = placed(ExactIndex(world.rows[:500]), kind="cagra", recall_target=0.9, gpu=StandIn())
    assert few.device == "cpu" and "too few for CAGRA" in few.reason


def test_wrong_requests(world) -> None:
    home = ExactIndex(world.rows[:100])
    for bad in ({"device": "tpu"}, {"kind": "hnsw"}):
        with pytest.raises(InvalidInput):
            placed(home, **bad)
    asked = placed(home, device="cpu", gpu=StandIn())
    assert asked.index is home and (asked.device, asked.reason) == ("cpu", "asked for")


def test_a_copy_is_not_saved(world, tmp_path: Path) -> None:
    index = on(world, StandIn(), "ivf-flat")
    assert isinstance(index, AnnIndex)
    with pytest.raises(InvalidInput, match="save the index on the CPU"):
        save(tmp_path / "x", index=index, vectors=world.rows, meta={})
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("kind", ["flat", "ivf-flat"])
def test_callers_at_the_same_time_share_calls(world, kind) -> None:
    """The stand-in fails if two threads are inside; fewer calls than searches shows the sharing."""
    gpu = StandIn()
    index = on(world, gpu, kind)
    expected = [index.search(world.own[i : i + 1], 10) for i in range(64)]
    gpu.calls = 0
    with ThreadPoolExecutor(16) as pool:
        jobs = list(range(64)) * 8
        found = list(pool.map(lambda i: index.search(world.own[i : i + 1], 10), jobs))
    for i, answer in zip(jobs, found, strict=True):
        assert np.array_equal(answer.rows, expected[i].rows)
        assert np.array_equal(answer.scores, expected[i].scores)
    assert gpu.calls < len(jobs)


# Built on the device, served by the CPU


def test_a_graph_serves_the_cpu_with_8_bit_codes(world, tmp_path: Path) -> None:
    engine = built_on_gpu(world.rows, StandIn(), threads=1)
    assert isinstance(engine, HnswEngine)
    assert (engine.size, engine.dim) == world.rows.shape
    assert engine.parameters["quantizer"] == "SQ8" and engine.parameters["links"] == 16
    samples = {"own": perturbed_rows(world.rows, 128, 0), "given": world.tuning}
    tuned = tune(world.rows, engine, samples, target=0.95, k=10, threads=1)
    assert tuned.curve.efforts and min(tuned.recall.values()) >= 0.95
    info = IndexInfo(
        kind="hnsw",
        recall=dict(tuned.recall),
        recall_target=0.95,
        parameters={**engine.parameters, "efforts": tuned.curve.as_json()},
    )
    index = AnnIndex(world.rows, engine, tuned.curve, info)
    save(tmp_path / "index", index=index, vectors=world.rows, meta={})
    again, _, manifest = load(tmp_path / "index")
    assert isinstance(again, AnnIndex) and manifest.info == replace(info)
    found, expected = again.search(world.cross, 10), index.search(world.cross, 10)
    assert np.array_equal(found.rows, expected.rows)
    truth = world.reference.search(world.cross, 10)
    assert (found.scores >= truth.scores[:, -1:] - 1e-6).mean() >= 0.95


def test_links_are_moved_unchanged(world) -> None:
    rows = world.rows[:2000]
    graph = faiss.IndexHNSWCagra(rows.shape[1], 16, faiss.METRIC_L2)
    graph.add(rows)
    engine = hnsw_of(graph, rows, threads=1)
    moved = engine._index
    for name in ("neighbors", "offsets", "levels"):
        before, after = (getattr(each.hnsw, name) for each in (graph, moved))
        assert np.array_equal(faiss.vector_to_array(before), faiss.vector_to_array(after)), name
    assert moved.hnsw.entry_point == graph.hnsw.entry_point
    codes = faiss.IndexScalarQuantizer(
        rows.shape[1], faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_L2
    )
    codes.train(rows)
    expected = codes.sa_encode(rows)
    found = faiss.vector_to_array(faiss.downcast_index(moved.storage).codes)
    assert np.array_equal(found.reshape(expected.shape), expected)
    del graph  # nothing of it is shared
    assert np.array_equal(engine.candidates(rows[:50], Effort(1, 40, 1))[:, 0], np.arange(50))


def test_lists_filled_with_help_are_the_same_lists(world) -> None:
    """k-means and assignment by another flat index, as a GPU would, give the same IVF index."""
    made = []
    for coarse in (None, faiss.IndexFlatL2(32)):
        index = faiss.index_factory(32, "IVF32,PQ4x4fs", faiss.METRIC_L2)
        for clustering in (index.cp, index.pq.cp):
            clustering.seed, clustering.min_points_per_centroid = 7, 1
        with omp_threads(1):
            fill(index, world.rows[:1000], world.rows, coarse, reduced=np.asarray)
        assert coarse is None or coarse.ntotal == 32
        made.append(index)
    del coarse
    alone, helped = made
    assert helped.clustering_index is None and helped.own_fields
    assert np.array_equal(
        alone.quantizer.reconstruct_n(0, 32), helped.quantizer.reconstruct_n(0, 32)
    )
    for params in (faiss.SearchParametersIVF(nprobe=2), faiss.SearchParametersIVF(nprobe=32)):
        one, two = (each.search(world.own, 20, params=params) for each in made)
        assert np.array_equal(one[0], two[0]) and np.array_equal(one[1], two[1])


@pytest.mark.parametrize("kind", ["hnsw", "ivf"])
def test_build_says_where_it_was_done(world, kind, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(gpu_build, "open_gpu", lambda number: StandIn())
    index = build(world.rows, kind=kind, threads=1, device="auto", fitted=False)
    assert index.info.kind == kind and index.info.reason == "asked for; built on stand-in"
    assert min(index.info.recall.values()) >= 0.95
    assert index.info.parameters["quantizer"]
    save(tmp_path / "index", index=index, vectors=world.rows, meta={})
    same(load(tmp_path / "index")[0], index, world.own, 10)

    def none(number: int) -> None:
        raise NoGpu("out of order")

    monkeypatch.setattr(gpu_build, "open_gpu", none)
    index = build(
        world.rows[:3000], kind=kind, recall_target=0.5, threads=1, device="gpu", fitted=False
    )
    assert index.info.kind == kind
    assert index.info.reason == "asked for; built on the CPU: out of order"
    with pytest.raises(InvalidInput):
        build(world.rows, kind=kind, device="tpu")  # type: ignore[arg-type]


def test_subspaces_divide_the_dimension() -> None:
    assert [subspaces(dim) for dim in (512, 768, 32, 30, 31, 6, 2)] == [128, 192, 8, 6, 1, 1, 1]


# What a device is, without one


def test_without_a_gpu_the_reason_is_said(world) -> None:
    if have_gpu():
        pytest.skip("there is a GPU")
    with pytest.raises(NoGpu, match="FAISS") as failure:
        open_gpu()
    home = ExactIndex(world.rows)
    for device_ in ("auto", "gpu"):
        found = placed(home, device=device_)  # type: ignore[arg-type]
        assert found.index is home and found.reason == str(failure.value)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os, sys; print('CUDA error 209', file=sys.stderr); os.abort()", "CUDA error 209"),
        ("import sys; sys.exit('no kernel image')", "exit code 1, no kernel image"),
        ("print('hello')", "it gave no report"),
        ("pass", "it gave no report"),
        ("print('{{}}')", "wrong answers from everything"),
        ('print(\'{{"a": {{"right": false}}, "b": {{"right": true}}}}\')', "wrong answers from a$"),
        ("import time; time.sleep(60)", "no answer within 1 s"),
    ],
)
def test_a_trial_that_dies_is_a_reason(code: str, reason: str) -> None:
    """What aborts in FAISS's GPU code must not take this process along."""
    with pytest.raises(NoGpu, match=f"did not pass its trial: .*{reason}"):
        trial(0, code, seconds=1.0 if "sleep" in code else 60.0)


def test_a_trial_that_passes_is_a_report() -> None:
    code = 'import trichord.index; print(\'a\\n{{"a": {{"right": true, "selector": false}}}}\\nb\')'
    assert trial(0, code) == {"a": {"right": True, "selector": False}}


class Library:
    """The driver's C interface, as far as it is used, over one device with the number 0."""

    def __init__(self, free: int = 5 << 30, broken: str = "") -> None:
        self.stack: list[int] = []
        self.retained = 0
        self._free, self._broken = free, broken

    def __getattr__(self, name: str):
        if not name.startswith("cu"):
            raise AttributeError(name)

        def call(*arguments):
            if name == self._broken:
                return 999
            return int(getattr(self, f"_{name}")(*arguments) or 0)

        return call

    def _cuInit(self, flags): ...

    def _cuDeviceGet(self, device, number):
        device._obj.value = number.value
        return 101 if number.value != 0 else 0

    def _cuDeviceGetName(self, name, length, device):
        ctypes.memmove(name, b"Pocket GPU\0", 11)

    def _cuDeviceTotalMem_v2(self, total, device):
        total._obj.value = 8 << 30

    def _cuDeviceGetAttribute(self, value, attribute, device):
        value._obj.value = {75: 9, 76: 0}[attribute.value]

    def _cuDevicePrimaryCtxRetain(self, context, device):
        self.retained += 1
        context._obj.value = 4242

    def _cuCtxPushCurrent_v2(self, context):
        self.stack.append(context.value)

    def _cuMemGetInfo_v2(self, free, total):
        assert self.stack == [4242]
        free._obj.value, total._obj.value = self._free, 8 << 30

    def _cuCtxPopCurrent_v2(self, context):
        self.stack.pop()


def test_what_the_driver_says() -> None:
    library = Library()
    driver = Driver(library)
    assert driver.facts(0) == Facts("Pocket GPU", (9, 0), 8 << 30)
    assert driver.free(0) == driver.free(0) == 5 << 30
    assert library.retained == 1 and not library.stack
    with pytest.raises(DriverError, match="cuDeviceGet failed with CUDA error 101"):
        driver.facts(1)
    broken = Library(broken="cuMemGetInfo_v2")
    with pytest.raises(DriverError, match="999"):
        Driver(broken).free(0)
    assert not broken.stack
    with pytest.raises(DriverError):
        Driver(Library(broken="cuInit"))


def test_memory_that_the_driver_does_not_tell_is_no_obstacle(monkeypatch) -> None:
    gpu = SimpleNamespace(number=0, name="it", free=lambda: gpu_module.Gpu.free(gpu))  # type: ignore[arg-type]
    for library in (None, Driver(Library(broken="cuMemGetInfo_v2"))):
        monkeypatch.setattr(gpu_module, "driver", lambda library=library: library)
        assert gpu.free() is None
        gpu_module.Gpu.require(gpu, 1 << 60, "anything")  # type: ignore[arg-type]
    monkeypatch.setattr(gpu_module, "driver", lambda: Driver(Library()))
    gpu_module.Gpu.require(gpu, 4 << 30, "this")  # type: ignore[arg-type]
    with pytest.raises(NoGpu, match=r"that needs 4\.5 GiB and 0\.5 GiB of scratch on it, where 5"):
        gpu_module.Gpu.require(gpu, 9 << 29, "that")  # type: ignore[arg-type]


# With a device


@pytest.mark.gpu
def test_the_trial_of_a_real_device() -> None:
    gpu = device()
    assert gpu.report["gpu-flat"] == {"right": True, "selector": False}
    assert all(facts["right"] for facts in gpu.report.values())
    assert set(gpu.report) >= {"gpu-flat", "gpu-ivf-flat", "gpu-ivf-pq"}
    if not gpu.cuvs:  # FAISS's own kernels take a selector and ignore it
        assert not any(facts["selector"] for facts in gpu.report.values())
    assert gpu.facts is not None and gpu.facts.total > gpu.free() > 0  # type: ignore[operator]


@pytest.mark.gpu
def test_exact_on_a_real_device() -> None:
    gpu = device()
    source = Synthetic(128, seed=3, clusters=300)
    rows, queries = source.draw(50_000, seed=1)[0], source.draw(200, seed=2)[0]
    truth = ExactIndex(rows)
    for half in (False, True):
        index = GpuFlat.build(rows, gpu, half=half)
        for allowed in (None, np.arange(len(rows)) % 7 == 0):
            same(index, truth, queries, 10, allowed)
        assert index.left_to_cpu < 0.1 * (index.proven + index.left_to_cpu)
        same(index, truth, queries[:2], 3000)


@pytest.mark.gpu
def test_k_and_probes_beyond_the_limits_of_a_real_device(world) -> None:
    gpu = device()
    for kind in ("flat", "ivf-flat", "ivf-pq"):
        index = on(world, gpu, kind)  # type: ignore[arg-type]
        same(index, ExactIndex(world.rows), world.own[:3], 5000)
        if isinstance(index, AnnIndex):
            rows = index.engine.candidates(world.own[:3], Effort(50_000, 50_000, 50_000))
            assert rows.shape[1] == index.engine.limit and not index.engine.failures


@pytest.mark.gpu
def test_more_than_the_memory_of_a_real_device(world) -> None:
    """An allocation that fails is a reason, and the device goes on working."""
    gpu = device().apart()
    assert gpu.facts is not None
    with pytest.raises(NoGpu, match="too much needs .* of scratch"):
        gpu.require(gpu.facts.total, "too much")
    gpu.cuvs = False  # FAISS's own lists can be reserved, cuVS's cannot
    refused = pytest.raises(NoGpu, match=f"too much failed on {gpu.name}: .*alloc")
    with refused, gpu.use("too much"):
        index = gpu.ivf_flat(32, 16)
        index.train(world.rows)
        index.reserveMemory(gpu.facts.total // 32)
    del index
    same(GpuFlat.build(world.rows, gpu), ExactIndex(world.rows), world.own, 10)


@pytest.mark.gpu
def test_lists_and_graphs_of_a_real_device_serve_the_cpu(world) -> None:
    gpu = device()
    made = []
    for coarse in (None, gpu.coarse(32)):
        index = faiss.index_factory(32, "IVF64,PQ8x4fs", faiss.METRIC_L2)
        for clustering in (index.cp, index.pq.cp):
            clustering.seed, clustering.min_points_per_centroid = 7, 1
        with gpu.use("a test"):
            fill(index, world.rows[:4096], world.rows, coarse, reduced=np.asarray)
        made.append(index.search(world.own, 100, params=faiss.SearchParametersIVF(nprobe=16))[1])
    truth = world.reference.search(world.own, 10).rows
    recalls = [
        np.mean([np.isin(t, f).mean() for t, f in zip(truth, found, strict=True)]) for found in made
    ]
    assert recalls[1] > recalls[0] - 0.02 and recalls[1] > 0.9
    if gpu.cuvs:
        engine = built_on_gpu(world.rows, gpu, threads=1)
        found = engine.candidates(world.own, Effort(10, 128, 128))
        assert np.mean([np.isin(t, f).mean() for t, f in zip(truth, found, strict=True)]) > 0.95


@pytest.mark.gpu
def test_a_served_copy_of_an_index_of_the_cpu(world) -> None:
    gpu = device()
    home = build(world.rows, kind="hnsw", queries=world.tuning, threads=1)
    found = placed(home, queries=world.tuning, threads=1)
    assert found.device == gpu.name, found.reason
    assert min(found.index.info.recall.values()) >= home.info.recall_target
