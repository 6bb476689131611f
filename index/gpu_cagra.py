"""CAGRA, the graph that is built and searched on a GPU (Ootomo et al., arXiv 2308.15136), by cuVS.

Its ground layer is a graph that HNSW can walk, so a graph built here in seconds serves on CPUs too:
FAISS adds the upper layers, and 8-bit codes replace the floats. What comes out is the same file as
from a build on the CPU.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from trichord.index._faiss import faiss
from trichord.index.costs import Line
from trichord.index.gpu import Gpu, NoGpu
from trichord.index.gpu_engine import CALL, CANDIDATE, GpuEngine
from trichord.index.hnsw import HnswEngine
from trichord.index.plan import Effort, Way
from trichord.index.threads import omp_threads
from trichord.types import F32

DEGREE = 64
HNSW_LINKS = 16
"""M of the HNSW that a graph becomes: the degree is twice that."""
WIDEST = 1024
"""Of the search's list (itopk_size). cuVS demands that it holds all candidates, and takes other,
slower kernels beyond 512."""
SMALLEST = 1024
"""Rows. With a handful of them FAISS's conversion to HNSW does not end."""
STEP = 0.05
"""Microseconds per place in the list beside those of a candidate: an estimate, like CALL."""
TRAINING_ROWS = 65536


class GpuCagraEngine(GpuEngine):
    kind = "gpu-cagra"
    plain: Way = "graph"
    typical = Line(CALL, (STEP + CANDIDATE,))

    def __init__(self, index: Any, gpu: Gpu, vectors: F32) -> None:
        super().__init__(index, gpu, min(WIDEST, gpu.lists_limit))
        # FAISS keeps the address of the rows it was built from and reads them when it converts.
        self.vectors = vectors

    @classmethod
    def build(cls, vectors: F32, gpu: Gpu, *, degree: int = DEGREE) -> GpuCagraEngine:
        """degree: links of a row. Raises NoGpu: without cuVS, for few rows, for lack of memory."""
        size, dim = vectors.shape
        if size < SMALLEST:
            raise NoGpu(f"{size} rows are too few for CAGRA")
        # The rows, the graph, and while building the longer lists it is chosen from.
        gpu.require(size * (4 * dim + 4 * degree + 8 * 2 * degree), "a CAGRA index")
        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        with gpu.use("a CAGRA index"):
            index = gpu.cagra(dim, degree)
            index.train(vectors)
        return cls(index, gpu, vectors)

    def work(self, effort: Effort) -> tuple[float, ...]:
        return (float(effort.breadth),)

    def scanned(self, effort: Effort) -> int:
        """Every place of the list is left once, by half of the links as a rule: an estimate."""
        return min(self.size, effort.breadth * DEGREE // 2)

    def probes(self) -> Sequence[Effort]:
        return [Effort(8, width, width) for width in (32, min(512, self.limit))]

    def ladders(self, depth: int) -> Sequence[Sequence[Effort]]:
        if depth > self.limit:
            return []
        # Widths are multiples of 32; the whole list is handed over, since it has been paid for.
        widths = [*range(32, 256, 32), *range(256, WIDEST + 1, 64)]
        return [[Effort(depth, width, width) for width in widths if depth <= width <= self.limit]]

    def search_parameters(self, breadth: int) -> Any:
        """The list holds `breadth` places, rounded up to what cuVS takes, and all candidates."""
        places = min(max(breadth, 1), self.limit)
        return self.gpu.beam(32 * math.ceil(places / 32))

    def as_hnsw(self, *, threads: int | None = None, seed: int = 0) -> HnswEngine:
        """The same graph for the CPU. Raises NoGpu."""
        links = faiss.IndexHNSWCagra()
        with self.gpu.use("the conversion of a CAGRA index"), omp_threads(threads):
            self.index.copyTo(links)
        return hnsw_of(links, self.vectors, threads=threads, seed=seed)


def hnsw_of(graph: Any, vectors: F32, *, threads: int | None = None, seed: int = 0) -> HnswEngine:
    """An engine with the links of `graph`, a FAISS HNSW of Euclidean distances over `vectors`, and
    with 8-bit codes in place of its floats."""
    index = faiss.IndexHNSWSQ(
        vectors.shape[1], faiss.ScalarQuantizer.QT_8bit, HNSW_LINKS, faiss.METRIC_L2
    )
    sample = vectors
    if len(vectors) > TRAINING_ROWS:
        picks = np.random.default_rng(seed).choice(len(vectors), TRAINING_ROWS, replace=False)
        sample = vectors[np.sort(picks)]
    with omp_threads(threads):
        index.train(sample)
        index.storage.add(vectors)
    index.hnsw = graph.hnsw  # a copy
    index.ntotal = graph.ntotal
    return HnswEngine(index)


def built_on_gpu(
    vectors: F32, gpu: Gpu, *, threads: int | None = None, seed: int = 0
) -> HnswEngine:
    """HNSW for the CPU whose graph a GPU has built. Raises NoGpu."""
    engine = GpuCagraEngine.build(vectors, gpu, degree=2 * HNSW_LINKS)
    return engine.as_hnsw(threads=threads, seed=seed)
