"""HNSW over 8-bit scalar-quantised rows (Malkov and Yashunin, arXiv 1603.09320), by FAISS.

The rows are reduced ones where they suffice (see reduction).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trichord.index._faiss import faiss, search_rows
from trichord.index.costs import Line
from trichord.index.plan import Effort, Way
from trichord.index.progress import Progress, unheard
from trichord.index.reduction import Reduction, split
from trichord.index.rowset import RowSet
from trichord.index.threads import omp_threads
from trichord.types import F32, I64

TYPICAL, TYPICAL_LEAST = Line(24.0, (2.3,)), 0.2
"""Per unit of efSearch, over rows of 512 codes: most of a node's 32 links lead to a row of its own.
Reduced rows take less, but not less than such a share."""
ENTERING, PER_STEP = 190, 11
"""Rows scanned on the way down, and per unit of efSearch: measured over 200,000 x 512 at 16 links,
efSearch 8 to 1024."""
SPARE_RANGE = 0.25
"""Codes of a graph that grows reach further by this share of the range of the rows it began with;
what lies beyond is clamped. Recall over 50,000 rows was the same as with half-precision rows."""
ADDED_AT_ONCE = 4096
"""Rows between two reports of progress."""
LADDER = tuple(1.1**step for step in range(38))


class HnswEngine:
    """The fastest at equal recall and a third of the floats' memory; slow to build."""

    kind = "hnsw"
    plain: Way = "graph"
    selects = False
    """A selector visits the same nodes: it gained 4 % at equal recall (docs/decisions/0002)."""

    def __init__(self, index: Any) -> None:
        self._index = index
        self.reduction, self.index = split(index)
        self._parameters: dict[int, Any] = {}

    @classmethod
    def build(
        cls,
        vectors: F32,
        *,
        links: int = 16,
        construction: int = 80,
        reduction: Reduction | None = None,
        threads: int | None = None,
        seed: int = 0,
        on_progress: Progress = unheard,
    ) -> HnswEngine:
        """links: M, half the links of a node on the ground layer; construction: efConstruction;
        reduction: of the rows, which stay as they are without one.

        On unit rows ascending Euclidean distance is descending cosine, and builds faster.
        With more than one thread the graph differs a little from build to build. What
        `on_progress` raises ends the build.
        """
        index = _empty(vectors.shape[1], reduction, links, construction)
        sample = _sample(vectors, 65536, seed)
        with omp_threads(threads):
            index.train(sample if reduction is None else reduction.rows(sample))
            engine = cls(index if reduction is None else reduction.before(index))
            for start in range(0, len(vectors), ADDED_AT_ONCE):
                engine.add(vectors[start : start + ADDED_AT_ONCE])
                on_progress(min(start + ADDED_AT_ONCE, len(vectors)), len(vectors))
        return engine

    @classmethod
    def begun(
        cls,
        sample: F32,
        *,
        links: int = 16,
        construction: int = 80,
        reduction: Reduction | None = None,
    ) -> HnswEngine:
        """An empty graph, for rows like those of the sample and some that lie further out."""
        index = _empty(sample.shape[1], reduction, links, construction)
        faiss.downcast_index(index.storage).sq.rangestat_arg = SPARE_RANGE
        index.train(sample if reduction is None else reduction.rows(sample))
        return cls(index if reduction is None else reduction.before(index))

    def extended(self, rows: F32) -> HnswEngine:
        """A copy with the rows added; this one stays as it is."""
        engine = HnswEngine(faiss.clone_index(self._index))
        engine.add(rows)
        return engine

    @staticmethod
    def bytes_for(rows: int, dim: int, *, links: int = 16) -> int:
        """What an index takes: codes, links (some nodes have more layers than one), offsets.
        dim: of the rows as they are coded."""
        return rows * (dim + 8 * links + 4 * links // 8 + 16) + 8 * dim

    def add(self, vectors: F32, *, threads: int | None = None) -> None:
        """More rows, behind those that are there; not while others search."""
        with omp_threads(threads):
            # Not by the index that takes queries: it would leave their last dimension empty.
            self.index.add(vectors if self.reduction is None else self.reduction.rows(vectors))
            self._index.ntotal = self.index.ntotal

    @property
    def parameters(self) -> dict[str, Any]:
        hnsw = self.index.hnsw
        return {
            "links": int(hnsw.nb_neighbors(1)),
            "construction": int(hnsw.efConstruction),
            "quantizer": "SQ8",
            "width": self.width,
        }

    @property
    def typical(self) -> Line:
        return TYPICAL.times(max(TYPICAL_LEAST, self.width / self.dim))

    @property
    def width(self) -> int:
        """Dimensions of the rows that are compared."""
        return int(self.index.d)

    @property
    def size(self) -> int:
        return int(self._index.ntotal)

    @property
    def dim(self) -> int:
        return int(self._index.d)

    @property
    def bytes(self) -> int:
        links = int(self.index.hnsw.nb_neighbors(1))
        projection = 0 if self.reduction is None else self.reduction.bytes
        return self.bytes_for(self.size, self.width, links=links) + projection

    def candidates(self, queries: F32, effort: Effort) -> I64:
        # Parameters travel with the call: setting them on the index would race between threads.
        parameters = self._parameters.get(effort.breadth)
        if parameters is None:
            parameters = faiss.SearchParametersHNSW(efSearch=effort.breadth)
            self._parameters[effort.breadth] = parameters  # never changed, so threads may share it
        return search_rows(self._index, queries, effort.candidates, parameters)

    def selected(self, queries: F32, effort: Effort, rowset: RowSet) -> I64:
        raise NotImplementedError

    def work(self, effort: Effort) -> tuple[float, ...]:
        return (float(effort.breadth),)

    def scanned(self, effort: Effort) -> int:
        return min(self.size, ENTERING + PER_STEP * effort.breadth)

    def probes(self) -> tuple[Effort, ...]:
        return tuple(Effort(beam, beam, beam) for beam in (16, 128))

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
        engine = cls(index)
        if not isinstance(engine.index, faiss.IndexHNSWSQ):
            kind = type(engine.index).__name__
            raise ValueError(f"{path.name} holds {kind}, not IndexHNSWSQ")
        return engine


def _empty(dim: int, reduction: Reduction | None, links: int, construction: int) -> Any:
    width = dim if reduction is None else reduction.width
    index = faiss.IndexHNSWSQ(width, faiss.ScalarQuantizer.QT_8bit, links, faiss.METRIC_L2)
    index.hnsw.efConstruction = construction
    return index


def _sample(vectors: F32, count: int, seed: int) -> F32:
    if len(vectors) <= count:
        return vectors
    rows = np.random.default_rng(seed).choice(len(vectors), count, replace=False)
    return vectors[np.sort(rows)]
