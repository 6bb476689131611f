"""Damage of every kind is found, and named."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
import pytest

from tests.store.history import (
    Model,
    assert_equal,
    commit,
    prepare_store,
    random_step,
    random_third,
)
from trichord.errors import StoreDamaged, TrichordError
from trichord.store import Store, verify
from trichord.store.snapshots import Ledger, next_after
from trichord.store.tables import Tables


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a bit of everything, to be copied."""
    random_, model = random.Random(11), Model()
    store = Store.create(tmp_path_factory.mktemp("sound") / "store")
    with store.writer() as writer:
        prepare_store(writer)
        for _ in range(4):
            commit(writer, model, random_step(random_, model))
        for kind in ("fill", "remove", "fill", "copy"):
            commit(writer, model, random_third(random_, model, kind))
    assert_equal(store.reader(), model)
    report = verify(store)
    assert report.ok and report.files > 5 and report.snapshot == store.latest().id
    report.require_sound()
    return store.path


@pytest.fixture
def filled(sound: Path, tmp_path: Path) -> Store:
    shutil.copytree(sound, tmp_path / "filled")
    return Store.open(tmp_path / "filled")


def kinds(store: Store, **options: bool) -> set[str]:
    return {problem.kind for problem in verify(store, **options).problems}


def data_files(store: Store, table: str) -> list[Path]:
    return sorted((store.path / f"{table}.lance" / "data").iterdir())


@pytest.mark.parametrize(
    ("table", "place"),
    [(t, p) for t in ("items", "segments_first") for p in (0.0, 0.3, 0.6, 0.999)]
    + [(t, p) for t in ("entities", "spaces", "records", "segments__3_third") for p in (0.1, 0.7)],
)
def test_a_flipped_byte_in_a_data_file(filled: Store, table: str, place: float) -> None:
    version = filled.latest().versions[table]
    tracked = lance.dataset(filled.path / f"{table}.lance", version=version).tracked_files(
        min_version=version
    )
    names = [r["path"] for r in tracked.read_all().to_pylist() if r["type"] == "data file"]
    path = filled.path / f"{table}.lance" / sorted(names)[0]
    content = bytearray(path.read_bytes())
    at = min(int(place * len(content)), len(content) - 1)
    content[at] ^= 0xFF
    path.write_bytes(bytes(content))
    report = verify(Store(filled.path))
    assert any(p.kind == "changed-file" and p.key.endswith(path.name) for p in report.problems)
    with pytest.raises(StoreDamaged, match="problems"):
        report.require_sound()


def test_a_flipped_byte_in_a_manifest_or_the_ledger_is_damage_or_not_read_at_all(
    filled: Store,
) -> None:
    for path in sorted((filled.path / "items.lance" / "_versions").glob("*.manifest"))[:1]:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0xFF
        path.write_bytes(bytes(content))
        problems = verify(Store(filled.path)).problems
        assert any(p.table == "items" for p in problems)


def test_a_lost_file(filled: Store) -> None:
    for path in data_files(filled, "segments_first"):
        path.unlink()
    assert {"missing-file", "unreadable"} <= kinds(Store(filled.path))
    with pytest.raises(TrichordError, match="missing"):
        list(Store.open(filled.path).reader().segments("first"))


def test_a_lost_version(filled: Store) -> None:
    for path in (filled.path / "entities.lance" / "_versions").glob("*.manifest"):
        path.unlink()
    assert "missing-version" in kinds(Store(filled.path))


def test_a_ledger_that_lies(filled: Store) -> None:
    data = lance.dataset(filled.path / "snapshots.lance")
    data.update({"counts": "'{}'"}, where=f"snapshot = {filled.latest().id}")
    with pytest.raises(StoreDamaged, match="checksum"):
        Store(filled.path).latest()
    assert kinds(Store(filled.path)) == {"unreadable"}


Change = Callable[[pa.Table], pa.Table]


def rewritten(store: Store, table: str, change: Change) -> set[str]:
    """Kinds of problems after the rows of a table were rewritten behind the store's back."""
    last = store.latest()
    data = lance.dataset(store.path / f"{table}.lance", version=last.versions[table])
    rows = change(data.to_table())
    assert rows.schema.names == data.schema.names
    after = lance.write_dataset(rows, data.uri, schema=data.schema, mode="overwrite")
    snapshot = next_after(last, versions={**last.versions, table: after.version})
    Ledger(Tables(store.path)).append(snapshot, {})
    # The digest of the new file is not recorded; what is asked here is what else is found.
    assert "unrecorded-file" in kinds(store)
    return kinds(store) - {"unrecorded-file"}


def column(rows: pa.Table, name: str, change: Callable[[list[object]], None]) -> pa.Table:
    values = rows[name].to_pylist()
    change(values)
    index = rows.column_names.index(name)
    return rows.set_column(index, rows.field(name), pa.array(values, rows.schema.field(name).type))


def set_first(value: object) -> Callable[[list[object]], None]:
    def change(values: list[object]) -> None:
        values[0] = value

    return change


def live_first(store: Store, rows: pa.Table) -> pa.Table:
    """Rows of segments, those that a live item names in front."""
    names = {(r["item_id"], r["generation"]) for r in store.reader().items().to_pylist()}
    keys = zip(rows["item_id"].to_pylist(), rows["generation"].to_pylist(), strict=True)
    return rows.take(pa.array(np.argsort([key not in names for key in keys], kind="stable")))


@pytest.mark.parametrize(
    ("kind", "name", "change"),
    [
        ("checksum", "vector", set_first([1.0] + [0.0] * 7)),
        ("not-unit", "vector", set_first([2.0] + [0.0] * 7)),
        ("unknown-encoder", "encoder", set_first("stranger")),
        ("orphan", "item_id", set_first("stranger")),
        ("ordinals", "ordinal", set_first(99)),
        ("bad-row", "generation", set_first(10**6)),
        ("bad-row", "modality", set_first("smell")),
    ],
)
def test_changed_segments(filled: Store, kind: str, name: str, change: Change) -> None:
    found = rewritten(
        filled, "segments_first", lambda rows: column(live_first(filled, rows), name, change)
    )
    assert kind in found
    assert ("checksum" in found) == (name == "vector")


def test_a_lost_segment(filled: Store) -> None:
    found = rewritten(filled, "segments_first", lambda rows: live_first(filled, rows).slice(1))
    assert found == {"missing-segments", "count"} or found == {
        "missing-segments",
        "ordinals",
        "count",
    }


def test_a_segment_that_stands_twice(filled: Store) -> None:
    def twice(rows: pa.Table) -> pa.Table:
        rows = live_first(filled, rows)
        return pa.concat_tables([rows, rows.slice(0, 1)])

    assert rewritten(filled, "segments_first", twice) >= {"missing-segments", "ordinals", "count"}


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("items", lambda rows: pa.concat_tables([rows, rows.slice(0, 1)])),
        ("entities", lambda rows: pa.concat_tables([rows, rows.slice(0, 1)])),
    ],
)
def test_a_key_that_stands_twice(filled: Store, table: str, change: Change) -> None:
    assert "duplicate-key" in rewritten(filled, table, change)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("modality", "smell"),
        ("generation", 0),
        ("revision", 10**6),
        ("spaces", 64),
        ("segments", 0),
    ],
)
def test_changed_items(filled: Store, name: str, value: object) -> None:
    def spoil(rows: pa.Table) -> pa.Table:
        rows = rows.sort_by("deleted")
        return column(rows, name, set_first(value))

    assert "bad-row" in rewritten(filled, "items", spoil)


def test_facts_that_are_not_the_encoders(filled: Store) -> None:
    def spoil(rows: pa.Table) -> pa.Table:
        return column(rows, "encoder_facts", set_first('{"image": {"model": "other"}}'))

    assert rewritten(filled, "spaces", spoil) == {"encoder-facts"}


def test_a_space_row_that_makes_no_sense(filled: Store) -> None:
    def spoil(rows: pa.Table) -> pa.Table:
        return column(rows, "frame", set_first("nonsense"))

    assert "unreadable" in rewritten(filled, "spaces", spoil)


def apart_first(rows: pa.Table) -> pa.Table:
    """Rows of items, those whose numbers differ between spaces in front."""
    order = np.argsort(np.asarray(rows["space_segments"].is_null()), kind="stable")
    rows = rows.take(pa.array(order))
    assert rows["space_segments"][0].is_valid
    return rows


@pytest.mark.parametrize(
    ("numbers", "found"),
    [
        (lambda old: [], {"bad-row"}),
        (lambda old: [*old, 1], {"bad-row"}),
        (lambda old: [old[0] + 1, *old[1:]], {"bad-row", "missing-segments"}),
        (lambda old: [*old[:-1], -3], {"bad-row", "missing-segments"}),
        (lambda old: [*old[:-1], old[-1] + 1], {"missing-segments"}),
        (lambda old: None, {"missing-segments"}),
    ],
)
def test_numbers_of_segments_that_are_not_those_of_the_spaces(
    filled: Store, numbers: Callable[[list[int]], list[int] | None], found: set[str]
) -> None:
    def spoil(rows: pa.Table) -> pa.Table:
        rows = apart_first(rows)
        return column(
            rows,
            "space_segments",
            lambda values: values.__setitem__(0, numbers(values[0])),  # type: ignore[arg-type]
        )

    assert rewritten(filled, "items", spoil) >= found


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [("bit", 77, "bad-row"), ("segments_table", "x", "missing-table")],
)
def test_spaces_whose_bits_or_tables_are_impossible(
    filled: Store, name: str, value: object, kind: str
) -> None:
    assert kind in rewritten(filled, "spaces", lambda rows: column(rows, name, set_first(value)))


def test_a_removed_space_that_is_back(filled: Store) -> None:
    found = rewritten(
        filled,
        "spaces",
        lambda rows: column(rows, "removed", lambda v: v.__setitem__(slice(None), [False] * 4)),
    )
    assert {"duplicate-key", "missing-table"} <= found


def test_an_item_without_vectors_where_no_space_was_removed(store: Store) -> None:
    random_, model = random.Random(11), Model()
    with store.writer() as writer:
        commit(writer, model, random_step(random_, model))

    def spoil(rows: pa.Table) -> pa.Table:
        for name, value in (("spaces", 0), ("segments", 0), ("space_segments", None)):
            rows = column(rows, name, set_first(value))
        return rows

    assert "bad-row" in rewritten(store, "items", spoil)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("duplicate-key", lambda rows: pa.concat_tables([rows, rows.slice(0, 1)])),
        ("bad-row", lambda rows: column(rows, "value", set_first("{"))),
        ("bad-row", lambda rows: column(rows, "value", set_first("null"))),
        ("bad-row", lambda rows: column(rows, "revision", set_first(10**6))),
    ],
)
def test_changed_records(filled: Store, kind: str, change: Change) -> None:
    assert rewritten(filled, "records", change) == {kind}


def test_shallow_verify_reads_no_vectors_and_problems_are_limited(filled: Store) -> None:
    def spoil(rows: pa.Table) -> pa.Table:
        return column(
            rows,
            "vector",
            lambda values: values.__setitem__(slice(None), [[0.0] * 8] * len(values)),
        )

    last = filled.latest()
    table = "segments_first"
    assert rewritten(filled, table, spoil) == {"checksum", "not-unit"}
    assert kinds(filled, deep=False) == {"unrecorded-file"}
    report = verify(filled, limit=3)
    assert len(report.problems) == 3 and report.truncated
    assert last.id < filled.latest().id
