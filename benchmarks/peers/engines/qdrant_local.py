"""Qdrant's local mode, in memory: the client's own exact search in numpy, for tests and trials."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from qdrant_client import QdrantClient, models

from benchmarks.peers.engines.base import Effort, Engine
from benchmarks.peers.rows import F32, I64, LIMIT, Rows, Where

NAME = "rows"
BATCH = 2_000
FIELDS = ["market", "year"]


class Adapter(Engine):
    """On disk it commits every point by itself, so in memory is the mode that can be compared."""

    def build(self, rows: Rows, folder: Path) -> dict[str, float]:
        self._lock = threading.Lock()
        self._client = QdrantClient(":memory:")
        self._client.create_collection(
            NAME, vectors_config=models.VectorParams(size=self.dim, distance=models.Distance.DOT)
        )
        self.insert(rows)
        return {}

    def guard(self) -> AbstractContextManager[Any]:
        return self._lock

    def open(self, folder: Path) -> None:
        pass

    def efforts(self) -> list[list[Effort]]:
        return [[{}]]

    def filter(self, where: Where) -> models.Filter:
        if where.operator == "<":
            asked = models.FieldCondition(key=where.column, range=models.Range(lt=where.value))
        else:
            asked = models.FieldCondition(
                key=where.column, match=models.MatchValue(value=where.value)
            )
        return models.Filter(must=[asked])

    def one(self, query: F32) -> Any:
        return self._client.query_points(
            NAME, query=query, query_filter=self.where, limit=LIMIT, with_payload=FIELDS
        )

    def many(self, queries: F32) -> Any:
        return self._client.query_batch_points(
            NAME,
            requests=[
                models.QueryRequest(
                    query=query.tolist(), filter=self.where, limit=LIMIT, with_payload=FIELDS
                )
                for query in queries
            ],
        )

    def rows_of(self, answers: Any) -> list[list[int]]:
        return [self.rows_of_one(answer) for answer in answers]

    def rows_of_one(self, answer: Any) -> list[int]:
        return [point.id for point in answer.points]

    def insert(self, rows: Rows) -> None:
        for part in rows.batches(BATCH):
            self._client.upsert(
                NAME,
                points=models.Batch(
                    ids=part.numbers.tolist(),
                    vectors=part.vectors.tolist(),
                    payloads=part.attributes(),
                ),
            )

    def delete(self, numbers: I64) -> None:
        self._client.delete(NAME, points_selector=models.PointIdsList(points=numbers.tolist()))

    def close(self) -> None:
        self._client.close()
