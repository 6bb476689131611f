"""usearch: one graph over float16 vectors, ids are numbers; its Python module has no filters."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from usearch.index import Index

from benchmarks.peers.engines.base import Effort, Engine, ladder
from benchmarks.peers.rows import F32, I64, LIMIT, Rows, Where

FILE = "index.usearch"


class Adapter(Engine):
    """float16 builds twice as fast as float32 here and finds as much; int8 found too little."""

    def build(self, rows: Rows, folder: Path) -> dict[str, float]:
        index = self._empty()
        index.add(rows.numbers, rows.vectors, threads=self.threads)
        index.save(str(folder / FILE))
        return {}

    def _empty(self) -> Index:
        return Index(ndim=self.dim, metric="ip", dtype="f16", connectivity=16, expansion_add=100)

    def open(self, folder: Path) -> None:
        self._index = self._empty()
        self._index.load(str(folder / FILE))
        self._lock = threading.Lock()

    def guard(self) -> AbstractContextManager[Any]:
        return self._lock

    def efforts(self) -> list[list[Effort]]:
        return [[{"expansion_search": ef} for ef in ladder(LIMIT, 4_000)]]

    def use(self, effort: Effort, where: Where | None) -> None:
        super().use(effort, where)
        self._index.expansion_search = effort["expansion_search"]

    def one(self, query: F32) -> Any:
        return self._index.search(query, LIMIT, threads=1)

    def many(self, queries: F32) -> Any:
        return self._index.search(queries, LIMIT, threads=self.threads)

    def rows_of(self, answers: Any) -> list[list[int]]:
        return [
            keys[:count]
            for keys, count in zip(answers.keys.tolist(), answers.counts.tolist(), strict=True)
        ]

    def rows_of_one(self, answer: Any) -> list[int]:
        return [int(row) for row in answer.keys]

    def insert(self, rows: Rows) -> None:
        self._index.add(rows.numbers, rows.vectors, threads=self.threads)

    def delete(self, numbers: I64) -> None:
        self._index.remove(numbers.astype("uint64"), threads=self.threads)
