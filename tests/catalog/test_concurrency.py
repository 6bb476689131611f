"""Threads and processes on one catalogue."""

from __future__ import annotations

import errno
import logging
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.catalog import keeping_apart, reference
from tests.catalog.conftest import add
from tests.fakes import HashSpace
from trichord.catalog import Catalog
from trichord.catalog.ingestion import Ingestion
from trichord.catalog.keeping import Keeper
from trichord.errors import StoreError, StoreLocked
from trichord.index import persist
from trichord.index.matrix_file import MatrixFile
from trichord.query import Record
from trichord.results import Outcome
from trichord.types import Modality

GENERATOR = np.random.default_rng(0)
ROOT = Path(keeping_apart.__file__).resolve().parents[2]


def picture(name: str) -> Record:
    vector = GENERATOR.standard_normal(32).astype(np.float32)
    return Record(name, modality="image", vector=vector, attributes={"n": len(name)})


def until(what: Any, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def test_search_while_others_write(catalog: Catalog) -> None:
    """Searches see whole items only, and never one whose deletion was acknowledged."""
    add(catalog, [picture(f"p{n}") for n in range(30)])
    text = " ".join(f"rain{n}" for n in range(50))
    add(catalog, [Record("long", text=text)])
    whole = catalog.get("long").items[0].segments
    assert whole > 2
    stop, gone, lock = threading.Event(), set[str](), threading.Lock()
    failures: list[BaseException] = []

    def guarded(work: Any) -> threading.Thread:
        def run() -> None:
            try:
                while not stop.is_set():
                    work()
            except BaseException as error:
                failures.append(error)
                stop.set()

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def search() -> None:
        with lock:
            deleted = set(gone)
        found = catalog.search(np.ones(32), limit=500, attributes="n", where="n > 0")
        assert not set(found.item_ids) & deleted
        segments = catalog.search("rain7", modality="text", segments=100)[0].segments
        assert sorted(s.ordinal for s in segments) == list(range(whole))
        got = catalog.get(["long", *found.item_ids[:3]], entity_ids=["long"])
        assert got.items[0].segments == whole
        catalog.stats()

    names = iter(range(10**6))

    def ingest() -> None:
        longer = Record("long", text=f"{text} rain{next(names)}")
        add(catalog, [picture(f"new{next(names)}"), longer])

    victims = iter([f"p{n}" for n in range(30)])

    def delete() -> None:
        name = next(victims, None)
        if name is None:
            stop.set()
            return
        assert catalog.delete(name) == 1
        with lock:
            gone.add(name)
        if len(gone) % 10 == 0:
            catalog.compact()
            catalog.build_indexes(everything=True, threads=1)

    threads = [guarded(work) for work in (search, search, search, ingest, delete)]
    until(stop.is_set, 120)
    for thread in threads:
        thread.join()
    assert not failures, failures
    assert catalog.verify().problems == ()
    assert len(gone) == 30


def test_two_streams_of_one_process(catalog: Catalog) -> None:
    records = [picture(f"p{n}") for n in range(40)]
    with catalog.ingestion() as one, catalog.ingestion() as two:

        def stream(ingestion: Ingestion, first: int) -> None:
            for n in range(first, 40, 5):
                ingestion.add(records[n : n + 5])

        threads = [
            threading.Thread(target=stream, args=given)
            for given in ((one, 0), (two, 0), (one, 5), (two, 10))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        catalog.compact()
        catalog.delete("p0")
    assert catalog.stats().items["image"] == 39
    with pytest.raises(StoreError, match="writer is closed"):
        one.add(records[:1])


class Slow(HashSpace):
    """Embedding waits until the test lets it go."""

    def embedder(self, modality: Modality) -> Any:
        inner = HashSpace.embedder(self, modality)

        class Waits:
            def embed(self, batch: Any, **options: Any) -> Any:
                started.set()
                assert released.wait(30)
                return inner.embed(batch, **options)

        return Waits()


started, released = threading.Event(), threading.Event()


def test_embedding_holds_up_no_other_writer(tmp_path: Path) -> None:
    started.clear()
    released.clear()
    with Catalog.open(tmp_path / "s", space=Slow()) as catalog:
        add(catalog, [picture("p"), picture("q")])
        answers: list[Any] = []

        def slowly() -> None:
            with catalog.ingestion() as ingestion:
                answers.extend(ingestion.add([Record("p", text="rain"), Record("t", text="snow")]))

        thread = threading.Thread(target=slowly)
        thread.start()
        assert started.wait(30)
        add(catalog, [picture("r"), picture("t")])
        assert catalog.delete(["p", "q"]) == 2
        catalog.compact()
        released.set()
        thread.join()
        # What the others did meanwhile is what the record is compared with.
        assert [answer.outcome for answer in answers] == [Outcome.ADDED, Outcome.CHANGED]
        assert catalog.stats().items == {"audio": 0, "image": 1, "text": 2}
        assert catalog.search("snow").item_ids[-1] and catalog.verify().problems == ()


def test_one_writing_process(catalog: Catalog) -> None:
    add(catalog, [picture("p")])
    with catalog.ingestion():
        command = [sys.executable, "-m", "tests.catalog.keeping_apart", str(catalog.path)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
        assert done.stdout.strip() == "StoreLocked StoreLocked StoreLocked 1", done.stderr
        with (
            Catalog.open(catalog.path, space=HashSpace()) as other,
            pytest.raises(StoreLocked, match="being written by process"),
        ):
            other.delete("p")


def test_a_background_reader_finds_what_is_committed(catalog: Catalog) -> None:
    with Catalog.open(catalog.path, space=HashSpace(), background=True) as other:
        for n in range(3):
            record = picture(f"p{n}")
            add(catalog, [record])
            until(lambda r=record: r.item_id in other.search(r.vector).item_ids, 10)
        catalog.delete("p1")
        until(lambda: "p1" not in other.search(np.ones(32)).item_ids, 10)


def test_rebuilding_while_searching(catalog: Catalog) -> None:
    records = {f"p{n}": picture(f"p{n}") for n in range(400)}
    add(catalog, list(records.values()))
    stop = threading.Event()
    failures: list[BaseException] = []

    def rebuild() -> None:
        try:
            while not stop.is_set():
                for kind in ("exact", "hnsw", "ivf"):
                    catalog.build_indexes(everything=True, kind=kind, threads=1)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=rebuild)
    thread.start()
    for n in range(12):
        name = f"p{n * 3}"
        records[name] = picture(name)
        add(catalog, [records[name]])
        catalog.delete(f"p{n * 3 + 1}")
        del records[f"p{n * 3 + 1}"]
        query = GENERATOR.standard_normal(32)
        segments = [
            reference.Segment(i, i, "image", 0, reference.unit(r.vector))  # type: ignore[arg-type]
            for i, r in records.items()
        ]
        reference.agrees(catalog.search(query, exact=True), reference.search(segments, query))
    stop.set()
    thread.join()
    assert not failures, failures


def test_trouble_is_told_once(
    catalog: Catalog, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = {"refresh": 0, "build": 0}

    def refresh() -> int:
        calls["refresh"] += 1
        raise StoreError("the disk is away")

    def build(**_: Any) -> None:
        calls["build"] += 1
        raise ZeroDivisionError("unforeseen")

    monkeypatch.setattr(catalog, "refresh", refresh)
    monkeypatch.setattr(catalog, "build_indexes", build)
    with caplog.at_level(logging.WARNING, "trichord.catalog"):
        keeper = Keeper(catalog, look_every_s=0.001, build_every_s=0.001)
        until(lambda: min(calls.values()) > 5)
        keeper.stop()
    assert sorted(record.getMessage() for record in caplog.records) == [
        "the disk is away",
        "unforeseen",
    ]


@pytest.mark.parametrize("place", ["vectors", "manifest"])
def test_a_full_disk_is_no_reason_to_build_again(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "no space")

    if place == "vectors":  # before there is anything to build from
        monkeypatch.setattr(MatrixFile, "append", full)
    else:
        monkeypatch.setattr(persist, "text_of", full)
    add(catalog, [picture("p"), picture("q")])
    assert len(catalog.build_indexes()) == 1
    assert catalog.build_indexes() == []
    assert set(catalog.search(np.ones(32)).item_ids) == {"p", "q"}
