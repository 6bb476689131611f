"""Random histories against the model of dicts."""

from __future__ import annotations

import random
import tempfile
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.store.history import (
    Model,
    Step,
    assert_equal,
    assert_failures,
    attributes_in,
    commit,
    prepare_store,
    random_step,
    random_third,
)
from trichord.errors import InvalidInput, NotFound
from trichord.store import Store, compaction, verify

ACTIONS = st.sampled_from(
    ["commit", "commit", "commit", "fill", "copy", "remove", "compact", "squeeze", "reopen"]
)


class Follower:
    """An incremental reader: learns of changes by `since`, reloads where the store says so."""

    def __init__(self) -> None:
        self.revision: int | None = None
        self.items: dict[str, int] = {}
        self.entities: dict[str, object] = {}
        self.segments: dict[tuple[str, int], int] = {}

    def follow(self, store: Store) -> None:
        reader = store.reader()
        if self.revision is not None and self.revision < reader.snapshot.floor:
            with pytest.raises(InvalidInput, match="read everything anew"):
                reader.items(since=self.revision)
            self.revision = None
        if self.revision is None:
            self.items, self.entities, self.segments = {}, {}, {}
        since = self.revision
        changed: set[str] = set()
        for row in reader.items(since=since).to_pylist():
            key = row["item_id"]
            changed.add(key)
            old = self.items.pop(key, None)
            if row["deleted"] or old != row["generation"]:
                self.segments = {k: v for k, v in self.segments.items() if k[0] != key}
            if row["deleted"]:
                assert row["text"] is None and row["uri"] is None and attributes_in(row) == {}
            else:
                self.items[key] = row["generation"]
        for row in reader.entities(since=since).to_pylist():
            self.entities.pop(row["entity_id"], None)
            if not row["deleted"]:
                self.entities[row["entity_id"]] = attributes_in(row)
        for batch in reader.segments("first", since=since):
            for row in batch.to_pylist():
                assert row["item_id"] in changed
                assert (row["item_id"], row["ordinal"]) not in self.segments
                self.segments[row["item_id"], row["ordinal"]] = row["generation"]
        self.revision = reader.snapshot.revision

    def assert_equal(self, model: Model) -> None:
        assert self.items == {k: i.generation for k, i in model.items.items()}
        assert self.entities == model.entities
        assert self.segments == {
            (k, n): i.generation
            for k, i in model.items.items()
            if "first" in i.spaces
            for n in range(i.number("first"))
        }


def reader_bits(store: Store, model: Model) -> dict[str, int]:
    bits = store.reader().space_bits()
    assert bits.keys() >= set(model.spaces)
    return {name: bits[name] for name in model.spaces}


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(ACTIONS, min_size=3, max_size=9), st.integers(0, 2**32), st.booleans())
def test_store_and_incremental_reader_equal_the_model(
    actions: list[str], seed: int, indexed: bool
) -> None:
    with patch.object(compaction, "INDEX_ROWS", 0 if indexed else compaction.INDEX_ROWS):
        check_history(actions, seed)


def check_history(actions: list[str], seed: int) -> None:
    random_ = random.Random(seed)
    model, follower, laggard = Model(), Follower(), Follower()
    pinned = []
    with tempfile.TemporaryDirectory() as folder:
        store = Store.create(Path(folder) / "store")
        writer = store.writer()
        prepare_store(writer)
        for action in actions:
            if action == "commit":
                commit(writer, model, random_step(random_, model))
            elif action in ("fill", "copy", "remove"):
                commit(writer, model, random_third(random_, model, action))
            elif action == "compact":
                writer.compact()
            elif action == "squeeze":
                writer.compact(retain=timedelta(0), keep_snapshots=1)
                pinned = []
            else:
                writer.close()
                store = Store.open(store.path)
                writer = store.writer()
            assert_equal(store.reader(), model)
            assert_failures(store, model)
            follower.follow(store)
            follower.assert_equal(model)
            if random_.random() < 0.3:
                laggard.follow(store)
                laggard.assert_equal(model)
            pinned.append((store.latest(), model.copy()))
            keys = [*model.items, "unknown"]
            known = writer.lookup(keys)
            assert known.found.tolist() == [True] * len(model.items) + [False]
            for name, bit in reader_bits(store, model).items():
                inside = [name in item.spaces for item in model.items.values()]
                assert known.has(bit).tolist() == [*inside, False]
            assert known.generation[:-1].tolist() == [i.generation for i in model.items.values()]
            asked = random_.sample(sorted(model.items), min(5, len(model.items)))
            reader = store.reader()
            assert reader.get_items([*asked, "unknown"])["item_id"].to_pylist() == asked
            entities = sorted({model.items[key].entity_id for key in asked})
            assert reader.items_of(entities)["item_id"].to_pylist() == [
                key
                for entity in entities
                for key in sorted(model.items)
                if model.items[key].entity_id == entity
            ]
            assert reader.item_segments("first", asked).select(
                ["item_id", "ordinal"]
            ).to_pylist() == [
                {"item_id": key, "ordinal": n}
                for key in asked
                if "first" in model.items[key].spaces
                for n in range(model.items[key].number("first"))
            ]
            assert [row.tobytes() for row in known.fingerprint[:-1]] == [
                i.content_fingerprint for i in model.items.values()
            ]
            assert [row.tobytes() for row in known.attributes_fingerprint[:-1]] == [
                i.attributes_fingerprint for i in model.items.values()
            ]
        for snapshot, old in pinned:
            assert_equal(store.reader(store.snapshot(snapshot.id)), old)
        writer.close()
        report = verify(store)
        assert report.ok, report.problems


def test_a_reader_of_a_kept_snapshot_goes_on_and_one_of_a_dropped_snapshot_is_told(
    store: Store,
) -> None:
    random_, model = random.Random(1), Model()
    with store.writer() as writer:
        states = []
        for _ in range(5):
            snapshot = commit(writer, model, random_step(random_, model))
            states.append((snapshot, model.copy(), store.reader(snapshot)))
        writer.compact(retain=timedelta(0), keep_snapshots=3)
        for snapshot, old, reader in states[-2:]:
            assert_equal(reader, old)
            assert_equal(store.reader(snapshot), old)
        for snapshot, _, _ in states[:-2]:
            with pytest.raises(NotFound, match="removed by compaction"):
                store.snapshot(snapshot.id)
            with pytest.raises(NotFound, match="removed by compaction"):
                store.reader(snapshot).items()
        assert [s.id for s in store.snapshots()] == [states[-2][0].id + n for n in range(3)]
        again = writer.compact(retain=timedelta(0), keep_snapshots=3)
        assert again.snapshot == store.latest().id == states[-1][0].id + 1
        assert (again.purged_items, again.purged_segments, again.snapshots_removed) == (0, 0, 0)
    assert verify(store).ok


def test_who_missed_a_purged_deletion_is_told_to_reload(store: Store) -> None:
    random_, model = random.Random(9), Model()
    with store.writer() as writer:
        first = commit(writer, model, random_step(random_, model, size=40))
        keys = sorted(model.items)
        commit(writer, model, Step(deleted=keys[:2]))
        commit(writer, model, Step(touched={keys[2]: {}}))
        assert store.latest().floor == 0
        writer.compact()
        assert store.latest().floor == 2
        reader = store.reader()
        for call in (reader.items, reader.entities):
            with pytest.raises(InvalidInput, match="read everything anew"):
                call(since=first.revision)
        with pytest.raises(InvalidInput, match="read everything anew"):
            list(reader.segments("first", since=first.revision))
        assert reader.items(since=2)["item_id"].to_pylist() == [keys[2]]
        assert store.reader(first).items(since=0).num_rows == len(keys)
        commit(writer, model, Step(touched={keys[2]: {"year": 1}}))
        writer.compact()
        assert store.latest().floor == 2


def test_young_snapshots_are_kept_whatever_their_number(store: Store) -> None:
    random_, model = random.Random(2), Model()
    with store.writer() as writer:
        for _ in range(4):
            commit(writer, model, random_step(random_, model))
        before = [s.id for s in store.snapshots()]
        writer.compact(retain=timedelta(hours=1), keep_snapshots=1)
        assert [s.id for s in store.snapshots()] == [*before, before[-1] + 1]
