"""Milvus Lite: one collection in a folder, string ids, HNSW, served to pymilvus on the loopback."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from pymilvus import DataType, MilvusClient

from benchmarks.peers.engines.base import Effort, Engine, ladder
from benchmarks.peers.rows import F32, I64, LIMIT, Rows, Where, id_of, row_of

NAME = "rows"
BATCH = 5_000
FIELDS = ["market", "year"]


class Adapter(Engine):
    def build(self, rows: Rows, folder: Path) -> dict[str, float]:
        began = time.perf_counter()
        client = _client(folder)
        schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=32)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=self.dim)
        schema.add_field("market", DataType.VARCHAR, max_length=8)
        schema.add_field("year", DataType.INT64)
        schema.add_field("part", DataType.INT64)
        schema.add_field("kind", DataType.VARCHAR, max_length=8)
        client.create_collection(NAME, schema=schema)
        _insert(client, rows)
        client.flush(NAME)
        written = time.perf_counter()
        indexes = client.prepare_index_params()
        indexes.add_index(
            field_name="vector",
            index_type="HNSW",
            metric_type="IP",
            params={"M": 16, "efConstruction": 100},
        )
        indexes.add_index(field_name="part", index_type="INVERTED")
        indexes.add_index(field_name="kind", index_type="INVERTED")
        client.create_index(NAME, indexes)
        client.load_collection(NAME)
        client.close()
        return {"write": written - began, "index": time.perf_counter() - written}

    def open(self, folder: Path) -> None:
        self._client = _client(folder)
        self._client.load_collection(NAME)

    def efforts(self) -> list[list[Effort]]:
        return [[{"ef": ef} for ef in ladder(LIMIT, 2_000)]]

    def filter(self, where: Where) -> str:
        return f'{where.column} == "{where.value}"' if where.operator == "=" else where.sql

    def one(self, query: F32) -> Any:
        return self._search([query])

    def many(self, queries: F32) -> Any:
        return self._search(list(queries))

    def _search(self, asked: list[F32]) -> Any:
        return self._client.search(
            NAME,
            data=asked,
            limit=LIMIT,
            filter=self.where or "",
            output_fields=FIELDS,
            search_params={"params": self.effort},
        )

    def rows_of(self, answers: Any) -> list[list[int]]:
        return [[row_of(hit["id"]) for hit in found] for found in answers]

    def rows_of_one(self, answer: Any) -> list[int]:
        return self.rows_of(answer)[0]

    def insert(self, rows: Rows) -> None:
        _insert(self._client, rows)

    def delete(self, numbers: I64) -> None:
        for start in range(0, len(numbers), BATCH):
            part = numbers[start : start + BATCH].tolist()
            self._client.delete(NAME, ids=[id_of(row) for row in part])

    def close(self) -> None:
        self._client.close()


def _client(folder: Path) -> MilvusClient:
    return MilvusClient(str(folder / "rows.db"))


def _insert(client: MilvusClient, rows: Rows) -> None:
    for part in rows.batches(BATCH):
        records = part.attributes()
        for record, item, vector in zip(records, part.ids, part.vectors, strict=True):
            record["id"], record["vector"] = item, vector
        client.insert(NAME, records)
