"""FAISS itself: the baseline, `IVF1024,Flat` with inner products."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from benchmarks.peers.engines.base import Effort, Engine, ladder
from benchmarks.peers.rows import F32, I64, LIMIT, Rows, Where

LISTS = 1024
FILE = "index.faiss"


class Adapter(Engine):
    def build(self, rows: Rows, folder: Path) -> dict[str, float]:
        faiss.omp_set_num_threads(self.threads)
        lists = min(LISTS, max(1, len(rows) // 39))  # FAISS wants 39 rows to train a list
        index = faiss.index_factory(self.dim, f"IVF{lists},Flat", faiss.METRIC_INNER_PRODUCT)
        vectors = np.ascontiguousarray(rows.vectors)
        index.train(vectors)
        index.add(vectors)
        faiss.write_index(index, str(folder / FILE))
        rows.save(folder / "columns")
        return {}

    def open(self, folder: Path) -> None:
        faiss.omp_set_num_threads(self.threads)
        self._index = faiss.read_index(str(folder / FILE))
        self._columns = Rows.load(folder / "columns")
        self._lock = threading.Lock()

    def guard(self) -> AbstractContextManager[Any]:
        return self._lock

    def efforts(self) -> list[list[Effort]]:
        return [[{"nprobe": nprobe} for nprobe in ladder(1, self._index.nlist)]]

    def use(self, effort: Effort, where: Where | None) -> None:
        super().use(effort, where)
        self._parameters = faiss.SearchParametersIVF(nprobe=effort["nprobe"])
        if self.where is not None:
            self._parameters.sel = self.where

    def filter(self, where: Where) -> Any:
        self._bits = np.packbits(where.mask(self._columns), bitorder="little")
        return faiss.IDSelectorBitmap(len(self._columns), faiss.swig_ptr(self._bits))

    def one(self, query: F32) -> Any:
        return self._index.search(query[None, :], LIMIT, params=self._parameters)

    def many(self, queries: F32) -> Any:
        return self._index.search(queries, LIMIT, params=self._parameters)

    def rows_of(self, answers: Any) -> list[list[int]]:
        return [[row for row in found if row >= 0] for found in answers[1].tolist()]

    def rows_of_one(self, answer: Any) -> list[int]:
        return self.rows_of(answer)[0]

    def insert(self, rows: Rows) -> None:
        self._index.add_with_ids(np.ascontiguousarray(rows.vectors), rows.numbers)

    def delete(self, numbers: I64) -> None:
        self._index.remove_ids(faiss.IDSelectorBatch(numbers))
