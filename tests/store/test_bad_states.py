"""Each bad state of a store is one clear error, and what was committed stays."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import lance
import lancedb
import pytest

from tests.store.history import Model, assert_equal, commit, prepare_store, random_step
from trichord.errors import (
    InvalidInput,
    NotFound,
    StorageFull,
    StoreDamaged,
    StoreError,
    StoreLocked,
    StoreTooNew,
)
from trichord.store import Store, Writer, failpoints, verify
from trichord.store.schema import SCHEMA_VERSION

ROOT = Path(__file__).parents[2]


def filled(store: Store, steps: int = 3) -> Model:
    random_, model = random.Random(3), Model()
    with store.writer() as writer:
        for _ in range(steps):
            commit(writer, model, random_step(random_, model))
    return model


def test_a_missing_store(tmp_path: Path) -> None:
    assert not Store.exists(tmp_path / "none")
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(NotFound, match="no store at"):
            Store.open(path)
    assert not (tmp_path / "none").exists()


def test_object_stores_are_not_yet_supported() -> None:
    for call in (Store.open, Store.create, Store.exists):
        with pytest.raises(InvalidInput, match="not yet supported"):
            call("s3://bucket/store")


def test_creating_over_something(store: Store, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="already"):
        Store.create(store.path)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InvalidInput, match="not a directory"):
        Store.create(tmp_path / "file")
    with pytest.raises(InvalidInput, match="other files"):
        Store.create(tmp_path)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_second_writer_in_the_process_is_told_who_holds_the_store(store: Store) -> None:
    with store.writer(owner="night ingest"):
        with pytest.raises(StoreLocked) as caught:
            store.writer()
        assert str(os.getpid()) in str(caught.value)
        assert caught.value.details["pid"] == str(os.getpid())
        assert caught.value.details["host"] in str(caught.value)
        assert "night ingest" in str(caught.value)
        assert store.reader().items().num_rows == 0
    store.writer().close()


def test_a_second_process_is_refused_and_a_killed_one_frees_the_store(store: Store) -> None:
    script = (
        "import sys, time; from trichord.store import Store\n"
        "writer = Store.open(sys.argv[1]).writer()\n"
        "sys.stdout.write('ready\\n'); sys.stdout.flush(); time.sleep(600)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(store.path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        with pytest.raises(StoreLocked, match=f"process {process.pid} "):
            store.writer()
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    store.writer().close()


def test_a_closed_writer_writes_nothing(store: Store) -> None:
    writer = store.writer()
    writer.close()
    writer.close()
    with pytest.raises(StoreError, match="closed"):
        writer.delete(["a"])


def test_a_ledger_of_a_newer_trichord(store: Store) -> None:
    data = lance.dataset(store.path / "snapshots.lance")
    data.update_schema_metadata({"trichord.schema_version": str(SCHEMA_VERSION + 1)})
    with pytest.raises(StoreTooNew, match=f"'snapshots' has schema version {SCHEMA_VERSION + 1}"):
        Store.open(store.path)


def test_a_newer_table_that_no_snapshot_names_yet_is_not_rolled_back(store: Store) -> None:
    model = filled(store)
    data = lance.dataset(store.path / "items.lance")
    data.update_schema_metadata({"trichord.schema_version": str(SCHEMA_VERSION + 1)})
    with pytest.raises(StoreTooNew, match=f"'items' has schema version {SCHEMA_VERSION + 1}"):
        store.writer()
    assert_equal(Store.open(store.path).reader(), model)


def test_a_newer_table_that_a_snapshot_names(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    import trichord.store.schema as schema

    monkeypatch.setattr(schema, "SCHEMA_VERSION", 0)
    for call in (lambda: Store.open(store.path), lambda: store.reader().items(), store.writer):
        with pytest.raises(StoreTooNew, match="upgrade"):
            call()
    monkeypatch.undo()
    store.writer().close()


def test_a_table_without_version_is_no_table_of_ours(store: Store) -> None:
    data = lance.dataset(store.path / "snapshots.lance")
    data.update_schema_metadata({}, replace=True)
    with pytest.raises(StoreDamaged, match="not written by Trichord"):
        Store.open(store.path)


def test_a_lost_table(store: Store) -> None:
    filled(store)
    (store.path / "items.lance").rename(store.path / "elsewhere")
    with pytest.raises(StoreDamaged, match="items"):
        Store.open(store.path)
    with pytest.raises(StoreDamaged, match="items"):
        store.writer()
    (store.path / "elsewhere").rename(store.path / "items.lance")
    store.writer().close()


class Full:
    """A directory on a file system of a few MB, with a ballast file that can be removed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._ballast = directory / "ballast"

    def fill(self, leave: int) -> None:
        space = os.statvfs(self.directory)
        self._ballast.write_bytes(bytes(max(0, space.f_bavail * space.f_frsize - leave)))

    def free(self) -> None:
        self._ballast.unlink()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Full]:
    mount = tmp_path / "disk"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(mount)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("mounting a small file system needs root")
    try:
        yield Full(mount)
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=True)


@pytest.mark.parametrize("leave", [0, 4096, 12 << 10, 40 << 10])
def test_a_full_disk_keeps_what_was_committed(small_disk: Full, leave: int) -> None:
    random_, model = random.Random(4), Model()
    store = Store.create(small_disk.directory / "store")
    with store.writer() as writer:
        prepare_store(writer)
        for _ in range(3):
            commit(writer, model, random_step(random_, model))
        small_disk.fill(leave)
        failed = 0
        for _ in range(4):
            step, after = random_step(random_, model, size=40), model.copy()
            try:
                commit(writer, after, step)
            except StorageFull as error:
                failed += 1
                assert "intact" in str(error)
                assert_equal(store.reader(), model)
            else:
                model = after
        assert failed
        assert_equal(Store.open(store.path).reader(), model)
        small_disk.free()
        commit(writer, model, random_step(random_, model))
        assert_equal(store.reader(), model)
    assert verify(store).ok


def test_a_file_size_limit_is_a_full_disk_too(store: Store) -> None:
    model = filled(store)
    script = (
        "import resource, sys, random; from trichord.store import Store\n"
        "from trichord.errors import StorageFull\n"
        "from tests.store.history import Model, commit, random_step\n"
        "writer = Store.open(sys.argv[1]).writer()\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))\n"
        "import pyarrow as pa\n"
        "try: writer.commit(entities=pa.table({'entity_id': [f'e{n}' for n in range(5000)]}))\n"
        "except StorageFull: sys.exit(42)\n"
    )
    command = [sys.executable, "-c", script, str(store.path)]
    assert subprocess.run(command, cwd=ROOT).returncode == 42
    assert_equal(Store.open(store.path).reader(), model)
    store.writer().close()
    assert_equal(store.reader(), model)


@pytest.mark.parametrize(
    "point", ["segments-written", "entities-written", "items-written", "failures-written"]
)
def test_an_error_between_the_steps_undoes_the_commit(
    writer: Writer, store: Store, point: str
) -> None:
    random_, model = random.Random(5), Model()
    step = random_step(random_, model)
    while not (step.failures and step.entities and step.written):
        step = random_step(random_, model)
    commit(writer, model, step)

    def hook(name: str) -> None:
        if name == point:
            raise RuntimeError("interrupted")

    step = random_step(random_, model)
    while not (step.failures and step.written):
        step = random_step(random_, model)
    failpoints.set_hook(hook)
    try:
        with pytest.raises(RuntimeError, match="interrupted"):
            commit(writer, model.copy(), step)
    finally:
        failpoints.set_hook(None)
    assert_equal(store.reader(), model)
    commit(writer, model, step)
    assert_equal(store.reader(), model)
    assert verify(store).ok


def test_an_error_after_the_commit_point_leaves_it_committed(writer: Writer, store: Store) -> None:
    random_, model = random.Random(6), Model()

    def hook(name: str) -> None:
        if name == "snapshot-written":
            raise RuntimeError("interrupted")

    failpoints.set_hook(hook)
    try:
        with pytest.raises(RuntimeError, match="interrupted"):
            commit(writer, model, random_step(random_, model))
    finally:
        failpoints.set_hook(None)
    assert_equal(store.reader(), model)
    commit(writer, model, random_step(random_, model))
    assert_equal(store.reader(), model)


def test_a_stranger_that_writes_without_the_lease_is_undone(writer: Writer, store: Store) -> None:
    random_, model = random.Random(8), Model()
    commit(writer, model, random_step(random_, model))
    for table in ("items", "segments_first"):
        data = lance.dataset(store.path / f"{table}.lance")
        lance.write_dataset(data.to_table(limit=1), data, mode="append")
        with pytest.raises(StoreError, match="something else writes|a merge of"):
            commit(writer, model.copy(), random_step(random.Random(1), model))
        assert_equal(store.reader(), model)
        commit(writer, model, random_step(random_, model))
        assert_equal(store.reader(), model)
    assert verify(store).ok


def test_what_a_killed_writer_left_is_swept(store: Store) -> None:
    model = filled(store)
    left = [
        store.path / "items.lance" / "data" / ".tmpAb12Cd",
        store.path / "items.lance" / "_versions" / "18446744073709551000.manifest#1",
        store.path / "snapshots.lance" / "_transactions" / ".tmpZz",
    ]
    for path in left:
        path.write_bytes(b"half")
    # A space whose table was made, and nothing more.
    left.append(store.path / "segments_ghost.lance")
    lance.write_dataset(store.reader().data("segments_first").to_table(), left[-1])
    assert_equal(store.reader(), model)
    store.writer().close()
    assert not any(path.exists() for path in left)
    assert verify(store).ok


def test_a_store_that_may_not_be_written(store: Store) -> None:
    (store.path / "writer.lock").unlink()
    (store.path / "writer.lock").mkdir()
    with pytest.raises(StoreError, match="cannot be written"):
        store.writer()
    assert Store.open(store.path).reader().items().num_rows == 0


def test_snapshots_of_other_processes_are_seen_at_once(store: Store) -> None:
    other = Store.open(store.path)
    before = other.latest()
    model = filled(store)
    assert other.latest().id > before.id
    assert_equal(other.reader(), model)
    assert other.latest() == store.latest()


def test_the_directory_is_a_lance_database(store: Store) -> None:
    model = filled(store)
    names = lancedb.connect(store.path).list_tables().tables
    assert {"spaces", "entities", "items", "failures", "snapshots", "segments_first"} <= {*names}
    table = lancedb.connect(store.path).open_table("items")
    table.checkout(store.latest().versions["items"])
    assert table.count_rows("NOT deleted") == len(model.items)


def test_polling_the_latest_snapshot_reads_nothing_while_there_is_no_new_one(store: Store) -> None:
    filled(store)
    first = store.latest()
    assert store.latest() is first
    assert time.time() - first.created_timestamp.timestamp() < 600
