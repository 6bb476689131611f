"""HNSW over 8-bit scalar-quantised rows (Malkov and Yashunin, arXiv 1603.09320), by FAISS."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trichord.index._faiss import faiss, search_rows
from trichord.index.plan import Effort
from trichord.index.threads import omp_threads
from trichord.types import F32, I64

STEP_COST = 19.0
"""Row reads per unit of efSearch: most of a node's 32 links lead to a row of its own, which is a
quarter as wide as a float row."""
START_COST = 200.0
LADDER = tuple(1.1**step for step in range(38))


class HnswEngine:
    """The fastest at equal recall and a third of the floats' memory; slow to build."""

    kind = "hnsw"

    def __init__(self, index: Any) -> None:
        self._index = index
        self._parameters: dict[int, Any] = {}

    @classmethod
    def build(
        cls,
        vectors: F32,
        *,
        links: int = 16,
        construction: int = 80,
        threads: int | None = None,
        seed: int = 0,
    ) -> HnswEngine:
        """links: M, half the links of a node on the ground layer; construction: efConstruction.

        On unit rows ascending Euclidean distance is descending cosine, and builds faster.
        With more than one thread the graph differs a little from build to build.
        """
        index = faiss.IndexHNSWSQ(
            vectors.shape[1], faiss.ScalarQuantizer.QT_8bit, links, faiss.METRIC_L2
        )
        index.hnsw.efConstruction = construction
        sample = _sample(vectors, 65536, seed)
        with omp_threads(threads):
            index.train(sample)
            index.add(vectors)
        return cls(index)

    @property
    def parameters(self) -> dict[str, Any]:
        hnsw = self._index.hnsw
        return {
            "links": int(hnsw.nb_neighbors(1)),
            "construction": int(hnsw.efConstruction),
            "quantizer": "SQ8",
        }

    @property
    def size(self) -> int:
        return int(self._index.ntotal)

    @property
    def dim(self) -> int:
        return int(self._index.d)

    def candidates(self, queries: F32, effort: Effort) -> I64:
        # Parameters travel with the call: setting them on the index would race between threads.
        parameters = self._parameters.get(effort.breadth)
        if parameters is None:
            parameters = faiss.SearchParametersHNSW(efSearch=effort.breadth)
            self._parameters[effort.breadth] = parameters  # never changed, so threads may share it
        return search_rows(self._index, queries, effort.candidates, parameters)

    def cost(self, effort: Effort) -> float:
        return START_COST + STEP_COST * effort.breadth

    def ladders(self, depth: int) -> Sequence[Sequence[Effort]]:
        # The whole beam is handed over: it has been paid for, and exact scores repair the order.
        beams = sorted({max(int(depth * factor), 8) for factor in LADDER})
        return [[Effort(depth, beam, beam) for beam in beams if beam >= depth]]

    def write(self, path: Path) -> None:
        faiss.write_index(self._index, str(path))

    @classmethod
    def read(cls, path: Path) -> HnswEngine:
        """The codes and links stay in the page cache, shared by all processes that read them."""
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        if not isinstance(index, faiss.IndexHNSWSQ):
            raise ValueError(f"{path.name} holds {type(index).__name__}, not IndexHNSWSQ")
        return cls(index)


def _sample(vectors: F32, count: int, seed: int) -> F32:
    if len(vectors) <= count:
        return vectors
    rows = np.random.default_rng(seed).choice(len(vectors), count, replace=False)
    return vectors[np.sort(rows)]
