"""Deleted rows: the id stays with a new revision so that readers learn of it, the content goes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pyarrow as pa

from trichord.errors import InvalidInput, NotFound
from trichord.store.batches import EntityBatch, ItemBatch
from trichord.store.directory import EntityDirectory, ItemDirectory, ItemFacts, modality_codes
from trichord.store.keys import Hashes
from trichord.store.numbers import Numbers
from trichord.store.reader import Reader
from trichord.store.schema import ENTITIES, ITEMS, TIME
from trichord.types import I64

_KEPT = {"item_id", "entity_id", "modality", "generation"}


def deleted_item_rows(
    ids: Sequence[str],
    written: ItemBatch | None,
    reader: Reader,
    directory: ItemDirectory,
    revision: int,
    now: datetime,
) -> ItemBatch | None:
    """Rows that mark `ids` as deleted. Raises NotFound for unknown ones, InvalidInput for those
    that the same commit writes."""
    found = _find(ids, written, directory, "items")
    if found is None:
        return None
    known, hashes, positions = found
    rows = _emptied(reader.whole_rows(ITEMS, "item_id", known), _KEPT, revision, now)
    before = directory.facts(positions)
    count = len(known)
    facts = ItemFacts(
        fingerprint=np.zeros((count, 2), np.uint64),
        attributes_fingerprint=np.zeros((count, 2), np.uint64),
        generation=before.generation,
        modality=modality_codes(rows["modality"]),
        deleted=np.ones(count, np.bool_),
        numbers=Numbers(np.zeros(count, np.int32), np.zeros(count, np.uint32)),
    )
    return ItemBatch(rows, hashes, positions, facts, before)


def deleted_entity_rows(
    ids: Sequence[str],
    written: EntityBatch | None,
    reader: Reader,
    directory: EntityDirectory,
    revision: int,
    now: datetime,
) -> EntityBatch | None:
    """Like `deleted_item_rows`, for rows of `entities`."""
    found = _find(ids, written, directory, "entities")
    if found is None:
        return None
    known, hashes, positions = found
    rows = reader.whole_rows(ENTITIES, "entity_id", known)
    rows = _emptied(rows, {"entity_id"}, revision, now)
    return EntityBatch(rows, hashes, positions, np.zeros(len(known), np.bool_))


def joined_rows(parts: Sequence[pa.Table]) -> pa.Table:
    """Tables of one schema as one."""
    return parts[0] if len(parts) == 1 else pa.concat_tables(parts)


def unknown_ids(what: str, ids: Sequence[str]) -> NotFound:
    """The error that lists ids which do not exist."""
    some = ", ".join(ids[:10]) + (f" and {len(ids) - 10} more" if len(ids) > 10 else "")
    return NotFound(f"there are no such {what}: {some}", count=len(ids))


def _find(
    ids: Sequence[str],
    written: ItemBatch | EntityBatch | None,
    directory: ItemDirectory | EntityDirectory,
    what: str,
) -> tuple[list[str], Hashes, I64] | None:
    known = list(dict.fromkeys(ids))
    if not known:
        return None
    hashes = directory.hash(known)
    positions = directory.locate(hashes)
    live = directory.live(positions)
    if not live.all():
        raise unknown_ids(what, [known[int(i)] for i in np.flatnonzero(~live)])
    if written is not None:
        both = np.flatnonzero(np.isin(positions, written.positions))
        if len(both):
            raise InvalidInput(f"{known[int(both[0])]} is written and deleted in one commit")
    return known, hashes, positions


def _emptied(rows: pa.Table, kept: set[str], revision: int, now: datetime) -> pa.Table:
    """`rows` as deleted: what may be null is null, numbers are 0."""
    count = rows.num_rows
    filled = {
        "segments": pa.array(np.zeros(count, np.int32)),
        "spaces": pa.array(np.zeros(count, np.int64)),
        "revision": pa.array(np.full(count, revision, np.int64)),
        "deleted": pa.array(np.ones(count, np.bool_)),
        "created_timestamp": pa.repeat(pa.scalar(now, TIME), count),
    }
    columns = [
        rows[f.name] if f.name in kept else filled.get(f.name, pa.nulls(count, f.type))
        for f in rows.schema
    ]
    return pa.Table.from_arrays(columns, schema=rows.schema)
