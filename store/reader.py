"""Everything as of one snapshot, as Arrow. A reader never sees a half-written item.

It opens tables only at the versions that its snapshot names, and of the segments it gives only
those whose (item, generation) a live item names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trichord.errors import InvalidInput, NotFound, StoreDamaged
from trichord.store.directory import EntityDirectory, ItemDirectory, ItemFacts, item_columns
from trichord.store.keys import KeyDirectory
from trichord.store.lacking import lacking_counts, lacking_rows
from trichord.store.numbers import unpacked
from trichord.store.records import read_records
from trichord.store.schema import (
    ENTITIES,
    ITEMS,
    RECORDS,
    SPACE_SEGMENTS,
    SPACES,
    attributes_of,
    valid_kind,
)
from trichord.store.snapshots import Ledger, Snapshot
from trichord.store.spaces import StoredSpace, live_spaces, mask_of, named, read_spaces
from trichord.store.tables import Tables, is_absent, lance_errors
from trichord.types import I64, Bool, Modality

BATCH_ROWS = 8192
TEXT_BATCH_ROWS = 1024
_IDS_PER_SCAN = 10_000
_NUMBERS = ("segments", "spaces", SPACE_SEGMENTS)


class LiveItems(KeyDirectory):
    """item_id -> generation of live items: which segments are reachable."""

    def __init__(self, rows: pa.Table) -> None:
        """`rows` of `items` with item_id, generation and deleted."""
        super().__init__()
        live = rows.filter(pc.invert(rows["deleted"]))
        self.add(self.hash(live["item_id"]))
        self._generation: I64 = live["generation"].to_numpy()

    def reachable(self, batch: pa.RecordBatch) -> Bool:
        """Which rows of a batch of segments a live item names, bool (n,)."""
        found = self.locate(self.hash(batch.column("item_id")))
        mask: Bool = found >= 0
        mask[mask] = self._generation[found[mask]] == batch.column("generation").to_numpy()[mask]
        return mask


class Reader:
    """Reads one snapshot, which stays what it is while writers go on.

    Every method raises NotFound once compaction has removed the snapshot, StoreTooNew, and
    StoreDamaged if the files cannot be read.
    """

    def __init__(self, tables: Tables, ledger: Ledger, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._tables = tables
        self._ledger = ledger
        self._open: dict[str, Any] = {}
        self._spaces: list[StoredSpace] | None = None

    def spaces(self) -> list[StoredSpace]:
        """The spaces with the facts of their encoders, in the order in which they were added."""
        return live_spaces(self.all_spaces())

    def space_bits(self) -> dict[str, int]:
        """The bit of every space in the masks of items (`Lookup.has`, the column `spaces`)."""
        return {stored.space.name: stored.bit for stored in self.spaces()}

    def space_bit(self, space: str) -> int:
        """The bit of one space. Raises NotFound."""
        return named(self.all_spaces(), space).bit

    def records(self, kind: str) -> dict[str, Any]:
        """The records of a kind: JSON values by name. Raises InvalidInput for what is no kind."""
        valid_kind(kind)
        if RECORDS not in self.snapshot.versions:
            return {}
        with self._reading():
            return read_records(self.data(RECORDS), kind)

    def lacking(
        self, space: str, modalities: Sequence[Modality], *, limit: int, after: str = ""
    ) -> pa.Table:
        """Live items of the modalities that have no segments in the space: at most `limit`, in the
        order of item_id, behind the id `after`. Columns item_id, entity_id, modality, uri, text,
        media_type, content_hash, spaces (the mask), generation. Raises NotFound."""
        bit, live = self.space_bit(space), mask_of(self.all_spaces())
        with self._reading():
            return lacking_rows(self.data(ITEMS), bit, live, modalities, limit, after)

    def lacking_count(self, space: str, modalities: Sequence[Modality]) -> dict[Modality, int]:
        """How many live items of each modality have no segments in the space."""
        bit = self.space_bit(space)
        with self._reading():
            return lacking_counts(self.data(ITEMS), bit, modalities)

    def attribute_types(self) -> dict[str, pa.DataType]:
        """{name: Arrow type} of all attributes of items and entities."""
        with self._reading():
            return attributes_of(self.data(ENTITIES).schema) | attributes_of(
                self.data(ITEMS).schema
            )

    def item_attributes(self) -> list[str]:
        """Names of the attributes that items have columns for (entities may have others)."""
        with self._reading():
            return list(attributes_of(self.data(ITEMS).schema))

    def items(self, *, columns: Sequence[str] | None = None, since: int | None = None) -> pa.Table:
        """Rows of `items`: without `since` the live ones; with it all rows that changed after
        revision `since`, deleted ones (see the column `deleted`) included.

        Attribute columns are named attr_<name>. Raises InvalidInput if `since` lies below the
        snapshot's floor, for then deletions are missing and everything must be read anew.
        """
        return self._rows(ITEMS, columns, since)

    def entities(
        self, *, columns: Sequence[str] | None = None, since: int | None = None
    ) -> pa.Table:
        """Rows of `entities`, by the rules of `items`."""
        return self._rows(ENTITIES, columns, since)

    def segments(
        self,
        space: str,
        modality: Modality | None = None,
        *,
        since: int | None = None,
        columns: Sequence[str] | None = None,
        batch_rows: int = BATCH_ROWS,
    ) -> Iterator[pa.RecordBatch]:
        """Live segments of a space in batches, with `vector` as FixedSizeList<float32>[dim];
        with `since` those written after that revision. Raises NotFound for an unknown space."""
        table = self._segments_table(space)
        with self._reading():
            data = self.data(table)
        live = LiveItems(self._rows(ITEMS, ["item_id", "generation", "deleted"], since))
        if not len(live):
            return
        conditions = [] if modality is None else [f"modality = '{Modality(modality)}'"]
        if since is not None:
            conditions.append(f"revision > {int(since)}")
        scanner = self._scanner(
            table,
            since,
            columns=_with_keys(columns, data.schema),
            filter=" AND ".join(conditions) or None,
            batch_size=batch_rows,
        )
        if scanner is None:
            return
        with self._reading():
            batches: Iterator[pa.RecordBatch] = iter(scanner.to_batches())
        while True:
            with self._reading():
                batch = next(batches, None)
            if batch is None:
                return
            mask = live.reachable(batch)
            if not mask.all():
                batch = batch.filter(pa.array(mask))
            if batch.num_rows:
                yield batch if columns is None else batch.select(list(columns))

    def texts(self, *, since: int | None = None) -> Iterator[pa.RecordBatch]:
        """item_id and text of the live items whose content is a text, in batches; with `since` of
        those whose row changed after that revision."""
        conditions = ["NOT deleted", "text IS NOT NULL"]
        if since is not None:
            conditions.append(f"revision > {int(since)}")
        scanner = self._scanner(
            ITEMS,
            since,
            columns=["item_id", "text"],
            filter=" AND ".join(conditions),
            batch_size=TEXT_BATCH_ROWS,
        )
        if scanner is None:
            return
        with self._reading():
            batches: Iterator[pa.RecordBatch] = iter(scanner.to_batches())
        while True:
            with self._reading():
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    def get_items(self, ids: Sequence[str]) -> pa.Table:
        """Rows of the live items among `ids`, in the order of `ids`."""
        return self._by_key(ITEMS, "item_id", ids)

    def get_entities(self, ids: Sequence[str]) -> pa.Table:
        """Rows of the live entities among `ids`, in the order of `ids`."""
        return self._by_key(ENTITIES, "entity_id", ids)

    def items_of(self, entity_ids: Sequence[str]) -> pa.Table:
        """Rows of the live items of some entities, ordered by `entity_ids`, then by item_id."""
        rows = self._by_key(ITEMS, "entity_id", entity_ids)
        return _ordered(rows, "entity_id", entity_ids, "item_id")

    def item_segments(self, space: str, item_ids: Sequence[str]) -> pa.Table:
        """Live segments of some items with their vectors, ordered by `item_ids`, then ordinal."""
        table = self._segments_table(space)
        with self._reading():
            data = self.data(table)
        items = self._by_key(ITEMS, "item_id", item_ids)
        rows = self._where(data, "item_id", items["item_id"].to_pylist(), "")
        mask = [
            LiveItems(items).reachable(batch)
            for batch in rows.select(["item_id", "generation"]).to_batches()
        ]
        if mask:
            rows = rows.filter(pa.array(np.concatenate(mask)))
        return _ordered(rows, "item_id", item_ids, "ordinal")

    # What the writer, compaction and verify read besides.

    def open_all(self) -> None:
        """Open every table, for the errors that this may raise."""
        with self._reading():
            for table in self.snapshot.versions:
                self.data(table)

    def data(self, table: str) -> Any:
        """The Lance dataset of a table at this snapshot's version."""
        if table not in self._open:
            if table not in self.snapshot.versions:
                raise StoreDamaged(f"snapshot {self.snapshot.id} names no table {table!r}")
            self._open[table] = self._tables.open(table, self.snapshot.versions[table])
        return self._open[table]

    def item_directory(self) -> ItemDirectory:
        """Facts of all rows of `items`, deleted ones included."""
        directory = ItemDirectory()
        live = mask_of(self.all_spaces())
        with self._reading():
            data = self.data(ITEMS)
            rows = data.to_table(columns=item_columns(data.schema)).combine_chunks()
        hashes = directory.hash(rows["item_id"])
        directory.put(hashes, np.full(len(hashes), -1), ItemFacts.from_rows(rows, live))
        return directory

    def entity_directory(self) -> EntityDirectory:
        """All ids of `entities`, and which are live."""
        directory = EntityDirectory()
        with self._reading():
            rows = self.data(ENTITIES).to_table(columns=["entity_id", "deleted"])
        hashes = directory.hash(rows["entity_id"])
        live = ~np.asarray(rows["deleted"].to_numpy(), np.bool_)
        directory.put(hashes, np.full(len(hashes), -1), live)
        return directory

    def whole_rows(self, table: str, key: str, ids: Sequence[str]) -> pa.Table:
        """Rows of `ids` as they are stored, live or not, in the order of `ids`."""
        with self._reading():
            data = self.data(table)
        return _ordered(self._where(data, key, ids, ""), key, ids, key)

    def rows_of(self, table: str, key: str, ids: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Rows of `ids` as they are stored, in batches and in any order."""
        with self._reading():
            data = self.data(table)
        for literals in _literals(ids):
            with self._reading():
                batches = data.to_batches(filter=f"{key} IN ({literals})", batch_size=BATCH_ROWS)
            yield from batches

    def all_spaces(self) -> list[StoredSpace]:
        """The spaces with those that were removed."""
        if self._spaces is None:
            with self._reading():
                self._spaces = read_spaces(self.data(SPACES).to_table())
        return self._spaces

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            with lance_errors(f"reading snapshot {self.snapshot.id}"):
                yield
        except (StoreDamaged, NotFound) as error:
            if isinstance(error, NotFound) or is_absent(error):
                # Files of a snapshot that is no longer kept are gone by right: say so.
                self._ledger.get(self.snapshot.id)
                raise StoreDamaged(
                    f"snapshot {self.snapshot.id} is kept but a file of it is missing: {error}"
                ) from error
            raise

    def _segments_table(self, space: str) -> str:
        return named(self.all_spaces(), space).table

    def _seen(self, rows: pa.Table, wanted: Sequence[str]) -> pa.Table:
        """Rows of `items` as readers see them: removed spaces are in no mask, `segments` is the
        number in the first space that there is."""
        if any(stored.removed for stored in self.all_spaces()):
            numbers = unpacked(rows, mask_of(self.all_spaces()))
            seen = {"segments": numbers.segments, "spaces": numbers.spaces.astype(np.int64)}
            for name in seen.keys() & set(rows.column_names):
                at = rows.schema.get_field_index(name)
                rows = rows.set_column(at, rows.schema.field(at), pa.array(seen[name]))
        return rows.select(list(wanted))

    def _rows(self, table: str, columns: Sequence[str] | None, since: int | None) -> pa.Table:
        if since is not None and since < self.snapshot.floor:
            raise InvalidInput(
                f"changes since revision {since} are no longer complete: deletions up to "
                f"{self.snapshot.floor} were purged; read everything anew",
                since=since,
                floor=self.snapshot.floor,
            )
        condition = "NOT deleted" if since is None else f"revision > {int(since)}"
        with self._reading():
            schema = self.data(table).schema
        _check_columns(columns, schema)
        wanted = [n for n in schema.names if n != SPACE_SEGMENTS] if columns is None else columns
        numbered = table == ITEMS and not {"segments", "spaces"}.isdisjoint(wanted)
        needed = [n for n in _NUMBERS if n in schema.names] if numbered else []
        read = list(dict.fromkeys([*wanted, *needed]))
        scanner = self._scanner(table, since, columns=read, filter=condition)
        if scanner is None:
            return schema.empty_table().select(list(wanted))
        with self._reading():
            rows = scanner.to_table()
        return self._seen(rows, wanted) if numbered else rows

    def _scanner(self, table: str, since: int | None, **options: Any) -> Any:
        """A scanner over the table; with `since` only over files that came after that revision,
        as far as this process remembers, and None if there are none."""
        with self._reading():
            data = self.data(table)
            earlier = None if since is None else self._ledger.seen_at(since)
            if earlier is None or table not in earlier.versions:
                return data.scanner(**options)
            try:
                old = self._tables.open(table, earlier.versions[table])
            except (NotFound, StoreDamaged):
                return data.scanner(**options)
            known = {_files(fragment) for fragment in old.get_fragments()}
            fresh = [f for f in data.get_fragments() if _files(f) not in known]
            return data.scanner(fragments=fresh, **options) if fresh else None

    def _by_key(self, table: str, key: str, ids: Sequence[str]) -> pa.Table:
        """Live rows."""
        with self._reading():
            data = self.data(table)
        rows = self._where(data, key, ids, "NOT deleted AND ")
        if table == ITEMS:
            rows = self._seen(rows, [n for n in rows.column_names if n != SPACE_SEGMENTS])
        return _ordered(rows, key, ids, key)

    def _where(self, data: Any, key: str, ids: Sequence[str], condition: str) -> pa.Table:
        with self._reading():
            parts = [
                data.to_table(filter=f"{condition}{key} IN ({literals})")
                for literals in _literals(ids)
            ]
            return pa.concat_tables(parts) if parts else data.schema.empty_table()


def _files(fragment: Any) -> tuple[str, ...]:
    return tuple(file.path for file in fragment.metadata.files)


def _literals(ids: Sequence[str]) -> Iterator[str]:
    """Distinct ids as lists of SQL literals, so many at a time as go into one scan."""
    distinct = list(dict.fromkeys(ids))
    for start in range(0, len(distinct), _IDS_PER_SCAN):
        part = distinct[start : start + _IDS_PER_SCAN]
        yield ",".join("'" + text.replace("'", "''") + "'" for text in part)


def _with_keys(columns: Sequence[str] | None, schema: pa.Schema) -> list[str] | None:
    _check_columns(columns, schema)
    if columns is None:
        return None
    return list(dict.fromkeys([*columns, "item_id", "generation"]))


def _check_columns(columns: Sequence[str] | None, schema: pa.Schema) -> None:
    unknown = sorted(set(columns or ()) - set(schema.names))
    if unknown:
        raise InvalidInput(f"there is no column {', '.join(unknown)}", columns=unknown)


def _ordered(rows: pa.Table, key: str, ids: Sequence[str], then: str) -> pa.Table:
    """Rows by the place of their key in `ids`, then by the column `then`."""
    place = pc.index_in(rows[key], value_set=pa.array(list(ids), pa.string()))
    keys = pa.table({"place": place, "then": rows[then]})
    return rows.take(pc.sort_indices(keys, [("place", "ascending"), ("then", "ascending")]))
