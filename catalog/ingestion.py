"""Records into the store: decide what is new, embed only that, commit once per call.

Taking the same record twice changes nothing: content is compared by hash, metadata by value, and
it is embedded only for spaces where the item has no segments yet. An error concerns its own record;
it is kept in the store until a later run takes the source.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
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
)
from trichord.catalog.deciding import item_changes, unlike_stored
from trichord.catalog.encoding import ContentEncoder, Segments, encoder_facts
from trichord.catalog.failing import failure_of, source_of
from trichord.catalog.migrating import failure_source
from trichord.catalog.preparing import Prepared, prepare
from trichord.catalog.written import Written, same_plan
from trichord.errors import EncoderMismatch, InvalidInput, TrichordError
from trichord.query import Record
from trichord.results import Acknowledgement, Outcome
from trichord.sources import Table, records
from trichord.store import Reader, Snapshot, Store, Writer
from trichord.types import IngestFailure, Space, Span

AHEAD = 2
"""Parts of a table that are checked and hashed while one is written."""

Taken = tuple[dict[Outcome, int], list[IngestFailure], int, int]
"""Counts per outcome, the rows that could not be taken, the number of segments written, and the
snapshot."""


Embedded = dict[str, dict[int, Segments]]
"""By space, and by the record's position."""


class Ingestion:
    """Writes records through the store's writer; all that share `lock` take turns.

    `written` says for which spaces, as of a snapshot: that may change while this is open. `admit`
    is asked once content is to be embedded for a space; see `Models.admit`.
    """

    def __init__(
        self,
        store: Store,
        writer: Writer,
        lock: threading.RLock,
        written: Callable[[Reader], Written],
        admit: Callable[[ContentEncoder, Writer], None],
    ) -> None:
        self._store = store
        self._writer = writer
        self._lock = lock
        self._written = written
        self._admit = admit
        self._planned: tuple[Snapshot, Written] | None = None
        with lock:
            self._plan()

    @property
    def space(self) -> Space:
        """The space that searches ask by default, as of the last commit."""
        return self._plan().space

    @property
    def writer(self) -> Writer:
        return self._writer

    def _plan(self) -> Written:
        """For which spaces to write; under the lock it holds until the commit."""
        snapshot, planned = self._writer.snapshot, self._planned
        if planned is not None and same_plan(planned[0], snapshot):
            return planned[1]
        with self._lock:
            self._planned = None
            plan = self._written(self._store.reader(self._writer.snapshot))
            joint, before = plan.primary.joint, self._writer.snapshot.id
            self._writer.add_space(joint.space, encoder_facts(joint))
            if self._writer.snapshot.id != before:
                plan = self._written(self._store.reader(self._writer.snapshot))
            self._planned = self._writer.snapshot, plan
        return plan

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
        plan, stored = self._plan(), self._stored_types()
        space = plan.space
        if not ready.holds(stored, space):
            ready = vectors.ready(ready.table, space, stored)
        table, frame, matrix, positions = ready.table, ready.frame, ready.matrix, ready.positions
        prints, said = ready.prints, ready.said
        # What is left goes as single records, which say what is wrong with each.
        apart = list(ready.apart)
        known = self._writer.lookup(frame["item_id"])
        same_vector = (known.fingerprint == prints.view(np.uint64)).all(axis=1)
        same_vector &= known.has(plan.bits[space.name])
        same_facts = (known.attributes_fingerprint == said.view(np.uint64)).all(axis=1)
        new, same = ~known.found, known.found & same_vector & same_facts
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
                segments=vectors.segments_tables(rows, kept, plan),
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
        plan: Written | None = None
        while True:
            before, plan = plan, self._plan()
            errors: dict[int, TrichordError] = {}
            prepared: dict[int, Prepared] = {}
            for position, record in enumerate(records):
                try:
                    prepared[position] = prepare(record, plan.primary, plan.known)
                except TrichordError as error:
                    errors[position] = error
            # Embedding is what takes long, so others may commit meanwhile; what they change is seen
            # under the lock, where a record is compared once more with what is stored by then.
            if before is None or not plan.alike(before):
                embedded: Embedded = {one.joint.name: {} for one in plan.all}
            self._embed(prepared, plan, unlike_stored(self._writer, prepared, plan), embedded)
            with self._lock:
                if self._plan() is not plan:
                    continue
                return self._stored(records, prepared, plan, embedded, errors)

    def _stored(
        self,
        records: Sequence[Record],
        prepared: Mapping[int, Prepared],
        plan: Written,
        embedded: Embedded,
        errors: dict[int, TrichordError],
    ) -> list[Acknowledgement]:
        """One commit, under the lock."""
        reader = self._store.reader()
        changes, wanted = item_changes(self._writer, prepared, plan, errors, reader)
        self._embed(prepared, plan, wanted, embedded)
        lost: list[tuple[str, str, TrichordError]] = []
        for name, positions in wanted.items():
            for position in positions:
                made, one = embedded[name][position], prepared[position]
                if made.error is None:
                    changes[position].segments[name] = made
                    if name == plan.space.name:
                        changes[position].text = made.text
                elif name == plan.space.name:
                    errors[position] = made.error
                else:
                    lost.append((name, one.item_id, made.error))
        entities = self._entity_changes(prepared, reader)
        types = self._admitted(reader, {**changes, **entities}, errors)
        # Where a further space failed there may be nothing left to write.
        changes = {
            p: change
            for p, change in changes.items()
            if p not in errors and (change.new_content or change.segments or not change.same_facts)
        }
        entities = {p: change for p, change in entities.items() if p not in errors}
        taken = {prepared[p].item_id for p in prepared if p not in errors}
        lost = [one for one in lost if one[1] in taken]
        snapshot = self._commit(records, types, changes, entities, errors, lost, plan)
        return [
            self._acknowledged(record, errors.get(p), changes.get(p) or entities.get(p), snapshot)
            for p, record in enumerate(records)
        ]

    def _embed(
        self,
        prepared: Mapping[int, Prepared],
        plan: Written,
        wanted: Mapping[str, Sequence[int]],
        embedded: Embedded,
    ) -> None:
        """Adds the segments that are wanted and not there yet to `embedded`; the primary's first,
        for another space may have the same vectors."""
        for encoder in plan.all:
            name = encoder.joint.name
            done, contents = embedded[name], {}
            for position in wanted.get(name, ()):
                one = prepared[position]
                if position in done:
                    continue
                same = embedded[plan.space.name].get(position)
                if one.vector is not None:
                    done[position] = Segments([one.vector], [Span()])
                elif (
                    same is not None
                    and one.modality is not None
                    and name in plan.sharing(one.modality)
                ):
                    done[position] = same
                elif one.content is not None:
                    contents[position] = one.content
            if not contents:
                continue
            try:
                with self._lock:
                    self._admit(encoder, self._writer)
                made = encoder.encode([*contents.values()])
            except EncoderMismatch as error:
                if encoder is plan.primary:
                    raise
                made = [Segments(error=error) for _ in contents]
            done.update(zip(contents, made, strict=True))

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
        segments = change.written if isinstance(change, ItemChange) else 0
        return Acknowledgement(item_id, change.outcome, None, snapshot, segments)

    def _commit(
        self,
        batch: Sequence[Record],
        types: Mapping[str, pa.DataType],
        changes: Mapping[int, ItemChange],
        entities: Mapping[int, EntityChange],
        errors: Mapping[int, TrichordError],
        lost: Sequence[tuple[str, str, TrichordError]],
        plan: Written,
    ) -> int:
        now = datetime.now(UTC)
        failures = [failure_of(batch[position], error, now) for position, error in errors.items()]
        failures += [
            IngestFailure(failure_source(name, item_id), item_id, error.reason, str(error), now)
            for name, item_id, error in lost
        ]
        failed = {failure.source for failure in failures}
        taken = {source_of(record) for p, record in enumerate(batch) if p not in errors}
        if changes or entities:
            self._writer.ensure_attributes(types)
        rows = list(changes.values())
        segments = {}
        for encoder in plan.all:
            name = encoder.joint.name
            made = [_embedded(row, name) for row in rows if name in row.segments]
            if made:
                segments[name] = tables.segments_table(made, encoder.joint.space)
                taken |= {failure_source(name, item_id) for item_id, _, _ in made}
        return self._writer.commit(
            items=tables.items_table(rows, types) if rows else None,
            entities=tables.entities_table([*entities.values()], types) if entities else None,
            segments=segments,
            failures=failures,
            resolved_sources=sorted(taken - failed),
        ).id


def _embedded(row: ItemChange, space: str) -> tables.Embedded:
    assert row.prepared.modality is not None
    return row.prepared.item_id, row.prepared.modality, row.segments[space]


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
