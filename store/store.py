"""A store: one local directory that holds one Lance database."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from trichord.errors import InvalidInput, NotFound
from trichord.store.digests import FileWatch
from trichord.store.failpoints import reach
from trichord.store.failures import read_failures
from trichord.store.lease import FILE as LEASE_FILE
from trichord.store.lease import Lease
from trichord.store.reader import Reader
from trichord.store.schema import (
    ENTITIES,
    ENTITIES_SCHEMA,
    FAILURES,
    FAILURES_SCHEMA,
    ITEMS,
    ITEMS_SCHEMA,
    SNAPSHOTS,
    SPACES,
    SPACES_SCHEMA,
)
from trichord.store.snapshots import Ledger, Snapshot
from trichord.store.tables import SUFFIX, Tables, check_path
from trichord.store.writer import Writer
from trichord.types import IngestFailure, Modality, Space

_SCHEMAS = {
    SPACES: SPACES_SCHEMA,
    ENTITIES: ENTITIES_SCHEMA,
    ITEMS: ITEMS_SCHEMA,
    FAILURES: FAILURES_SCHEMA,
}


class Store:
    """The truth of a catalogue. Opening takes no lock; any number of processes may read while one
    writes. Use `create` or `open`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._tables = Tables(path)
        self._ledger = Ledger(self._tables)

    @classmethod
    def create(cls, path: str | Path) -> Store:
        """A new, empty store in a directory that is made if it does not exist.

        Raises InvalidInput if there is a store already or the directory holds other files, and
        StoreLocked if another process is creating one there.
        """
        directory = check_path(path)
        if directory.exists() and not directory.is_dir():
            raise InvalidInput(f"{directory} is not a directory", path=directory)
        directory.mkdir(parents=True, exist_ok=True)
        with Lease(directory, "create"):
            tables = Tables(directory)
            if tables.has(SNAPSHOTS):
                raise InvalidInput(f"there is a store at {directory} already", path=directory)
            ours = {LEASE_FILE, *(name + SUFFIX for name in (*_SCHEMAS, SNAPSHOTS))}
            foreign = sorted(entry.name for entry in directory.iterdir() if entry.name not in ours)
            if foreign:
                raise InvalidInput(
                    f"{directory} holds other files ({foreign[0]}): a store needs a directory of "
                    "its own",
                    path=directory,
                )
            watch = FileWatch(directory)
            versions = {
                name: int(tables.create(name, schema.empty_table()).version)
                for name, schema in _SCHEMAS.items()
            }
            reach("create-tables-written")
            first = Snapshot(1, datetime.now(UTC), versions, 0, 0, {}, "created")
            Ledger.create(tables, first, watch.news(name + SUFFIX for name in _SCHEMAS))
        return cls(directory)

    @classmethod
    def open(cls, path: str | Path) -> Store:
        """The store at `path`. Raises NotFound if there is none, StoreTooNew if a newer Trichord
        wrote it, StoreDamaged if a table is missing or unreadable."""
        directory = check_path(path)
        if not cls.exists(directory):
            raise NotFound(
                f"there is no store at {directory}: create one or check the path", path=directory
            )
        store = cls(directory)
        store.reader().open_all()
        return store

    @staticmethod
    def exists(path: str | Path) -> bool:
        """Whether a store was completely created at `path`."""
        return Tables(check_path(path)).has(SNAPSHOTS)

    def close(self) -> None:
        """Nothing is held open between calls; here so that a store can stand in a `with`."""

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def spaces(self) -> list[Space]:
        """The spaces of the latest snapshot, in the order in which they were added."""
        return [stored.space for stored in self.reader().spaces()]

    def space_facts(self, name: str) -> dict[Modality, dict[str, Any]]:
        """Facts of a space's encoders by modality. Raises NotFound."""
        for stored in self.reader().spaces():
            if stored.space.name == name:
                return {modality: dict(facts) for modality, facts in stored.facts.items()}
        raise NotFound(f"the store has no space {name!r}", space=name)

    def latest(self) -> Snapshot:
        """The newest snapshot, also of other processes; cheap enough to poll."""
        return self._ledger.latest()

    def snapshot(self, snapshot_id: int) -> Snapshot:
        """Raises NotFound for one that never was or that compaction removed."""
        return self._ledger.get(snapshot_id)

    def snapshots(self) -> list[Snapshot]:
        """All snapshots that are kept, oldest first."""
        return self._ledger.all()

    def reader(self, snapshot: Snapshot | None = None) -> Reader:
        """Reads `snapshot`, or the newest."""
        return Reader(self._tables, self._ledger, snapshot or self.latest())

    def writer(self, *, owner: str = "") -> Writer:
        """The one writer: rolls back what an interrupted one left, and reads all keys.

        A context manager; `owner` is told to whoever finds the store locked. Raises StoreLocked.
        """
        return Writer(self._tables, self._ledger, owner=owner)

    def records(self, kind: str) -> dict[str, Any]:
        """The records of a kind in the latest snapshot: JSON values by name."""
        return self.reader().records(kind)

    def failures(self) -> list[IngestFailure]:
        """Inputs that could not be taken and were not resolved since, oldest first."""
        return read_failures(self.reader().data(FAILURES))
