"""hnswlib: one graph over float32 vectors, ids are numbers, columns are ours."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import hnswlib
import numpy as np

from benchmarks.peers.engines.base import Effort, Engine, ladder
from benchmarks.peers.rows import F32, I64, LIMIT, Rows, Where

FILE = "index.bin"
NOTHING = np.iinfo(np.uint64).max


class Adapter(Engine):
    def build(self, rows: Rows, folder: Path) -> dict[str, float]:
        index = hnswlib.Index(space="ip", dim=self.dim)
        index.init_index(len(rows), M=16, ef_construction=100)
        index.set_num_threads(self.threads)
        index.add_items(rows.vectors, rows.numbers)
        index.save_index(str(folder / FILE))
        rows.save(folder / "columns")
        return {}

    def open(self, folder: Path) -> None:
        self._columns = Rows.load(folder / "columns")
        self._index = hnswlib.Index(space="ip", dim=self.dim)
        self._index.load_index(str(folder / FILE))
        self._index.set_num_threads(self.threads)
        self._lock = threading.Lock()

    def guard(self) -> AbstractContextManager[Any]:
        return self._lock

    def efforts(self) -> list[list[Effort]]:
        return [[{"ef": ef} for ef in ladder(LIMIT, 4_000)]]

    def use(self, effort: Effort, where: Where | None) -> None:
        super().use(effort, where)
        self._index.set_ef(effort["ef"])
        # The callback takes the interpreter's lock, so the library asks for one thread with it.
        self._threads = self.threads if where is None else 1

    def filter(self, where: Where) -> Any:
        return where.mask(self._columns).tolist().__getitem__

    def one(self, query: F32) -> Any:
        return self.many(query[None, :])

    def many(self, queries: F32) -> Any:
        try:
            return self._index.knn_query(
                queries, k=LIMIT, num_threads=self._threads, filter=self.where
            )
        except RuntimeError:  # a query with fewer results than asked fails with all of its batch
            if len(queries) > 1:
                return np.concatenate([self.one(query)[0] for query in queries]), None
            return np.full((1, LIMIT), NOTHING), None

    def rows_of(self, answers: Any) -> list[list[int]]:
        return [[row for row in found if row != NOTHING] for found in answers[0].tolist()]

    def rows_of_one(self, answer: Any) -> list[int]:
        return self.rows_of(answer)[0]

    def insert(self, rows: Rows) -> None:
        wanted = self._index.get_current_count() + len(rows)
        if wanted > self._index.get_max_elements():
            self._index.resize_index(max(wanted, self._index.get_max_elements() * 11 // 10))
        self._index.add_items(rows.vectors, rows.numbers, num_threads=self.threads)

    def delete(self, numbers: I64) -> None:
        for row in numbers.tolist():
            self._index.mark_deleted(row)
