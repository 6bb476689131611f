"""A device for machines without one: FAISS's CPU indexes behind the limits and manners of a GPU.

Everything of ours around the FAISS call runs as on a GPU: batching, limits, screening, proofs, the
way out when the device fails. What the kernels of a GPU do is not shown by it.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from trichord.index._faiss import faiss
from trichord.index.cuda import Facts
from trichord.index.gpu import CLASSIC_LIMIT, Gpu
from trichord.index.threads import omp_threads


class StandIn(Gpu):
    """limit: most neighbours and probes per query; memory: free bytes, None if nobody knows."""

    def __init__(
        self, *, limit: int = CLASSIC_LIMIT, cuvs: bool = True, memory: int | None = None
    ) -> None:
        self.number, self.name = 0, "stand-in"
        self.facts = Facts("stand-in", (9, 0), memory or 0)
        self.cuvs = cuvs
        self.flat_limit = self.lists_limit = limit
        self.report = {}
        self.memory = memory
        self.broken = False
        self.calls = 0
        self.inside = threading.Lock()
        self._lock = threading.Lock()

    def apart(self) -> StandIn:
        return self

    def free(self) -> int | None:
        return self.memory

    def flat(self, dim: int, *, half: bool) -> Any:
        if half:
            kind = faiss.ScalarQuantizer.QT_fp16
            return Capped(self, faiss.IndexScalarQuantizer(dim, kind, faiss.METRIC_INNER_PRODUCT))
        return Capped(self, faiss.IndexFlatIP(dim))

    def coarse(self, dim: int) -> Any:
        return faiss.IndexFlatL2(dim)

    def ivf_flat(self, dim: int, lists: int) -> Any:
        return Capped(self, faiss.IndexIVFFlat(faiss.IndexFlatL2(dim), dim, lists))

    def ivf_pq(self, dim: int, lists: int, subspaces: int) -> Any:
        return Capped(self, faiss.IndexIVFPQ(faiss.IndexFlatL2(dim), dim, lists, subspaces, 4))

    def cagra(self, dim: int, degree: int) -> Any:
        return Graph(self, faiss.IndexHNSWCagra(dim, degree // 2, faiss.METRIC_L2))

    def beam(self, width: int) -> Any:
        assert width % 32 == 0
        return faiss.SearchParametersHNSW(efSearch=width)


class Capped:
    """An index that raises beyond the device's limits and does not bear two threads at once."""

    def __init__(self, device: StandIn, inner: Any) -> None:
        self.device, self.inner = device, inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def add(self, rows: np.ndarray) -> None:
        self._works()
        with omp_threads(1):
            self.inner.add(rows)

    def search_c(self, n: int, x: Any, k: int, d: Any, i: Any, params: Any = None) -> None:
        assert self.device.inside.acquire(blocking=False), "two threads use one device"
        try:
            self._works()
            probes = getattr(params, "nprobe", 1)
            beam = getattr(params, "efSearch", k)
            most = self.device.lists_limit
            if not 0 < k <= most or probes > most or beam < k:
                raise RuntimeError(f"Error: 'k > 0' failed: {k}, {probes}, {beam} of {most}")
            self.device.calls += 1
            with omp_threads(1):
                self.inner.search_c(n, x, k, d, i, params)
        finally:
            self.device.inside.release()

    def train(self, rows: np.ndarray) -> None:
        self._works()
        with omp_threads(1):
            self.inner.train(rows)

    def _works(self) -> None:
        if self.device.broken:
            raise RuntimeError(
                "Error in void* f(int) at x.cpp:1: Error: 'err' failed: alloc fail\n"
            )


class Graph(Capped):
    """What GpuIndexCagra can: built from all rows at once, copied to an IndexHNSWCagra."""

    def train(self, rows: np.ndarray) -> None:
        self._works()
        self.inner.hnsw.efConstruction = 80
        with omp_threads(1):
            self.inner.add(rows)

    def copyTo(self, links: Any) -> None:
        self._works()
        links.hnsw = self.inner.hnsw
        links.ntotal, links.d, links.is_trained = self.inner.ntotal, self.inner.d, True
