"""Trichord in process: one catalogue, vectors that are ready, the public verbs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from benchmarks import data
from benchmarks.peers.engines.base import Effort, Engine
from benchmarks.peers.rows import F32, I64, LIMIT, MODALITIES, Rows, Where, id_of, row_of
from trichord.catalog import Catalog
from trichord.query import SearchOptions
from trichord.sources import Table

ATTRIBUTES = ("market", "year")
FILTERED = 0.99
RECALLS = (952, 955, 960, 965, 970, 980, 990, 995)
PART = 50_000
"""Rows of a commit, as `trichord ingest` makes them of a table."""


class Adapter(Engine):
    """A filter on `kind` becomes the option `modality`: every modality has an index of its own.

    The catalogue tunes itself for recall when it builds. The ladder's first step is that; the
    others ask for a higher measured recall with every search, where searches have that option.
    """

    def build(self, rows: Rows, folder: Path) -> dict[str, float]:
        began = time.perf_counter()
        with Catalog.open(folder, space=data.space(self.dim)) as catalog:
            with catalog.ingestion() as ingestion:
                for _ in ingestion.add_parts(table(rows), PART):
                    pass
            stored = time.perf_counter()
            catalog.build_indexes(**self.options)
        return {"ingest": stored - began, "index": time.perf_counter() - stored}

    def open(self, folder: Path) -> None:
        self._catalog = Catalog.open(
            folder, space=data.space(self.dim), create=False, background=True
        )
        self._catalog.warm_up()

    def efforts(self) -> list[list[Effort]]:
        if "recall" not in SearchOptions.__dataclass_fields__:
            return [[{}]]
        return [[{}, *({"recall_permille": asked} for asked in RECALLS)]]

    def use(self, effort: Effort, where: Where | None) -> None:
        self.effort = effort
        self.asked: dict[str, Any] = {"limit": LIMIT, "attributes": ATTRIBUTES}
        if where is not None and where.column == "kind":
            # A modality is no filter to it, whose default recall would be 0.99.
            self.asked |= {"modality": str(where.value), "recall": FILTERED}
        elif where is not None:
            self.asked["where"] = where.sql
        if "recall_permille" in effort:
            self.asked["recall"] = effort["recall_permille"] / 1000
        names = {name: value for name, value in self.asked.items() if name != "modality"}
        modality = (self.asked["modality"],) if "modality" in self.asked else ()
        self._options = SearchOptions(modality=modality, **names)

    def one(self, query: F32) -> Any:
        return self._catalog.search(query, **self.asked)

    def many(self, queries: F32) -> Any:
        return self._catalog.search_many(queries, self._options)

    def rows_of(self, answers: Any) -> list[list[int]]:
        return [self.rows_of_one(hits) for hits in answers]

    def rows_of_one(self, answer: Any) -> list[int]:
        if isinstance(answer, Exception):
            raise answer
        return [row_of(item_id) for item_id in answer.item_ids]

    def insert(self, rows: Rows) -> None:
        with self._catalog.ingestion() as ingestion:
            ingestion.add_vectors(table(rows))

    def delete(self, numbers: I64) -> None:
        self._catalog.delete([id_of(row) for row in numbers.tolist()])

    def close(self) -> None:
        self._catalog.close()


def table(rows: Rows) -> Table:
    """Items as a user has them in a table: string ids, a modality, three attributes, a vector."""
    vectors = np.ascontiguousarray(rows.vectors).reshape(-1)
    columns = pa.table(
        {
            "item_id": rows.ids,
            "modality": pa.DictionaryArray.from_arrays(rows.kinds, list(MODALITIES)).cast("string"),
            "market": rows.market_names,
            "year": rows.years,
            "part": rows.parts,
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors), rows.dim),
        }
    )
    return Table(pl.DataFrame(pl.from_arrow(columns)), "peers", Path())
