"""Ready vectors into a new store, and again, beside a raw Lance append of the same batches.

All start from one Arrow table in memory that consists of batches.
  raw append       each batch (item_id, market, year, vector) is appended to a Lance table as it is,
                   one version per batch
  new keys         the table through `Ingestion.add_parts`, as `Catalog.ingest` does with a file of
                   rows: checked, hashed, told from known ids, committed every BATCH_VECTORS rows to
                   three Lance tables; opening the writer counts
  nothing changed  the same once more
Told apart: the raw append handed to Lance in pieces of 4 MB, which it likes best and our store
uses; a commit for every batch by `Ingestion.add_vectors`; what the next reader pays to see them.
"""

from __future__ import annotations

import os
from typing import Any

import lance
import numpy as np
import pyarrow as pa

from benchmarks import data
from benchmarks.context import Context, table_of
from benchmarks.measure import Clock, Result, interleaved, ratio, share_verdict, times_of
from trichord.catalog import Catalog
from trichord.catalog.ingesting import BATCH_VECTORS

SMALL_BYTES = 4 << 20
Seconds = tuple[float, float]


def run(context: Context) -> Result:
    result = Result("ingest", {"rows": context.rows, "dim": context.dim, "batch": context.batch})
    table = data.table(np.array(context.matrix()))
    bare = table.select(["item_id", "market", "year", "vector"])
    small = max(1, SMALL_BYTES // (4 * context.dim))
    seen: list[Seconds] = []
    again: list[Seconds] = []

    def raw() -> None:
        _append(context, bare, None)

    def raw_small() -> None:
        _append(context, bare, small)

    def new() -> Seconds:
        with Catalog.open(context.cleared("store"), space=data.space(context.dim)) as catalog:
            took, shown = _ingest(catalog, table, None)
            seen.append(shown)
            again.append(_ingest(catalog, table, None)[0])
            counted = catalog.stats().items
        if sum(counted.values()) != context.rows:
            raise AssertionError(f"the store has {counted} items, not {context.rows}")
        return took

    def by_batch() -> Seconds:
        with Catalog.open(context.cleared("store"), space=data.space(context.dim)) as catalog:
            return _ingest(catalog, table, context.batch)[0]

    times = interleaved(
        context.rounds,
        {
            "raw append": raw,
            "raw append, small buffers": raw_small,
            "new keys": new,
            "new keys, a commit per batch": by_batch,
        },
        between=os.sync,
    )
    times["nothing changed"] = times_of(again)
    times["first read of the new rows"] = times_of(seen)
    result.add(times)
    for label in list(times)[:5]:
        result.figure(f"{label}, rows/s", round(context.rows / times[label].median))
    result.judge(
        share_verdict(
            "ingest of new keys, speed relative to a raw append",
            ratio(times["raw append"], times["new keys"]),
            0.5,
            at_least=True,
        )
    )
    result.judge(
        share_verdict(
            "ingest with nothing changed, times faster than new keys",
            ratio(times["new keys"], times["nothing changed"]),
            3.0,
            at_least=True,
        )
    )
    for label, over, under in (
        ("new keys relative to the raw append of small buffers", 1, 2),
        ("a commit per batch relative to the raw append", 0, 3),
    ):
        names = list(times)
        share = ratio(times[names[over]], times[names[under]])
        result.figure(label, share.median)
    context.cleared("store")
    context.cleared("raw")
    return result


def _append(context: Context, rows: pa.Table, pieces: int | None) -> None:
    path = str(context.cleared("raw"))
    written: Any = None
    for batch in data.batches(rows, context.batch):
        given = batch if pieces is None else batch.to_reader(max_chunksize=pieces)
        written = (
            lance.write_dataset(given, path, mode="create")
            if written is None
            else lance.write_dataset(given, written, mode="append")
        )


def _ingest(catalog: Catalog, rows: pa.Table, size: int | None) -> tuple[Seconds, Seconds]:
    """Until all is committed, in commits of `size` rows or as the ingestion likes, the writer's
    opening included; and from then until this process reads it."""
    clock = Clock()
    with catalog.ingestion() as ingestion:
        if size is None:
            for _ in ingestion.add_parts(table_of(rows), BATCH_VECTORS):
                pass
        else:
            for batch in data.batches(rows, size):
                ingestion.add_vectors(table_of(batch))
        committed = clock.read()
        clock = Clock()
    return committed, clock.read()
