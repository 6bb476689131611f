"""What one commit changes, and the one order in which it is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

import pyarrow as pa

from trichord.errors import StoreError
from trichord.store.batches import EntityBatch, ItemBatch
from trichord.store.counts import changed_counts
from trichord.store.deletion import joined_rows
from trichord.store.failpoints import reach
from trichord.store.records import Key
from trichord.store.schema import ENTITIES, FAILURES, ITEMS, RECORDS
from trichord.store.state import WriterState
from trichord.store.tables import append, merge
from trichord.types import IngestFailure

Appended: TypeAlias = pa.Table | Callable[[Any], Any]
"""Rows of a segments table, or what makes the dataset's next version of it."""


@dataclass(frozen=True)
class Change:
    """Checked and complete: from here on only the disk can fail. `segments` go by table, texts of
    `records` by (kind, name)."""

    revision: int
    now: datetime
    items: Sequence[ItemBatch] = ()
    entities: Sequence[EntityBatch] = ()
    segments: Mapping[str, Appended] = field(default_factory=dict)
    failures: Sequence[IngestFailure] = ()
    resolved_sources: Sequence[str] = ()
    records: Mapping[Key, str | None] = field(default_factory=dict)
    message: str = ""


def write(state: WriterState, change: Change) -> None:
    """Make one snapshot of a change; nothing happens if it is none."""
    touched = _write_segments(state, change.segments)
    touched += _write_rows(state, ENTITIES, "entity_id", change.entities, "entities-written")
    touched += _write_rows(state, ITEMS, "item_id", change.items, "items-written")
    noted = state.failures.write(state.data[FAILURES], change.failures, change.resolved_sources)
    if noted is not None:
        state.data[FAILURES] = noted[0]
        touched.append(FAILURES)
        reach("failures-written")
    recorded = state.records.write(
        state.data.get(RECORDS), state.tables, change.records, change.revision, change.now
    )
    if recorded is not None:
        state.data[RECORDS] = recorded[0]
        touched.append(RECORDS)
        reach("records-written")
    if not touched:
        return
    _check_alone(state, touched)
    counts = changed_counts(
        state.snapshot.counts, state.spaces, change.items, change.entities, state.entities
    )
    state.publish(touched, counts=counts, revision=change.revision, message=change.message)
    for batch in change.items:
        state.items.put(batch.hashes, batch.positions, batch.facts)
    for thing in change.entities:
        state.entities.put(thing.hashes, thing.positions, thing.live)
    if noted is not None:
        state.failures = noted[1]
    if recorded is not None:
        state.records = recorded[1]


def _check_alone(state: WriterState, touched: Sequence[str]) -> None:
    """Lance would quietly put a commit on top of a stranger's; the lease binds only us."""
    for name in touched:
        before, now = state.snapshot.versions.get(name, 0), state.data[name].version
        if now != before + 1:
            raise StoreError(
                f"table {name!r} went from version {before} to {now} in one commit: something "
                "else writes to this store without its lease; the commit was undone"
            )


def _write_segments(state: WriterState, pieces: Mapping[str, Appended]) -> list[str]:
    for table, rows in pieces.items():
        data = state.data[table]
        state.data[table] = append(data, rows) if isinstance(rows, pa.Table) else rows(data)
    if pieces:
        reach("segments-written")
    return list(pieces)


def _write_rows(
    state: WriterState,
    table: str,
    key: str,
    batches: Sequence[ItemBatch] | Sequence[EntityBatch],
    point: str,
) -> list[str]:
    """One version of `table`: appended if all keys are new, merged otherwise."""
    if not batches:
        return []
    rows = joined_rows([batch.rows for batch in batches])
    updated = sum(batch.updated for batch in batches)
    if updated:
        state.data[table] = merge(state.data[table], key, rows, updated=updated)
    else:
        state.data[table] = append(state.data[table], rows)
    reach(point)
    return [table]
