"""Inverted lists of 4-bit product codes, scanned in registers (André et al., arXiv 1704.07355).

The rows are reduced ones where they suffice (see reduction).
"""

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
from trichord.index.reduction import Reduction, split
from trichord.index.rowset import RowSet
from trichord.index.threads import omp_threads
from trichord.types import F32, I64

TYPICAL_CENTROID, TYPICAL_FINDER = 0.036, 40.0
TYPICAL_RATES, TYPICAL_LEAST = (0.007, 0.14), 0.2
"""Microseconds per row of a probed list (4 bits for 4 floats of 512), and per candidate. Reduced
rows take less, but not less than such a share."""
GRAPH_FROM = 2048
"""From so many lists on, a graph finds those to probe: with 4096, comparing a query with all
centroids took 0.38 of its 0.44 ms at 512 dimensions, and a graph 0.04 ms for the same recall."""
FINDER_LINKS, FINDER_CONSTRUCTION, FINDER_BEAM = 16, 200, 16
FINDER_SPARE = 64
"""efSearch in that graph is twice the lists probed, or this many more; at least FINDER_BEAM."""
SURPLUS = (4, 8, 16, 32, 64, 128)
"""Candidates per true neighbour: the product codes' own order is rough, and the rougher the more
rows lie close together (of 2,000,000 x 512 in 2,000 clusters, recall 0.99 took 64 and more)."""
TRAINING_ROWS_PER_LIST = 64


class IvfEngine:
    """A fifth of HNSW's build time and a fifth of its memory, at about half its speed."""

    kind = "ivf"
    plain: Way = "lists"
    selects = True
    """A selector saves the candidates that a screen would drop (docs/decisions/0002)."""

    def __init__(self, index: Any) -> None:
        self._index = index
        self.reduction, self.index = split(index)
        self._by_graph = isinstance(faiss.downcast_index(self.index.quantizer), faiss.IndexHNSW)
        self._parameters: dict[int, Any] = {}

    def _probing(self, lists: int, **more: Any) -> Any:
        if not self._by_graph:
            return faiss.SearchParametersIVF(nprobe=lists, **more)
        beam = max(FINDER_BEAM, lists + min(lists, FINDER_SPARE))
        finder = faiss.SearchParametersHNSW(efSearch=beam)
        return faiss.SearchParametersIVF(nprobe=lists, quantizer_params=finder, **more)

    @classmethod
    def build(
        cls,
        vectors: F32,
        *,
        lists: int | None = None,
        reduction: Reduction | None = None,
        threads: int | None = None,
        seed: int = 0,
        coarse: Any = None,
        on_progress: Progress = unheard,
    ) -> IvfEngine:
        """lists: None takes `default_lists`. reduction: of the rows, which stay as they are without
        one. coarse: an empty flat index over rows of that width, in GPU memory, that finds the
        lists and their rows. What `on_progress` raises ends the build."""
        size, dim = vectors.shape
        lists = lists or default_lists(size)
        subspaces = subspaces_of(dim, None if reduction is None else reduction.width)
        reduced = _as_they_are if reduction is None else reduction.rows
        dim = dim if reduction is None else reduction.width
        finder = f"_HNSW{FINDER_LINKS}" if lists >= GRAPH_FROM else ""
        text = f"IVF{lists}{finder},PQ{subspaces}x4fs"
        index = faiss.index_factory(dim, text, faiss.METRIC_L2)
        if finder:
            faiss.downcast_index(index.quantizer).hnsw.efConstruction = FINDER_CONSTRUCTION
            coarse = faiss.IndexFlatL2(dim) if coarse is None else coarse  # exact, and a product
        for clustering in (index.cp, index.pq.cp):
            clustering.seed = seed + 1234
            clustering.min_points_per_centroid = 1  # or FAISS writes warnings to stderr
        rows = np.random.default_rng(seed).permutation(size)[: TRAINING_ROWS_PER_LIST * lists]
        with omp_threads(threads):
            sample = reduced(vectors[np.sort(rows)])
            fill(index, sample, vectors, coarse, on_progress, reduced=reduced)
        return cls(index if reduction is None else reduction.before(index))

    def add(self, vectors: F32, *, threads: int | None = None) -> None:
        """More rows, behind those that are there; not while others search."""
        with omp_threads(threads):
            # Not by the index that takes queries: it would leave their last dimension empty.
            self.index.add(vectors if self.reduction is None else self.reduction.rows(vectors))
            self._index.ntotal = self.index.ntotal

    @staticmethod
    def bytes_for(rows: int, dim: int, *, subspaces: int | None = None) -> int:
        """What an index takes: codes, row numbers, and lists that are filled up to blocks of 32.
        dim: of the rows as they are coded; subspaces: None takes as many as of full rows."""
        lists = default_lists(rows)
        code = ((subspaces or subspaces_of(dim)) + 1) // 2
        finder = 4 * dim + (9 * FINDER_LINKS if lists >= GRAPH_FROM else 0)
        return rows * (code + 8) + lists * (16 * code + finder) + 64 * dim

    @property
    def parameters(self) -> dict[str, Any]:
        return {
            "lists": int(self.index.nlist),
            "subspaces": int(self.index.pq.M),
            "quantizer": "PQ4 fast-scan",
            "width": self.width,
            "finder": f"HNSW{FINDER_LINKS}" if self._by_graph else "flat",
        }

    @property
    def size(self) -> int:
        return int(self._index.ntotal)

    @property
    def dim(self) -> int:
        return int(self._index.d)

    @property
    def bytes(self) -> int:
        subspaces = int(self.index.pq.M)
        projection = 0 if self.reduction is None else self.reduction.bytes
        return self.bytes_for(self.size, self.width, subspaces=subspaces) + projection

    @property
    def width(self) -> int:
        """Dimensions of the rows that are compared."""
        return int(self.index.d)

    def candidates(self, queries: F32, effort: Effort) -> I64:
        parameters = self._parameters.get(effort.breadth)
        if parameters is None:
            parameters = self._probing(effort.breadth)
            self._parameters[effort.breadth] = parameters  # never changed, so threads may share it
        return search_rows(self._index, queries, effort.candidates, parameters)

    def selected(self, queries: F32, effort: Effort, rowset: RowSet) -> I64:
        selector = faiss.IDSelectorBitmap(rowset.bits)
        parameters = self._probing(effort.breadth, sel=selector)
        return search_rows(self._index, queries, effort.candidates, parameters)

    @property
    def typical(self) -> Line:
        lists = int(self.index.nlist)
        line = Line(TYPICAL_FINDER if self._by_graph else TYPICAL_CENTROID * lists, TYPICAL_RATES)
        share = max(TYPICAL_LEAST, self.width / self.dim)
        return Line(share * line.call, (share * line.rates[0], line.rates[1]))

    def work(self, effort: Effort) -> tuple[float, ...]:
        return effort.breadth * self.size / int(self.index.nlist), float(effort.candidates)

    def scanned(self, effort: Effort) -> int:
        return math.ceil(effort.breadth * self.size / int(self.index.nlist))

    def probes(self) -> tuple[Effort, ...]:
        lists = int(self.index.nlist)
        few, many = max(1, lists // 128), max(2, lists // 8)
        return (
            Effort(8, min(few, lists), min(64, self.size)),
            Effort(8, min(many, lists), min(64, self.size)),
            Effort(8, min(few, lists), min(512, self.size)),
        )

    def ladders(self, depth: int) -> Sequence[Sequence[Effort]]:
        lists = int(self.index.nlist)
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
        inner = split(index)[1]
        if not isinstance(inner, faiss.IndexIVFPQFastScan):
            raise ValueError(f"{path.name} holds {type(inner).__name__}, not IndexIVFPQFastScan")
        return cls(index)


def default_lists(rows: int) -> int:
    """Some multiple of the root of the number of rows, as a power of two. More lists are better
    where a graph finds them, but k-means takes the time of their square."""
    root = math.sqrt(rows)
    wanted = 2.3 * root if rows < 100_000 else max(2.3 * root, min(4.6 * root, 4096.0))
    return 1 << max(0, round(math.log2(max(1.0, wanted))))


def subspaces_of(dim: int, width: int | None = None) -> int:
    """As many equal parts of a row as there are, of at least 4 floats; of a row of `width` reduced
    floats as many as the codes of a full row have room for."""
    most = max(1, dim // 4)
    width = width or dim
    return next((count for count in range(min(most, width), 0, -1) if width % count == 0), 1)


def _as_they_are(rows: F32) -> F32:
    return rows
