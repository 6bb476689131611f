"""Chroma's persistent client: one collection, string ids, metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import chromadb
from chromadb.config import Settings

from benchmarks.peers.engines.base import Effort, Engine, ladder
from benchmarks.peers.rows import F32, I64, LIMIT, Rows, Where, id_of, row_of

NAME = "rows"
INCLUDED = ["metadatas", "distances"]


class Adapter(Engine):
    def build(self, rows: Rows, folder: Path) -> dict[str, float]:
        client = _client(folder)
        collection = client.create_collection(
            NAME,
            embedding_function=None,
            configuration={
                "hnsw": {
                    "space": "ip",
                    "max_neighbors": 16,
                    "ef_construction": 100,
                    "num_threads": self.threads,
                }
            },
        )
        self._add(collection, rows, client.get_max_batch_size())
        client.close()
        return {}

    def open(self, folder: Path) -> None:
        self._folder = folder
        self._client = _client(folder)
        self._collection = self._client.get_collection(NAME, embedding_function=None)
        self._set = self._collection.configuration_json["hnsw"]["ef_search"]

    def efforts(self) -> list[list[Effort]]:
        return [[{"ef_search": ef} for ef in ladder(LIMIT, 2_000)]]

    def use(self, effort: Effort, where: Where | None) -> None:
        """A changed `ef_search` is taken up when the collection is opened."""
        super().use(effort, where)
        if effort["ef_search"] != self._set:
            self._collection.modify(configuration={"hnsw": dict(effort)})
            self._client.close()
            self.open(self._folder)

    def filter(self, where: Where) -> dict[str, Any]:
        name = {"<": "$lt", "=": "$eq"}[where.operator]
        return {where.column: {name: where.value}}

    def one(self, query: F32) -> Any:
        return self.many(query[None, :])

    def many(self, queries: F32) -> Any:
        return self._collection.query(
            query_embeddings=queries, n_results=LIMIT, where=self.where, include=INCLUDED
        )

    def rows_of(self, answers: Any) -> list[list[int]]:
        return [[row_of(item) for item in found] for found in answers["ids"]]

    def rows_of_one(self, answer: Any) -> list[int]:
        return self.rows_of(answer)[0]

    def insert(self, rows: Rows) -> None:
        self._add(self._collection, rows, self._client.get_max_batch_size())

    def _add(self, collection: Any, rows: Rows, size: int) -> None:
        for part in rows.batches(size):
            collection.add(ids=part.ids, embeddings=part.vectors, metadatas=part.attributes())

    def delete(self, numbers: I64) -> None:
        size = self._client.get_max_batch_size()
        for start in range(0, len(numbers), size):
            part = numbers[start : start + size].tolist()
            self._collection.delete(ids=[id_of(row) for row in part])

    def close(self) -> None:
        self._client.close()


def _client(folder: Path) -> Any:
    settings = Settings(anonymized_telemetry=False)
    return chromadb.PersistentClient(str(folder), settings=settings)
