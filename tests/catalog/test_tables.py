"""Tables of content and of ready vectors, in both lanes."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.catalog.test_folders import counts, entities
from tests.fakes import HashSpace, direction, png
from trichord.catalog import Catalog, ingesting, preparing, vectors
from trichord.errors import InvalidInput
from trichord.query import Record
from trichord.results import Outcome
from trichord.types import Modality

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def write_table(frame: pl.DataFrame, path: Path) -> Path:
    match path.suffix:
        case ".csv":
            frame.write_csv(path)
        case ".parquet":
            frame.write_parquet(path)
        case _:
            frame.write_ndjson(path)
    return path


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".ndjson", ".parquet"])
@pytest.mark.parametrize(
    "names",
    [
        ("item_id", "entity_id", "uri", "event_timestamp"),
        ("id", "entity", "path", "event_time"),
    ],
)
def test_columns_and_their_other_names(
    catalog: Catalog, tmp_path: Path, ending: str, names: tuple[str, str, str, str]
) -> None:
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "a.png").write_bytes(png("red"))
    (tmp_path / "b.txt").write_text("from a file")
    frame = pl.DataFrame(
        {
            names[0]: ["007", "b", "t", None],
            names[1]: ["e1", None, "e1", "e1"],
            names[2]: ["media/a.png", str(tmp_path / "b.txt"), None, None],
            "text": [None, None, "12", None],
            "modality": ["image", None, "text", None],
            names[3]: ["2026-03-01T12:00:00Z", None, None, None],
            "market": ["SE", "NO", None, "DE"],
            "year": [2020, None, 1999, None],
            "loud": [0.5, 1.0, None, None],
            "live": [True, None, False, None],
        }
    )
    table = write_table(frame, tmp_path / f"tracks{ending}")
    report = catalog.ingest(table)
    assert counts(report) == (4, 0, 0, 0), report.errors
    assert entities(catalog) == {"007": "e1", "b": "b", "t": "e1"}
    found = catalog.get(["007", "b", "t"], entity_ids=["e1"])
    first, second, third = found.items
    assert first.attributes == {"market": "SE", "year": 2020, "loud": 0.5, "live": True}
    assert second.attributes == {"market": "NO", "loud": 1.0}
    assert third.attributes == {"market": "DE", "year": 1999, "live": False}
    assert found.entities[0].attributes == {"market": "DE"}
    assert first.event_timestamp == NOON and second.event_timestamp is None
    assert (first.uri, first.media_type) == (str(tmp_path / "media" / "a.png"), "image/png")
    assert (second.text, third.text) == ("from a file", "12")
    assert counts(catalog.ingest(table)) == (0, 0, 4, 0)


def test_a_row_without_an_id_is_named_by_its_file(catalog: Catalog, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png("red"))
    table = tmp_path / "t.jsonl"
    table.write_text('{"uri": "a.png", "n": 1}\n{"uri": "missing.png", "n": 2}\n{"n": 3}\n')
    report = catalog.ingest(table)
    assert counts(report) == (1, 0, 0, 2) and entities(catalog) == {"a.png": "a.png"}
    assert [failure.source for failure in report.errors] == [f"{table}:2", f"{table}:3"]
    (tmp_path / "missing.png").write_bytes(png("blue"))
    table.write_text('{"uri": "a.png", "n": 1}\n{"uri": "missing.png", "n": 2}\n')
    assert counts(catalog.ingest(table)) == (1, 0, 1, 0)
    assert [failure.source for failure in catalog.failures()] == [f"{table}:3"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "colour,size\nred,1\n", "needs a column.*id, entity or uri; it has colour, size"),
        ("t.csv", "id,item_id\na,b\n", "has both 'item_id' and 'id'"),
        ("t.csv", "", "cannot read the table"),
        ("t.jsonl", "{broken", "cannot read the table"),
        ("t.parquet", "no parquet", "cannot read the table"),
    ],
)
def test_tables_that_are_none(
    catalog: Catalog, tmp_path: Path, name: str, content: str, message: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InvalidInput, match=message):
        catalog.ingest(tmp_path / name)
    assert catalog.stats().failures == 0


def test_bad_rows_do_not_stop_the_good(catalog: Catalog, tmp_path: Path) -> None:
    table = tmp_path / "t.jsonl"
    rows: list[dict[str, Any]] = [
        {"id": "good", "text": "rain", "n": 1},
        {"id": "type", "text": "rain", "n": "one"},
        {"id": "both", "text": "rain", "uri": "x.png"},
        {"id": "mode", "text": "rain", "modality": "image"},
        {"id": "video", "text": "rain", "modality": "video"},
        {"id": "time", "text": "rain", "event_time": "noon"},
        {"id": "x" * 2000, "text": "rain"},
        {"id": "loop", "uri": "loop.png"},
        {"id": "nul", "uri": "a\u0000b"},
        {"id": "last", "text": "snow", "n": 2},
    ]
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    for batch in (rows[:1], rows):
        table.write_text("".join(json.dumps(row) + "\n" for row in batch))
        report = catalog.ingest(table)
    assert set(entities(catalog)) == {"good", "last"} and report.failed == 8
    by_id = {failure.item_id: failure.message for failure in report.errors}
    # The column holds numbers and a text, so the reader took all as texts.
    assert "int64" in by_id["type"] and "string" in by_id["type"]
    assert "text and uri" in by_id["both"] and "not image" in by_id["mode"]
    assert "audio, image, text" in by_id["video"] and "ISO 8601" in by_id["time"]
    assert "1024 characters" in by_id["x" * 2000] and "no such file" in by_id["loop"]


# Ready vectors


def vector_frame(count: int = 12, seed: int = 0, **columns: Any) -> pl.DataFrame:
    generator = np.random.default_rng(seed)
    data = {
        "item_id": [f"v{n}" for n in range(count)],
        "modality": [("image", "audio")[n % 2] for n in range(count)],
        "vector": generator.standard_normal((count, 32)).astype(np.float32),
        **columns,
    }
    return pl.DataFrame(data).with_columns(pl.col("vector").cast(pl.List(pl.Float32)))


def stored_vectors(catalog: Catalog) -> dict[str, np.ndarray[Any, Any]]:
    reader = catalog._views.refresh().reader
    found = {}
    for batch in reader.segments("hash"):
        for row in batch.to_pylist():
            found[row["item_id"]] = np.array(row["vector"])
    return found


def test_the_columnar_lane_stores_what_the_frame_says(catalog: Catalog, tmp_path: Path) -> None:
    n = 12
    frame = vector_frame(
        n,
        entity_id=[None, "", "  ", *[f"e{i % 3}" for i in range(n - 3)]],
        event_timestamp=[NOON if i % 2 else None for i in range(n)],
        market=pl.Series(["SE", None, "NO"] * 4, dtype=pl.Categorical),
        small=pl.Series(range(n), dtype=pl.Int16),
        loud=pl.Series([i / 4 for i in range(n)], dtype=pl.Float32),
        live=[True, False, None] * 4,
        day=[date(2026, 3, 1 + i) for i in range(n)],
        naive=[datetime(2026, 3, 1, i) for i in range(n)],
        tags=[["a", "b"], [], None] * 4,
        nothing=[None] * n,
    )
    path = write_table(frame, tmp_path / "v.parquet")
    report = catalog.ingest(path)
    assert counts(report) == (n, 0, 0, 0) and report.segments == n
    wanted = frame["vector"].to_list()
    stored = stored_vectors(catalog)
    for i in range(n):
        vector = np.array(wanted[i], np.float64)
        np.testing.assert_allclose(stored[f"v{i}"], vector / np.linalg.norm(vector), atol=1e-6)
        item = catalog.get(f"v{i}").items[0]
        assert item.entity_id == (f"v{i}" if i < 3 else f"e{(i - 3) % 3}")
        assert item.event_timestamp == (NOON if i % 2 else None)
        expected = {
            "market": ("SE", None, "NO")[i % 3],
            "small": i,
            "loud": i / 4,
            "live": (True, False, None)[i % 3],
            "day": datetime(2026, 3, 1 + i, tzinfo=UTC),
            "naive": datetime(2026, 3, 1, i, tzinfo=UTC),
            "tags": (["a", "b"], [], None)[i % 3],
        }
        assert item.attributes == {k: v for k, v in expected.items() if v is not None}
        assert item.modality is (Modality.AUDIO if i % 2 else Modality.IMAGE)
    snapshot = catalog.refresh()
    assert counts(catalog.ingest(path)) == (0, 0, n, 0) and catalog.refresh() == snapshot
    assert "nothing" not in catalog.stats().attributes
    assert catalog.verify().problems == ()


def test_the_lanes_know_each_other(catalog: Catalog, tmp_path: Path) -> None:
    """What one lane stored is unchanged for the other, and a batch of others changes nothing."""
    frame = vector_frame(40, market=["SE", "NO"] * 20, year=list(range(40)), tags=[["a"], []] * 20)
    scales = np.where(np.arange(40) % 3 == 0, 1.0, 5.0) / np.linalg.norm(
        np.array(frame["vector"].to_list()), axis=1
    )
    frame = frame.with_columns(
        pl.Series(
            "vector",
            [(np.array(v) * s).astype("f4") for v, s in zip(frame["vector"], scales, strict=True)],
            dtype=pl.List(pl.Float32),
        )
    )
    records = [
        Record(
            row["item_id"], None, row["modality"], vector=np.array(row["vector"], "f4"),
            attributes={name: row[name] for name in ("market", "year", "tags")},
        )
        for row in frame.to_dicts()
    ]  # fmt: skip
    path = write_table(frame, tmp_path / "all.parquet")
    half = write_table(frame[::3], tmp_path / "third.parquet")
    with catalog.ingestion() as ingestion:
        ingestion.add(records[:20])
    assert counts(catalog.ingest(half)) == (7, 0, 7, 0)
    assert counts(catalog.ingest(path)) == (13, 0, 27, 0)
    with catalog.ingestion() as ingestion:
        outcomes = {answer.outcome for answer in ingestion.add(records)}
    assert outcomes == {Outcome.UNCHANGED}
    double = frame.with_columns(pl.col("vector").cast(pl.List(pl.Float64)))
    assert counts(catalog.ingest(write_table(double, tmp_path / "d.parquet"))) == (0, 0, 40, 0)


def test_changes_through_the_columnar_lane(catalog: Catalog, tmp_path: Path) -> None:
    frame = vector_frame(10, year=list(range(10)), market=["SE"] * 10)
    catalog.ingest(write_table(frame, tmp_path / "v.parquet"))
    changed = vector_frame(10, seed=1)[:3]
    catalog.ingest(write_table(changed, tmp_path / "w.parquet"))
    assert catalog.get("v1").items[0].attributes == {"year": 1, "market": "SE"}
    vector = np.array(changed["vector"][1].to_list())
    hit = catalog.search(vector, modality="audio")[0]
    assert hit.item_id == "v1" and hit.score == pytest.approx(1, abs=1e-5)
    facts = frame.with_columns(year=pl.Series([7, None, 2, *range(3, 10)]))[:4]
    back = write_table(facts, tmp_path / "x.parquet")
    report = catalog.ingest(back)
    assert counts(report) == (0, 3, 1, 0) and report.segments == 3
    assert [catalog.get(f"v{n}").items[0].attributes["year"] for n in range(4)] == [7, 1, 2, 3]
    with catalog.ingestion() as ingestion:
        ingestion.add([Record("v3", attributes={"year": -1})])
    assert counts(catalog.ingest(back)) == (0, 1, 3, 0)
    assert catalog.get("v3").items[0].attributes["year"] == 3


def test_bad_vectors(catalog: Catalog, tmp_path: Path) -> None:
    frame = vector_frame(16, loud=[0.5] * 15 + [float("nan")], tags=[["a"]] * 14 + [[None], ["b"]])
    rows = frame["vector"].to_list()
    rows[1] = rows[1][:31]
    rows[2] = [float("nan"), *rows[2][1:]]
    rows[3] = [0.0] * 32
    rows[4] = None
    rows[5] = [None, *rows[5][1:]]
    rows[6] = [float("inf"), *rows[6][1:]]
    rows[7] = [x * 1e30 for x in rows[7]]  # long, but a direction
    ids = frame["item_id"].to_list()
    ids[9], ids[10], ids[11], ids[12] = "v8", None, "a\tb", "long" * 300
    modality = frame["modality"].to_list()
    modality[13] = "video"
    frame = frame.with_columns(
        pl.Series("vector", rows, dtype=pl.List(pl.Float32)),
        pl.Series("item_id", ids),
        pl.Series("modality", modality),
    )
    path = write_table(frame, tmp_path / "v.parquet")
    report = catalog.ingest(path)
    assert sorted(stored_vectors(catalog)) == ["v0", "v7", "v8"]
    np.testing.assert_allclose(stored_vectors(catalog)["v7"], _unit(rows[7]), atol=1e-6)
    # The last of two rows with one id stands.
    np.testing.assert_allclose(stored_vectors(catalog)["v8"], _unit(rows[9]), atol=1e-6)
    messages = {int(f.source.rpartition(":")[2]) - 1: f.message for f in report.errors}
    assert set(messages) == {1, 2, 3, 4, 5, 6, 10, 11, 12, 13, 14, 15}
    assert "31 values, the frame hash/32 has 32" in messages[1]
    for row in (2, 5, 6):
        assert "NaN or infinite" in messages[row]
    assert "zero" in messages[3] and "item_id" in messages[10] and "finite" in messages[15]
    assert (report.added, report.changed) == (3, 1)
    good = vector_frame(16, loud=[0.5] * 16, tags=[["a"]] * 16)
    whole = good["vector"].to_list()
    whole[8:10] = rows[8:10]
    good = good.with_columns(pl.Series("vector", whole, dtype=pl.List(pl.Float32)))
    assert catalog.ingest(write_table(good, path)).failed == 0
    assert catalog.failures() == []


def _unit(row: Any) -> np.ndarray[Any, Any]:
    vector = np.array(row, np.float64)
    return vector / np.linalg.norm(vector)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"my col": [1, 2, 3]}, "'my col' cannot be an attribute's name"),
        ({"media_type": ["a", "b", "c"]}, "'media_type' is a field of every item"),
        ({"struct": [{"a": 1}] * 3}, "must be text, a number.*not dict"),
        ({"event_timestamp": [1, 2, 3]}, "event_timestamp must be a time, not int"),
    ],
)
def test_columns_that_no_attribute_can_be(
    catalog: Catalog, tmp_path: Path, columns: dict[str, Any], message: str
) -> None:
    report = catalog.ingest(write_table(vector_frame(3, **columns), tmp_path / "v.parquet"))
    assert report.failed == 3 and report.added == 0
    assert re.search(message, report.errors[0].message), report.errors[0].message


def test_types_that_do_not_fit_what_is_stored(catalog: Catalog, tmp_path: Path) -> None:
    first = vector_frame(4, x=[1, 2, 3, 4], y=[0.5] * 4, big=[0.5] * 4)
    assert catalog.ingest(write_table(first, tmp_path / "a.parquet")).failed == 0
    second = vector_frame(8, seed=2, x=["one", None] * 4, y=[1] * 8, big=[2**60 + 1, 2] * 4)
    second = second.with_columns(pl.concat_str(pl.lit("w"), "item_id").alias("item_id"))
    report = catalog.ingest(write_table(second, tmp_path / "b.parquet"))
    assert (report.added, report.failed) == (4, 4)
    assert "int64" in report.errors[0].message and "string 'one'" in report.errors[0].message
    assert catalog.get("wv1").items[0].attributes == {"y": 1.0, "big": 2.0}
    third = vector_frame(2, seed=3, x=[1.5, None])
    third = third.with_columns(pl.concat_str(pl.lit("u"), "item_id").alias("item_id"))
    report = catalog.ingest(write_table(third, tmp_path / "c.parquet"))
    assert (report.added, report.failed) == (1, 1)
    unsigned = vector_frame(2, seed=3, z=pl.Series([2**63, 5], dtype=pl.UInt64))
    unsigned = unsigned.with_columns(pl.concat_str(pl.lit("z"), "item_id").alias("item_id"))
    report = catalog.ingest(write_table(unsigned, tmp_path / "d.parquet"))
    assert (report.added, report.failed) == (1, 1) and "64 bits" in report.errors[0].message


def test_text_times(catalog: Catalog, tmp_path: Path) -> None:
    times = ["2026-03-01T12:00:00Z", "2026-03-01", "noon", None, "2026-03-01T13:00:00+01:00"]
    frame = vector_frame(5, event_timestamp=times)
    report = catalog.ingest(write_table(frame, tmp_path / "v.parquet"))
    assert (report.added, report.failed) == (4, 1) and "noon" in report.errors[0].message
    found = [item.event_timestamp for item in catalog.get(["v0", "v1", "v3", "v4"]).items]
    assert found == [NOON, datetime(2026, 3, 1, tzinfo=UTC), None, NOON]


def test_several_batches(catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingesting, "BATCH_VECTORS", 7)
    frame = vector_frame(30)
    rows = frame["vector"].to_list()
    rows[23] = rows[23][:5]
    frame = frame.with_columns(pl.Series("vector", rows, dtype=pl.List(pl.Float32)))
    path = write_table(frame, tmp_path / "v.parquet")
    steps: list[tuple[int, int]] = []
    report = catalog.ingest(path, on_progress=lambda done, total: steps.append((done, total)))
    assert counts(report) == (29, 0, 0, 1) and report.errors[0].source == f"{path}:24"
    assert steps == [(7, 30), (14, 30), (21, 30), (28, 30), (30, 30)]


def test_both_lanes_fingerprint_alike(catalog: Catalog) -> None:
    space = HashSpace().space
    frame = vector_frame(9)
    raw, usable = vectors.matrix_of(frame["vector"], 32)
    assert usable.all()
    prints = vectors.fingerprints(raw, frame, space)
    for row, record in enumerate(frame.to_dicts()):
        seed = preparing.vector_seed(record["modality"], space.encoders[record["modality"]])
        one = preparing.vector_fingerprint(np.array(record["vector"], "f4"), seed)
        assert prints[row].tobytes() == one
    assert len(np.unique(prints, axis=0)) == 9
    assert vectors.unit_rows(np.array([direction("a", 8), 3 * direction("b", 8)])) == pytest.approx(
        np.array([direction("a", 8), direction("b", 8)]), abs=1e-6
    )
