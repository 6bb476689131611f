"""Spaces that differ in their numbers of segments, are filled later, and are removed."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.store.history import (
    DIM,
    THIRD,
    Model,
    ModelItem,
    Step,
    assert_equal,
    commit,
    facts,
    item_table,
    random_step,
    random_third,
    segment_table,
    space,
)
from trichord.errors import EncoderMismatch, InvalidInput, NotFound, VectorError
from trichord.store import Reader, Store, Writer, failpoints, stats, verify
from trichord.store.numbers import bits_of, from_counts, packed, unpacked
from trichord.types import Encoder, Frame, IngestFailure, Modality, Space


def image(number: int, spaces: tuple[str, ...] = ("first",), **apart: int) -> ModelItem:
    return ModelItem("e", Modality.IMAGE, 1, number, {}, frozenset(spaces), apart=apart)


def with_generation(table: pa.Table, *generations: int) -> pa.Table:
    return table.append_column("generation", pa.array(generations, pa.int64()))


def ids_in(reader: Reader, name: str) -> list[str]:
    return sorted({i for b in reader.segments(name) for i in b.column("item_id").to_pylist()})


# Numbers of segments

MASKS = st.lists(st.dictionaries(st.integers(0, 31), st.integers(1, 9), max_size=6), max_size=12)


@settings(max_examples=80, deadline=None)
@given(MASKS, st.sets(st.integers(0, 31)))
def test_numbers_come_back_from_their_columns(
    items: list[dict[int, int]], removed: set[int]
) -> None:
    bits = {bit for item in items for bit in item}
    counts = {bit: np.array([item.get(bit, 0) for item in items], np.int64) for bit in bits}
    numbers = from_counts(counts, len(items))
    lists = packed(numbers)
    assert lists.to_pylist() == [
        [item[bit] for bit in sorted(item)] if len({*item.values()}) > 1 else None for item in items
    ]
    rows = pa.table(
        {
            "segments": pa.array(numbers.segments),
            "spaces": pa.array(numbers.spaces.astype(np.int64)),
            "space_segments": lists,
        }
    )
    padded = pa.concat_tables([rows.slice(0, 0), rows.slice(0, 3), rows.slice(3)])
    for live in (2**32 - 1, 2**32 - 1 - sum(1 << bit for bit in removed)):
        found = unpacked(padded, live)
        left = [{b: n for b, n in item.items() if live >> b & 1} for item in items]
        assert found.segments.tolist() == [item[min(item)] if item else 0 for item in left]
        for bit in range(32):
            assert found.of(bit).tolist() == [item.get(bit, 0) for item in left]
        assert bits_of(found.spaces) == sorted({bit for item in left for bit in item})


def test_one_commit_into_several_spaces_with_different_numbers(
    writer: Writer, store: Store
) -> None:
    model = Model()
    both = ("first", "second")
    commit(
        writer,
        model,
        Step(
            written={
                "a": image(2, both, second=5),
                "b": image(3, both),
                "c": image(1, ("second",), second=4),
                "d": image(2),
            }
        ),
    )
    assert_equal(store.reader(), model)
    lists = store.reader().items(columns=["item_id", "space_segments"]).to_pylist()
    assert {row["item_id"]: row["space_segments"] for row in lists} == {
        "a": [2, 5],
        "b": None,
        "c": None,
        "d": None,
    }
    assert "space_segments" not in store.reader().items().column_names
    assert "space_segments" not in store.reader().get_items(["a"]).column_names
    assert stats(store).segments["second"][Modality.IMAGE] == 12
    # New content in one of the spaces only: the item leaves the other.
    commit(writer, model, Step(written={"a": image(1, ("second",)), "b": image(2, both, first=1)}))
    assert_equal(store.reader(), model)
    assert ids_in(store.reader(), "first") == ["b", "d"]
    writer.compact(retain=timedelta(0), keep_snapshots=1)
    assert store.reader().data("segments_first").count_rows() == 3
    assert store.reader().data("segments_second").count_rows() == 7
    commit(writer, model, Step(touched={"b": {"year": 3}}, deleted=["c"]))
    assert_equal(store.reader(), model)
    assert verify(store).ok


def test_the_writer_reads_the_numbers_back(store: Store) -> None:
    random_, model = random.Random(12), Model()
    for _ in range(4):
        with store.writer() as writer:
            commit(writer, model, random_step(random_, model))
            commit(writer, model, random_third(random_, model, "fill"))
            before = writer._state.items
            again = store.reader().item_directory()
            hashes = [directory.hash(sorted(model.items)) for directory in (before, again)]
            mine, theirs = (
                directory.facts(directory.locate(known)).numbers
                for directory, known in zip((before, again), hashes, strict=True)
            )
            assert mine.segments.tolist() == theirs.segments.tolist()
            for bit in range(4):
                assert mine.of(bit).tolist() == theirs.of(bit).tolist()
    assert_equal(store.reader(), model)


def test_numbers_that_differ_take_four_bytes_per_item_and_space(store: Store) -> None:
    count = 20_000
    rows = {f"item-{n}": image(1, ("first", "second")) for n in range(count)}
    with store.writer() as writer:
        cut = {name: segment_table(name, rows) for name in ("first", "second")}
        writer.commit(items=item_table(rows, [False] * count), segments=cut)
        plain = writer._state.items.nbytes
        assert plain / count < 65 * 1.13
        one = {"item-0": image(1, ("first", "second"), second=2)}
        cut = {name: segment_table(name, one) for name in ("first", "second")}
        writer.commit(items=item_table(one, [False]), segments=cut)
        assert plain < writer._state.items.nbytes < plain + 4 * count * 1.2


# Adding segments of a further space


@pytest.fixture
def model(writer: Writer) -> Model:
    model = Model()
    commit(
        writer,
        model,
        Step(written={"a": image(2), "b": image(1), "c": image(3, ("first", "second"), second=1)}),
    )
    return model


def test_added_segments_leave_the_item_as_it_is(writer: Writer, store: Store, model: Model) -> None:
    before = {row["item_id"]: row for row in store.reader().items().to_pylist()}
    cut = segment_table("second", {"a": image(4), "b": image(1)})
    done = writer.add_segments("second", cut, message="backfill")
    assert (done.items, done.skipped, done.snapshot) == (2, (), store.latest())
    assert done.id == done.snapshot.id and done.snapshot.message == "backfill"
    after = {row["item_id"]: row for row in store.reader().items().to_pylist()}
    for key in ("a", "b"):
        assert after[key] == {**before[key], "spaces": 3, "revision": 2}
    assert after["c"] == before["c"]
    for key, number in (("a", 4), ("b", 1)):
        item = model.items[key]
        spaces = item.spaces | {"second"}
        model.items[key] = replace(item, spaces=spaces, apart={"second": number}, revision=2)
    model.revision = 2
    assert_equal(store.reader(), model)
    assert writer.lookup(["a", "b", "x"]).generation.tolist() == [1, 1, 0]
    assert sum(b.num_rows for b in store.reader().segments("second", since=1)) == 5
    assert verify(store).ok


def test_what_changed_since_the_caller_looked_is_left_out(
    writer: Writer, store: Store, model: Model
) -> None:
    commit(writer, model, Step(written={"a": replace(image(2), content=2)}, deleted=["b"]))
    rows = {"a": image(2), "b": image(1), "c": image(1), "x": image(1)}
    cut = segment_table("second", rows)
    before = store.latest()
    done = writer.add_segments("second", with_generation(cut, 1, 1, 1, 1, 1))
    # New content, deleted, there already, unknown: nothing is left to write.
    assert (done.items, done.skipped) == (0, ("a", "b", "c", "x"))
    assert done.snapshot == store.latest() == before
    # One row of another generation spoils its item.
    done = writer.add_segments("second", with_generation(cut.slice(0, 2), 2, 1))
    assert (done.items, done.skipped) == (0, ("a",))
    done = writer.add_segments("second", with_generation(cut, 2, 2, 1, 1, 1))
    assert (done.items, done.skipped) == (1, ("b", "c", "x"))
    assert ids_in(store.reader(), "second") == ["a", "c"]
    assert verify(store).ok


def test_extras_are_written_even_if_no_item_fits(writer: Writer, store: Store) -> None:
    failure = IngestFailure("s", "x", "MEDIA", "no", datetime.now(UTC))
    done = writer.add_segments(
        "second",
        segment_table("second", {"x": image(1)}),
        failures=[failure],
        records={"migrations": {"m": 1}},
    )
    assert (done.items, done.skipped) == (0, ("x",))
    assert store.failures() == [failure] and store.records("migrations") == {"m": 1}
    writer.copy_segments("first", "second", ["x"], resolved_sources=["s"])
    assert store.failures() == []
    empty = segment_table("second", {})
    assert writer.add_segments("second", empty).snapshot == store.latest()


def test_bad_additions_write_nothing(writer: Writer, store: Store, model: Model) -> None:
    cut = segment_table("second", {"a": image(2)})
    before = store.latest()
    bad = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(2 * DIM, np.float32)), DIM)
    attempts: list[tuple[type[Exception], str, pa.Table]] = [
        (InvalidInput, "ordinals of the item a", cut.slice(1)),
        (VectorError, "length is 0", cut.set_column(3, "vector", bad)),
        (InvalidInput, "integer in every row", with_generation(cut, 1, 1).set_column(
            4, "generation", pa.array([1, None], pa.int64()))),
        (InvalidInput, "modality of some rows", cut.append_column(
            "modality", pa.array(["text", "text"]))),
        (EncoderMismatch, "other encoders", cut.append_column("encoder", pa.array(["x", "x"]))),
        (InvalidInput, "'item_id' is missing", cut.drop_columns(["item_id"])),
    ]  # fmt: skip
    for kind, message, table in attempts:
        with pytest.raises(kind, match=message):
            writer.add_segments("second", table)
    with pytest.raises(NotFound, match="no space 'nobody'"):
        writer.add_segments("nobody", cut)
    with pytest.raises(InvalidInput, match="not JSON"):
        writer.add_segments("second", cut, records={"m": {"x": float("nan")}})
    assert store.latest() == before
    assert writer.add_segments("second", cut).items == 1
    assert_equal_second(store, model)


def assert_equal_second(store: Store, model: Model) -> None:
    item = model.items["a"]
    model.items["a"] = replace(item, spaces=item.spaces | {"second"}, revision=2)
    model.revision = 2
    assert_equal(store.reader(), model)


# Copying


def test_copies_are_equal_to_the_last_bit(writer: Writer, store: Store, model: Model) -> None:
    done = writer.copy_segments("first", "second", ["b", "a", "c", "x", "a"], message="copy")
    assert (done.items, done.skipped) == (2, ("c", "x"))
    reader = store.reader()
    for key in ("a", "b"):
        mine, theirs = (reader.item_segments(name, [key]) for name in ("first", "second"))
        same = [n for n in mine.column_names if n not in ("revision", "created_timestamp")]
        assert mine.select(same).equals(theirs.select(same))
    assert {r["revision"] for r in reader.item_segments("second", ["a"]).to_pylist()} == {2}
    assert verify(store).ok


def test_only_what_is_of_the_same_frame_and_encoder_is_copied(
    writer: Writer, store: Store, model: Model
) -> None:
    other = {m: Encoder(m, {"model": "other"}) for m in Modality}
    mixed = {**space("x").encoders, Modality.IMAGE: other[Modality.IMAGE].id}
    writer.add_space(Space("mixed", Frame("test", DIM), mixed))
    writer.add_space(Space("far", Frame("other", DIM), space("x").encoders))
    writer.add_space(Space("sound", Frame("test", DIM), {Modality.AUDIO: mixed[Modality.AUDIO]}))
    text = replace(image(1), modality=Modality.TEXT)
    commit(writer, model, Step(written={"t": text}))
    before = store.latest()
    with pytest.raises(EncoderMismatch, match="has the frame test/8, 'far' has other/8"):
        writer.copy_segments("first", "far", ["a"])
    for name in ("mixed", "sound"):
        with pytest.raises(EncoderMismatch, match="the encoder for image"):
            writer.copy_segments("first", name, ["t", "a"])
    with pytest.raises(InvalidInput, match="to itself"):
        writer.copy_segments("first", "first", ["a"])
    for pair in (("first", "nobody"), ("nobody", "first")):
        with pytest.raises(NotFound):
            writer.copy_segments(*pair, ["a"])
    assert store.latest() == before
    assert writer.copy_segments("first", "mixed", ["t"]).items == 1
    assert verify(store).ok


def test_a_copy_of_a_damaged_space_is_undone(
    writer: Writer, store: Store, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trichord.errors import StoreDamaged

    whole = Reader.rows_of

    def shortened(self: Reader, *arguments: Any) -> Any:
        for batch in whole(self, *arguments):
            yield batch.slice(1)

    monkeypatch.setattr(Reader, "rows_of", shortened)
    with pytest.raises(StoreDamaged, match="2 segments of 2 items that should have 3"):
        writer.copy_segments("first", "second", ["a", "b"])
    monkeypatch.undo()
    assert_equal(store.reader(), model)
    assert writer.copy_segments("first", "second", ["a", "b"]).items == 2


# Removing


def test_a_removed_space_is_gone_and_older_readers_go_on(writer: Writer, store: Store) -> None:
    random_, model = random.Random(5), Model()
    commit(writer, model, random_step(random_, model, size=30))
    commit(writer, model, random_third(random_, model, "fill"))
    old, was = store.reader(), model.copy()
    with pytest.raises(NotFound, match="no space 'nobody'"):
        writer.remove_space("nobody")
    snapshot = writer.remove_space("first", message="bye")
    assert snapshot.message == "bye" and snapshot == store.latest()
    assert not any("first" in name for name in [*snapshot.versions, *snapshot.counts])
    reader = store.reader()
    assert [s.name for s in store.spaces()] == ["second", THIRD]
    assert reader.space_bits() == {"second": 1, THIRD: 2}
    assert "first" not in stats(store).segments
    for call in (
        lambda: list(reader.segments("first")),
        lambda: reader.item_segments("first", []),
        lambda: reader.lacking("first", [], limit=1),
        lambda: reader.space_bit("first"),
        lambda: store.space_facts("first"),
        lambda: writer.remove_space("first"),
        lambda: writer.copy_segments("first", "second", []),
    ):
        with pytest.raises(NotFound):
            call()
    assert verify(store).ok
    assert_equal(old, was)
    assert_equal(store.reader(store.snapshot(old.snapshot.id)), was)
    writer.compact(keep_snapshots=50)
    assert_equal(old, was)
    writer.close()
    with store.writer() as again:
        assert_equal(old, was)
        again.compact(retain=timedelta(0), keep_snapshots=1)
    assert not (store.path / "segments_first.lance").exists()
    with pytest.raises(NotFound, match="removed by compaction"):
        list(old.segments("second"))
    assert verify(store).ok


def test_items_of_no_other_space_stay_without_vectors(
    writer: Writer, store: Store, model: Model
) -> None:
    writer.remove_space("first")
    writer.remove_space("second")
    rows = {row["item_id"]: row for row in store.reader().items().to_pylist()}
    assert {key: (row["segments"], row["spaces"]) for key, row in rows.items()} == {
        key: (0, 0) for key in "abc"
    }
    assert dict(store.latest().counts) == {"items": 3, "items.image": 3}
    assert verify(store).ok
    assert not writer.lookup(["a"]).has(0).any()
    # They can be touched, deleted, and filled again.
    touched = item_table({"a": image(2)}, [True])
    writer.commit(items=touched, deleted_items=["b"])
    assert verify(store).ok
    writer.add_space(space("fresh"), facts())
    lacking = store.reader().lacking("fresh", [Modality.IMAGE], limit=9)
    assert lacking["item_id"].to_pylist() == ["a", "c"]
    assert lacking["spaces"].to_pylist() == [0, 0]
    assert writer.add_segments("fresh", segment_table("fresh", {"a": image(2)})).items == 1
    assert store.latest().counts["segments.fresh.image"] == 2
    with pytest.raises(InvalidInput, match="no segment in any space"):
        writer.commit(items=item_table({"new": image(1)}, [False]))
    assert verify(store).ok


def test_a_name_can_be_given_again(writer: Writer, store: Store, model: Model) -> None:
    old, was = store.reader(), model.copy()
    writer.remove_space("first")
    encoder = Encoder(Modality.IMAGE, {"model": "new"})
    writer.add_space(
        Space("first", Frame("other", 4), {Modality.IMAGE: encoder.id}),
        {Modality.IMAGE: encoder.facts},
    )
    assert store.reader().space_bits() == {"second": 1, "first": 2}
    assert [s.name for s in store.spaces()] == ["second", "first"]
    assert list(store.reader().segments("first")) == []
    assert store.reader().lacking_count("first", [Modality.IMAGE]) == {Modality.IMAGE: 3}
    vectors = pa.FixedSizeListArray.from_arrays(pa.array([0, 0, 0, 1] * 2, pa.float32()), 4)
    cut = pa.table({"item_id": ["a", "a"], "ordinal": [0, 1], "vector": vectors})
    assert writer.add_segments("first", cut).items == 1
    (batch,) = store.reader().segments("first")
    assert batch.column("encoder").to_pylist() == [encoder.id] * 2
    assert_equal(old, was)
    assert verify(store).ok
    # Once more, over a reopened writer, and with what is left of the first two compacted away.
    writer.close()
    with store.writer() as again:
        again.remove_space("first")
        again.compact(retain=timedelta(0), keep_snapshots=1)
        again.add_space(space("first"), facts())
        assert again.copy_segments("second", "first", ["a", "b", "c"]).skipped == ("a", "b")
    assert ids_in(store.reader(), "first") == ["c"]
    tables = {path.name for path in store.path.glob("segments_*")}
    assert tables == {"segments_second.lance", "segments__3_first.lance"}
    assert verify(store).ok


def test_a_store_has_so_many_spaces_in_its_life(writer: Writer, store: Store) -> None:
    for number in range(30):
        writer.add_space(space(f"s{number}"))
        writer.remove_space(f"s{number}")
    with pytest.raises(InvalidInput, match="at most 32 spaces in its life"):
        writer.add_space(space("more"))
    writer.add_space(space("first"), facts())
    commit(writer, Model(), Step(written={"a": image(1)}))
    assert verify(store).ok


def test_a_removal_that_fails_leaves_the_space(writer: Writer, store: Store, model: Model) -> None:
    def hook(name: str) -> None:
        if name == "space-removed":
            raise RuntimeError("interrupted")

    failpoints.set_hook(hook)
    try:
        with pytest.raises(RuntimeError, match="interrupted"):
            writer.remove_space("first", records={"aliases": {"default": None}})
    finally:
        failpoints.set_hook(None)
    assert_equal(store.reader(), model)
    commit(writer, model, Step(written={"d": image(1)}))
    assert_equal(store.reader(), model)
    snapshot = writer.remove_space("first", records={"aliases": {"default": 1}})
    assert snapshot.revision == 3 and store.records("aliases") == {"default": 1}
    assert verify(store).ok


def test_a_space_that_fails_to_come_may_come_with_other_vectors(
    writer: Writer, store: Store, model: Model
) -> None:
    def hook(name: str) -> None:
        if name == "space-written":
            raise RuntimeError("interrupted")

    failpoints.set_hook(hook)
    try:
        with pytest.raises(RuntimeError, match="interrupted"):
            writer.add_space(space(THIRD), facts())
    finally:
        failpoints.set_hook(None)
    assert_equal(store.reader(), model)
    writer.add_space(Space(THIRD, Frame("small", 4), space(THIRD).encoders), facts())
    vectors = pa.FixedSizeListArray.from_arrays(pa.array([0, 0, 0, 1], pa.float32()), 4)
    cut = pa.table({"item_id": ["b"], "ordinal": [0], "vector": vectors})
    assert writer.add_segments(THIRD, cut).items == 1
    (batch,) = store.reader().segments(THIRD)
    assert batch.column("vector").to_pylist() == [[0, 0, 0, 1]]
    assert verify(store).ok


# What is lacking


def test_lacking_is_a_page_in_the_order_of_ids(writer: Writer, store: Store) -> None:
    rows = {f"it's {n}": image(1) for n in range(9)} | {"ü": image(1), "Z": image(1)}
    rows["text"] = replace(image(1), modality=Modality.TEXT)
    rows["there"] = image(1, ("first", "second"))
    model = Model()
    commit(writer, model, Step(written=rows))
    commit(writer, model, Step(deleted=["it's 3"]))
    reader = store.reader()
    expected = sorted(k for k in rows if k not in ("it's 3", "text", "there"))
    found = reader.lacking("second", [Modality.IMAGE], limit=100)
    assert found["item_id"].to_pylist() == expected
    assert found.column_names == [
        "item_id",
        "entity_id",
        "modality",
        "uri",
        "text",
        "media_type",
        "content_hash",
        "spaces",
        "generation",
    ]
    after = reader.lacking("second", [Modality.IMAGE], limit=2, after="it's 2")
    assert after["item_id"].to_pylist() == ["it's 4", "it's 5"]
    assert reader.lacking("second", [Modality.IMAGE], limit=2, after="ü").num_rows == 0
    assert reader.lacking("second", [], limit=2).num_rows == 0
    both = reader.lacking_count("second", [Modality.IMAGE, Modality.TEXT, Modality.AUDIO])
    assert both == {Modality.IMAGE: 10, Modality.TEXT: 1, Modality.AUDIO: 0}
    with pytest.raises(InvalidInput, match="limit"):
        reader.lacking("second", [Modality.IMAGE], limit=0)
    with pytest.raises(NotFound):
        reader.lacking("nobody", [Modality.IMAGE], limit=1)
    with pytest.raises(NotFound):
        reader.lacking_count("nobody", [Modality.IMAGE])
    with pytest.raises(InvalidInput, match="smell"):
        reader.lacking_count("second", ["smell"])  # type: ignore[list-item]
