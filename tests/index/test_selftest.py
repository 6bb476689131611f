"""The test of selectors finds those indexes that accept one and ignore it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.index.gpu_makers import device
from tests.index.stand_in import StandIn
from trichord.index import selftest, trial
from trichord.index._faiss import faiss
from trichord.index.gpu import Gpu, NoGpu
from trichord.index.hnsw import HnswEngine
from trichord.index.ivf import IvfEngine
from trichord.index.selftest import default_parameters, heeds, honours_selector
from trichord.index.trial import selectors, tried

DIM, ROWS = 16, 1500


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    found = np.random.default_rng(5).standard_normal((ROWS, DIM)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selftest, "_known", {})


def made(description: str, rows: np.ndarray):
    index = faiss.index_factory(DIM, description, faiss.METRIC_L2)
    if hasattr(index, "cp"):
        index.cp.min_points_per_centroid = 1
    index.train(rows)
    index.add(rows)
    return index


def shards(rows: np.ndarray):
    """Two IVF indexes behind one quantizer, each with every second row; and what keeps it alive."""
    quantizer = faiss.IndexFlatL2(DIM)
    quantizer.add(rows[:8])
    together = faiss.IndexShardsIVF(quantizer, 8, False, False)
    parts = []
    for start in (0, 1):
        part = faiss.IndexIVFFlat(quantizer, DIM, 8, faiss.METRIC_L2)
        part.is_trained, part.nprobe = True, 8
        part.add_with_ids(rows[start::2], np.arange(len(rows))[start::2])
        together.add_shard(part)
        parts.append(part)
    return together, (quantizer, parts)


GOOD = ["Flat", "SQ8", "HNSW16,Flat", "HNSW16,SQ8", "IVF8,Flat", "IVF8,PQ4x4fs", "IVF8,SQ8"]


@pytest.mark.parametrize("description", GOOD)
def test_these_heed_a_selector(description: str, rows) -> None:
    index = made(description, rows)
    assert honours_selector(index)
    # What that means, said in another way: brute force over the allowed rows.
    if description == "Flat":
        allowed = np.arange(ROWS) % 3 != 0
        parameters = default_parameters(index)(
            faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))
        )
        found = index.search(rows[:20], 1, params=parameters)[1][:, 0]
        distances = np.where(allowed, -(rows[:20] @ rows.T), np.inf)
        assert np.array_equal(found, distances.argmin(axis=1))


def test_hnsw_without_a_bounded_queue_does_not(rows) -> None:
    """Both ways to ask for it; FAISS 1.15.1 takes the selector and returns what it excludes."""
    index = made("HNSW16,Flat", rows)
    assert honours_selector(index)
    assert not honours_selector(
        index,
        lambda selector: faiss.SearchParametersHNSW(sel=selector, efSearch=64, bounded_queue=False),
    )
    index.hnsw.search_bounded_queue = False
    assert not honours_selector(index)
    index.hnsw.search_bounded_queue = True
    assert honours_selector(index)


def test_shards_of_ivf_do_not(rows) -> None:
    index, _kept = shards(rows)
    assert index.ntotal == ROWS
    parameters = faiss.SearchParametersIVF(nprobe=8)
    assert np.array_equal(index.search(rows[:50], 1, params=parameters)[1][:, 0], np.arange(50))
    assert not honours_selector(index)


def test_what_refuses_selectors_honours_none(rows) -> None:
    assert not honours_selector(made("PQ4x4fs", rows))
    index = made("IVF8,Flat", rows)
    assert not honours_selector(index, lambda selector: faiss.SearchParametersHNSW(sel=selector))


def test_what_cannot_be_judged_honours_none(rows) -> None:
    index = faiss.IndexFlatL2(DIM)
    assert not honours_selector(index)
    index.add(rows[: 2 * selftest.QUERIES - 1])
    assert not heeds(index, default_parameters(index))


def test_an_index_that_returns_nothing_does_not_pass(rows) -> None:
    """Rows that are allowed must still come: an empty answer is no proof of obedience."""

    class Empty:
        def __init__(self) -> None:
            self.inner = made("Flat", rows)
            self.ntotal, self.d, self.asked = ROWS, DIM, 0

        def search_c(self, n, x, k, d, i, parameters) -> None:
            self.asked += 1
            selector = parameters.sel if self.asked == 1 else faiss.IDSelectorRange(0, 0)
            self.inner.search_c(n, x, k, d, i, faiss.SearchParameters(sel=selector))

    empty = Empty()
    assert not heeds(empty, lambda selector: faiss.SearchParameters(sel=selector))
    assert empty.asked == 2


def test_a_kind_is_asked_once(rows, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(selftest, "heeds", lambda index, _: asked.append(index) or True)
    first, second = made("Flat", rows), made("Flat", rows)
    assert honours_selector(first) and honours_selector(second) and asked == [first]
    assert honours_selector(second, kind="another") and asked == [first, second]
    assert honours_selector(made("SQ8", rows)) and len(asked) == 3


def test_the_engines_are_asked_as_they_are_built(rows) -> None:
    assert selectors() == {"hnsw": True, "ivf": True}
    for engine in (HnswEngine.build(rows, threads=1), IvfEngine.build(rows, lists=8, threads=1)):
        assert honours_selector(engine)


def test_a_device_is_tried_with_every_kind(monkeypatch, capsys) -> None:
    gpu = StandIn()
    report = tried(gpu)
    assert set(report) == {"gpu-flat", "gpu-ivf-flat", "gpu-ivf-pq", "gpu-cagra"}
    assert all(facts["right"] for facts in report.values())
    gpu.cuvs = False
    report = {kind: facts for kind, facts in report.items() if kind != "gpu-cagra"}
    monkeypatch.setattr(Gpu, "bare", classmethod(lambda cls, number: gpu))
    trial.main(0)
    assert json.loads(capsys.readouterr().out) == report
    gpu.broken = True
    with pytest.raises(SystemExit, match="alloc fail"):
        trial.main(0)
    with pytest.raises(NoGpu):
        tried(gpu)


def test_a_device_that_finds_the_wrong_rows_is_found_out(monkeypatch) -> None:
    class Crooked(StandIn):
        """Lists are searched for other queries than those that were asked."""

        def ivf_flat(self, dim: int, lists: int):
            index = super().ivf_flat(dim, lists)
            add = index.inner.add
            index.add = lambda rows: add(np.ascontiguousarray(rows[::-1]))
            return index

    report = tried(Crooked(cuvs=False))
    assert not report["gpu-ivf-flat"]["right"]
    assert report["gpu-flat"]["right"] and report["gpu-ivf-pq"]["right"]


@pytest.mark.gpu
def test_selectors_on_a_real_device() -> None:
    gpu = device()
    report = tried(gpu)
    assert report == gpu.report
    assert not report["gpu-flat"]["selector"]  # FAISS's own kernels, always
