"""What the search engine is compared with: FAISS IVF-Flat and Flat, and LanceDB's own index.

Each is given the smallest number of probed lists that reaches the recall wanted, on queries that
are not those of the measurement.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import faiss as _faiss
import lancedb
import numpy as np
import pyarrow as pa

from benchmarks import data
from benchmarks.truth import Truth
from trichord.types import F32, I64

faiss: Any = _faiss  # its type stubs lack much of what is used here

LIMIT = 10
LISTS = 1024
ROWS_PER_LIST = 64
"""Rows that train a list; with fewer than 39 FAISS complains."""
PROBES = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 64, 96, 128, 192, 256)
THREADS = 2
"""For batches; one query at a time runs with what the process has."""


class IvfFlat:
    """FAISS `IVF1024,Flat` by inner product; fewer lists where rows would not train so many."""

    def __init__(self, vectors: F32) -> None:
        size, dim = vectors.shape
        self.lists = min(LISTS, max(1, size // ROWS_PER_LIST))
        began = time.perf_counter()
        self.index: Any = faiss.index_factory(
            dim, f"IVF{self.lists},Flat", faiss.METRIC_INNER_PRODUCT
        )
        self.index.cp.seed = 1234
        picked = np.random.default_rng(0).permutation(size)[: ROWS_PER_LIST * self.lists]
        self.index.train(np.ascontiguousarray(vectors[np.sort(picked)]))
        self.index.add(np.ascontiguousarray(vectors))
        self.build_seconds = time.perf_counter() - began

    def tune(self, queries: F32, truth: Truth, wanted: float) -> float:
        """Sets the smallest number of probes that reaches the recall; returns what it reached."""

        def found(probes: int) -> list[list[int]]:
            self.index.nprobe = probes
            return list(self.many(queries).tolist())

        self.probes, reached = smallest(found, truth, wanted)
        self.index.nprobe = self.probes
        return reached

    def one(self, query: F32) -> I64:
        rows: I64 = self.index.search(query[None, :], LIMIT)[1]
        return rows

    def many(self, queries: F32) -> I64:
        rows: I64 = self.index.search(queries, LIMIT)[1]
        return rows


def smallest(
    found: Callable[[int], list[list[int]]], truth: Truth, wanted: float
) -> tuple[int, float]:
    """The first of PROBES whose answers reach the recall, and that recall."""
    reached = 0.0
    for probes in PROBES:
        reached = truth.recall(found(probes))
        if reached >= wanted:
            return probes, reached
    raise AssertionError(f"no number of probes reaches recall {wanted}: {reached:.3f} at the most")


def flat(vectors: F32) -> Any:
    """FAISS Flat by inner product."""
    index: Any = faiss.IndexFlatIP(vectors.shape[1])
    index.add(np.ascontiguousarray(vectors))
    return index


@contextmanager
def threads(count: int) -> Iterator[None]:
    """FAISS calls of this thread run on `count` threads."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(count)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


class LanceOwn:
    """LanceDB's IVF_FLAT by its own defaults: quicker for one query than its PQ and RQ."""

    def __init__(self, folder: Path, vectors: F32, rows: Callable[[F32, int], pa.Table]) -> None:
        database = lancedb.connect(str(folder))
        parts = (
            rows(np.asarray(vectors[start : start + data.BATCH]), start)
            for start in range(0, len(vectors), data.BATCH)
        )
        first = next(parts)
        self._table: Any = database.create_table("rows", first, mode="overwrite")
        for part in parts:
            self._table.add(part)
        began = time.perf_counter()
        self._table.create_index(metric="dot", index_type="IVF_FLAT")
        self.build_seconds = time.perf_counter() - began
        self.probes = 1

    def tune(self, queries: F32, truth: Truth, wanted: float) -> float:
        def found(probes: int) -> list[list[int]]:
            self.probes = probes
            return [rows_of(self.one(query)) for query in queries]

        self.probes, reached = smallest(found, truth, wanted)
        return reached

    def one(self, query: F32) -> dict[str, list[Any]]:
        """Ids, distances and two attributes as Python values."""
        asked = self._table.search(query).distance_type("dot").nprobes(self.probes)
        asked = asked.limit(LIMIT).select(["item_id", "market", "year", "_distance"])
        answer: dict[str, list[Any]] = asked.to_arrow().to_pydict()
        return answer


def rows_of(answer: dict[str, list[Any]]) -> list[int]:
    return [data.number_of(one) for one in answer["item_id"]]
