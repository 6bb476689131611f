"""Writers of several processes take turns; readers take over what others build."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.fakes import HashSpace, direction
from tests.server.serving import eventually
from trichord.catalog import Catalog, writing
from trichord.catalog.turns import Line
from trichord.errors import StoreLocked
from trichord.query import Record
from trichord.store import Store
from trichord.types import Group, Modality

SPACE = HashSpace()
ROOT = Path(__file__).parents[2]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    with Catalog.open(tmp_path / "store", space=SPACE) as made:
        add(made, "first")
    return tmp_path / "store"


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "KEPT_S", 0.05)


def add(catalog: Catalog, *ids: str) -> None:
    with catalog.ingestion() as ingestion:
        for acknowledgement in ingestion.add([Record(name, text="red") for name in ids]):
            assert acknowledgement.error is None, acknowledgement


def opened(store: Path, *, serving: bool = True) -> Catalog:
    return Catalog.open(store, space=SPACE, create=False, background=serving)


def test_a_serving_catalogue_waits_for_a_short_writer(store: Path) -> None:
    with opened(store) as catalog:
        held = Store.open(store).writer(owner="another")
        releasing = threading.Timer(0.4, held.close)
        releasing.start()
        add(catalog, "second")
        assert not releasing.is_alive()
        assert len(catalog.get(["first", "second"]).items) == 2


def test_without_patience_it_fails_at_once(store: Path) -> None:
    with (
        opened(store, serving=False) as catalog,
        Store.open(store).writer(owner="another"),
        pytest.raises(StoreLocked, match="another") as raised,
    ):
        add(catalog, "second")
    assert raised.value.retry_after_s is None


def test_it_does_not_wait_for_ever_and_says_when_to_come_again(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "PATIENCE_S", 0.2)
    with opened(store) as catalog, Store.open(store).writer(owner="another"):
        with pytest.raises(StoreLocked, match="another") as raised:
            add(catalog, "second")
        assert raised.value.retry_after_s == 1.0
        assert not Line(store).waiting()  # who gave up is not in the way of others
    with opened(store) as catalog:
        add(catalog, "second")


def test_an_open_ingestion_lets_another_in_and_goes_on(store: Path) -> None:
    """Also one that is idle: it holds no lock between two calls of `add`."""
    with opened(store) as one, opened(store) as other, one.ingestion() as ingestion:
        for turn in range(3):
            (done,) = ingestion.add([Record(f"one-{turn}", text="red")])
            assert done.error is None
            add(other, f"other-{turn}")
        # An item that the other wrote is known to this one: nothing is written twice.
        (again,) = ingestion.add([Record("other-1", text="red")])
        assert str(again.outcome) == "unchanged"
    with opened(store, serving=False) as catalog:
        names = [f"{who}-{turn}" for who in ("one", "other") for turn in range(3)]
        assert not catalog.get(names).missing_item_ids
        assert catalog.verify().problems == ()


def test_two_that_write_at_once_lose_nothing(store: Path) -> None:
    failed: list[BaseException] = []

    def write(catalog: Catalog, who: str) -> None:
        try:
            with catalog.ingestion() as ingestion:
                for turn in range(10):
                    for done in ingestion.add([Record(f"{who}-{turn}", text=f"red {turn}")]):
                        assert done.error is None
        except BaseException as error:
            failed.append(error)

    with opened(store) as one, opened(store) as other:
        threads = [
            threading.Thread(target=write, args=(catalog, f"{name}{number}"))
            for name, catalog in (("one", one), ("other", other))
            for number in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not failed
        assert not Line(store).waiting()
    with opened(store, serving=False) as catalog:
        assert catalog.stats().items["text"] == 41
        assert catalog.verify().problems == ()


def test_a_waiter_that_is_killed_is_not_waited_for(store: Path) -> None:
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from trichord.catalog.turns import Line\n"
        "with Line(Path(sys.argv[1])).first(time.monotonic() + 60):\n"
        "    print('first', flush=True)\n"
        "    time.sleep(60)\n"
    )
    waiter = subprocess.Popen(
        [sys.executable, "-c", script, str(store)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert waiter.stdout is not None
    try:
        assert waiter.stdout.readline() == "first\n"
        assert Line(store).waiting()
    finally:
        waiter.kill()
        waiter.wait()
        waiter.stdout.close()
    assert not Line(store).waiting()


# Bases that another process builds

ROWS = 300


@pytest.fixture
def vectors(tmp_path: Path) -> Iterator[tuple[Path, Catalog]]:
    """A store of ready vectors, and a catalogue that only reads it."""
    path = tmp_path / "vectors"
    with Catalog.open(path, space=SPACE) as writer:
        fill(writer, 0, ROWS)
        writer.build_indexes()
    with opened(path, serving=False) as reader:
        yield path, reader


def fill(catalog: Catalog, first: int, last: int) -> None:
    with catalog.ingestion() as ingestion:
        ingestion.add(
            [
                Record(f"v{n}", modality="text", vector=direction(f"word{n}", SPACE.dim))
                for n in range(first, last)
            ]
        )
    catalog.refresh()


def leg_of(catalog: Catalog) -> Any:
    return catalog._views.newest.legs[SPACE.name, Modality.TEXT]


def assert_right(catalog: Catalog, rows: int) -> None:
    """Every row is found once, by segment too."""
    hits = catalog.search(
        direction("word1", SPACE.dim), limit=2 * rows, group=Group.SEGMENT, exact=True
    )
    assert sorted(hits.item_ids) == sorted(f"v{n}" for n in range(rows))
    matrix = np.stack([direction(f"word{n}", SPACE.dim) for n in range(rows)])
    expected = (matrix @ direction("word1", SPACE.dim))[[int(name[1:]) for name in hits.item_ids]]
    np.testing.assert_allclose(hits.scores, expected, atol=1e-5)


def test_a_reader_takes_over_a_base_that_was_built_elsewhere(
    vectors: tuple[Path, Catalog], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, reader = vectors
    before = leg_of(reader)
    assert (before.index.base.size, len(before.index.fresh)) == (ROWS, 0)
    monkeypatch.setattr("trichord.catalog.legs.STALE_EXACT_ROWS", 50)
    with Catalog.open(path, space=SPACE) as writer:
        fill(writer, ROWS, ROWS + 40)
        reader.refresh()
        assert len(leg_of(reader).index.fresh) == 40  # not stale yet: nothing to take over
        fill(writer, ROWS + 40, ROWS + 100)
        reader.refresh()
        assert len(leg_of(reader).index.fresh) == 100  # stale, but nobody has built
        writer.build_indexes()
        fill(writer, ROWS + 100, ROWS + 105)
        reader.refresh()
    after = leg_of(reader)
    assert (after.index.base.size, len(after.index.fresh)) == (ROWS + 100, 5)
    assert after.built_from > before.built_from
    assert_right(reader, ROWS + 105)


def test_a_serving_one_takes_over_what_came_while_it_opened_it(
    vectors: tuple[Path, Catalog], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows written since the base was built are in the leg once, and so are those of a commit
    between the opening and the swap."""
    path, _ = vectors
    monkeypatch.setattr("trichord.catalog.legs.STALE_EXACT_ROWS", 50)
    with Catalog.open(path, space=SPACE) as writer, opened(path, serving=False) as other:
        other._views._kept = True  # as in a server: no take-over by the way
        fill(writer, ROWS, ROWS + 100)
        writer.build_indexes()
        fill(writer, ROWS + 100, ROWS + 110)
        other.refresh()
        assert leg_of(other).stale
        adopt = other._views.adopt

        def late(view: Any, leg: Any) -> Any:
            fill(writer, ROWS + 110, ROWS + 120)
            other.refresh()
            return adopt(view, leg)

        monkeypatch.setattr(other._views, "adopt", late)
        (taken,) = other.build_indexes()
        assert taken.index.base.size == ROWS + 100
        assert len(taken.index.fresh) == 20
        assert_right(other, ROWS + 120)


def test_a_committed_item_is_seen_by_a_serving_catalogue_that_is_not_asked_to_look(
    store: Path,
) -> None:
    with opened(store) as reader, opened(store) as writer:
        add(writer, "fresh")
        eventually(lambda: reader._views.newest.items.row("fresh") is not None)
        assert "fresh" in reader.search("red", limit=10).item_ids
        writer.delete("fresh")
        eventually(lambda: "fresh" not in reader.search("red", limit=10).item_ids)
