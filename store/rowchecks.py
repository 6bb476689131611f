"""Rules that rows must keep, checked on whole columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from trichord.store.directory import (
    MODALITIES,
    ItemDirectory,
    ItemFacts,
    item_columns,
    modality_codes,
)
from trichord.store.numbers import fits
from trichord.store.problems import Problem
from trichord.store.reader import Reader
from trichord.store.records import unsound
from trichord.store.schema import ENTITIES, ITEMS, RECORDS
from trichord.store.spaces import StoredSpace, mask_of
from trichord.store.vectors import checksums, matrix, not_unit

_BATCH_ROWS = 8192


def check_entities(reader: Reader) -> Iterator[Problem]:
    """Keys stand once, revisions are possible, the count agrees."""
    rows = reader.data(ENTITIES).to_table(columns=["entity_id", "revision", "deleted"])
    yield from _duplicates(rows["entity_id"], ENTITIES)
    bad = rows["revision"].to_numpy() > reader.snapshot.revision
    yield from _bad_rows(ENTITIES, rows["entity_id"], bad, "its revision is of the future")
    live = int(pc.sum(pc.invert(rows["deleted"])).as_py() or 0)
    yield from _count(reader, ENTITIES, "entities", live)


def check_records(reader: Reader) -> Iterator[Problem]:
    """Keys stand once, values are JSON, revisions are possible."""
    rows = reader.data(RECORDS).to_table(columns=["kind", "name", "value", "revision"])
    keys = pc.binary_join_element_wise(rows["kind"], rows["name"], "/")
    yield from _duplicates(keys, RECORDS)
    bad = unsound(rows, reader.snapshot.revision)
    yield from _bad_rows(RECORDS, keys, bad, "it is no JSON, or its revision is of the future")


def check_items(reader: Reader, spaces: Sequence[StoredSpace]) -> Iterator[Problem]:
    """Keys stand once; modality, generation, revision, spaces and the numbers of segments are
    possible; counts agree. `spaces` are those of the store, removed ones included."""
    data = reader.data(ITEMS)
    rows = data.to_table(columns=[*item_columns(data.schema), "revision", "content_hash"])
    ids = rows["item_id"]
    yield from _duplicates(ids, ITEMS)
    deleted = np.asarray(rows["deleted"].to_numpy(), np.bool_)
    modality = modality_codes(rows["modality"])
    generation, revision = rows["generation"].to_numpy(), rows["revision"].to_numpy()
    possible = (generation >= 1) & (generation <= revision)
    possible &= revision <= reader.snapshot.revision
    yield from _bad_rows(ITEMS, ids, modality < 0, "its modality is unknown")
    yield from _bad_rows(ITEMS, ids, ~possible, "its generation or revision is impossible")
    mask, number = rows["spaces"].to_numpy(), rows["segments"].to_numpy()
    unknown = mask & ~sum(1 << stored.bit for stored in spaces) != 0
    bare = (mask == 0) & (number == 0) & any(stored.removed for stored in spaces)
    bad = ~deleted & ~bare & ((mask <= 0) | unknown | (number < 1))
    yield from _bad_rows(ITEMS, ids, bad, "it names no space with segments, or an unknown one")
    strange = ~deleted & ~fits(rows)
    yield from _bad_rows(ITEMS, ids, strange, "its numbers of segments contradict each other")
    for name in ("fingerprint", "attributes_fingerprint", "content_hash"):
        absent = ~deleted & np.asarray(pc.is_null(rows[name]).to_numpy(), np.bool_)
        yield from _bad_rows(ITEMS, ids, absent, f"its {name} is null")
    yield from _count(reader, ITEMS, "items", int((~deleted).sum()))
    for code, name in enumerate(MODALITIES):
        live = int((~deleted & (modality == code)).sum())
        yield from _count(reader, ITEMS, f"items.{name}", live)


def check_segments(
    reader: Reader, spaces: Sequence[StoredSpace], stored: StoredSpace, deep: bool
) -> Iterator[Problem]:
    """Every live item of the space has its segments, every segment has an item, an encoder that
    the space names, and (deep) a vector that is what was written."""
    space, table = stored.space, stored.table
    data = reader.data(ITEMS)
    items = data.to_table(columns=item_columns(data.schema)).combine_chunks()
    ids = items["item_id"].combine_chunks()
    facts = ItemFacts.from_rows(items, mask_of(spaces))
    directory = ItemDirectory()
    # Of an id that stands twice the first row counts; it was reported already.
    first = np.asarray(pl.Series(values=ids).is_first_distinct())
    hashes = directory.hash(ids)
    directory.add(hashes.take(first))
    row_of = np.flatnonzero(first)

    columns = ["item_id", "ordinal", "generation", "revision", "modality", "encoder", "checksum"]
    owners: list[npt.NDArray[np.int64]] = []
    ordinals: list[npt.NDArray[np.int32]] = []
    wanted = columns + ["vector"] * deep
    for batch in reader.data(table).to_batches(columns=wanted, batch_size=_BATCH_ROWS):
        at = directory.locate(directory.hash(batch.column("item_id")))
        yield from _bad_rows(
            table, batch.column("item_id"), at < 0, "there is no such item", kind="orphan"
        )
        batch, at = _some(batch, at >= 0), at[at >= 0]
        row = row_of[at]
        generation = batch.column("generation").to_numpy()
        future = generation > np.minimum(facts.generation[row], batch.column("revision").to_numpy())
        yield from _bad_rows(table, batch.column("item_id"), future, "a generation of the future")
        yield from _check_encoders(batch, stored)
        live = ~facts.deleted[row] & (generation == facts.generation[row])
        batch, row = _some(batch, live), row[live]
        yield from _check_modality(batch, facts.modality[row], table)
        if deep:
            yield from _check_vectors(batch, table)
        owners.append(row)
        ordinals.append(batch.column("ordinal").to_numpy())

    owner = np.concatenate([np.empty(0, np.int64), *owners])
    number = np.bincount(owner, minlength=len(ids))
    wrong = number != np.where(facts.deleted, 0, facts.numbers.of(stored.bit))
    yield from _bad_rows(
        table, ids, wrong, "the number of segments is not the item's", kind="missing-segments"
    )
    order = np.lexsort((np.concatenate([np.empty(0, np.int32), *ordinals]), owner))
    place = np.concatenate([np.empty(0, np.int32), *ordinals])[order]
    start = (np.cumsum(number) - number)[owner[order]]
    skipped = np.zeros(len(ids), np.bool_)
    skipped[owner[order][place != np.arange(len(owner)) - start]] = True
    yield from _bad_rows(table, ids, skipped, "ordinals are not 0, 1, 2, …", kind="ordinals")
    for code, name in enumerate(MODALITIES):
        mine = int(number[facts.modality == code].sum())
        yield from _count(reader, table, f"segments.{space.name}.{name}", mine)


def _check_encoders(batch: pa.RecordBatch, stored: StoredSpace) -> Iterator[Problem]:
    known = pa.array(sorted(set(stored.space.encoders.values())), pa.string())
    strange = ~np.asarray(pc.is_in(batch.column("encoder"), value_set=known))
    yield from _bad_rows(
        stored.table,
        batch.column("item_id"),
        strange,
        "its encoder is not one of the space",
        kind="unknown-encoder",
    )


def _check_modality(
    batch: pa.RecordBatch, expected: npt.NDArray[np.int8], table: str
) -> Iterator[Problem]:
    differs = modality_codes(batch.column("modality")) != expected
    yield from _bad_rows(
        table, batch.column("item_id"), differs, "its modality is not that of the item"
    )


def _check_vectors(batch: pa.RecordBatch, table: str) -> Iterator[Problem]:
    rows = matrix(batch.column("vector"))
    changed = checksums(rows) != batch.column("checksum").to_numpy()
    ids = batch.column("item_id")
    yield from _bad_rows(table, ids, changed, "the vector is not what was written", kind="checksum")
    bad = np.zeros(len(rows), np.bool_)
    bad[not_unit(rows)] = True
    yield from _bad_rows(table, ids, bad, "the vector has not length 1", kind="not-unit")


def _some(batch: pa.RecordBatch, mask: npt.NDArray[np.bool_]) -> pa.RecordBatch:
    return batch if mask.all() else batch.filter(pa.array(mask))


def _duplicates(ids: pa.ChunkedArray, table: str) -> Iterator[Problem]:
    series = pl.Series(values=ids)
    for key in series.filter(series.is_duplicated()).unique(maintain_order=True):
        yield Problem("duplicate-key", table, key, "the key stands more than once")


def _bad_rows(
    table: str, ids: Any, bad: npt.NDArray[np.bool_], message: str, kind: str = "bad-row"
) -> Iterator[Problem]:
    for row in np.flatnonzero(bad):
        yield Problem(kind, table, ids[int(row)].as_py(), message)


def _count(reader: Reader, table: str, name: str, found: int) -> Iterator[Problem]:
    counted = reader.snapshot.counts.get(name, 0)
    if counted != found:
        yield Problem("count", table, name, f"the snapshot counts {counted}, there are {found}")
