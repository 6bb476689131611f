"""What a commit takes, fills in, and refuses."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import xxhash

from tests.store.history import (
    DIM,
    ENCODERS,
    Model,
    ModelItem,
    Step,
    assert_equal,
    commit,
    entity_table,
    facts,
    item_table,
    segment_table,
    space,
)
from trichord.errors import EncoderMismatch, InvalidInput, NotFound, VectorError
from trichord.store import Store, Writer, stats
from trichord.types import Frame, IngestFailure, Modality, Space


def items(**numbers: int) -> dict[str, ModelItem]:
    """Images with so many segments each."""
    return {
        key: ModelItem(f"e-{key}", Modality.IMAGE, 1, number, {}) for key, number in numbers.items()
    }


def tables(rows: dict[str, ModelItem]) -> tuple[pa.Table, pa.Table]:
    return item_table(rows, [False] * len(rows)), segment_table("first", rows)


def changed(table: pa.Table, name: str, values: Any) -> pa.Table:
    column = values if isinstance(values, pa.Array) else pa.array(values)
    return table.set_column(table.column_names.index(name), name, column)


def test_the_store_fills_in_its_columns(writer: Writer, store: Store) -> None:
    rows = items(a=2, b=1)
    made, cut = tables(rows)
    started = datetime.now(UTC)
    snapshot = writer.commit(items=made, segments={"first": cut}, message="hello")
    assert snapshot == store.latest() and snapshot.message == "hello"
    assert snapshot.revision == 1 and writer.next_revision == 2
    reader = store.reader()
    for row in reader.get_items(["b", "a"]).to_pylist():
        assert (row["generation"], row["revision"], row["deleted"]) == (1, 1, False)
        assert started <= row["created_timestamp"] <= datetime.now(UTC)
        assert row["spaces"] == 1
    found = reader.item_segments("first", ["b", "a", "nobody"])
    assert found["item_id"].to_pylist() == ["b", "a", "a"]
    assert found["ordinal"].to_pylist() == [0, 0, 1]
    for row in found.to_pylist():
        raw = np.array(row["vector"], "<f4").tobytes()
        assert row["checksum"] == xxhash.xxh3_64_intdigest(raw)
        assert row["encoder"] == ENCODERS[Modality.IMAGE].id
        assert row["modality"] == "image"
        assert row["start_ms"] is None


def test_a_commit_makes_one_version_of_each_touched_table(writer: Writer, store: Store) -> None:
    rows = items(a=1, b=1, c=3)
    made, cut = tables(rows)
    first = writer.commit(items=made, segments={"first": cut}, entities=entity_table({"e": {}}))
    mixed = items(b=2, d=1)
    made, cut = tables(mixed)
    failure = IngestFailure("s", None, "R", "m", datetime.now(UTC))
    second = writer.commit(
        items=made,
        segments={"first": cut},
        entities=entity_table({"e": {}, "f": {}}),
        deleted_items=["a"],
        failures=[failure, failure],
    )
    grown = {name: second.versions[name] - first.versions[name] for name in second.versions}
    touched = ("items", "entities", "failures", "segments_first")
    assert grown == {name: int(name in touched) for name in second.versions}
    assert second.id == first.id + 1
    assert sorted(store.reader().items()["item_id"].to_pylist()) == ["b", "c", "d"]


def test_an_empty_commit_changes_nothing(writer: Writer, store: Store) -> None:
    before = store.latest()
    made, cut = tables(items())
    assert writer.commit(items=made, segments={"first": cut}) == before
    assert writer.commit(items=None, entities=None, resolved_sources=["x"]) == before
    assert store.latest() == before


def test_types_that_mean_the_same_are_taken(writer: Writer, store: Store) -> None:
    made, cut = tables(items(a=2, b=1))
    made = changed(made, "item_id", made["item_id"].combine_chunks().cast(pa.large_string()))
    made = changed(made, "uri", made["uri"].combine_chunks().cast(pa.string_view()))
    made = changed(made, "modality", made["modality"].combine_chunks().dictionary_encode())
    made = changed(made, "attr_score", pa.array([7, None], pa.int32()))
    cut = changed(cut, "ordinal", pa.array([0, 1, 0], pa.uint8()))
    cut = changed(cut, "item_id", cut["item_id"].combine_chunks().cast(pa.large_string()))
    # A table of several chunks, the way readers and concat give them.
    cut = pa.concat_tables([cut.slice(0, 1), cut.slice(1)])
    writer.commit(items=made, segments={"first": cut})
    row = store.reader().get_items(["a"]).to_pylist()[0]
    assert (row["modality"], row["uri"], row["attr_score"]) == ("image", "file:a", 7.0)
    assert store.reader().item_segments("first", ["a"]).num_rows == 2


def test_attributes_only_keeps_generation_and_vectors(writer: Writer, store: Store) -> None:
    model = Model()
    commit(writer, model, Step(written=items(a=2, b=1)))
    commit(writer, model, Step(touched={"a": {"market": "SE", "tags": ["x"]}}))
    assert_equal(store.reader(), model)
    segments = store.latest().versions["segments_first"]
    commit(writer, model, Step(touched={"a": {}, "b": {"year": 3}}))
    assert store.latest().versions["segments_first"] == segments
    assert writer.lookup(["a", "b"]).generation.tolist() == [1, 1]
    assert_equal(store.reader(), model)


def test_a_second_space_can_be_filled_later(writer: Writer, store: Store) -> None:
    model = Model()
    commit(writer, model, Step(written=items(a=2, b=1)))
    commit(writer, model, Step(backfilled=["a"]))
    assert_equal(store.reader(), model)
    found = store.reader().item_segments("second", ["a", "b"])
    assert found["item_id"].to_pylist() == ["a", "a"]
    since = [b for b in store.reader().segments("second", since=1)]
    assert sum(b.num_rows for b in since) == 2
    with pytest.raises(InvalidInput, match="has segments already"):
        writer.commit(
            items=item_table({"a": model.items["a"]}, [True]),
            segments={"second": segment_table("second", {"a": model.items["a"]})},
        )


def test_a_shorter_item_leaves_no_stale_segment(writer: Writer, store: Store) -> None:
    for number in (5, 2, 1):
        made, cut = tables(items(a=number))
        writer.commit(items=made, segments={"first": cut})
        assert store.reader().item_segments("first", ["a"])["ordinal"].to_pylist() == list(
            range(number)
        )
        assert store.latest().counts["segments.first.image"] == number


Spoil = Callable[[pa.Table, pa.Table], tuple[pa.Table, pa.Table]]
VECTOR = pa.list_(pa.float32(), DIM)


def _vectors(row: list[float]) -> pa.Array:
    good = [1.0] + [0.0] * (DIM - 1)
    return pa.array([good, row, good], VECTOR)


BAD: dict[str, tuple[type[Exception], str, Spoil]] = {
    "twice": (InvalidInput, "a stands twice", lambda i, s: (changed(i, "item_id", ["a", "a"]), s)),
    "empty id": (InvalidInput, "null or empty", lambda i, s: (changed(i, "item_id", ["a", ""]), s)),
    "null id": (
        InvalidInput,
        "null or empty",
        lambda i, s: (changed(i, "item_id", ["a", None]), s),
    ),
    "modality": (
        InvalidInput,
        "modality is none of audio, image, text for the items b",
        lambda i, s: (changed(i, "modality", ["image", "smell"]), s),
    ),
    "null entity": (
        InvalidInput,
        "'entity_id' is null",
        lambda i, s: (changed(i, "entity_id", ["e", None]), s),
    ),
    "no fingerprint": (
        InvalidInput,
        "'fingerprint' is missing",
        lambda i, s: (i.drop_columns(["fingerprint"]), s),
    ),
    "short fingerprint": (
        InvalidInput,
        "fingerprint",
        lambda i, s: (changed(i, "fingerprint", pa.array([b"a", b"b"], pa.binary(1))), s),
    ),
    "unknown column": (
        InvalidInput,
        "unknown columns attr_nobody",
        lambda i, s: (i.append_column("attr_nobody", pa.array([1, 2])), s),
    ),
    "attribute type": (
        InvalidInput,
        "'attr_year' is string",
        lambda i, s: (changed(i, "attr_year", ["x", "y"]), s),
    ),
    "naive time": (
        InvalidInput,
        "time zone",
        lambda i, s: (i.append_column("event_timestamp", pa.array([0, 1], pa.timestamp("us"))), s),
    ),
    "own column": (
        InvalidInput,
        "fills in generation",
        lambda i, s: (i.append_column("generation", pa.array([1, 2])), s),
    ),
    "wrong number": (
        InvalidInput,
        "number of given segments for the items b",
        lambda i, s: (i.append_column("segments", pa.array([2, 2])), s),
    ),
    "unknown kept": (
        InvalidInput,
        "does not have b",
        lambda i, s: (changed(i, "attributes_only", [False, True]), s),
    ),
    "no segments": (
        InvalidInput,
        "no segment in any space for the items b",
        lambda i, s: (i, s[:2]),
    ),
    "no segments at all": (InvalidInput, "no segment", lambda i, s: (i, s[:0])),
    "stray segment": (
        InvalidInput,
        "the item x is not in the batch",
        lambda i, s: (i, changed(s, "item_id", ["a", "a", "x"])),
    ),
    "ordinal gap": (
        InvalidInput,
        "ordinals of the item a",
        lambda i, s: (i, changed(s, "ordinal", [0, 2, 0])),
    ),
    "ordinal twice": (
        InvalidInput,
        "ordinals of the item a",
        lambda i, s: (i, changed(s, "ordinal", [1, 1, 0])),
    ),
    "ordinal null": (
        InvalidInput,
        "ordinals of the item b",
        lambda i, s: (i, changed(s, "ordinal", [0, 1, None])),
    ),
    "segment modality": (
        InvalidInput,
        "modality of some rows",
        lambda i, s: (i, s.append_column("modality", pa.array(["image", "image", "text"]))),
    ),
    "encoder": (
        EncoderMismatch,
        "other encoders",
        lambda i, s: (i, s.append_column("encoder", pa.array(["e"] * 3))),
    ),
    "float span": (
        InvalidInput,
        "start_ms is double",
        lambda i, s: (i, changed(s, "start_ms", [0.5, 1.0, 2.0])),
    ),
    "nan": (
        VectorError,
        "at row 1",
        lambda i, s: (i, changed(s, "vector", _vectors([np.nan] * DIM))),
    ),
    "infinite": (
        VectorError,
        "at row 1",
        lambda i, s: (i, changed(s, "vector", _vectors([np.inf] + [0.0] * (DIM - 1)))),
    ),
    "zero": (
        VectorError,
        "length is 0",
        lambda i, s: (i, changed(s, "vector", _vectors([0.0] * DIM))),
    ),
    "long": (
        VectorError,
        "length is 1.01",
        lambda i, s: (i, changed(s, "vector", _vectors([1.01] + [0.0] * (DIM - 1)))),
    ),
    "null vector": (
        VectorError,
        "null",
        lambda i, s: (i, changed(s, "vector", pa.array([None] * 3, VECTOR))),
    ),
    "dim": (
        VectorError,
        "3 numbers, the space has 8",
        lambda i, s: (
            i,
            changed(s, "vector", pa.array([[1.0, 0.0, 0.0]] * 3, pa.list_(pa.float32(), 3))),
        ),
    ),
    "doubles": (
        VectorError,
        "not fixed-size lists of float32",
        lambda i, s: (
            i,
            changed(s, "vector", s["vector"].combine_chunks().cast(pa.list_(pa.float64(), DIM))),
        ),
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_rows_are_refused_and_nothing_is_written(
    writer: Writer, store: Store, name: str
) -> None:
    kind, message, spoil = BAD[name]
    before = store.latest()
    made, cut = spoil(*tables(items(a=2, b=1)))
    with pytest.raises(kind, match=message):
        writer.commit(items=made, segments={"first": cut})
    assert store.latest() == before
    writer.commit(**dict(zip(("items", "segments"), _good(), strict=True)))
    assert store.latest().counts["items"] == 2


def _good() -> tuple[pa.Table, dict[str, pa.Table]]:
    made, cut = tables(items(a=2, b=1))
    return made, {"first": cut}


def test_spaces_are_checked(writer: Writer) -> None:
    made, cut = tables(items(a=1))
    with pytest.raises(NotFound, match="no space 'third'"):
        writer.commit(items=made, segments={"third": cut})
    with pytest.raises(InvalidInput, match="without their items"):
        writer.commit(items=None, segments={"first": cut})
    writer.add_space(Space("sound", Frame("s", DIM), {Modality.AUDIO: "x"}))
    with pytest.raises(InvalidInput, match="no encoder for image"):
        writer.commit(items=made, segments={"sound": cut})


def test_deleting(writer: Writer, store: Store) -> None:
    model = Model()
    rows = {"a": {"market": "SE"}, "e": {}}
    commit(writer, model, Step(written=items(a=2, b=1, c=1), entities=rows))
    with pytest.raises(NotFound, match="no such items: x, y"):
        writer.delete(["a", "x", "y"])
    assert_equal(store.reader(), model)
    commit(writer, model, Step(deleted=["a", "b"]))
    assert_equal(store.reader(), model)
    with pytest.raises(NotFound, match="no such items: a"):
        writer.delete(["a"])
    with pytest.raises(InvalidInput, match="c is written and deleted"):
        made, cut = tables(items(c=1))
        writer.commit(items=made, segments={"first": cut}, deleted_items=["c"])
    gone = {row["item_id"]: row for row in store.reader().items(since=1).to_pylist()}
    assert gone.keys() == {"a", "b"} and all(row["deleted"] for row in gone.values())
    assert gone["a"]["entity_id"] == "e-a" and gone["a"]["modality"] == "image"
    assert gone["a"]["text"] is None and gone["a"]["fingerprint"] is None
    # A deleted item can come back, with new content.
    commit(writer, model, Step(written=items(a=1)))
    assert_equal(store.reader(), model)
    assert writer.lookup(["a"]).generation.tolist() == [3]


def test_deleting_an_entity_deletes_its_items(writer: Writer, store: Store) -> None:
    rows = {
        "a": ModelItem("one", Modality.IMAGE, 1, 1, {}),
        "b": ModelItem("one", Modality.TEXT, 1, 2, {}),
        "c": ModelItem("two", Modality.TEXT, 1, 1, {}),
    }
    made, cut = tables(rows)
    things = entity_table({"one": {}, "three": {}})
    writer.commit(items=made, segments={"first": cut}, entities=things)
    assert store.reader().items_of(["two", "one"])["item_id"].to_pylist() == ["c", "a", "b"]
    with pytest.raises(NotFound, match="no such entities: four"):
        writer.delete_entities(["one", "four"])
    assert store.latest().counts["items"] == 3
    writer.delete_entities(["one"])
    assert store.reader().items()["item_id"].to_pylist() == ["c"]
    assert store.reader().entities()["entity_id"].to_pylist() == ["three"]
    writer.delete_entities(["two", "three"])
    assert dict(store.latest().counts) == {}
    assert store.reader().get_entities(["three"]).num_rows == 0


def test_ids_with_quotes_and_other_scripts(writer: Writer, store: Store) -> None:
    keys = ["it's", '"quoted"', "a\\b", "日本", "x' OR '1'='1", "%_", " "]
    rows = items(**{key: 1 for key in keys})
    made, cut = tables(rows)
    writer.commit(items=made, segments={"first": cut})
    assert store.reader().get_items(keys[::-1])["item_id"].to_pylist() == keys[::-1]
    assert store.reader().item_segments("first", keys)["item_id"].to_pylist() == keys
    writer.delete(["x' OR '1'='1"])
    assert store.reader().items().num_rows == len(keys) - 1


def test_spaces_and_their_encoders(writer: Writer, store: Store) -> None:
    before = store.latest()
    writer.add_space(space("first"), facts())
    assert store.latest() == before
    assert store.spaces() == [space("first"), space("second")]
    assert store.space_facts("first") == {m: dict(f) for m, f in facts().items()}
    with pytest.raises(NotFound):
        store.space_facts("nobody")
    with pytest.raises(EncoderMismatch, match="frame"):
        writer.add_space(Space("first", Frame("other", DIM), {}))
    with pytest.raises(EncoderMismatch, match="image vectors of the encoder"):
        writer.add_space(Space("first", Frame("test", DIM), {Modality.IMAGE: "another"}))
    with pytest.raises(InvalidInput, match="not a name"):
        writer.add_space(Space("../up", Frame("test", DIM), {}))
    writer.add_space(
        Space("growing", Frame("g", 4), {Modality.TEXT: "t"}), {Modality.TEXT: {"k": 1}}
    )
    grown = Space("growing", Frame("g", 4), {Modality.TEXT: "t", Modality.IMAGE: "i"})
    writer.add_space(grown, {Modality.IMAGE: {"k": 2}})
    assert store.spaces()[2] == grown
    assert store.spaces()[2].encoders == grown.encoders
    assert store.space_facts("growing") == {Modality.TEXT: {"k": 1}, Modality.IMAGE: {"k": 2}}


def test_attributes_evolve(writer: Writer, store: Store) -> None:
    model = Model()
    commit(writer, model, Step(written=items(a=1), entities={"e": {"market": "SE"}}))
    writer.ensure_attributes({"market": pa.large_string(), "score": pa.int16()})
    before = store.latest()
    writer.ensure_attributes({"mood": pa.float32(), "year": pa.int32()})
    reader = store.reader()
    assert reader.snapshot.id == before.id + 1 and reader.snapshot.revision == before.revision
    assert reader.attribute_types()["mood"] == pa.float64()
    assert reader.get_items(["a"])["attr_mood"].to_pylist() == [None]
    assert "mood" not in store.reader(before).attribute_types()
    for kind, message in [
        ({"market": pa.int64()}, "stored as string and cannot take int64"),
        ({"year": pa.float64()}, "stored as int64 and cannot take double"),
        ({"bad name": pa.int64()}, "not a name"),
        ({"odd": pa.binary()}, "has the type binary"),
        ({"naive": pa.timestamp("us")}, "timestamp"),
    ]:
        with pytest.raises(InvalidInput, match=message):
            writer.ensure_attributes(kind)
    made = pa.table({"entity_id": ["e", "f"], "attr_mood": pa.array([1, None], pa.int8())})
    writer.commit(entities=made)
    rows = store.reader().get_entities(["f", "e"]).to_pylist()
    assert [(r["entity_id"], r["attr_mood"], r["attr_market"]) for r in rows] == [
        ("f", None, None),
        ("e", 1.0, None),
    ]


def test_failures_are_kept_until_resolved(writer: Writer, store: Store) -> None:
    def failure(source: str, item: str | None, message: str, minute: int) -> IngestFailure:
        when = datetime(2026, 1, 1, 0, minute, tzinfo=UTC)
        return IngestFailure(source, item, "MEDIA", message, when)

    writer.commit(failures=[failure("a", None, "1", 1), failure("b", "x", "2", 2)])
    writer.commit(failures=[failure("b", "x", "3", 3), failure("b", "y", "4", 4)])
    assert [f.message for f in store.failures()] == ["1", "3", "4"]
    writer.commit(resolved_sources=["b", "never"], failures=[failure("c", None, "5", 5)])
    assert [f.message for f in store.failures()] == ["1", "5"]
    writer.close()
    with store.writer() as again:
        again.commit(resolved_sources=["a", "c"])
    assert store.failures() == []


def test_readers_select_columns(writer: Writer, store: Store) -> None:
    made, cut = tables(items(a=2))
    writer.commit(items=made, segments={"first": cut})
    reader = store.reader()
    assert reader.items(columns=["uri", "item_id"]).column_names == ["uri", "item_id"]
    (batch,) = reader.segments("first", columns=["ordinal"])
    assert batch.schema.names == ["ordinal"]
    with pytest.raises(InvalidInput, match="no column nothing"):
        reader.items(columns=["nothing"])
    with pytest.raises(NotFound, match="no space"):
        list(reader.segments("nothing"))
    assert list(reader.segments("first", Modality.TEXT)) == []
    assert sum(b.num_rows for b in reader.segments("first", Modality.IMAGE)) == 2
    assert [b.num_rows for b in reader.segments("first", batch_rows=1)] == [1, 1]
    assert reader.get_items([]).num_rows == 0
    assert reader.get_items(["a", "a", "b"]).num_rows == 1


def test_stats(writer: Writer, store: Store) -> None:
    model = Model()
    commit(writer, model, Step(written=items(a=2, b=1), entities={"e": {}}))
    found = stats(store)
    assert (found.items, found.entities, found.failures) == (2, 1, 0)
    assert found.items_by_modality[Modality.IMAGE] == 2
    assert found.segments["first"] == {Modality.AUDIO: 0, Modality.IMAGE: 3, Modality.TEXT: 0}
    assert [s.name for s in found.spaces] == ["first", "second"]
    assert found.snapshots == len(store.snapshots())
    on_disk = sum(p.stat().st_size for p in store.path.rglob("*") if p.is_file())
    assert found.bytes == on_disk - (store.path / "writer.lock").stat().st_size
    assert found.files["segments_first"] == 1
