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
from trichord.store.directory import ITEM_COLUMNS, EntityDirectory, ItemDirectory, ItemFacts
from trichord.store.keys import KeyDirectory
from trichord.store.schema import (
    ENTITIES,
    ITEMS,
    SPACES,
    attributes_of,
    segments_table,
)
from trichord.store.snapshots import Ledger, Snapshot
from trichord.store.spaces import StoredSpace, read_spaces
from trichord.store.tables import Tables, is_absent, lance_errors
from trichord.types import I64, Bool, Modality

BATCH_ROWS = 8192
_IDS_PER_SCAN = 10_000


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

    def spaces(self) -> list[StoredSpace]:
        """The spaces with the facts of their encoders, in the order in which they were added."""
        with self._reading():
            return read_spaces(self.data(SPACES).to_table())

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
        data = self._segments(space)
        live = LiveItems(self._rows(ITEMS, ["item_id", "generation", "deleted"], since))
        if not len(live):
            return
        conditions = [] if modality is None else [f"modality = '{Modality(modality)}'"]
        if since is not None:
            conditions.append(f"revision > {int(since)}")
        scanner = self._scanner(
            segments_table(space),
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

    def get_items(self, ids: Sequence[str]) -> pa.Table:
        """Rows of the live items among `ids`, in the order of `ids`."""
        return self._by_key(ITEMS, "item_id", ids, live=True)

    def get_entities(self, ids: Sequence[str]) -> pa.Table:
        """Rows of the live entities among `ids`, in the order of `ids`."""
        return self._by_key(ENTITIES, "entity_id", ids, live=True)

    def items_of(self, entity_ids: Sequence[str]) -> pa.Table:
        """Rows of the live items of some entities, ordered by `entity_ids`, then by item_id."""
        rows = self._by_key(ITEMS, "entity_id", entity_ids, live=True)
        return _ordered(rows, "entity_id", entity_ids, "item_id")

    def item_segments(self, space: str, item_ids: Sequence[str]) -> pa.Table:
        """Live segments of some items with their vectors, ordered by `item_ids`, then ordinal."""
        data = self._segments(space)
        items = self._by_key(ITEMS, "item_id", item_ids, live=True)
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
            self._open[table] = self._tables.open(table, self.snapshot.versions[table])
        return self._open[table]

    def item_directory(self) -> ItemDirectory:
        """Facts of all rows of `items`, deleted ones included."""
        directory = ItemDirectory()
        with self._reading():
            rows = self.data(ITEMS).to_table(columns=ITEM_COLUMNS).combine_chunks()
        hashes = directory.hash(rows["item_id"])
        directory.put(hashes, np.full(len(hashes), -1), ItemFacts.from_rows(rows))
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

    def rows_for_deletion(self, table: str, key: str, ids: Sequence[str]) -> pa.Table:
        """Rows of `ids`, whether they are live or not, in the order of `ids`."""
        return self._by_key(table, key, ids, live=False)

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

    def _segments(self, space: str) -> Any:
        table = segments_table(space)
        if table not in self.snapshot.versions:
            raise NotFound(f"the store has no space {space!r}", space=space)
        with self._reading():
            return self.data(table)

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
        wanted = None if columns is None else list(columns)
        scanner = self._scanner(table, since, columns=wanted, filter=condition)
        if scanner is None:
            return schema.empty_table().select(schema.names if wanted is None else wanted)
        with self._reading():
            return scanner.to_table()

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

    def _by_key(self, table: str, key: str, ids: Sequence[str], *, live: bool) -> pa.Table:
        with self._reading():
            data = self.data(table)
        rows = self._where(data, key, ids, "NOT deleted AND " if live else "")
        return _ordered(rows, key, ids, key)

    def _where(self, data: Any, key: str, ids: Sequence[str], condition: str) -> pa.Table:
        distinct = list(dict.fromkeys(ids))
        parts = []
        with self._reading():
            for start in range(0, len(distinct), _IDS_PER_SCAN):
                literals = ",".join(map(_literal, distinct[start : start + _IDS_PER_SCAN]))
                parts.append(data.to_table(filter=f"{condition}{key} IN ({literals})"))
            return pa.concat_tables(parts) if parts else data.schema.empty_table()


def _files(fragment: Any) -> tuple[str, ...]:
    return tuple(file.path for file in fragment.metadata.files)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


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
