from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.fakes import direction, png, wav
from tests.server.serving import SPACE, serving
from tests.server.test_overload import until
from trichord import sources
from trichord.aio import AsyncClient
from trichord.catalog import Catalog
from trichord.client import Client
from trichord.embedders.media.sniff import EXTENSIONS
from trichord.errors import InvalidInput, NotFound, PermissionDenied
from trichord.query import Record
from trichord.results import Outcome
from trichord.server.app import Server


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog.open(tmp_path / "store", space=SPACE) as opened:
        yield opened


@pytest.fixture
def writable(store: Catalog, tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "media").mkdir()
    with serving(store, media_root=tmp_path / "media", max_message_bytes=300_000) as server:
        yield server


@pytest.fixture
def to(writable: Server) -> Iterator[Client]:
    with Client(writable.address, max_message_bytes=300_000) as client:
        yield client


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    below = tmp_path / "files"
    (below / "covers").mkdir(parents=True)
    (below / "covers" / "rain.png").write_bytes(png("blue"))
    (below / "rain.wav").write_bytes(wav(["low", "high"]))
    (below / "sun.txt").write_text("a red sun")
    (below / "ignored.pdf").write_bytes(b"%PDF-1.7")
    (below / ".hidden.txt").write_text("hidden")
    return below


def test_records_and_mappings(to: Client, store: Catalog) -> None:
    time = datetime(2024, 5, 1, tzinfo=UTC)
    report = to.ingest(
        [
            Record("a", "e", data=png("red"), attributes={"market": "SE"}, event_timestamp=time),
            {"item_id": "b", "entity_id": "e", "text": "blue", "year": 2020, "tags": ["x", "y"]},
            {"item_id": "c", "modality": "audio", "vector": direction("low", 32).tolist()},
            {"entity_id": "e", "attributes": {"genre": "folk"}, "live": True},
        ]
    )
    assert (report.added, report.failed, report.segments) == (4, 0, 3)
    assert report.snapshot == store.refresh()
    items = {item.item_id: item for item in to.get(["a", "b", "c"]).items}
    assert items["a"].event_timestamp == time
    assert items["b"].attributes == {
        "genre": "folk",
        "live": True,
        "tags": ["x", "y"],
        "year": 2020,
    }
    again = to.ingest({"item_id": "b", "entity_id": "e", "text": "red", "year": 2020})
    assert (again.added, again.changed, again.unchanged) == (0, 1, 0)


def test_folders_give_what_they_give_in_process(
    to: Client, store: Catalog, folder: Path, tmp_path: Path
) -> None:
    pl.DataFrame({"id": ["t1", "t2"], "text": ["green", "blue"], "year": [1, None]}).write_parquet(
        folder / "table.parquet"
    )
    report = to.ingest([folder, folder / "table.parquet"])
    assert (report.added, report.failed) == (5, 0)
    with Catalog.open(tmp_path / "local", space=SPACE) as local:
        local.ingest(folder, folder / "table.parquet")
        ids = ["covers/rain.png", "rain.wav", "sun.txt", "t1", "t2"]
        store.refresh()
        ours, theirs = store.get(ids).items, local.get(ids).items
        assert [item.item_id for item in ours] == ids
        for got, expected in zip(ours, theirs, strict=True):
            assert (got.entity_id, got.modality, got.content_hash, got.attributes) == (
                expected.entity_id,
                expected.modality,
                expected.content_hash,
                expected.attributes,
            )
    assert to.ingest(str(folder / "sun.txt")).unchanged == 1
    with pytest.raises(NotFound, match="nothing"):
        to.ingest(tmp_path / "nothing")


def test_what_a_folder_scan_takes_is_what_can_be_decoded() -> None:
    assert {name: kind.modality for name, kind in EXTENSIONS.items()} == sources.MEDIA


def test_uris_are_read_here_or_there(
    to: Client, store: Catalog, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "media" / "there.png").write_bytes(png("green"))
    here = to.ingest([{"uri": str(folder / "sun.txt")}, {"uri": f"file://{folder}/rain.wav"}])
    assert (here.added, here.errors) == (2, ())
    there = to.ingest([{"uri": "there.png"}, {"uri": str(folder / "sun.txt")}], uris="send")
    assert (there.added, there.failed) == (1, 1)
    assert there.errors[0].reason == "PERMISSION_DENIED"
    store.refresh()
    assert len(store.get(["sun.txt", "rain.wav", "there.png"]).items) == 3


def test_refusals_of_either_side_keep_their_place(to: Client, folder: Path) -> None:
    given: list[Any] = [
        {"item_id": "ok-1", "text": "red"},
        {"item_id": "no-file", "uri": str(folder / "nothing.png")},
        {"item_id": "remote", "uri": "https://example.org/a.png"},
        {"item_id": "bad-media", "data": b"no\0"},
        {"item_id": "too-large", "data": b"x" * 300_000},
        {"item_id": "ok-2", "text": "blue"},
        {"item_id": "two", "text": "a", "data": b"b"},
        {"item_id": "broken", "text": "\ud800"},
        "ok",
        17,
    ]
    given[8] = {"item_id": "typed", "text": "a", "year": object()}
    answers = list(to.ingest_stream(given))
    assert [answer.item_id for answer in answers[:9]] == [one["item_id"] for one in given[:9]]
    assert [answer.outcome for answer in answers if answer.outcome] == [Outcome.ADDED] * 2
    kinds = [type(answer.error).__name__ for answer in answers]
    assert kinds == [
        "NoneType", "NotFound", "PermissionDenied", "MediaError", "InvalidInput", "NoneType",
        "InvalidInput", "InvalidInput", "InvalidInput", "InvalidInput",
    ]  # fmt: skip
    report = to.ingest(given)
    assert (report.added, report.unchanged, report.failed) == (0, 2, 8)
    assert [error.source for error in report.errors[:2]] == [
        str(folder / "nothing.png"),
        "https://example.org/a.png",
    ]


def test_a_large_file_is_refused_before_it_is_read(to: Client, tmp_path: Path) -> None:
    with (tmp_path / "huge.wav").open("wb") as file:
        file.truncate(1 << 40)
    report = to.ingest(tmp_path / "huge.wav")
    assert report.failed == 1 and "let the server read the file" in report.errors[0].message


def test_acknowledgements_come_while_records_still_go(to: Client) -> None:
    go = threading.Event()

    def slowly() -> Iterator[dict]:
        yield {"item_id": "a", "text": "red"}
        assert go.wait(30)
        yield {"item_id": "b", "text": "blue"}

    stream = to.ingest_stream(slowly())
    assert next(stream).item_id == "a"
    go.set()
    assert [answer.item_id for answer in stream] == ["b"]


def test_an_error_of_the_callers_iterable_is_the_callers(to: Client, store: Catalog) -> None:
    def broken() -> Iterator[dict]:
        yield {"item_id": "a", "text": "red"}
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        to.ingest(broken())
    assert to.ingest({"item_id": "b", "text": "blue"}).added == 1


def test_a_stream_may_be_left(to: Client, writable: Server) -> None:
    go = threading.Event()

    def endless() -> Iterator[dict]:
        yield {"item_id": "a", "text": "red"}
        go.wait(30)

    stream = to.ingest_stream(endless())
    assert next(stream).item_id == "a"
    stream.close()  # type: ignore[attr-defined]
    go.set()
    until(lambda: writable._pools.streams.unfinished == 0)
    until(lambda: len(to.get("a").items) == 1)


def test_delete(to: Client) -> None:
    to.ingest([{"item_id": one, "entity_id": "e", "text": f"red {one}"} for one in "abcd"])
    assert to.delete("a") == 1
    with pytest.raises(NotFound, match="nobody"):
        to.delete(["b", "nobody"])
    assert to.delete(entity_ids=["e"]) == 3


def test_the_asynchronous_client(writable: Server, folder: Path, store: Catalog) -> None:
    async def arriving() -> AsyncIterator[dict]:
        for number in range(5):
            await asyncio.sleep(0)
            yield {"item_id": f"t{number}", "text": f"red {number}"}

    async def broken() -> AsyncIterator[dict]:
        yield {"item_id": "x", "text": "red"}
        raise KeyError("mine")

    async def run() -> None:
        async with AsyncClient(writable.address, max_message_bytes=300_000) as client:
            seen = [one.item_id async for one in client.ingest_stream(arriving())]
            assert seen == [f"t{number}" for number in range(5)]
            report = await client.ingest([folder, {"item_id": "bad", "data": b"no\0"}, 17])
            assert (report.added, report.failed) == (3, 2)
            assert await client.delete(["t0", "t1"]) == 2
            with pytest.raises(KeyError, match="mine"):
                await client.ingest(broken())
            with pytest.raises(PermissionDenied, match="outside"):
                one = client.ingest_stream({"item_id": "p", "uri": "/etc/passwd"}, uris="send")
                async for answer in one:
                    assert answer.error is not None
                    raise answer.error
            with pytest.raises(InvalidInput):
                await client.delete()

    asyncio.run(run())
    store.refresh()
    assert len(store.get(["t2", "t3", "t4", "sun.txt"]).items) == 4
