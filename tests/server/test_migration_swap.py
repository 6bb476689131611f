"""A space is swapped under a running server while clients search and ingest: every answer is
counted, none may fail, and none may hold anything of another space than it names."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from tests.catalog.moving import NEW, OLD, Content, prepare
from tests.fakes import HashSpace, embed_text, png
from tests.server.serving import eventually, serving
from trichord.catalog import Catalog, ingesting
from trichord.client import Client
from trichord.errors import TrichordError
from trichord.hits import Hits
from trichord.query import Image, ItemRef, Record
from trichord.results import MigrationState
from trichord.types import F32

BASE = "kind = 'base'"
SPACES = {"old": OLD, "new": NEW}
ENOUGH = 12
"""Answers of each asker in each phase, at least."""


class World:
    """What every item is made of, and so what any answer in any space must say."""

    def __init__(self, known: dict[str, Content]) -> None:
        self.known = known
        self.lock = threading.Lock()

    def vectors(self, space: HashSpace, item_id: str) -> list[F32]:
        with self.lock:
            return self.known[item_id].vectors(space)

    def best(self, space: HashSpace, query: F32, item_id: str) -> float:
        return max(float(vector @ query) for vector in self.vectors(space, item_id))


class Asker:
    """One client that asks the same thing over and over, and checks every answer."""

    def __init__(
        self,
        address: str,
        world: World,
        asked: object,
        direction: Callable[[HashSpace], F32],
        without: tuple[str, ...] = (),
        **options: object,
    ) -> None:
        self.world, self.asked, self.direction = world, asked, direction
        self.without, self.options = without, options
        self.answers: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.failed: list[str] = []
        self.stop = threading.Event()
        self.client = Client(address, timeout=60)
        self.thread = threading.Thread(target=self._run)
        base = sorted(world.known)
        self.expected = {}
        for name, space in SPACES.items():
            query = direction(space)
            scores = [world.best(space, query, one) for one in base if one not in without]
            self.expected[name] = sorted(scores, reverse=True)[:8]

    def _run(self) -> None:
        while not self.stop.is_set():
            try:
                hits = self.client.search(
                    self.asked, where=BASE, limit=8, fuse="score", **self.options
                )
                self._check(hits)
            except TrichordError as error:
                self.failed.append(f"{type(error).__name__}: {error}")
            except Exception as error:  # of the test itself
                self.wrong.append(repr(error))

    def _check(self, hits: Hits) -> None:
        space = SPACES[hits.space]
        query = self.direction(space)
        told = hits.scores.tolist()
        really = [self.world.best(space, query, item_id) for item_id in hits.item_ids]
        if hits.frame != space.space.frame.id:
            self.wrong.append(f"{hits.space} with the frame {hits.frame}")
        elif not np.allclose(told, really, atol=1e-4):
            self.wrong.append(f"a score of another frame: {told} {really}")
        elif not np.allclose(told, self.expected[hits.space], atol=1e-4):
            self.wrong.append(f"not the best of {hits.space}: {told} {self.expected[hits.space]}")
        self.answers[hits.space] += 1

    def enough(self, space: str, since: Counter[str]) -> bool:
        return bool(self.failed or self.wrong) or self.answers[space] >= since[space] + ENOUGH


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(prepare(tmp_path / "media", 6))


@pytest.fixture
def catalog(tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Catalog]:
    monkeypatch.setattr(ingesting, "BATCH_RECORDS", 2)
    with Catalog.open(
        tmp_path / "store", space=OLD, spaces={"new": NEW}, background=True
    ) as opened:
        opened.ingest(tmp_path / "media")
        with opened.ingestion() as ingestion:
            ingestion.add([Record(one, attributes={"kind": "base"}) for one in world.known])
        opened.refresh()
        yield opened


@contextmanager
def asking(address: str, world: World) -> Iterator[list[Asker]]:
    """Clients that ask by text (twice), by a stored item and by a picture."""

    def text(words: str) -> Callable[[HashSpace], F32]:
        return lambda space: embed_text(words, space.dim, space.anchor)

    def mean(item_id: str) -> Callable[[HashSpace], F32]:
        def direction(space: HashSpace) -> F32:
            total = np.sum(world.vectors(space, item_id), axis=0)
            return (total / np.linalg.norm(total)).astype(np.float32)

        return direction

    askers = [
        Asker(address, world, "red text", text("red text")),
        Asker(address, world, "words2 low", text("words2 low"), exact=True),
        Asker(address, world, ItemRef("s1.wav"), mean("s1.wav"), ("s1.wav",)),
        Asker(address, world, Image(png("green")), text("green")),
    ]
    for asker in askers:
        asker.thread.start()
    try:
        yield askers
    finally:
        for asker in askers:
            asker.stop.set()
        for asker in askers:
            asker.thread.join()
            asker.client.close()


def settled(askers: list[Asker], space: str) -> None:
    """Waits until every asker had some answers of the space."""
    since = [Counter(asker.answers) for asker in askers]
    eventually(lambda: all(a.enough(space, s) for a, s in zip(askers, since, strict=True)))


def test_swapping_the_space_under_a_running_server(catalog: Catalog, world: World) -> None:
    with (
        serving(catalog) as server,
        Client(server.address, timeout=60) as client,
        asking(server.address, world) as askers,
    ):
        stop = threading.Event()
        refused: list[object] = []

        def ingest() -> None:
            number = 0
            while not stop.is_set():
                words = f"further words {number}"
                with world.lock:
                    world.known[f"more-{number}"] = Content("text", [words])
                report = client.ingest([Record(f"more-{number}", text=words)])
                refused.extend(report.errors)
                number += 1
                time.sleep(0.02)

        writing = threading.Thread(target=ingest)
        writing.start()
        verbs = client.migrations
        settled(askers, "old")
        assert verbs.register("new").state is MigrationState.REGISTERED
        ended = verbs.run("new", rate=40)
        assert ended.phase == "done" and ended.embedded >= 18 and ended.failed == 0
        settled(askers, "old")
        before = [asker.answers["new"] for asker in askers]
        assert verbs.switch("new").state is MigrationState.LIVE
        settled(askers, "new")
        assert verbs.rollback("new").state is MigrationState.ROLLED_BACK
        settled(askers, "old")
        assert verbs.switch("new").state is MigrationState.LIVE
        settled(askers, "new")
        # What was ingested meanwhile is in both spaces.
        stop.set()
        writing.join()
        assert refused == []
        for asker in askers:
            asker.stop.set()
        for asker in askers:
            asker.thread.join()
        catalog.refresh()
        shares = {
            info.space.name: [(part.items, part.covered) for part in info.coverage]
            for info in client.spaces()
        }
        assert shares["old"] == shares["new"] and all(a == b for a, b in shares["new"])
    answers = sum((asker.answers for asker in askers), Counter())
    failed = [one for asker in askers for one in asker.failed]
    wrong = [one for asker in askers for one in asker.wrong]
    assert (len(failed), len(wrong)) == (0, 0), (failed[:3], wrong[:3], answers)
    assert before == [0] * len(askers)  # nothing of the new space before the switch
    assert answers["old"] >= 3 * 4 * ENOUGH and answers["new"] >= 2 * 4 * ENOUGH
    assert catalog.verify().problems == ()


def test_a_switch_by_another_process_is_followed(
    catalog: Catalog, world: World, tmp_path: Path
) -> None:
    """Another catalogue of the same store, as the command line opens it, moves the alias."""
    with (
        Catalog.open(tmp_path / "store", space=OLD, spaces={"new": NEW}) as other,
        serving(catalog) as server,
        asking(server.address, world) as askers,
    ):
        settled(askers, "old")
        other.migrations.register("new")
        other.migrations.run("new")
        eventually(lambda: "new" in catalog._models._loaded)  # before it is asked for
        other.migrations.switch("new")
        settled(askers, "new")
        other.migrations.rollback("new")
        settled(askers, "old")
        other.migrations.switch("new")
        settled(askers, "new")
        other.migrations.finish("new", remove=True)
        settled(askers, "new")
        answers = sum((asker.answers for asker in askers), Counter())
        assert [one for asker in askers for one in asker.failed + asker.wrong] == [], answers
