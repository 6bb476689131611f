"""Compaction: rows that no reader can reach go, small files are packed, old snapshots are dropped.

The tables are rewritten first, then one snapshot names the new versions, then snapshots that need
not be kept are forgotten, and last the files that no kept snapshot names are removed. Killed
anywhere in between, the next compaction finishes the work.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from trichord.store.directory import ItemDirectory
from trichord.store.failpoints import reach
from trichord.store.records import RecordBook
from trichord.store.schema import ENTITIES, ITEMS, RECORDS, SEGMENTS_PREFIX, SNAPSHOTS
from trichord.store.snapshots import Snapshot
from trichord.store.state import WriterState
from trichord.store.tables import SUFFIX, lance_errors

RETAIN = timedelta(hours=1)
KEEP_SNAPSHOTS = 16

# Readers of the ledger hold a version for milliseconds only.
_LEDGER_GRACE = timedelta(minutes=1)

INDEX_ROWS = 50_000
"""From this size on, finding rows by id goes through an index instead of a scan."""

_ROWS_PER_DELETE = 20_000
_BYTES_PER_FILE = 256 << 20
_BYTES_PER_ROW = 512  # of an item or entity, roughly


@dataclass(frozen=True)
class CompactionReport:
    """What a compaction did. `snapshot` is the one that it made, or the last one if there was
    nothing to rewrite; `bytes_freed` is what the store's directory lost. Of removed spaces the
    files go once no kept snapshot names them."""

    snapshot: int
    purged_items: int
    purged_entities: int
    purged_segments: int
    files_before: int
    files_after: int
    snapshots_removed: int
    versions_removed: int
    bytes_freed: int


def compact(state: WriterState, retain: timedelta, keep_snapshots: int) -> CompactionReport:
    """See Writer.compact; the caller holds the lease and has recovered."""
    reach("compaction-started")
    directory = state.tables.directory
    size = _size(directory)
    before = {name: data.version for name, data in state.data.items()}
    files_before = sum(len(data.get_fragments()) for data in state.data.values())

    floor = state.snapshot.floor
    purged = {}
    for table in (ITEMS, ENTITIES):
        data = state.data[table]
        floor = max(floor, _last_deletion(data))
        purged[table] = _delete(data, "deleted")
    if RECORDS in state.data:
        _delete(state.data[RECORDS], "value IS NULL")
    segments = 0
    for table, data in state.data.items():
        if table.startswith(SEGMENTS_PREFIX):
            segments += _purge_segments(data, state.items)
    reach("compaction-rows-purged")
    for table, data in state.data.items():
        _pack(table, data)
        _index(data, _indexed(table), data.version != before[table])
    reach("compaction-tables-rewritten")

    changed = [name for name, data in state.data.items() if data.version != before[name]]
    snapshots = state.ledger.all()
    kept, expired = _split(snapshots, retain, keep_snapshots)
    if changed or expired:
        # One more is to come, to which the digests of all files move: the older rows may go.
        kept, expired = _split(snapshots, retain, keep_snapshots - 1)
        files = {p: d for p, d in state.ledger.files().items() if (directory / p).exists()}
        state.publish(changed, floor=floor, message="compaction", files=files)
        kept.append(state.snapshot)
        reach("compaction-committed")
    if purged[ITEMS] or purged[ENTITIES]:
        reader = state.reader()
        state.items, state.entities = reader.item_directory(), reader.entity_directory()
    state.records = RecordBook.read(state.data.get(RECORDS))
    state.ledger.expire(kept[0].id)
    reach("compaction-snapshots-expired")
    state.drop_strays()
    reach("compaction-tables-dropped")
    removed = {name for snapshot in kept for name in snapshot.versions} - set(state.data)
    old = {name: state.tables.open(name) for name in sorted(removed)}
    versions = sum(_clean(name, data, kept) for name, data in {**state.data, **old}.items())
    with lance_errors("removing old versions of 'snapshots'"):
        state.tables.open(SNAPSHOTS).cleanup_old_versions(
            older_than=_LEDGER_GRACE, delete_unverified=True
        )
    state.watch.start(name + SUFFIX for name in state.data)
    state.commits = 0
    reach("compaction-cleanup")
    return CompactionReport(
        snapshot=state.snapshot.id,
        purged_items=purged[ITEMS],
        purged_entities=purged[ENTITIES],
        purged_segments=segments,
        files_before=files_before,
        files_after=sum(len(data.get_fragments()) for data in state.data.values()),
        snapshots_removed=len(expired),
        versions_removed=versions,
        bytes_freed=max(0, size - _size(directory)),
    )


def _last_deletion(data: Any) -> int:
    """The newest revision among deleted rows, 0 if there are none."""
    with lance_errors("reading deleted rows"):
        revisions = data.to_table(columns=["revision"], filter="deleted")["revision"].to_numpy()
    return int(revisions.max()) if len(revisions) else 0


def _delete(data: Any, condition: str) -> int:
    with lance_errors("purging rows"):
        if not data.count_rows(filter=condition):
            return 0
        return int(data.delete(condition)["num_deleted_rows"])


def _purge_segments(data: Any, items: ItemDirectory) -> int:
    """Delete the segments that no live item names."""
    purged = 0
    dead = np.concatenate([np.empty(0, np.uint64), *_unreachable(data, items)])
    for start in range(0, len(dead), _ROWS_PER_DELETE):
        rows = ",".join(map(str, dead[start : start + _ROWS_PER_DELETE].tolist()))
        purged += _delete(data, f"_rowid IN ({rows})")
    return purged


def _unreachable(data: Any, items: ItemDirectory) -> Iterator[np.ndarray[Any, Any]]:
    with lance_errors("reading segments"):
        for batch in data.to_batches(columns=["item_id", "generation"], with_row_id=True):
            generation = batch.column("generation").to_numpy()
            reachable = items.has_generation(items.hash(batch.column("item_id")), generation)
            yield batch.column("_rowid").to_numpy()[~reachable]


def _pack(table: str, data: Any) -> None:
    """Join small files into files of some 256 MB, which are then left alone, so that a compaction
    costs what came since the last one. Deleted items and entities, with their texts, leave the
    disk at once; dead vectors when they are a tenth of their file."""
    vectors = table.startswith(SEGMENTS_PREFIX)
    row = data.schema.field("vector").type.list_size * 4 if vectors else _BYTES_PER_ROW
    with lance_errors("packing files"):
        fragments = data.get_fragments()
        if len(fragments) > 1 or any(f.num_deletions for f in fragments):
            data.optimize.compact_files(
                target_rows_per_fragment=max(1, _BYTES_PER_FILE // row),
                materialize_deletions_threshold=0.1 if vectors else 0.0,
            )


def _indexed(table: str) -> tuple[str, ...]:
    if table.startswith(SEGMENTS_PREFIX):
        return ("item_id",)
    return {ITEMS: ("item_id", "entity_id"), ENTITIES: ("entity_id",)}.get(table, ())


def _index(data: Any, columns: tuple[str, ...], changed: bool) -> None:
    """Build the indexes of ids anew. Merges never use them (see `tables.merge`), reads do; rows
    written later are found by scanning only their files."""
    with lance_errors("indexing ids"):
        if not columns or data.count_rows() < INDEX_ROWS:
            return
        if changed or len(data.describe_indices()) < len(columns):
            for column in columns:
                data.create_scalar_index(column, "BTREE", replace=True)


def _split(
    snapshots: list[Snapshot], retain: timedelta, keep: int
) -> tuple[list[Snapshot], list[Snapshot]]:
    """Those to keep, the newest ones without a gap, and those to forget."""
    oldest = datetime.now(UTC) - retain
    young = next((i for i, s in enumerate(snapshots) if s.created_timestamp >= oldest), None)
    first = len(snapshots) - min(keep, len(snapshots))
    first = first if young is None else min(first, young)
    return snapshots[first:], snapshots[:first]


def _clean(name: str, data: Any, kept: list[Snapshot]) -> int:
    """Remove the versions of a table that no kept snapshot names, and files of no version."""
    with lance_errors(f"removing old versions of {name!r}"):
        named = {s.versions[name] for s in kept if name in s.versions} | {data.version}
        old = [v["version"] for v in data.versions() if v["version"] not in named]
        if not old:
            return 0
        # Unverified files may go: the lease says that nobody else is writing.
        data.cleanup_old_versions(versions=old, delete_unverified=True)
        return len(old)


def _size(directory: Any) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
