"""Bases of legs: when they are due, who builds them, and what they are built from."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.catalog.conftest import add
from tests.fakes import HashSpace
from trichord.catalog import Catalog, base_process, bases, building, legs, viewing
from trichord.catalog.keeping import Keeper
from trichord.catalog.leg_rows import Segments, drained
from trichord.catalog.legs import Leg, folder
from trichord.errors import InvalidInput, StoreError
from trichord.index.manifest import manifest_of
from trichord.query import Record
from trichord.types import Modality

GENERATOR = np.random.default_rng(5)
IMAGE = Modality.IMAGE
OPTIONS: dict[str, Any] = {"kind": "hnsw", "threads": 1, "fitted": False, "exact_below": 0}


def pictures(first: int, count: int) -> list[Record]:
    vectors = GENERATOR.standard_normal((count, 32)).astype(np.float32)
    return [
        Record(f"p{first + i}", modality="image", vector=vector, attributes={"n": first + i})
        for i, vector in enumerate(vectors)
    ]


def leg_of(catalog: Catalog) -> Leg:
    (leg,) = (leg for leg in catalog._views.refresh().legs.values() if leg.modality is IMAGE)
    return leg


@pytest.fixture
def filled(catalog: Catalog) -> Iterator[Catalog]:
    add(catalog, pictures(0, 1500))
    yield catalog


def test_an_attribute_of_all_items_changes_and_no_base_is_due(filled: Catalog) -> None:
    filled.build_indexes(**OPTIONS)
    before = leg_of(filled)
    assert before.kept and not before.stale
    with filled.ingestion() as ingestion:
        answers = ingestion.add(
            [Record(f"p{n}", modality="image", attributes={"n": -n}) for n in range(1500)]
        )
    assert [answer.error for answer in answers] == [None] * 1500
    after = leg_of(filled)
    assert after.index is before.index and len(after.index.fresh) == 0 and not after.stale
    assert after.index.live == 1500
    assert filled.build_indexes() == []
    found = filled.search(np.ones(32), modality="image", where="n <= 0", limit=3)
    assert len(found.item_ids) == 3
    assert not filled.search(np.ones(32), modality="image", where="n > 0", limit=3).item_ids
    # So it is for who opens the store anew.
    with Catalog.open(filled.path, space=HashSpace()) as other:
        leg = leg_of(other)
        assert leg.kept and len(leg.index.fresh) == 0 and leg.index.live == 1500
        assert other.build_indexes() == []


def test_vectors_that_change_count_as_moved(filled: Catalog, monkeypatch: Any) -> None:
    filled.build_indexes(**OPTIONS)
    monkeypatch.setattr(legs, "STALE_ROWS", 30)
    monkeypatch.setattr(legs, "STALE_EXACT_ROWS", 30)
    add(filled, [Record(f"p{n}", modality="image", vector=-np.ones(32) * (n + 1)) for n in (1, 2)])
    assert len(leg_of(filled).index.fresh) == 2 and not leg_of(filled).stale
    add(filled, pictures(5000, 80))
    assert leg_of(filled).stale
    assert [leg.modality for leg in filled.build_indexes(**OPTIONS)] == [IMAGE]
    assert not leg_of(filled).stale and len(leg_of(filled).index.fresh) == 0


def test_a_base_of_another_process_is_taken_over(filled: Catalog) -> None:
    with Catalog.open(filled.path, space=HashSpace()) as other:
        assert not leg_of(other).kept
        (made,) = filled.build_indexes(**OPTIONS)
        assert made.index.info.kind == "hnsw"
        # By the next look, though nothing was committed: a reader need not build, nor ask for it.
        other.refresh()
        taken = leg_of(other)
        assert taken.kept and taken.index.info == made.index.info
        assert taken.built_from == made.built_from and other.build_indexes() == []
        query = GENERATOR.standard_normal(32)
        assert other.search(query).item_ids == filled.search(query).item_ids


def test_a_base_that_will_not_do_is_not_read_at_every_look(
    filled: Catalog, monkeypatch: Any
) -> None:
    """A damaged base on disk, and a reader that searches the rows as they are."""
    filled.build_indexes(**OPTIONS)
    (legs.folder(filled.path, "hash", IMAGE) / "index.faiss").write_bytes(b"damaged")
    with Catalog.open(filled.path, space=HashSpace()) as other:
        assert not leg_of(other).kept
        opened = []
        real = viewing.open_leg
        monkeypatch.setattr(
            viewing, "open_leg", lambda *given, **how: opened.append(1) or real(*given, **how)
        )
        for _ in range(5):
            other.refresh()
        assert len(opened) <= 1 and not leg_of(other).kept


def test_one_builder_at_a_time(filled: Catalog) -> None:
    key = ("hash", IMAGE)
    with (
        Catalog.open(filled.path, space=HashSpace()) as other,
        bases.only_builder(filled.path, *key, wait=True) as mine,
    ):
        assert mine
        assert other.build_indexes(apart=True) == []
    assert len(filled.build_indexes(apart=True)) == 1


def test_a_damaged_base_is_built_again(filled: Catalog) -> None:
    filled.build_indexes(**OPTIONS)
    home = folder(filled.path, "hash", IMAGE)
    (home / "index.faiss").write_bytes(b"no")
    with Catalog.open(filled.path, space=HashSpace()) as other:
        assert not leg_of(other).kept and leg_of(other).index.info.kind == "exact"
        (made,) = other.build_indexes(**OPTIONS)
        assert made.index.info.kind == "hnsw" and other.build_indexes() == []


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "APART_ROWS", 1000)


def test_a_process_of_its_own_builds_the_same(filled: Catalog, apart: None) -> None:
    (here,) = filled.build_indexes(everything=True, **OPTIONS)
    heard: list[tuple[str, int, int]] = []
    (there,) = filled.build_indexes(
        everything=True,
        apart=True,
        on_progress=lambda key, stage, done, total: heard.append((stage, done, total)),
        **OPTIONS,
    )
    assert there.index.info.parameters["efforts"] == here.index.info.parameters["efforts"]
    assert np.array_equal(there.index.pieces[0], here.index.pieces[0])
    assert [stage for stage, done, total in heard if done == total][:2] == ["vectors", "graph"]
    for query in GENERATOR.standard_normal((5, 32)):
        exact = filled.search(query, exact=True)
        assert filled.search(query).item_ids[0] == exact.item_ids[0]


def test_what_goes_wrong_apart_is_raised_here(filled: Catalog, apart: None) -> None:
    with pytest.raises(InvalidInput, match="hnsw over 1500 rows takes about"):
        filled.build_indexes(everything=True, apart=True, memory=100, **OPTIONS)
    assert not leg_of(filled).kept and filled.search(np.ones(32)).item_ids


def test_a_build_apart_that_is_killed_and_one_that_is_given_up(
    filled: Catalog, apart: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[subprocess.Popen[str]] = []
    popen = subprocess.Popen

    def watched(*args: Any, **options: Any) -> Any:
        made.append(popen(*args, **options))
        return made[-1]

    monkeypatch.setattr(base_process.subprocess, "Popen", watched)

    def kill(key: object, stage: str, done: int, total: int) -> None:
        os.kill(made[-1].pid, signal.SIGKILL)

    with pytest.raises(StoreError, match="ended with status -9"):
        filled.build_indexes(everything=True, apart=True, on_progress=kill, **OPTIONS)

    def give_up(key: object, stage: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        filled.build_indexes(everything=True, apart=True, on_progress=give_up, **OPTIONS)
    assert made[-1].poll() is not None
    assert not leg_of(filled).kept
    home = folder(filled.path, "hash", IMAGE)
    (leg,) = filled.build_indexes(everything=True, apart=True, **OPTIONS)
    assert leg.kept
    # What the killed ones left is gone.
    assert sorted(path.name for path in home.parent.iterdir()) == [".image.building", "image"]


PARENT = """
import sys
from pathlib import Path
from trichord.catalog import base_process
from trichord.types import Modality

def wait(stage, done, total):
    print(stage, flush=True)
    sys.stdin.read()

base_process.write_base_apart(
    Path(sys.argv[1]), int(sys.argv[2]), "hash", Modality.IMAGE, queries=None, on_progress=wait,
    kind="hnsw", threads=1,
)
"""


def test_a_build_ends_with_the_process_that_asked(filled: Catalog) -> None:
    command = [sys.executable, "-c", PARENT, str(filled.path), str(filled.stats().snapshot)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as parent:
        assert parent.stdout is not None and parent.stdout.readline() == "vectors\n"
        child = _child_of(parent.pid)
        parent.kill()
    until = time.monotonic() + 30
    while Path(f"/proc/{child}/stat").exists() and _state(child) != "Z":
        assert time.monotonic() < until, "it goes on"
        time.sleep(0.05)


def _child_of(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0])


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "Z"


ENDLESS = """
import json, sys, time
sys.stdin.readline()
while True:
    print(json.dumps({"stage": "graph", "rows": 1, "total": 2}), flush=True)
    time.sleep(0.02)
"""


def test_closing_a_catalogue_ends_the_build_in_its_background(
    filled: Catalog, apart: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[subprocess.Popen[str]] = []
    popen = subprocess.Popen

    def watched(*args: Any, **options: Any) -> Any:
        made.append(popen(*args, **options))
        return made[-1]

    monkeypatch.setattr(base_process, "PROGRAM", ENDLESS)
    monkeypatch.setattr(base_process.subprocess, "Popen", watched)
    keeper = Keeper(filled, build_every_s=0.01)
    until = time.monotonic() + 60
    while not made:
        assert time.monotonic() < until, "no build began"
        time.sleep(0.01)
    keeper.stop()
    assert not any(thread.is_alive() for thread in keeper._threads)
    assert made[0].poll() is not None and len(made) == 1


def test_a_swap_under_load(filled: Catalog, apart: None) -> None:
    """Searches before, during and after a build in another process are answered in full."""
    queries = [GENERATOR.standard_normal(32) for _ in range(8)]
    truth = [filled.search(query, exact=True).item_ids[0] for query in queries]
    done, wrong = threading.Event(), []

    def search() -> None:
        while not done.is_set():
            for query, best in zip(queries, truth, strict=True):
                exact = filled.search(query, exact=True).item_ids
                found = set(filled.search(query).item_ids)
                if exact[0] != best or len(found) != 10:
                    wrong.append((best, exact, found))

    threads = [threading.Thread(target=search) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        filled.build_indexes(everything=True, apart=True, **OPTIONS)
        time.sleep(0.2)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert not wrong
    assert manifest_of(folder(filled.path, "hash", IMAGE)).info.kind == "hnsw"


def test_many_rows_without_a_base_are_mapped(
    filled: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = leg_of(filled).index.pieces[0]
    monkeypatch.setattr(legs, "IN_MEMORY", 1000)
    with Catalog.open(filled.path, space=HashSpace()) as other:
        rows = leg_of(other).index.pieces[0]
        assert (
            np.array_equal(rows, expected) and not rows.flags.writeable and not rows.flags.owndata
        )
        assert other.search(np.ones(32)).item_ids == filled.search(np.ones(32)).item_ids
        home = folder(filled.path, "hash", IMAGE)
        assert list(home.parent.iterdir()) == []  # the file has no name

    def refused(*_: Any, **__: Any) -> Any:
        raise PermissionError(13, "read-only")

    monkeypatch.setattr(legs.MatrixFile, "temporary", refused)
    with Catalog.open(filled.path, space=HashSpace()) as other:
        assert np.array_equal(leg_of(other).index.pieces[0], expected)


def test_segments_are_packed_and_unpacked(filled: Catalog) -> None:
    view = filled._views.refresh()
    taken: list[Any] = []
    for count in (0, 1, 40):
        batches = view.reader.segments("hash", IMAGE, columns=legs.COLUMNS, batch_rows=16)
        some = [batch for _, batch in zip(range((count + 15) // 16), batches, strict=False)]
        found = drained(some, 32, taken.append)
        again = Segments.unpacked(found.packed())
        assert again.item_ids.to_pylist() == found.item_ids.to_pylist()
        assert len(again) == len(found) == sum(len(batch) for batch in some)
        for name in ("ordinal", "generation", "spans"):
            assert np.array_equal(getattr(again, name), getattr(found, name))
        rows = again.rows(view.items)
        assert rows.live(view.items).all() and len(set(rows.item.tolist())) == len(found)
