"""The one writer of a store: the commit protocol.

The order is: segments of generation g, entities, items, failures, records, then one row in
`snapshots` that names every table's version. That row is the commit. Whatever is found beyond the
last row, after a kill or an error, is rolled back before anything else is written.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any

import pyarrow as pa

from trichord.errors import EncoderMismatch, InvalidInput, NotFound, StoreError
from trichord.store import compaction
from trichord.store.additions import Addition, Prepared, prepare_addition, prepare_copy
from trichord.store.batches import prepare, prepare_entities
from trichord.store.committing import Change, write
from trichord.store.counts import without_space
from trichord.store.deletion import deleted_entity_rows, deleted_item_rows, unknown_ids
from trichord.store.failpoints import reach
from trichord.store.keys import Ids, Lookup
from trichord.store.lease import Lease
from trichord.store.records import Records, encoded
from trichord.store.schema import (
    ATTRIBUTE_PREFIX,
    ENTITIES,
    ITEMS,
    RECORDS,
    SPACES,
    attributes_of,
    new_attributes,
    segments_schema,
)
from trichord.store.snapshots import Ledger, Snapshot
from trichord.store.spaces import Facts, joined, named, space_rows, without
from trichord.store.state import WriterState
from trichord.store.tables import Tables, lance_errors, replace
from trichord.types import IngestFailure, Space

COMPACT_AFTER = 64
"""Commits after which `compaction_due` advises to compact."""


class Writer:
    """Holds the store's lease until `close`. Methods may be called from any thread, one at a time.

    Every method raises StorageFull, StoreDamaged or StoreTooNew; after any error the next call
    first rolls the tables back to the last snapshot, so that a commit happens wholly or not at all.
    """

    def __init__(self, tables: Tables, ledger: Ledger, *, owner: str = "") -> None:
        self._lock = threading.RLock()
        self._lease = Lease(tables.directory, owner)
        self._state = WriterState(tables, ledger)
        self._closed = False
        self._dirty = True
        try:
            with self._healthy():
                pass
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the lease back."""
        self._closed = True
        self._lease.release()

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def snapshot(self) -> Snapshot:
        """The last snapshot of the store, which only this writer can change."""
        return self._state.snapshot

    @property
    def next_revision(self) -> int:
        """Number that the next commit will have."""
        return self._state.snapshot.revision + 1

    @property
    def compaction_due(self) -> bool:
        """Whether so many commits came since the last compaction that another would pay."""
        return self._state.commits >= COMPACT_AFTER

    def add_space(self, space: Space, facts: Facts | None = None) -> None:
        """Make a space known; nothing happens if it is. Encoders for further modalities may be
        added to a known space. Raises EncoderMismatch if it has another frame or encoder."""
        with self._healthy():
            spaces = joined(self._state.all_spaces, space, facts or {})
            table = named(spaces, space.name).table
            if spaces == self._state.all_spaces:
                return
            if table not in self._state.data:
                self._state.data[table] = self._state.tables.create(
                    table, segments_schema(space.frame.dim).empty_table()
                )
                reach("space-table-created")
            self._state.data[SPACES] = replace(self._state.data[SPACES], space_rows(spaces))
            reach("space-written")
            self._state.publish([SPACES, table], message=f"space {space.name}")
            self._state.all_spaces = spaces

    def remove_space(
        self, name: str, *, records: Records | None = None, message: str = ""
    ) -> Snapshot:
        """Forget a space with all its vectors. Raises NotFound.

        Its items stay, also those that have no vectors in any other space: they are lacking in
        all spaces until somebody adds segments. The name may be given to a new space. Readers of
        older snapshots go on; compaction removes the files once no kept snapshot names them.
        No item's row is written: who follows changes by revision learns of the removal from the
        version of the table `spaces`.
        """
        with self._healthy():
            state, now = self._state, datetime.now(UTC)
            gone = named(state.all_spaces, name)
            spaces, texts = without(state.all_spaces, name), encoded(records)
            state.data[SPACES] = replace(state.data[SPACES], space_rows(spaces))
            del state.data[gone.table]
            reach("space-removed")
            touched = [SPACES]
            recorded = state.records.write(
                state.data.get(RECORDS), state.tables, texts, self.next_revision, now
            )
            if recorded is not None:
                state.data[RECORDS] = recorded[0]
                touched.append(RECORDS)
            state.publish(
                touched,
                counts=without_space(state.snapshot.counts, name),
                revision=None if recorded is None else self.next_revision,
                message=message or f"removed space {name}",
            )
            state.all_spaces = spaces
            state.items.forget(gone.bit)
            if recorded is not None:
                state.records = recorded[1]
            return state.snapshot

    def ensure_attributes(self, types: Mapping[str, pa.DataType]) -> None:
        """Give items and entities a nullable column attr_<name> for every name that has none.

        Types are string, int64, float64, bool, timestamp[us, UTC] and list<string>; narrower
        ones are widened to these. Raises InvalidInput for another type or a bad name, and if the
        stored type differs (an int64 may go into a float64 column).
        """
        with self._healthy():
            touched = []
            for table in (ENTITIES, ITEMS):
                fresh = new_attributes(attributes_of(self._state.data[table].schema), types)
                if fresh:
                    touched.append((table, fresh))
            for table, fresh in touched:
                fields = [pa.field(ATTRIBUTE_PREFIX + n, kind) for n, kind in fresh.items()]
                with lance_errors(f"adding attributes to {table!r}"):
                    self._state.data[table].add_columns(pa.schema(fields))
                reach("attributes-added")
            if touched:
                self._state.publish([t for t, _ in touched], message="attributes")

    def lookup(self, item_ids: Ids) -> Lookup:
        """What the store knows of n items (strings), in their order, without reading a table."""
        with self._healthy():
            return self._state.items.lookup(item_ids)

    def commit(
        self,
        *,
        items: pa.Table | None = None,
        entities: pa.Table | None = None,
        segments: Mapping[str, pa.Table] | None = None,
        deleted_items: Sequence[str] = (),
        deleted_entities: Sequence[str] = (),
        failures: Sequence[IngestFailure] = (),
        resolved_sources: Sequence[str] = (),
        records: Records | None = None,
        message: str = "",
    ) -> Snapshot:
        """Write a batch of any size as one snapshot; without any change, return the last one.

        items     whole rows, which replace those of the same item_id: item_id, entity_id,
                  modality, content_hash, fingerprint and attributes_fingerprint (16 bytes);
                  nullable uri, text, media_type, event_timestamp, attr_<name>. Optional: segments
                  (checked), attributes_only (bool: the content stays, and with it generation and
                  vectors; segments may be given only in spaces where the item has none yet).
                  Items with new content are in the spaces for which segments are given, no other
        entities  whole rows: entity_id and attr_<name>
        segments  {space: rows}: item_id (in `items`), ordinal 0, 1, 2, …, nullable start_ms,
                  end_ms, start_char, end_char (-1 counts as null), vector as fixed-size list of
                  float32 with length 1. Optional, checked: modality, encoder. How many
                  segments an item has may differ from space to space
        deleted_items, deleted_entities
                  ids of live rows; content and attributes go, the id stays until compaction.
                  Deleting an entity here leaves its items alone: see `delete_entities`
        failures  replace earlier ones of the same source and item
        resolved_sources
                  sources whose earlier failures are forgotten
        records   see `put_records`

        Raises InvalidInput (VectorError, EncoderMismatch) for bad rows, NotFound for unknown
        spaces and ids to delete; then nothing was written.
        """
        with self._healthy():
            state, now, revision = self._state, datetime.now(UTC), self.next_revision
            reader = state.reader()
            written, pieces = prepare(
                items,
                segments or {},
                schema=state.data[ITEMS].schema,
                spaces=state.spaces,
                directory=state.items,
                revision=revision,
                now=now,
            )
            things = prepare_entities(
                entities,
                schema=state.data[ENTITIES].schema,
                directory=state.entities,
                revision=revision,
                now=now,
            )
            gone = deleted_item_rows(deleted_items, written, reader, state.items, revision, now)
            gone_things = deleted_entity_rows(
                deleted_entities, things, reader, state.entities, revision, now
            )
            change = Change(
                revision=revision,
                now=now,
                items=[b for b in (written, gone) if b is not None],
                entities=[b for b in (things, gone_things) if b is not None],
                segments=pieces,
                failures=failures,
                resolved_sources=resolved_sources,
                records=encoded(records),
                message=message,
            )
            write(state, change)
            return state.snapshot

    def put_records(
        self, kind: str, records: Mapping[str, Any | None], *, message: str = ""
    ) -> Snapshot:
        """Set JSON values by name, in place of older ones; None removes one, if there is one.

        Raises InvalidInput for a bad kind or name, and for a value that is not JSON (NaN counts as
        not) or takes more than 16 MB (records.MAX_VALUE_BYTES).
        """
        return self.commit(records={kind: records}, message=message)

    def add_segments(
        self,
        space: str,
        segments: pa.Table,
        *,
        failures: Sequence[IngestFailure] = (),
        resolved_sources: Sequence[str] = (),
        records: Records | None = None,
        message: str = "",
    ) -> Addition:
        """Give stored items segments in a further space; content, attributes, generation and times
        of the items stay as they are.

        `segments` are rows as for `commit`. The optional column `generation` (int64, that of
        `Lookup` or `Reader.lacking`) says of which content a vector was made. Left out, and named
        in the answer, are items that are not live, have segments in the space already, or are no
        longer of that generation. Raises what `commit` raises for bad rows of the others.
        """
        with self._healthy():
            now = datetime.now(UTC)
            prepared = prepare_addition(self._state, space, segments, self.next_revision, now)
            return self._add(prepared, now, failures, resolved_sources, records, message)

    def copy_segments(
        self,
        source: str,
        target: str,
        item_ids: Sequence[str],
        *,
        failures: Sequence[IngestFailure] = (),
        resolved_sources: Sequence[str] = (),
        records: Records | None = None,
        message: str = "",
    ) -> Addition:
        """Like `add_segments`, with the vectors that the items have in the space `source`.

        Left out are items that are not live, have none there, or have some in `target` already.
        Raises EncoderMismatch if the frames differ, or the encoders for the modality of any of
        the items.
        """
        with self._healthy():
            now = datetime.now(UTC)
            prepared = prepare_copy(self._state, source, target, item_ids, self.next_revision, now)
            return self._add(prepared, now, failures, resolved_sources, records, message)

    def _add(
        self,
        prepared: Prepared,
        now: datetime,
        failures: Sequence[IngestFailure],
        resolved_sources: Sequence[str],
        records: Records | None,
        message: str,
    ) -> Addition:
        change = Change(
            revision=self.next_revision,
            now=now,
            items=[] if prepared.batch is None else [prepared.batch],
            segments=prepared.segments,
            failures=failures,
            resolved_sources=resolved_sources,
            records=encoded(records),
            message=message,
        )
        write(self._state, change)
        return Addition(self._state.snapshot, prepared.items, prepared.skipped)

    def delete(self, item_ids: Sequence[str], *, message: str = "") -> Snapshot:
        """Delete items. Raises NotFound naming unknown ids; then nothing is deleted."""
        return self.commit(deleted_items=item_ids, message=message)

    def delete_entities(self, entity_ids: Sequence[str], *, message: str = "") -> Snapshot:
        """Delete entities with all their items. An entity exists if it has a row of its own or an
        item names it. Raises NotFound naming unknown ids; then nothing is deleted."""
        with self._healthy():
            reader = self._state.reader()
            ids = list(dict.fromkeys(entity_ids))
            items = reader.items_of(ids).select(["item_id", "entity_id"])
            known = self._state.entities
            own = known.live(known.locate(known.hash(ids)))
            rows = [entity for entity, has in zip(ids, own, strict=True) if has]
            unknown = set(ids) - set(rows) - set(items["entity_id"].to_pylist())
            if unknown:
                raise unknown_ids("entities", [i for i in ids if i in unknown])
            return self.commit(
                deleted_items=items["item_id"].to_pylist(), deleted_entities=rows, message=message
            )

    def compact(
        self,
        *,
        retain: timedelta = compaction.RETAIN,
        keep_snapshots: int = compaction.KEEP_SNAPSHOTS,
    ) -> compaction.CompactionReport:
        """Remove deleted rows and unreachable segments, pack small files, and drop the snapshots
        that are older than `retain` and not among the newest `keep_snapshots` (at least 1), with
        the files that only they need. Readers of kept snapshots go on undisturbed."""
        if keep_snapshots < 1 or retain < timedelta(0):
            raise InvalidInput("keep_snapshots is at least 1, and retain is not negative")
        with self._healthy():
            return compaction.compact(self._state, retain, keep_snapshots)

    @contextmanager
    def _healthy(self) -> Iterator[None]:
        """Run one operation; an earlier one that failed is undone first."""
        with self._lock:
            if self._closed:
                raise StoreError("the writer is closed: open another with Store.writer()")
            if self._dirty:
                self._state.recover()
                self._dirty = False
            try:
                yield
            except (InvalidInput, EncoderMismatch, NotFound):
                # The caller's mistakes are found before the first write.
                self._dirty = not self._state.clean
                raise
            except BaseException:
                self._dirty = True
                raise
