"""Inverted lists of 4-bit product codes, scanned in registers (André et al., arXiv 1704.07355)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trichord.index._faiss import faiss, search_rows
from trichord.index.coarse import fill
from trichord.index.costs import Line
from trichord.index.plan import Effort, Way
from trichord.index.progress import Progress, unheard
from trichord.index.rowset import RowSet
from trichord.index.threads import omp_threads
from trichord.types import F32, I64

TYPICAL_CENTROID = 0.036
TYPICAL_RATES = (0.007, 0.14)
"""Microseconds per row of a probed list (4 bits for 4 floats), and per candidate."""
ADDED_AT_ONCE = 32_768
"""Rows between two reports of progress."""
SURPLUS = (4, 8, 16, 32)
"""Candidates per true neighbour: the product codes' own order is rough."""
TRAINING_ROWS_PER_LIST = 64


class IvfEngine:
    """A fifth of HNSW's build time and a fifth of its memory, at about half its speed."""

    kind = "ivf"
    plain: Way = "lists"
    selects = True
    """A selector saves the candidates that a screen would drop (docs/decisions/0002)."""

    def __init__(self, index: Any) -> None:
        self._index = index
        self._parameters: dict[int, Any] = {}

    @classmethod
    def build(
        cls,
        vectors: F32,
        *,
        lists: int | None = None,
        threads: int | None = None,
        seed: int = 0,
        coarse: Any = None,
        on_progress: Progress = unheard,
    ) -> IvfEngine:
        """lists: None takes the power of two nearest to 2.3 times the root of the row count.
        coarse: an empty flat index, in GPU memory, that finds the lists and their rows. What
        `on_progress` raises ends the build."""
        size, dim = vectors.shape
        lists = lists or default_lists(size)
        subspaces = subspaces_of(dim)
        index = faiss.index_factory(dim, f"IVF{lists},PQ{subspaces}x4fs", faiss.METRIC_L2)
        for clustering in (index.cp, index.pq.cp):
            clustering.seed = seed + 1234
            clustering.min_points_per_centroid = 1  # or FAISS writes warnings to stderr
        rows = np.random.default_rng(seed).permutation(size)[: TRAINING_ROWS_PER_LIST * lists]
        with omp_threads(threads):
            if coarse is not None:
                fill(index, vectors[np.sort(rows)], vectors, coarse)
                return cls(index)
            index.train(vectors[np.sort(rows)])
            for start in range(0, size, ADDED_AT_ONCE):
                index.add(vectors[start : start + ADDED_AT_ONCE])
                on_progress(min(start + ADDED_AT_ONCE, size), size)
        return cls(index)

    def add(self, vectors: F32, *, threads: int | None = None) -> None:
        """More rows, behind those that are there; not while others search."""
        with omp_threads(threads):
            self._index.add(vectors)

    @staticmethod
    def bytes_for(rows: int, dim: int) -> int:
        """What an index takes: codes, row numbers, and lists that are filled up to blocks of 32."""
        lists, subspaces = default_lists(rows), subspaces_of(dim)
        code = (subspaces + 1) // 2
        return rows * (code + 8) + lists * (16 * code + 4 * dim) + 64 * dim

    @property
    def parameters(self) -> dict[str, Any]:
        return {
            "lists": int(self._index.nlist),
            "subspaces": int(self._index.pq.M),
            "quantizer": "PQ4 fast-scan",
        }

    @property
    def size(self) -> int:
        return int(self._index.ntotal)

    @property
    def dim(self) -> int:
        return int(self._index.d)

    @property
    def bytes(self) -> int:
        return self.bytes_for(self.size, self.dim)

    def candidates(self, queries: F32, effort: Effort) -> I64:
        parameters = self._parameters.get(effort.breadth)
        if parameters is None:
            parameters = faiss.SearchParametersIVF(nprobe=effort.breadth)
            self._parameters[effort.breadth] = parameters  # never changed, so threads may share it
        return search_rows(self._index, queries, effort.candidates, parameters)

    def selected(self, queries: F32, effort: Effort, rowset: RowSet) -> I64:
        selector = faiss.IDSelectorBitmap(rowset.bits)
        parameters = faiss.SearchParametersIVF(nprobe=effort.breadth, sel=selector)
        return search_rows(self._index, queries, effort.candidates, parameters)

    @property
    def typical(self) -> Line:
        return Line(TYPICAL_CENTROID * int(self._index.nlist), TYPICAL_RATES)

    def work(self, effort: Effort) -> tuple[float, ...]:
        return effort.breadth * self.size / int(self._index.nlist), float(effort.candidates)

    def scanned(self, effort: Effort) -> int:
        return math.ceil(effort.breadth * self.size / int(self._index.nlist))

    def probes(self) -> tuple[Effort, ...]:
        lists = int(self._index.nlist)
        few, many = max(1, lists // 128), max(2, lists // 8)
        return (
            Effort(8, min(few, lists), min(64, self.size)),
            Effort(8, min(many, lists), min(64, self.size)),
            Effort(8, min(few, lists), min(512, self.size)),
        )

    def ladders(self, depth: int) -> Sequence[Sequence[Effort]]:
        lists = int(self._index.nlist)
        probes = sorted({min(lists, math.ceil(2 ** (step / 3))) for step in range(40)})
        return [
            [Effort(depth, probe, min(self.size, depth * surplus)) for probe in probes]
            for surplus in SURPLUS
        ]

    def write(self, path: Path) -> None:
        faiss.write_index(self._index, str(path))

    @classmethod
    def read(cls, path: Path) -> IvfEngine:
        index = faiss.read_index(str(path))
        if not isinstance(index, faiss.IndexIVFPQFastScan):
            raise ValueError(f"{path.name} holds {type(index).__name__}, not IndexIVFPQFastScan")
        return cls(index)


def default_lists(rows: int) -> int:
    return 1 << max(0, round(math.log2(max(1.0, 2.3 * math.sqrt(rows)))))


def subspaces_of(dim: int) -> int:
    """As many equal parts of a row as there are, of at least 4 floats."""
    most = max(1, dim // 4)
    return next((count for count in range(most, 0, -1) if dim % count == 0), 1)
