"""LanceDB's own indexes over a table of its own: IVF_PQ, IVF_FLAT, IVF_HNSW_SQ."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
import pyarrow as pa
from lancedb.index import Bitmap, BTree, HnswSq, IvfFlat, IvfPq

from benchmarks.peers.engines.base import Effort, Engine, ladder
from benchmarks.peers.rows import F32, I64, LIMIT, Rows, Where, id_of, row_of

COLUMNS = ["id", "market", "year", "_distance"]
DELETED_AT_ONCE = 2_000


class Adapter(Engine):
    """`optimize` is left out after building: it joins the partitions of a table of this size until
    a probe is a scan."""

    def build(self, rows: Rows, folder: Path) -> dict[str, float]:
        began = time.perf_counter()
        stored = lancedb.connect(str(folder)).create_table("rows", table(rows))
        written = time.perf_counter()
        stored.create_index("vector", config=self._index(len(rows)))
        stored.create_index("part", config=BTree())
        stored.create_index("kind", config=Bitmap())
        return {"write": written - began, "index": time.perf_counter() - written}

    def _index(self, rows: int) -> Any:
        partitions = max(1, round(rows**0.5))
        if self.options["kind"] == "IVF_HNSW_SQ":
            return HnswSq(distance_type="dot", num_partitions=1, m=16, ef_construction=100)
        if self.options["kind"] == "IVF_FLAT":
            return IvfFlat(distance_type="dot", num_partitions=partitions)
        pieces = max(1, self.dim // 16)
        return IvfPq(distance_type="dot", num_partitions=partitions, num_sub_vectors=pieces)

    def open(self, folder: Path) -> None:
        self._table = lancedb.connect(str(folder)).open_table("rows")

    def efforts(self) -> list[list[Effort]]:
        kind = self.options["kind"]
        if kind == "IVF_HNSW_SQ":
            steps = ladder(LIMIT, 2_000)
            return [
                [{"nprobes": 1, "ef": ef} for ef in steps],
                [
                    {"nprobes": 1, "ef": ef, "refine_factor": 2}
                    for ef in steps
                    if ef >= 2 * LIMIT  # less is an error
                ],
            ]
        steps = ladder(1, max(1, round(self._table.count_rows() ** 0.5)))
        if kind == "IVF_FLAT":
            return [[{"nprobes": nprobes} for nprobes in steps]]
        return [
            [{"nprobes": nprobes, "refine_factor": refine} for nprobes in steps]
            for refine in (10, 30)
        ]

    def filter(self, where: Where) -> str:
        return where.sql

    def one(self, query: F32) -> pa.Table:
        return self._search(query)

    def many(self, queries: F32) -> pa.Table:
        return self._search(list(queries))

    def _search(self, asked: Any) -> pa.Table:
        search = self._table.search(asked, vector_column_name="vector").distance_type("dot")
        search = search.select(COLUMNS).limit(LIMIT).nprobes(self.effort["nprobes"])
        if "ef" in self.effort:
            search = search.ef(self.effort["ef"])
        if "refine_factor" in self.effort:
            search = search.refine_factor(self.effort["refine_factor"])
        if self.where is not None:
            search = search.where(self.where, prefilter=True)
        return search.to_arrow()

    def rows_of(self, answers: pa.Table) -> list[list[int]]:
        ids = answers["id"].to_pylist()
        if "query_index" not in answers.column_names:
            return [[row_of(item) for item in ids]]
        queries = answers["query_index"].to_pylist()
        found: list[list[int]] = [[] for _ in range(max(queries, default=-1) + 1)]
        for query, item in zip(queries, ids, strict=True):
            found[query].append(row_of(item))
        return found

    def rows_of_one(self, answer: pa.Table) -> list[int]:
        return [row_of(item) for item in answer["id"].to_pylist()]

    def insert(self, rows: Rows) -> None:
        self._table.add(table(rows))

    def delete(self, numbers: I64) -> None:
        for start in range(0, len(numbers), DELETED_AT_ONCE):
            part = numbers[start : start + DELETED_AT_ONCE].tolist()
            self._table.delete("id IN (" + ", ".join(f"'{id_of(row)}'" for row in part) + ")")


def table(rows: Rows) -> pa.Table:
    vectors = np.ascontiguousarray(rows.vectors).reshape(-1)
    return pa.table(
        {
            "id": rows.ids,
            "market": rows.market_names,
            "year": rows.years,
            "part": rows.parts,
            "kind": rows.kind_names,
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors), rows.dim),
        }
    )
