"""Records one by one: merging, repetition, errors that concern one record only."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from tests.catalog.conftest import add
from tests.fakes import HashSpace, png, wav
from trichord.catalog import Catalog
from trichord.errors import InvalidInput, MediaError, NotFound, TrichordError, VectorError
from trichord.query import Record
from trichord.results import Acknowledgement, Outcome

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def tell(catalog: Catalog, *records: Record) -> list[Acknowledgement]:
    with catalog.ingestion() as ingestion:
        return ingestion.add(records)


def outcomes(answers: list[Acknowledgement]) -> list[str]:
    return [str(a.outcome) if a.error is None else type(a.error).__name__ for a in answers]


def attributes(catalog: Catalog, item: str) -> dict[str, Any]:
    return dict(catalog.get(item).items[0].attributes)


def test_named_attributes_are_set_and_others_kept(catalog: Catalog) -> None:
    first = Record("a", "e", text="rain", attributes={"x": 1, "y": "one"}, event_timestamp=NOON)
    assert outcomes(tell(catalog, first)) == ["added"]
    assert outcomes(tell(catalog, first)) == ["unchanged"]
    steps: list[tuple[Record, str, dict[str, Any]]] = [
        (Record("a", attributes={"y": "two"}), "changed", {"x": 1, "y": "two"}),
        (Record("a", attributes={"y": "two"}), "unchanged", {"x": 1, "y": "two"}),
        (Record("a", text="rain"), "unchanged", {"x": 1, "y": "two"}),
        (
            Record("a", text="rain", attributes={"z": True}),
            "changed",
            {"x": 1, "y": "two", "z": True},
        ),
        (Record("a", attributes={"x": None}), "changed", {"y": "two", "z": True}),
        (Record("a", attributes={"x": None}), "unchanged", {"y": "two", "z": True}),
        (Record("a", text="snow", attributes={"y": "3"}), "changed", {"y": "3", "z": True}),
        (first, "changed", {"x": 1, "y": "one", "z": True}),
    ]
    for record, outcome, wanted in steps:
        (answer,) = tell(catalog, record)
        assert (str(answer.outcome), attributes(catalog, "a")) == (outcome, wanted)
        item = catalog.get("a").items[0]
        assert (item.entity_id, item.event_timestamp) == ("e", NOON)
    assert outcomes(tell(catalog, Record("a", "f", text="rain"))) == ["changed"]
    found = catalog.get(entity_ids=["e", "f"])
    assert found.missing_entity_ids == ("e",) and found.entities[0].item_ids == ("a",)


def test_content_changes_and_its_facts_with_it(catalog: Catalog, tmp_path: Any) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png("red"))
    tell(catalog, Record("a", uri=str(path)))
    assert catalog.get("a").items[0].uri == str(path)
    # The same bytes from elsewhere are the same content, and its file is still known.
    assert outcomes(tell(catalog, Record("a", data=png("red")))) == ["unchanged"]
    assert catalog.get("a").items[0].uri == str(path)
    assert outcomes(tell(catalog, Record("a", data=png("blue")))) == ["changed"]
    assert catalog.get("a").items[0].uri is None
    assert outcomes(tell(catalog, Record("a", text="words"))) == ["changed"]
    item = catalog.get("a").items[0]
    assert (item.text, item.media_type, str(item.modality)) == ("words", "text/plain", "text")
    vector = np.ones(32, np.float32)
    assert outcomes(tell(catalog, Record("a", modality="audio", vector=vector))) == ["changed"]
    item = catalog.get("a").items[0]
    assert (item.text, item.media_type, str(item.modality)) == (None, None, "audio")
    assert catalog.stats().segments == 1


def test_repeated_ids_are_taken_in_order(catalog: Catalog) -> None:
    answers = tell(
        catalog,
        Record("a", text="rain", attributes={"n": 1}),
        Record(entity_id="a", attributes={"m": 1}),
        Record("a", text="snow"),
        Record("b", text="sun"),
        Record("a", attributes={"n": 3}),
        Record(entity_id="a", attributes={"m": 2}),
        Record("a", text="snow", attributes={"n": 3}),
    )
    assert outcomes(answers) == [
        "added", "added", "changed", "added", "changed", "changed", "unchanged",
    ]  # fmt: skip
    assert attributes(catalog, "a") == {"n": 3, "m": 2}
    assert catalog.search("snow")[0].score == pytest.approx(1, abs=1e-5)


def test_entities_without_items(catalog: Catalog) -> None:
    assert outcomes(tell(catalog, Record(entity_id="e", attributes={"market": "SE"}))) == ["added"]
    assert outcomes(tell(catalog, Record(entity_id="e", attributes={"market": "SE"}))) == [
        "unchanged"
    ]
    assert catalog.get(entity_ids="e").entities[0].attributes == {"market": "SE"}
    assert catalog.stats().entities == 1 and catalog.stats().items["text"] == 0
    tell(
        catalog,
        Record("a", "e", text="rain"),
        Record("b", "e", text="r", attributes={"market": "NO"}),
    )
    assert catalog.search("rain", where="market = 'SE'").item_ids == ["a"]
    assert attributes(catalog, "a") == {"market": "SE"} and attributes(catalog, "b") == {
        "market": "NO"
    }
    tell(catalog, Record(entity_id="e", attributes={"market": "DK"}))
    assert catalog.search("rain", where="market = 'DK'").item_ids == ["a"]
    assert catalog.delete(entity_ids="e") == 2
    assert catalog.get(entity_ids="e").missing_entity_ids == ("e",)
    tell(catalog, Record("a", "e", text="rain"))
    assert attributes(catalog, "a") == {}
    tell(catalog, Record(entity_id="lone", attributes={"market": "SE"}))
    assert catalog.delete(entity_ids="lone") == 0 and catalog.stats().entities == 1


@pytest.mark.parametrize("item", [True, False])
def test_types_that_conflict(catalog: Catalog, item: bool) -> None:
    def record(name: str, **attributes: Any) -> Record:
        if item:
            return Record(name, text=name, attributes=attributes)
        return Record(entity_id=name, attributes=attributes)

    values = {"s": "x", "i": 1, "f": 0.5, "b": True, "t": NOON, "l": ["a"]}
    names = {"s": "string", "i": "int64", "f": "float64", "b": "bool", "t": "timestamp"}
    names["l"] = "list<string>"
    assert outcomes(tell(catalog, record("first", **values))) == ["added"]
    assert catalog.stats().attributes == names
    for column in values:
        for other, value in values.items():
            fits = column == other or (column, other) == ("f", "i")
            good, bad, last = tell(
                catalog,
                record(f"{column}-{other}-1", **{column: values[column]}),
                record(f"{column}-{other}-2", **{column: value}),
                record(f"{column}-{other}-3", **{column: values[column]}),
            )
            assert good.outcome is last.outcome is Outcome.ADDED
            if fits:
                assert bad.outcome is Outcome.ADDED
                continue
            assert isinstance(bad.error, InvalidInput)
            assert repr(column) in str(bad.error)
            assert names[column] in str(bad.error) and names[other] in str(bad.error)
    # True is not the number 1 of an item that is there, nor is 1 true.
    (answer,) = tell(catalog, record("first", i=True))
    assert isinstance(answer.error, InvalidInput) and "bool" in str(answer.error)
    (answer,) = tell(catalog, record("first", b=1))
    assert isinstance(answer.error, InvalidInput)
    assert catalog.verify().problems == ()


def test_numbers(catalog: Catalog) -> None:
    answers = tell(
        catalog,
        Record("a", text="a", attributes={"mixed": 1, "f": 0.5}),
        Record("b", text="b", attributes={"mixed": 1.5}),
        Record("c", text="c", attributes={"big": 2**63}),
        Record("d", text="d", attributes={"big": -(2**63)}),
        Record("e", text="e", attributes={"f": 2**53 + 1}),
        Record("f", text="f", attributes={"f": float("nan")}),
        Record("g", text="g", attributes={"f": float("inf")}),
        Record(
            "h", text="h", attributes={"f": np.float32(0.25), "big": np.int16(3), "ok": np.True_}
        ),
        Record("i", text="i", attributes={"f": Decimal("1.25")}),
    )
    errors = {answer.item_id: str(answer.error) for answer in answers if answer.error}
    assert set(errors) == {"c", "e", "f", "g"}
    assert "64 bits" in errors["c"] and "exactly" in errors["e"] and "finite" in errors["f"]
    assert catalog.stats().attributes["mixed"] == "float64"
    assert attributes(catalog, "h") == {"f": 0.25, "big": 3, "ok": True}
    assert attributes(catalog, "d") == {"big": -(2**63)}


@pytest.mark.parametrize(
    ("record", "kind", "message"),
    [
        (Record(), InvalidInput, "needs an item_id or an entity_id"),
        (Record("a"), InvalidInput, "needs attributes to set"),
        (Record("a", attributes={"n": 1}), NotFound, "no item 'a' whose attributes"),
        (Record(text="x"), InvalidInput, "needs an item_id"),
        (Record("a", text=" "), InvalidInput, "empty"),
        (Record("a", text="!?"), InvalidInput, "empty"),
        (Record("a", text="half \ud800"), MediaError, "surrogate"),
        (Record("a", text="x", data=b"y"), InvalidInput, "data and text"),
        (Record("a", data=b""), MediaError, ""),
        (Record("a", data="text"), InvalidInput, "data must be bytes, not str"),  # type: ignore[arg-type]
        (Record(7, text="x"), InvalidInput, "item_id must be text, not int"),  # type: ignore[arg-type]
        (Record("a", text=5), InvalidInput, "text must be text"),  # type: ignore[arg-type]
        (Record("a", text="x", modality="smell"), InvalidInput, "no modality 'smell'"),
        (Record("a", data=png("red"), modality="audio"), MediaError, "so image, not audio"),
        (Record("a\n", text="x"), InvalidInput, "control characters"),
        (Record("a" * 1025, text="x"), InvalidInput, "1024"),
        (Record("a\udc80", text="x"), InvalidInput, "Unicode"),
        (Record("a", "e\x00", text="x"), InvalidInput, "entity_id"),
        (Record("a", uri="/a\udc80"), InvalidInput, "uri is not valid Unicode"),
        (Record("a", uri="s3://bucket/x"), TrichordError, "nothing is fetched"),
        (Record("a", uri="/no/such/file"), MediaError, "no such file"),
        (Record("a", text="x", event_timestamp="noon"), InvalidInput, "ISO 8601"),
        (Record("a", text="x", event_timestamp=5), InvalidInput, "must be a time"),
        (
            Record("a", text="x", event_timestamp="0001-01-01T00:00:00+09:00"),
            InvalidInput,
            "years 1 to 9999",
        ),
        (Record("a", text="x", attributes={"modality": "x"}), InvalidInput, "field of every item"),
        (Record("a", text="x", attributes={"two words": 1}), InvalidInput, "letters, digits and _"),
        (Record("a", text="x", attributes={5: 1}), InvalidInput, "name"),  # type: ignore[dict-item]
        (Record("a", text="x", attributes={"n": object()}), InvalidInput, "not object"),  # type: ignore[dict-item]
        (Record("a", text="x", attributes={"n": [1]}), InvalidInput, "list of texts"),  # type: ignore[list-item]
        (Record("a", text="x", attributes={"n": "\ud800"}), InvalidInput, "Unicode"),
        (Record("a", text="x", attributes=[1]), InvalidInput, "mapping"),  # type: ignore[arg-type]
        (Record("a", vector=np.ones(32, "f4")), InvalidInput, "must say its modality"),
        (Record("a", modality="text", vector=np.ones(31, "f4")), VectorError, "31 values"),
        (Record("a", modality="text", vector=np.ones((2, 16), "f4")), VectorError, "one dimension"),
        (Record("a", modality="text", vector=np.zeros(32, "f4")), VectorError, "zero"),
        (Record("a", modality="text", vector=np.full(32, np.nan, "f4")), VectorError, "NaN"),
        (Record("a", modality="text", vector=["x"] * 32), VectorError, "list of numbers"),  # type: ignore[arg-type]
    ],
)
def test_one_bad_record(catalog: Catalog, record: Record, kind: type, message: str) -> None:
    answers = tell(catalog, Record("before", text="rain"), record, Record("after", text="rain"))
    assert [a.error is None for a in answers] == [True, False, True]
    assert isinstance(answers[1].error, kind) and message in str(answers[1].error)
    assert set(catalog.search("rain").item_ids) == {"before", "after"}
    (failure,) = catalog.failures()
    assert message in failure.message and failure.source.encode()
    assert catalog.verify().problems == ()


@pytest.mark.parametrize(
    "name", ["generation", "deleted", "revision", "text", "uri", "score", "_x"]
)
def test_attributes_named_like_columns(catalog: Catalog, name: str) -> None:
    add(catalog, [Record("a", "e", text="rain", attributes={name: 5})])
    add(catalog, [Record(entity_id="e", attributes={name: 6}), Record("b", "e", text="rain")])
    for reopened in (False, True):
        one = Catalog.open(catalog.path, space=HashSpace()) if reopened else catalog
        assert one.search("rain", where=f"{name} = 5").item_ids == ["a"]
        hits = one.search("rain", attributes=name)
        assert dict(zip(hits.item_ids, hits.attributes[name], strict=True)) == {"a": 5, "b": 6}
        assert len(hits.to_polars()) == 2
    assert attributes(catalog, "b") == {name: 6}


def test_times(catalog: Catalog) -> None:
    stockholm = datetime.fromisoformat("2026-03-01T13:00:00+01:00")
    add(
        catalog,
        [
            Record("a", text="a", attributes={"t": stockholm}, event_timestamp="2026-03-01T12:00Z"),
            Record("b", text="b", attributes={"t": date(2026, 3, 1)}, event_timestamp=stockholm),
            Record("c", text="c", attributes={"t": datetime(2026, 3, 1, 12)}),
        ],
    )
    assert [attributes(catalog, i)["t"] for i in "abc"] == [
        NOON,
        datetime(2026, 3, 1, tzinfo=UTC),
        NOON,
    ]
    assert [item.event_timestamp for item in catalog.get(["a", "b", "c"]).items] == [
        NOON,
        NOON,
        None,
    ]
    assert set(catalog.search("a", where="t = '2026-03-01T12:00:00Z'").item_ids) == {"a", "c"}


def test_failures_are_kept_and_resolved(catalog: Catalog) -> None:
    tell(
        catalog, Record(entity_id="e", attributes={"n": 1}), Record("a", text="x", source="table:1")
    )
    tell(
        catalog,
        Record(entity_id="e", attributes={"n": "text"}),
        Record("a", data=b"\x00", source="table:1"),
        Record("b", data=b"\x00"),
    )
    assert {(f.source, f.item_id) for f in catalog.failures()} == {
        ("e", None), ("table:1", "a"), ("b", "b"),
    }  # fmt: skip
    assert catalog.stats().failures == 3
    tell(catalog, Record(entity_id="e", attributes={"n": 1}), Record("b", data=wav("low")))
    assert [f.source for f in catalog.failures()] == ["table:1"]
    tell(catalog, Record("a", text="x", source="table:1"))
    assert catalog.failures() == []


def test_nothing_to_add(catalog: Catalog) -> None:
    before = catalog.refresh()
    with catalog.ingestion() as ingestion:
        snapshot = catalog.refresh()
        assert ingestion.add([]) == []
    assert catalog.refresh() == snapshot >= before


def test_deleting(catalog: Catalog) -> None:
    tell(catalog, *(Record(n, "e" if n < "c" else None, text="rain") for n in "abcd"))
    before = catalog.refresh()
    with pytest.raises(NotFound, match="nothing was deleted.*: x, y") as caught:
        catalog.delete(["a", "x"], entity_ids=["e", "y"])
    assert caught.value.details["ids"] == "x,y" and catalog.refresh() == before
    with pytest.raises(InvalidInput, match="name the items"):
        catalog.delete([])
    assert catalog.delete(["a", "a", "d"], entity_ids="e") == 3
    assert catalog.search("rain").item_ids == ["c"]
    with pytest.raises(NotFound):
        catalog.delete("a")
    assert outcomes(tell(catalog, Record("a", text="rain"))) == ["added"]
    assert set(catalog.search("rain").item_ids) == {"a", "c"}
