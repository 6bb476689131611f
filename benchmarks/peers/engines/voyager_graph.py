"""voyager: one graph over float32 vectors, ids are numbers; it has no filters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import voyager

from benchmarks.peers.engines.base import Effort, Engine, ladder
from benchmarks.peers.rows import F32, I64, LIMIT, Rows

FILE = "index.voy"
NOTHING = np.iinfo(np.uint64).max


class Adapter(Engine):
    def build(self, rows: Rows, folder: Path) -> dict[str, float]:
        index = voyager.Index(
            voyager.Space.InnerProduct,
            num_dimensions=self.dim,
            M=16,
            ef_construction=100,
            max_elements=len(rows),
        )
        # It takes no array that is read-only, as a mapped file is.
        index.add_items(np.array(rows.vectors), rows.numbers.tolist(), num_threads=self.threads)
        index.save(str(folder / FILE))
        return {}

    def open(self, folder: Path) -> None:
        self._index = voyager.Index.load(str(folder / FILE))

    def efforts(self) -> list[list[Effort]]:
        return [[{"query_ef": ef} for ef in ladder(LIMIT, 4_000)]]

    def one(self, query: F32) -> Any:
        return self.many(query[None, :])

    def many(self, queries: F32) -> Any:
        try:
            return self._index.query(
                queries, k=LIMIT, num_threads=self.threads, query_ef=self.effort["query_ef"]
            )
        except voyager.RecallError:  # a query with fewer results fails with all of its batch
            if len(queries) > 1:
                return np.concatenate([self.one(query)[0] for query in queries]), None
            return np.full((1, LIMIT), NOTHING), None

    def rows_of(self, answers: Any) -> list[list[int]]:
        return [[row for row in found if row != NOTHING] for found in answers[0].tolist()]

    def rows_of_one(self, answer: Any) -> list[int]:
        return self.rows_of(answer)[0]

    def insert(self, rows: Rows) -> None:
        self._index.add_items(
            np.array(rows.vectors), rows.numbers.tolist(), num_threads=self.threads
        )

    def delete(self, numbers: I64) -> None:
        for row in numbers.tolist():
            self._index.mark_deleted(row)
