"""Records into the store: decide what is new, embed only that, commit once per call.

Taking the same record twice changes nothing: content is compared by hash and encoder, metadata by
value. An error concerns its own record; it is kept in the store until a later run takes the source.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from trichord.catalog import attributes as attribute_columns
from trichord.catalog import rows as tables
from trichord.catalog import vectors
from trichord.catalog.changes import (
    EntityChange,
    ItemChange,
    entity_change,
    facts,
    merged,
    same_facts,
)
from trichord.catalog.encoding import ContentEncoder, Segments
from trichord.catalog.preparing import Prepared, prepare
from trichord.errors import InvalidInput, NotFound, TrichordError
from trichord.query import Record
from trichord.results import Acknowledgement, Outcome
from trichord.sources import Table, records
from trichord.store import Reader, Store, Writer
from trichord.types import IngestFailure, Space, Span

AHEAD = 2
"""Parts of a table that are checked and hashed while one is written."""

Taken = tuple[dict[Outcome, int], list[IngestFailure], int, int]
"""Counts per outcome, the rows that could not be taken, the number of segments written, and the
snapshot."""


class Ingestion:
    """Writes records through the store's writer; all that share `lock` take turns."""

    def __init__(
        self, store: Store, writer: Writer, encoder: ContentEncoder, lock: threading.RLock
    ) -> None:
        self._store = store
        self._writer = writer
        self._encoder = encoder
        self._lock = lock

    @property
    def space(self) -> Space:
        """The space that content is embedded for."""
        return self._encoder.joint.space

    @property
    def writer(self) -> Writer:
        return self._writer

    def add(self, records: Sequence[Record]) -> list[Acknowledgement]:
        """Stores the records in one commit and says of each what became of it, in order.

        A record that cannot be taken does not stop the others. A repeated id is taken in order:
        the last one stands. Raises only what concerns the whole store (StorageFull …).
        """
        answers: list[Acknowledgement] = []
        for run in _without_repeats(records):
            answers += self._add(run)
        return answers

    def add_vectors(self, table: Table) -> Taken:
        """Stores a table of ready vectors in one commit, whole columns at a time.

        Raises InvalidInput for a column that no attribute can be.
        """
        with self._lock:
            return self._take(vectors.ready(table, self.space, self._stored_types()))

    def add_parts(self, table: Table, rows: int) -> Iterator[Taken]:
        """Like `add_vectors`, in commits of at most `rows` rows, with an answer for each; while one
        is written, the next ones are checked and hashed."""
        parts = deque(
            Table(table.frame.slice(first, rows), table.name, table.folder, table.first + first)
            for first in range(0, len(table.frame), rows)
        )
        stored = self._stored_types()
        with ThreadPoolExecutor(AHEAD, thread_name_prefix="trichord-hash") as pool:
            coming: deque[Future[vectors.Ready]] = deque()
            while parts or coming:
                while parts and len(coming) <= AHEAD:
                    coming.append(pool.submit(vectors.ready, parts.popleft(), self.space, stored))
                ready = coming.popleft().result()
                with self._lock:
                    taken = self._take(ready)
                yield taken

    def _stored_types(self) -> dict[str, pa.DataType]:
        return self._store.reader().attribute_types()

    def _take(self, ready: vectors.Ready) -> Taken:
        space, stored = self.space, self._stored_types()
        if not ready.holds(stored):
            ready = vectors.ready(ready.table, space, stored)
        table, frame, matrix, positions = ready.table, ready.frame, ready.matrix, ready.positions
        prints, said = ready.prints, ready.said
        # What is left goes as single records, which say what is wrong with each.
        apart = list(ready.apart)
        lookup = self._writer.lookup(frame["item_id"])
        same_vector = (lookup.fingerprint == prints.view(np.uint64)).all(axis=1)
        same_facts = (lookup.attributes_fingerprint == said.view(np.uint64)).all(axis=1)
        new, same = ~lookup.found, lookup.found & same_vector & same_facts
        apart += [int(row) for row in positions[~new & ~same]]
        counts = dict.fromkeys(Outcome, 0)
        counts[Outcome.UNCHANGED] = int(same.sum())
        snapshot, segments = self._writer.snapshot.id, int(new.sum())
        resolved = self._resolved(table, positions[new | same])
        if resolved and not segments:
            snapshot = self._writer.commit(resolved_sources=resolved).id
        if segments:
            types = vectors.attribute_types(frame)
            self._writer.ensure_attributes(types)
            all_new = segments == len(frame)
            rows = frame if all_new else frame.filter(new)
            kept = vectors.unit_rows(matrix if all_new else matrix[new])
            items = vectors.items_table(
                rows, prints if all_new else prints[new], said if all_new else said[new], types
            )
            snapshot = self._writer.commit(
                items=items,
                segments={space.name: vectors.segments_table(rows, kept, space)},
                resolved_sources=resolved,
            ).id
            counts[Outcome.ADDED] = segments
        failures: list[IngestFailure] = []
        if apart:
            for run in _without_repeats(list(records(table, sorted(apart)))):
                for record, answer in zip(run, self._add(run), strict=True):
                    segments += answer.segments
                    snapshot = max(snapshot, answer.snapshot)
                    if answer.outcome is not None:
                        counts[answer.outcome] += 1
                    if answer.error is not None:
                        failures.append(failure_of(record, answer.error, datetime.now(UTC)))
        return counts, failures, segments, snapshot

    def _resolved(self, table: Table, rows: Any) -> list[str]:
        """Rows that failed before and are taken now."""
        failing = {failure.source for failure in self._store.failures()}
        if not any(source.startswith(f"{table.name}:") for source in failing):
            return []
        return [s for row in rows if (s := table.source_of(int(row))) in failing]

    def _add(self, records: Sequence[Record]) -> list[Acknowledgement]:
        errors: dict[int, TrichordError] = {}
        prepared: dict[int, Prepared] = {}
        for position, record in enumerate(records):
            try:
                prepared[position] = prepare(record, self._encoder)
            except TrichordError as error:
                errors[position] = error
        # Embedding is what takes long, so others may commit meanwhile; what they change is seen
        # under the lock, where a record is compared once more with what is stored by then.
        embedded: dict[int, Segments] = {}
        self._embed(prepared, self._unlike_stored(prepared), embedded)
        with self._lock:
            reader = self._store.reader()
            changes = self._item_changes(prepared, errors, reader)
            waiting = [p for p, change in changes.items() if change.segments is not None]
            self._embed(prepared, [p for p in waiting if p not in embedded], embedded)
            for position in waiting:
                changes[position].segments = segments = embedded[position]
                if segments.error is not None:
                    errors[position] = segments.error
                    del changes[position]
            entities = self._entity_changes(prepared, reader)
            types = self._admitted(reader, {**changes, **entities}, errors)
            changes = {p: change for p, change in changes.items() if p not in errors}
            entities = {p: change for p, change in entities.items() if p not in errors}
            snapshot = self._commit(records, types, changes, entities, errors)
        return [
            self._acknowledged(record, errors.get(p), changes.get(p) or entities.get(p), snapshot)
            for p, record in enumerate(records)
        ]

    def _unlike_stored(self, prepared: Mapping[int, Prepared]) -> list[int]:
        """Positions of the records with content that is not what is stored now."""
        with_content = [p for p, one in prepared.items() if not one.only_attributes]
        if not with_content:
            return []
        lookup = self._writer.lookup([prepared[p].item_id for p in with_content])
        return [
            position
            for row, position in enumerate(with_content)
            if not lookup.found[row]
            or lookup.fingerprint[row].tobytes() != prepared[position].fingerprint
        ]

    def _embed(
        self,
        prepared: Mapping[int, Prepared],
        positions: Sequence[int],
        embedded: dict[int, Segments],
    ) -> None:
        """Adds the segments of the records at the positions to `embedded`."""
        waiting, contents = [], []
        for position in positions:
            one = prepared[position]
            if one.vector is not None:
                embedded[position] = Segments([one.vector], [Span()])
            elif one.content is not None:
                waiting.append(position)
                contents.append(one.content)
        embedded.update(zip(waiting, self._encoder.encode(contents), strict=True))

    def _item_changes(
        self, prepared: Mapping[int, Prepared], errors: dict[int, TrichordError], reader: Reader
    ) -> dict[int, ItemChange]:
        """Changes to items; those that bring new content have `segments`, still empty."""
        positions = [p for p, one in prepared.items() if one.item_id]
        if not positions:
            return {}
        lookup = self._writer.lookup([prepared[p].item_id for p in positions])
        found = dict(zip(positions, lookup.found.tolist(), strict=True))
        alike: dict[int, bool] = {}
        doubtful: list[str] = []
        for row, position in enumerate(positions):
            one = prepared[position]
            alike[position] = found[position] and (
                one.only_attributes or lookup.fingerprint[row].tobytes() == one.fingerprint
            )
            said = lookup.attributes_fingerprint[row].tobytes()
            if found[position] and not (alike[position] and said == facts(one)):
                doubtful.append(one.item_id)
        stored = {row["item_id"]: row for row in reader.get_items(doubtful).to_pylist()}
        changes: dict[int, ItemChange] = {}
        for position in positions:
            one = prepared[position]
            known = stored.get(one.item_id)
            if one.only_attributes and not found[position]:
                errors[position] = NotFound(
                    f"there is no item {one.item_id!r} whose attributes could be set; "
                    "give its content too",
                    item_id=one.item_id,
                )
            elif alike[position]:
                if known is not None and not same_facts(change := merged(one, known), known):
                    changes[position] = change
            else:
                changes[position] = merged(one, known)
                changes[position].segments = Segments()
        return changes

    def _entity_changes(
        self, prepared: Mapping[int, Prepared], reader: Reader
    ) -> dict[int, EntityChange]:
        wanted = {p: one for p, one in prepared.items() if not one.item_id and one.entity_id}
        ids = [one.entity_id for one in wanted.values() if one.entity_id]
        rows = reader.get_entities(ids).to_pylist() if ids else []
        stored = {row["entity_id"]: row for row in rows}
        found = {p: entity_change(one, stored.get(one.entity_id)) for p, one in wanted.items()}
        return {position: change for position, change in found.items() if change is not None}

    def _admitted(
        self,
        reader: Reader,
        changes: Mapping[int, ItemChange | EntityChange],
        errors: dict[int, TrichordError],
    ) -> dict[str, pa.DataType]:
        """The types of all attributes after the changes; those that do not fit become errors."""
        stored = reader.attribute_types()
        types = dict(stored)
        for position, change in sorted(changes.items()):
            try:
                attribute_columns.widen(stored, types, change.attributes)
            except InvalidInput as error:
                errors[position] = error
        return types

    def _acknowledged(
        self,
        record: Record,
        error: TrichordError | None,
        change: ItemChange | EntityChange | None,
        snapshot: int,
    ) -> Acknowledgement:
        item_id = record.item_id or record.entity_id or ""
        if error is not None:
            return Acknowledgement(item_id, None, error)
        if change is None:
            return Acknowledgement(item_id, Outcome.UNCHANGED, None, snapshot)
        made = change.segments if isinstance(change, ItemChange) else None
        segments = 0 if made is None else len(made.vectors)
        return Acknowledgement(item_id, change.outcome, None, snapshot, segments)

    def _commit(
        self,
        batch: Sequence[Record],
        types: Mapping[str, pa.DataType],
        changes: Mapping[int, ItemChange],
        entities: Mapping[int, EntityChange],
        errors: Mapping[int, TrichordError],
    ) -> int:
        now = datetime.now(UTC)
        failures = [failure_of(batch[position], error, now) for position, error in errors.items()]
        failed = {failure.source for failure in failures}
        taken = {source_of(record) for p, record in enumerate(batch) if p not in errors}
        if changes or entities:
            self._writer.ensure_attributes(types)
        rows, space = list(changes.values()), self.space
        embedded = any(row.segments is not None for row in rows)
        return self._writer.commit(
            items=tables.items_table(rows, types) if rows else None,
            entities=tables.entities_table([*entities.values()], types) if entities else None,
            segments={space.name: tables.segments_table(rows, space)} if embedded else None,
            failures=failures,
            resolved_sources=sorted(taken - failed),
        ).id


def source_of(record: Record) -> str:
    """What a record is called in failures: where it comes from, else its id."""
    return _storable(record.source or record.item_id or record.entity_id or "(no id)")


def failure_of(record: Record, error: TrichordError, when: datetime) -> IngestFailure:
    """How a record that was refused is remembered."""
    item_id = None if record.item_id is None else _storable(record.item_id)
    return IngestFailure(source_of(record), item_id, error.reason, _storable(str(error)), when)


def _storable(text: Any) -> str:
    """Names of files and ids may hold what is no Unicode text."""
    return str(text).encode("utf-8", "backslashreplace").decode()


def _without_repeats(records: Sequence[Record]) -> list[Sequence[Record]]:
    runs: list[list[Record]] = [[]]
    seen: set[tuple[str | None, str | None]] = set()
    for record in records:
        key = (record.item_id, None) if record.item_id else (None, record.entity_id)
        if key in seen:
            runs.append([])
            seen.clear()
        seen.add(key)
        runs[-1].append(record)
    return [run for run in runs if run]
