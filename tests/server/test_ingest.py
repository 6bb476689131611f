from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.fakes import direction, png, wav
from tests.server.serving import SPACE, channel, reason_of, serving
from tests.server.test_overload import until
from trichord.catalog import Catalog
from trichord.query import Record
from trichord.server.app import Server
from trichord.server.intake import Intake
from trichord.server.settings import Settings
from trichord.v1 import ingest_pb2
from trichord.wire.plans import Stubs
from trichord.wire.records import to_record


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog.open(tmp_path / "store", space=SPACE) as opened:
        yield opened


@pytest.fixture
def running(store: Catalog, tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "media").mkdir()
    with serving(store, media_root=tmp_path / "media", ingest_records=8) as server:
        yield server


@pytest.fixture
def to(running: Server) -> Iterator[Stubs]:
    with channel(running) as opened:
        yield Stubs(opened)


def numbered(*given: Record | ingest_pb2.Record) -> Iterator[ingest_pb2.IngestRequest]:
    for number, record in enumerate(given):
        message = to_record(record) if isinstance(record, Record) else record
        yield ingest_pb2.IngestRequest(request_id=100 + number, record=message)


def test_each_record_is_acknowledged_in_order(to: Stubs, store: Catalog) -> None:
    given = [Record(f"t{n}", text=f"red number {n}", attributes={"year": n}) for n in range(50)]
    answers = list(to.ingest.Ingest(numbered(*given)))
    assert [answer.request_id for answer in answers] == list(range(100, 150))
    assert [answer.item_id for answer in answers] == [record.item_id for record in given]
    assert {answer.outcome for answer in answers} == {ingest_pb2.IngestResponse.OUTCOME_ADDED}
    snapshots = [answer.snapshot for answer in answers]
    assert snapshots == sorted(snapshots)
    # Micro-batches: at most eight records in a commit, and far fewer commits than records.
    assert max(snapshots.count(one) for one in snapshots) <= 8
    assert len(set(snapshots)) < 50
    store.refresh()
    assert store.stats().items["text"] == 50
    again = list(to.ingest.Ingest(numbered(*given)))
    assert {answer.outcome for answer in again} == {ingest_pb2.IngestResponse.OUTCOME_UNCHANGED}


def test_all_kinds_of_content(to: Stubs, store: Catalog, tmp_path: Path) -> None:
    (tmp_path / "media" / "covers").mkdir()
    (tmp_path / "media" / "covers" / "b.png").write_bytes(png("blue"))
    answers = list(
        to.ingest.Ingest(
            numbered(
                Record("text", "e", text="a red barn", attributes={"market": "SE"}),
                Record("image", "e", data=png("green")),
                Record("sound", data=wav(["low", "high"])),
                Record("ready", modality="audio", vector=direction("high", SPACE.dim)),
                Record(uri="covers/b.png"),
                Record(entity_id="e", attributes={"market": "NO"}),
            )
        )
    )
    assert [answer.WhichOneof("result") for answer in answers] == ["outcome"] * 6
    assert [answer.segments for answer in answers] == [1, 1, 2, 1, 1, 0]
    assert answers[4].item_id == "covers/b.png"
    store.refresh()
    found = store.get(["covers/b.png", "image"])
    assert found.items[0].uri and found.items[0].uri.endswith("media/covers/b.png")
    assert found.items[1].attributes["market"] == "NO"
    assert store.search("blue", modality="image", limit=1)[0].item_id == "covers/b.png"


BAD: dict[str, tuple[ingest_pb2.Record, str, str]] = {
    "media": (ingest_pb2.Record(item_id="x", data=b"no\0"), "INVALID_ARGUMENT", "unsupported"),
    "mislabelled": (
        ingest_pb2.Record(item_id="x", data=png("red"), modality=1), "INVALID_ARGUMENT", "audio",
    ),
    "modality": (ingest_pb2.Record(item_id="x", text="a", modality=9), "INVALID_ARGUMENT", "9"),
    "vector": (
        ingest_pb2.Record(item_id="x", modality=1, vector={"data": b"\0" * 8, "dim": 2}),
        "INVALID_ARGUMENT", "has 32",
    ),
    "frame": (
        ingest_pb2.Record(
            item_id="x", modality=1, vector={"data": b"\0" * 128, "dim": 32, "frame": "clip/32"}
        ),
        "FAILED_PRECONDITION", "clip/32",
    ),
    "empty text": (ingest_pb2.Record(item_id="x", text=" "), "INVALID_ARGUMENT", "empty"),
    "nothing": (ingest_pb2.Record(), "INVALID_ARGUMENT", "item_id"),
    "no id": (ingest_pb2.Record(text="a"), "INVALID_ARGUMENT", "item_id"),
    "path": (ingest_pb2.Record(item_id="x", uri="/etc/passwd"), "PERMISSION_DENIED", "outside"),
    "address": (
        ingest_pb2.Record(item_id="x", uri="http://10.0.0.1/a"), "PERMISSION_DENIED", "network",
    ),
    "missing": (ingest_pb2.Record(item_id="x", uri="none.png"), "NOT_FOUND", "none.png"),
    "name": (
        ingest_pb2.Record(item_id="x", text="a", attributes={"modality": {"string_value": "b"}}),
        "INVALID_ARGUMENT", "modality",
    ),
    "type": (
        ingest_pb2.Record(item_id="x", text="a", attributes={"year": {"string_value": "b"}}),
        "INVALID_ARGUMENT", "year",
    ),
    "time": (
        ingest_pb2.Record(item_id="x", text="a", event_timestamp={"seconds": 10**13}),
        "INVALID_ARGUMENT", "years",
    ),
}  # fmt: skip


def test_a_refused_record_does_not_stop_the_stream(to: Stubs, store: Catalog) -> None:
    records: list[Any] = [Record("first", text="red", attributes={"year": 1})]
    records += [record for record, _, _ in BAD.values()]
    records.append(Record("last", text="blue"))
    answers = list(to.ingest.Ingest(numbered(*records)))
    assert [answer.request_id for answer in answers] == list(range(100, 100 + len(records)))
    assert answers[0].outcome == answers[-1].outcome == 1
    for name, answer in zip(BAD, answers[1:-1], strict=True):
        _, code, says = BAD[name]
        assert answer.error.code == grpc.StatusCode[code].value[0], (name, answer)
        assert says in answer.error.message, (name, answer)
    store.refresh()
    assert store.stats().items == {"audio": 0, "image": 0, "text": 2}


def test_what_was_acknowledged_survives_a_cancelled_stream(
    to: Stubs, store: Catalog, running: Server
) -> None:
    more = threading.Event()

    def endless() -> Iterator[ingest_pb2.IngestRequest]:
        yield from numbered(Record("a", text="red"), Record("b", text="blue"))
        assert more.wait(30)

    stream = to.ingest.Ingest(endless())
    assert [next(stream).item_id, next(stream).item_id] == ["a", "b"]
    stream.cancel()
    more.set()
    until(lambda: running._pools.streams.unfinished == 0)
    store.refresh()
    assert len(store.get(["a", "b"]).items) == 2
    # The writer is free again.
    assert next(to.ingest.Ingest(numbered(Record("c", text="green")))).outcome == 1
    key = "/trichord.v1.IngestService/Ingest CANCELLED"
    assert running.counters.snapshot()[key] == 1


def test_streams_take_turns(to: Stubs, store: Catalog) -> None:
    given = [[Record(f"{s}-{n}", text=f"red {s} {n}") for n in range(20)] for s in range(3)]
    streams = [to.ingest.Ingest(numbered(*records)) for records in given]
    for stream, records in zip(streams, given, strict=True):
        assert [answer.item_id for answer in stream] == [record.item_id for record in records]
    store.refresh()
    assert store.stats().items["text"] == 60


def test_ingested_is_found_and_deleted_is_not(to: Stubs, store: Catalog) -> None:
    list(to.ingest.Ingest(numbered(*(Record(n, "e", text=f"red {n}") for n in "abc"))))
    deleted = to.ingest.Delete(ingest_pb2.DeleteRequest(item_ids=["a"]))
    assert deleted.deleted_items == 1 and deleted.snapshot == store.refresh()
    assert set(store.search("red").item_ids) == {"b", "c"}
    with pytest.raises(grpc.RpcError, match="a, ghost") as raised:
        to.ingest.Delete(ingest_pb2.DeleteRequest(item_ids=["b", "a"], entity_ids=["ghost"]))
    assert reason_of(raised.value) == "NOT_FOUND"
    assert set(store.search("red").item_ids) == {"b", "c"}
    assert to.ingest.Delete(ingest_pb2.DeleteRequest(entity_ids=["e"])).deleted_items == 2
    with pytest.raises(grpc.RpcError) as raised:
        to.ingest.Delete(ingest_pb2.DeleteRequest())
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def sized(size: int) -> ingest_pb2.IngestRequest:
    return ingest_pb2.IngestRequest(record=ingest_pb2.Record(data=b"x" * size))


def test_a_fast_sender_waits() -> None:
    drawn = []

    def fast() -> Iterator[ingest_pb2.IngestRequest]:
        for number in range(100):
            drawn.append(number)
            yield ingest_pb2.IngestRequest(request_id=number)

    stopping = threading.Event()
    intake = Intake(fast(), Settings(ingest_records=4))
    until(lambda: len(drawn) == 5)  # four in the queue, one in the hand of the reader
    taken = []
    while (batch := intake.take(stopping)) is not None:
        assert 1 <= len(batch) <= 4
        taken += [message.request_id for message in batch]
    assert taken == list(range(100))
    intake.close()


def test_bytes_bound_a_batch_and_one_large_message_passes() -> None:
    intake = Intake(
        iter([sized(n) for n in (10, 3_000, 600, 300, 600)]), Settings(ingest_bytes=999)
    )
    stopping = threading.Event()
    sizes = []
    while (batch := intake.take(stopping)) is not None:
        sizes.append([len(message.record.data) for message in batch])
    assert [size for batch in sizes for size in batch] == [10, 3_000, 600, 300, 600]
    assert all(len(batch) == 1 or sum(batch) <= 999 for batch in sizes)


def test_the_reader_ends_when_nobody_takes() -> None:
    intake = Intake(iter([sized(1)] * 50), Settings(ingest_records=2))
    intake.close()
    intake._reader.join(10)
    assert not intake._reader.is_alive()


def test_what_breaks_the_stream_is_raised_after_what_arrived() -> None:
    def broken() -> Iterator[ingest_pb2.IngestRequest]:
        yield sized(1)
        raise ConnectionError("gone")

    intake = Intake(broken(), Settings())
    intake._reader.join(10)
    stopping = threading.Event()
    batch = intake.take(stopping)
    assert batch is not None and len(batch) == 1
    with pytest.raises(ConnectionError, match="gone"):
        intake.take(stopping)
