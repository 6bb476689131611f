"""Is the store what it was written as? Finds damage of files and broken rules between tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from trichord.errors import NotFound, StoreDamaged, StoreTooNew
from trichord.store.digests import digest
from trichord.store.problems import Problem
from trichord.store.reader import Reader
from trichord.store.rowchecks import check_entities, check_items, check_records, check_segments
from trichord.store.schema import RECORDS, SNAPSHOTS, SPACES
from trichord.store.snapshots import Snapshot
from trichord.store.spaces import MAX_SPACES, StoredSpace, live_spaces, read_spaces
from trichord.store.store import Store
from trichord.store.tables import SUFFIX, lance_errors
from trichord.types import Encoder

LIMIT = 1000


@dataclass(frozen=True)
class VerifyReport:
    """What `verify` found in one snapshot: at most `limit` problems (`truncated` if there are
    more), and how many files were looked at."""

    snapshot: int
    problems: tuple[Problem, ...]
    files: int
    truncated: bool

    @property
    def ok(self) -> bool:
        return not self.problems

    def require_sound(self) -> None:
        """Raise StoreDamaged with the first problems if there are any."""
        if self.problems:
            first = "; ".join(str(problem) for problem in self.problems[:3])
            raise StoreDamaged(
                f"{len(self.problems)}{'+' if self.truncated else ''} problems: {first}",
                count=len(self.problems),
            )


def verify(store: Store, *, deep: bool = True, limit: int = LIMIT) -> VerifyReport:
    """Check the latest snapshot, and that all kept ones can be opened.

    Always: versions and files that snapshots name exist, keys stand once, every live item has its
    segments 0, 1, 2, … in each of its spaces, segments have an item and a known encoder, counts
    agree. With `deep` also every file's digest, every vector's checksum, and that vectors are
    finite and of length 1. Damage becomes a Problem, never an exception; raises only StoreTooNew.
    """
    try:
        snapshot = store.latest()
        kept = store.snapshots()
    except StoreDamaged as error:
        problem = Problem("unreadable", SNAPSHOTS, "", str(error))
        return VerifyReport(0, (problem,), 0, False)
    files: list[str] = []
    problems: list[Problem] = []
    for problem in _problems(store, snapshot, kept, deep, files):
        if len(problems) == limit:
            return VerifyReport(snapshot.id, tuple(problems), len(files), True)
        problems.append(problem)
    return VerifyReport(snapshot.id, tuple(problems), len(files), False)


def _problems(
    store: Store, snapshot: Snapshot, kept: list[Snapshot], deep: bool, files: list[str]
) -> Iterator[Problem]:
    yield from _check_versions(store, kept)
    reader = store.reader(snapshot)
    for table in snapshot.versions:
        yield from _guarded(_check_files(store, reader, table, deep, files), table)
    spaces: list[StoredSpace] = []
    yield from _guarded(_check_spaces(reader, spaces), SPACES)
    yield from _guarded(check_entities(reader), "entities")
    yield from _guarded(check_items(reader, spaces), "items")
    if RECORDS in snapshot.versions:
        yield from _guarded(check_records(reader), RECORDS)
    for stored in live_spaces(spaces):
        yield from _guarded(check_segments(reader, spaces, stored, deep), stored.table)


def _guarded(problems: Iterator[Problem], table: str) -> Iterator[Problem]:
    """A table that cannot be read is one problem more, and the end of its check."""
    try:
        with lance_errors(f"reading table {table!r}"):
            yield from problems
    except StoreTooNew:
        raise
    except (StoreDamaged, NotFound) as error:
        yield Problem("unreadable", table, "", str(error))


def _check_versions(store: Store, kept: list[Snapshot]) -> Iterator[Problem]:
    seen: set[tuple[str, int]] = set()
    for snapshot in kept:
        for table, version in snapshot.versions.items():
            if (table, version) in seen:
                continue
            seen.add((table, version))
            try:
                store._tables.open(table, version)
            except (NotFound, StoreDamaged) as error:
                yield Problem(
                    "missing-version", table, str(version), f"snapshot {snapshot.id}: {error}"
                )


def _check_files(
    store: Store, reader: Reader, table: str, deep: bool, files: list[str]
) -> Iterator[Problem]:
    """Files of the table's version: there, recorded, and (deep) unchanged."""
    recorded = store._ledger.files()
    data = reader.data(table)
    tracked = data.tracked_files(min_version=data.version).read_all()
    for row in tracked.to_pylist():
        if row["version"] != data.version or row["type"] == "transaction file":
            continue
        name = f"{table}{SUFFIX}/{row['path']}"
        path = store.path / name
        files.append(name)
        if not path.is_file():
            yield Problem("missing-file", table, name, "the file is gone")
        elif name not in recorded:
            yield Problem("unrecorded-file", table, name, "no snapshot recorded this file")
        elif deep and digest(path) != recorded[name]:
            yield Problem("changed-file", table, name, "the bytes are not those that were written")


def _check_spaces(reader: Reader, spaces: list[StoredSpace]) -> Iterator[Problem]:
    try:
        spaces += read_spaces(reader.data(SPACES).to_table())
    except (ValueError, KeyError, AttributeError) as error:
        yield Problem("unreadable", SPACES, "", f"a row makes no sense: {error}")
        return
    bits = [stored.bit for stored in spaces]
    if len(set(bits)) < len(bits) or any(not 0 <= bit < MAX_SPACES for bit in bits):
        yield Problem("bad-row", SPACES, "", "bits of the spaces are impossible")
        spaces.clear()
        return
    names = [stored.space.name for stored in live_spaces(spaces)]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Problem("duplicate-key", SPACES, name, "the key stands more than once")
    for stored in live_spaces(spaces):
        name, frame = stored.space.name, stored.space.frame
        if stored.table not in reader.snapshot.versions:
            yield Problem("missing-table", stored.table, name, "the space has no segments table")
            continue
        dim = reader.data(stored.table).schema.field("vector").type.list_size
        if dim != frame.dim:
            yield Problem("frame", SPACES, name, f"vectors have {dim} numbers, not {frame.dim}")
        for modality, facts in stored.facts.items():
            known = stored.space.encoders.get(modality)
            if facts and Encoder(modality, facts).id != known:
                yield Problem(
                    "encoder-facts",
                    SPACES,
                    f"{name}/{modality}",
                    "the facts are not those of the encoder's id",
                )
