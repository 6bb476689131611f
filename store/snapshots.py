"""The ledger of snapshots: one appended row is what makes a commit happen.

A row names the version of every table. Whatever a table holds beyond the versions that the last
row names never happened; the next writer rolls it back. A commit outlives its process however that
ends. Lance does not call fsync: what a loss of power leaves is up to the file system, and `verify`
tells.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

import pyarrow as pa
import xxhash

from trichord.errors import NotFound, StoreDamaged
from trichord.store.schema import SNAPSHOTS, SNAPSHOTS_SCHEMA
from trichord.store.tables import Tables, append, lance_errors

T = TypeVar("T")

_ATTEMPTS = 5
_PAUSE_S = 0.02
_RECENT = 256
_WITHOUT_FILES = [name for name in SNAPSHOTS_SCHEMA.names if name != "files"]


@dataclass(frozen=True)
class Snapshot:
    """A consistent version of all tables.

    id        rises by one with every snapshot
    versions  {table: version of its Lance dataset}
    revision  number of the last commit that changed rows
    floor     rows deleted at or below this revision may be gone: who knows only an older revision
              must read everything anew
    counts    live rows: items, items.<modality>, entities, segments.<space>,
              segments.<space>.<modality>
    """

    id: int
    created_timestamp: datetime
    versions: Mapping[str, int] = field(hash=False)
    revision: int
    floor: int
    counts: Mapping[str, int] = field(hash=False)
    message: str = ""


def _checksum(row: Mapping[str, Any]) -> int:
    text = json.dumps(
        [row[k] for k in ("snapshot", "versions", "revision", "floor", "counts", "message")]
    )
    return int(xxhash.xxh3_64_intdigest(text.encode()))


def _row(snapshot: Snapshot, files: Mapping[str, str]) -> pa.Table:
    row: dict[str, Any] = {
        "snapshot": snapshot.id,
        "created_timestamp": snapshot.created_timestamp,
        "versions": json.dumps(dict(snapshot.versions), sort_keys=True),
        "revision": snapshot.revision,
        "floor": snapshot.floor,
        "counts": json.dumps(dict(snapshot.counts), sort_keys=True),
        "message": snapshot.message,
        "files": json.dumps(dict(files), sort_keys=True),
    }
    row["checksum"] = _checksum(row)
    return pa.Table.from_pylist([row], schema=SNAPSHOTS_SCHEMA)


def _snapshot(row: Mapping[str, Any]) -> Snapshot:
    if row["checksum"] != _checksum(row):
        raise StoreDamaged(
            f"the row of snapshot {row['snapshot']} is damaged: its checksum differs"
        )
    return Snapshot(
        id=row["snapshot"],
        created_timestamp=row["created_timestamp"],
        versions=json.loads(row["versions"]),
        revision=row["revision"],
        floor=row["floor"],
        counts=json.loads(row["counts"]),
        message=row["message"],
    )


class Ledger:
    """Reads and appends rows of `snapshots`; safe to share between threads."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._lock = threading.Lock()
        self._data = tables.open(SNAPSHOTS)
        self._seen: tuple[int, Snapshot] | None = None
        self._recent: dict[int, Snapshot] = {}

    @classmethod
    def create(cls, tables: Tables, snapshot: Snapshot, files: Mapping[str, str]) -> None:
        """Write the table with its first row, in one step: this is when the store begins to be."""
        tables.create(SNAPSHOTS, _row(snapshot, files))

    def latest(self) -> Snapshot:
        """The newest snapshot, whoever wrote it. Costs some 20 µs while there is no new one."""
        with self._lock:
            return self._retried(self._latest)

    def _latest(self) -> Snapshot:
        self._data.checkout_latest()
        version = self._data.version
        if self._seen is None or self._seen[0] != version:
            count = self._data.count_rows()
            rows = self._data.take([count - 1], columns=_WITHOUT_FILES).to_pylist()
            self._remember(version, _snapshot(rows[0]))
        assert self._seen is not None
        return self._seen[1]

    def _remember(self, version: int, snapshot: Snapshot) -> None:
        self._seen = (version, snapshot)
        self._recent[snapshot.revision] = snapshot
        while len(self._recent) > _RECENT:
            del self._recent[min(self._recent)]

    def seen_at(self, revision: int) -> Snapshot | None:
        """The newest snapshot that this ledger has met and that holds nothing after `revision`."""
        with self._lock:
            known = [r for r in self._recent if r <= revision]
            return self._recent[max(known)] if known else None

    def all(self) -> list[Snapshot]:
        """The snapshots that are kept, oldest first."""
        with self._lock:
            rows = self._retried(lambda: self._table(_WITHOUT_FILES)).to_pylist()
        return sorted((_snapshot(row) for row in rows), key=lambda s: s.id)

    def files(self) -> dict[str, str]:
        """{path below the store: xxh3_64 as hex} of all files that kept snapshots recorded."""
        with self._lock:
            table = self._retried(lambda: self._table(["snapshot", "files"])).sort_by("snapshot")
        known: dict[str, str] = {}
        for text in table["files"].to_pylist():
            known.update(json.loads(text))
        return known

    def get(self, snapshot_id: int) -> Snapshot:
        """Raises NotFound if there is no such snapshot, or it was cleaned up."""
        kept = self.all()
        for snapshot in kept:
            if snapshot.id == snapshot_id:
                return snapshot
        raise NotFound(
            f"there is no snapshot {snapshot_id}: this store keeps {kept[0].id} to {kept[-1].id}; "
            "older ones were removed by compaction",
            snapshot=snapshot_id,
        )

    def append(self, snapshot: Snapshot, files: Mapping[str, str]) -> None:
        """Commit. Only the holder of the lease may call it."""
        with self._lock:
            self._data.checkout_latest()
            self._data = append(self._data, _row(snapshot, files))
            self._remember(self._data.version, snapshot)

    def expire(self, before: int) -> None:
        """Forget the snapshots with a smaller id than `before`, and pack the table."""
        with self._lock, lance_errors("expiring snapshots"):
            self._data.checkout_latest()
            if self._data.count_rows(filter=f"snapshot < {before}"):
                self._data.delete(f"snapshot < {before}")
            if len(self._data.get_fragments()) > 1:
                self._data.optimize.compact_files()

    def _table(self, columns: list[str]) -> pa.Table:
        self._data.checkout_latest()
        return self._data.to_table(columns=columns)

    def _retried(self, read: Callable[[], T]) -> T:
        """A compaction may remove the version that is being read; the next one is there."""
        for attempt in range(_ATTEMPTS):
            try:
                with lance_errors("reading table 'snapshots'"):
                    return read()
            except StoreDamaged:
                if attempt == _ATTEMPTS - 1:
                    raise
                time.sleep(_PAUSE_S)
        raise AssertionError("unreachable")


def next_after(
    last: Snapshot,
    *,
    versions: Mapping[str, int],
    counts: Mapping[str, int] | None = None,
    revision: int | None = None,
    floor: int | None = None,
    message: str = "",
) -> Snapshot:
    """The snapshot that follows `last`; what is not given stays as it was."""
    return Snapshot(
        id=last.id + 1,
        created_timestamp=datetime.now(UTC),
        versions=dict(versions),
        revision=last.revision if revision is None else revision,
        floor=last.floor if floor is None else floor,
        counts=dict(last.counts if counts is None else counts),
        message=message,
    )
