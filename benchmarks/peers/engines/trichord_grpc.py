"""Trichord over gRPC: the real server in a process of its own, on the loopback."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.peers.engines import trichord_catalog
from benchmarks.peers.rows import F32, I64, MODALITIES, Rows, id_of
from benchmarks.serving import served
from trichord.client import Client
from trichord.query import Record


class Adapter(trichord_catalog.Adapter):
    def open(self, folder: Path) -> None:
        self._open = ExitStack()
        address = self._open.enter_context(served(folder, self.dim))
        self._client = self._open.enter_context(Client(address))

    def one(self, query: F32) -> Any:
        return self._client.search(query, **self.asked)

    def many(self, queries: F32) -> Any:
        return self._client.search_many(list(queries), **self.asked)

    def insert(self, rows: Rows) -> None:
        report = self._client.ingest(
            Record(
                item_id=id_of(rows.first + place),
                modality=MODALITIES[rows.kinds[place]],
                vector=rows.vectors[place],
                attributes={name: value for name, value in attributes.items() if name != "kind"},
            )
            for place, attributes in enumerate(rows.attributes())
        )
        if report.errors:
            raise RuntimeError(f"the server refused {len(report.errors)} rows: {report.errors[0]}")

    def delete(self, numbers: I64) -> None:
        self._client.delete([id_of(row) for row in numbers.tolist()])

    def close(self) -> None:
        self._open.close()
