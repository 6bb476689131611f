"""Stores in the layout of schema version 1 are read as they are, and brought up to date by their
first writer."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import lance
import pyarrow as pa
import pytest

from tests.store.history import (
    THIRD,
    Model,
    ModelItem,
    Step,
    assert_equal,
    commit,
    prepare_store,
    random_step,
    random_third,
)
from trichord.store import Snapshot, Store, failpoints, stats, verify
from trichord.store.digests import FileWatch
from trichord.store.schema import SNAPSHOTS, VERSION_KEY
from trichord.store.snapshots import Ledger
from trichord.store.tables import Tables
from trichord.types import Modality

ROOT = Path(__file__).parents[2]
NEW_COLUMNS = {"items": ["space_segments"], "spaces": ["bit", "segments_table", "removed"]}


def old_layout(source: Store, path: Path) -> Store:
    """A store with the rows of `source` in the layout of version 1, written table by table."""
    path.mkdir()
    last = source.latest()
    tables, watch, versions = Tables(path), FileWatch(path), {}
    for name in last.versions:
        rows = source.reader().data(name).to_table().drop_columns(NEW_COLUMNS.get(name, []))
        schema = rows.schema.with_metadata({VERSION_KEY: "1"})
        rows = pa.Table.from_arrays(rows.columns, schema=schema)
        versions[name] = int(lance.write_dataset(rows, path / f"{name}.lance").version)
    first = Snapshot(
        1, datetime.now(UTC), versions, last.revision, last.floor, dict(last.counts), "old"
    )
    Ledger.create(tables, first, watch.news(f"{name}.lance" for name in versions))
    ledger = lance.dataset(path / f"{SNAPSHOTS}.lance")
    ledger.update_schema_metadata({VERSION_KEY: "1"})
    return Store.open(path)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Model]:
    """Every item has one number of segments in all of its spaces, as version 1 demands."""
    tmp_path = tmp_path_factory.mktemp("old")
    source, model, random_ = Store.create(tmp_path / "source"), Model(), random.Random(4)
    with source.writer() as writer:
        prepare_store(writer)
        for _ in range(3):
            step = random_step(random_, model)
            same = {key: _uniform(item) for key, item in step.written.items()}
            commit(writer, model, Step(**{**vars(step), "written": same, "records": {}}))
    assert "records" not in source.latest().versions
    store = old_layout(source, tmp_path / "old")
    for name, columns in NEW_COLUMNS.items():
        data = store.reader().data(name)
        assert data.schema.metadata == {VERSION_KEY.encode(): b"1"}
        assert not set(columns) & set(data.schema.names)
    return store.path, model


@pytest.fixture
def old(written: tuple[Path, Model], tmp_path: Path) -> tuple[Store, Model]:
    shutil.copytree(written[0], tmp_path / "old")
    return Store.open(tmp_path / "old"), written[1].copy()


def _uniform(item: ModelItem) -> ModelItem:
    return ModelItem(
        item.entity_id, item.modality, item.content, item.segments, item.attributes, item.spaces
    )


def test_an_old_store_is_read_as_it_is(old: tuple[Store, Model]) -> None:
    store, model = old
    assert_equal(store.reader(), model)
    assert store.records("aliases") == {}
    assert store.reader().space_bits() == {"first": 0, "second": 1}
    assert verify(store).ok, verify(store).problems
    assert stats(store).items == len(model.items)
    assert store.latest().id == 1


def test_the_first_writer_upgrades_it_in_one_snapshot(old: tuple[Store, Model]) -> None:
    store, model = old
    before = store.reader()
    with store.writer() as writer:
        assert store.latest().id == 2 and store.latest().revision == model.revision
        assert_equal(store.reader(), model)
        assert verify(store).ok, verify(store).problems
        for name in NEW_COLUMNS:
            assert store.reader().data(name).schema.metadata[VERSION_KEY.encode()] == b"2"
        # A program of version 1 looks at the newest table first.
        assert lance.dataset(store.path / "items.lance").schema.metadata[
            VERSION_KEY.encode()
        ] == b"2"  # fmt: skip
        random_ = random.Random(8)
        for kind in ("fill", "copy", "commit", "remove", "fill"):
            step = (
                random_step(random_, model)
                if kind == "commit"
                else random_third(random_, model, kind)
            )
            commit(writer, model, step)
            assert_equal(store.reader(), model)
        writer.put_records("aliases", {"default": 1})
        model.records.setdefault("aliases", {})["default"] = 1
        model.revision += 1
        assert_equal(store.reader(), model)
        writer.compact(retain=timedelta(hours=1))
    assert before.snapshot.id == 1 and before.lacking_count("second", [Modality.TEXT])
    assert verify(store).ok, verify(store).problems
    with store.writer() as writer:
        latest = store.latest()
        writer.compact(retain=timedelta(0), keep_snapshots=1)
        assert store.latest().id == latest.id + 1
    assert_equal(store.reader(), model)


def test_time_travel_to_before_the_upgrade(old: tuple[Store, Model]) -> None:
    store, model = old
    was = model.copy()
    with store.writer() as writer:
        commit(writer, model, random_third(random.Random(1), model, "fill"))
    assert_equal(store.reader(store.snapshot(1)), was)
    assert_equal(store.reader(), model)


@pytest.mark.parametrize("point", ["upgrade-items-widened", "upgrade-tables-written"])
def test_killed_while_it_is_upgraded(old: tuple[Store, Model], point: str) -> None:
    store, model = old
    assert point in failpoints.NAMES
    script = (
        "import os, signal, sys\n"
        "from trichord.store import Store, failpoints\n"
        "def hook(name):\n"
        "    if name == sys.argv[2]: os.kill(os.getpid(), signal.SIGKILL)\n"
        "failpoints.set_hook(hook)\n"
        "Store.open(sys.argv[1]).writer()\n"
    )
    command = [sys.executable, "-c", script, str(store.path), point]
    assert subprocess.run(command, cwd=ROOT, env=dict(os.environ)).returncode == -signal.SIGKILL
    assert_equal(Store.open(store.path).reader(), model)
    assert verify(Store.open(store.path)).ok
    with store.writer() as writer:
        commit(writer, model, random_third(random.Random(1), model, "fill"))
    assert_equal(store.reader(), model)
    assert THIRD in store.reader().space_bits()
    assert verify(store).ok, verify(store).problems


def test_an_error_while_it_is_upgraded(old: tuple[Store, Model]) -> None:
    store, model = old

    def hook(name: str) -> None:
        if name == "upgrade-items-widened":
            raise RuntimeError("interrupted")

    failpoints.set_hook(hook)
    try:
        with pytest.raises(RuntimeError, match="interrupted"):
            store.writer()
    finally:
        failpoints.set_hook(None)
    assert_equal(store.reader(), model)
    with store.writer() as writer:
        commit(writer, model, random_step(random.Random(1), model))
    assert_equal(store.reader(), model)
    row = store.reader().data("spaces").to_table().to_pylist()[1]
    assert (row["bit"], row["segments_table"], row["removed"]) == (1, "segments_second", False)
    assert json.loads(row["encoders"])
