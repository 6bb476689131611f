"""kill -9 at every named point of a write and at random moments, under the eyes of a reader."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from tests.store.history import assert_equal, assert_failures
from tests.store.writer_process import History
from trichord.errors import NotFound
from trichord.store import Store, failpoints, verify

ROOT = Path(__file__).parents[2]
RANDOM_KILLS = int(os.environ.get("TRICHORD_RANDOM_KILLS", "8"))
SEED = 7


def start(path: Path, until: int, kill_at: str = "") -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.store.writer_process", str(path)]
    command += ["--until", str(until), "--seed", str(SEED), "--kill-at", kill_at]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process: subprocess.Popen[str]) -> int:
    _, errors = process.communicate(timeout=120)
    assert process.returncode in (0, -signal.SIGKILL), errors
    return process.returncode


class Watcher(threading.Thread):
    """Polls the store like a server and compares whatever it sees with the history."""

    def __init__(self, path: Path, history: History) -> None:
        super().__init__()
        self.path, self.history = path, history
        self.done = threading.Event()
        self.error: BaseException | None = None
        self.revisions: list[int] = []

    def run(self) -> None:
        try:
            store, seen = None, 0
            while not self.done.wait(0.003):
                if store is None:
                    if not Store.exists(self.path):
                        continue
                    store = Store.open(self.path)
                snapshot = store.latest()
                assert snapshot.id >= seen, "snapshots went backwards"
                if snapshot.id == seen:
                    continue
                seen = snapshot.id
                reader = store.reader(snapshot)
                if "segments_second" not in snapshot.versions:
                    continue
                try:
                    assert_equal(reader, self.history.state(snapshot.revision))
                except NotFound as error:
                    # Only compaction may take a snapshot away, and never the newest.
                    assert "removed by compaction" in str(error)
                    assert store.latest().id > snapshot.id
                    continue
                self.revisions.append(snapshot.revision)
        except BaseException as error:
            self.error = error

    def stop(self) -> None:
        self.done.set()
        self.join()
        if self.error is not None:
            raise self.error


def dump(store: Store) -> tuple[object, ...]:
    """All rows but created times, in an order that does not depend on how they were written."""
    reader = store.reader()
    tables = [reader.items(), reader.entities()]
    tables = [t.drop_columns(["created_timestamp"]).sort_by(t.column_names[0]) for t in tables]
    rows: list[object] = [t.to_pylist() for t in tables]
    for space in store.spaces():
        found = [row for batch in reader.segments(space.name) for row in batch.to_pylist()]
        for row in found:
            del row["created_timestamp"]
        rows.append(sorted(found, key=lambda row: (row["item_id"], row["ordinal"])))
    failures = sorted(store.failures(), key=str)
    return (rows, failures, store.spaces(), dict(reader.snapshot.counts), reader.snapshot.revision)


def test_killed_at_every_named_point_the_store_ends_up_as_if_nothing_had_happened(
    tmp_path: Path,
) -> None:
    history, path, until = History(SEED), tmp_path / "store", 0
    watcher = Watcher(path, history)
    watcher.start()
    try:
        for name in failpoints.NAMES:
            if name.startswith("upgrade"):
                continue  # a store is upgraded once: see test_upgrading
            # Far enough that every point is met again after the last kill.
            revision = Store.open(path).latest().revision if Store.exists(path) else 0
            until = max(until, revision + 6)
            if name.startswith("rollback"):
                assert finish(start(path, until, kill_at="items-written")) == -signal.SIGKILL
            assert finish(start(path, until, kill_at=name)) == -signal.SIGKILL, f"{name} not met"
            if Store.exists(path):
                store = Store.open(path)
                model = history.state(store.latest().revision)
                if len(store.spaces()) >= 2:
                    assert_equal(store.reader(), model)
                    assert_failures(store, model)
        assert finish(start(path, until)) == 0
    finally:
        watcher.stop()
    assert watcher.revisions == sorted(watcher.revisions)
    assert len(set(watcher.revisions)) > 5

    killed = Store.open(path)
    assert_equal(killed.reader(), history.state(until))
    assert_failures(killed, history.state(until))
    report = verify(killed)
    assert report.ok, report.problems

    assert finish(start(tmp_path / "uninterrupted", until)) == 0
    assert dump(killed) == dump(Store.open(tmp_path / "uninterrupted"))


def test_killed_at_random_moments_the_store_ends_up_as_if_nothing_had_happened(
    tmp_path: Path,
) -> None:
    history, path = History(SEED), tmp_path / "store"
    random_ = random.Random(os.urandom(8))
    watcher = Watcher(path, history)
    watcher.start()
    try:
        for _ in range(RANDOM_KILLS):
            process = start(path, until=10**6)
            assert process.stdout is not None
            assert process.stdout.readline(), "no commit before the kill"
            time.sleep(random_.uniform(0, 0.3))
            process.kill()
            assert finish(process) == -signal.SIGKILL
            store = Store.open(path)
            model = history.state(store.latest().revision)
            assert_equal(store.reader(), model)
            assert_failures(store, model)
        until = store.latest().revision + 2
        assert finish(start(path, until)) == 0
    finally:
        watcher.stop()
    assert watcher.revisions == sorted(watcher.revisions) and watcher.revisions

    killed = Store.open(path)
    assert_equal(killed.reader(), history.state(until))
    report = verify(killed)
    assert report.ok, report.problems
    assert finish(start(tmp_path / "uninterrupted", until)) == 0
    assert dump(killed) == dump(Store.open(tmp_path / "uninterrupted"))
