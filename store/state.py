"""What a writer holds in memory: the tables' handles, the last snapshot, and the known keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from trichord.errors import NotFound, StoreDamaged
from trichord.store.digests import FileWatch
from trichord.store.directory import EntityDirectory, ItemDirectory
from trichord.store.failpoints import reach
from trichord.store.failures import FailureBook, read_failures
from trichord.store.reader import Reader
from trichord.store.records import RecordBook
from trichord.store.schema import FAILURES, ITEMS, RECORDS, SEGMENTS_PREFIX, SNAPSHOTS, SPACES
from trichord.store.snapshots import Ledger, Snapshot, next_after
from trichord.store.spaces import StoredSpace, live_spaces, read_spaces
from trichord.store.tables import SUFFIX, Tables, lance_errors, restore
from trichord.store.upgrading import upgrade


class WriterState:
    """Only the holder of the lease may have one. `recover` must run before anything is written.

    data      {table: dataset at its newest version}
    snapshot  the last snapshot; `publish` makes the next
    commits   snapshots since the last compaction, at least
    all_spaces   the rows of `spaces`, removed ones included; `spaces` those that there are
    """

    def __init__(self, tables: Tables, ledger: Ledger) -> None:
        self.tables = tables
        self.ledger = ledger
        self.snapshot: Snapshot = ledger.latest()
        self.data: dict[str, Any] = {}
        self.all_spaces: list[StoredSpace] = []
        self.items = ItemDirectory()
        self.entities = EntityDirectory()
        self.failures = FailureBook([])
        self.records = RecordBook({})
        self.watch = FileWatch(tables.directory)
        self.commits = 0

    def recover(self) -> None:
        """Make the tables equal to the last snapshot again, and read the keys from it."""
        last = self.snapshot = self.ledger.latest()
        for name in (*last.versions, SNAPSHOTS):
            self.tables.sweep(name)
        self.watch.start(name + SUFFIX for name in last.versions)
        restored = []
        for name, version in last.versions.items():
            try:
                self.data[name] = self.tables.open(name)
                if self.data[name].version != version:
                    self.data[name] = restore(self.tables.open(name, version))
                    restored.append(name)
            except NotFound as error:
                raise StoreDamaged(f"snapshot {last.id} names a lost version: {error}") from error
        self.data = {name: self.data[name] for name in last.versions}
        self.drop_strays()
        if restored:
            reach("rollback-tables-restored")
            self.publish(restored, message="rolled back an interrupted write")
        upgrade(self)
        reader = self.reader()
        with lance_errors(f"reading table {SPACES!r}"):
            self.all_spaces = read_spaces(reader.data(SPACES).to_table())
        self.items = reader.item_directory()
        self.entities = reader.entity_directory()
        self.failures = FailureBook(read_failures(reader.data(FAILURES)))
        self.records = RecordBook.read(self.data.get(RECORDS))
        self.commits = len(self.data[ITEMS].get_fragments())

    @property
    def spaces(self) -> list[StoredSpace]:
        """The spaces that were not removed."""
        return live_spaces(self.all_spaces)

    def drop_strays(self) -> int:
        """Remove the tables that no kept snapshot names: of a space or of records whose first
        commit did not come to its end, and of removed spaces that nobody can read any more. How
        many there were."""
        strays = [
            name
            for name in self.tables.present() - set(self.snapshot.versions)
            if name.startswith(SEGMENTS_PREFIX) or name == RECORDS
        ]
        if strays:
            named = {name for snapshot in self.ledger.all() for name in snapshot.versions}
            strays = [name for name in strays if name not in named]
        for name in strays:
            self.tables.drop(name)
        return len(strays)

    @property
    def clean(self) -> bool:
        """Whether the handles stand where the last snapshot says."""
        return {n: int(d.version) for n, d in self.data.items()} == dict(self.snapshot.versions)

    def reader(self) -> Reader:
        """Reads the last snapshot."""
        return Reader(self.tables, self.ledger, self.snapshot)

    def publish(
        self,
        touched: Iterable[str],
        *,
        counts: Mapping[str, int] | None = None,
        revision: int | None = None,
        floor: int | None = None,
        message: str = "",
        files: Mapping[str, str] | None = None,
    ) -> None:
        """Commit: append the snapshot that names all tables as they are now. `files` are digests
        to record besides those of the new files of the `touched` tables."""
        snapshot = next_after(
            self.snapshot,
            versions={name: int(data.version) for name, data in self.data.items()},
            counts=counts,
            revision=revision,
            floor=floor,
            message=message,
        )
        news = self.watch.news(name + SUFFIX for name in touched)
        self.ledger.append(snapshot, {**(files or {}), **news})
        reach("snapshot-written")
        self.snapshot = snapshot
        self.commits += 1
