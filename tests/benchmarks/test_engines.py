"""Adapters of engines against brute force; those of the peers run where they are installed."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.peers import truth
from benchmarks.peers.channel import Failed, Worker, missing
from benchmarks.peers.engines import ENGINES
from benchmarks.peers.engines.base import Engine
from benchmarks.peers.rows import LIMIT, MODALITIES, Mask, Rows, Where, as_json

DIM, COUNT, FRESH = 32, 900, 60
IMAGE = MODALITIES.index("image")
HALF, IMAGES = Where("part", "<", 500), Where("kind", "=", "image")
MAIN = [name for name, about in ENGINES.items() if about.environment == "main"]
PEERS = [name for name, about in ENGINES.items() if about.environment == "peers"]


def clustered(count: int, *, first: int, seed: int) -> Rows:
    generator = np.random.default_rng(seed)
    centres = np.random.default_rng(0).standard_normal((30, DIM))
    vectors = centres[generator.integers(0, 30, count)]
    vectors = (vectors + 0.5 * generator.standard_normal(vectors.shape)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Rows(
        first,
        vectors,
        generator.integers(0, 5, count).astype(np.int8),
        generator.integers(1990, 2025, count),
        generator.integers(0, 1000, count),
        np.full(count, IMAGE, np.int8),
    )


STORED = clustered(COUNT, first=0, seed=1)
MIXED = replace(STORED, kinds=(np.arange(COUNT) % 3).astype(np.int8))
MORE = clustered(FRESH, first=COUNT, seed=2)
QUERIES = clustered(40, first=0, seed=3).vectors
VECTORS = np.concatenate([STORED.vectors, MORE.vectors])
GONE = np.arange(0, COUNT, 9)


def live(*, fresh: bool = False, deleted: bool = False) -> Mask:
    rows = np.ones(COUNT + FRESH, bool)
    rows[COUNT:] = fresh
    rows[GONE] = not deleted
    return rows


def stored_only(mask: Mask) -> Mask:
    return np.append(mask, np.zeros(FRESH, bool))


def exact(passing: Mask) -> np.ndarray:
    return truth.nearest(VECTORS, QUERIES, LIMIT, passing)


def found_of(found: list[list[int]], passing: Mask) -> float:
    assert all(passing[row] for rows in found for row in rows), "a row that should not be found"
    share = truth.recall(found, exact(passing))
    assert share is not None
    return share


Opened = Callable[[str, Rows], Engine]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    """Builds with one adapter and opens with another, as two processes do."""
    open_ones: list[Engine] = []

    def build_and_open(name: str, rows: Rows) -> Engine:
        about = ENGINES[name]
        adapter = importlib.import_module(f"benchmarks.peers.engines.{about.module}").Adapter
        adapter(DIM, 2, **about.options).build(rows, tmp_path)
        engine: Engine = adapter(DIM, 2, **about.options)
        engine.open(tmp_path)
        open_ones.append(engine)
        return engine

    yield build_and_open
    for engine in open_ones:
        engine.close()


@pytest.mark.parametrize("name", MAIN)
def test_an_engine_of_this_environment(name: str, opened: Opened) -> None:
    """One by one and together, with a filter, after inserts, after deletes."""
    engine = opened(name, STORED)
    # PQ of 2 bytes loses some of so few dimensions even with exact scores at the end.
    least = 0.9 if name == "lancedb-ivf-pq" else 0.99
    most = engine.efforts()[-1][-1]
    engine.use(most, None)
    assert found_of(engine.rows_of(engine.many(QUERIES)), live()) >= least
    alone = [engine.rows_of_one(engine.one(query)) for query in QUERIES]
    assert found_of(alone, live()) >= least
    engine.use(most, HALF)
    half = stored_only(STORED.parts < 500)
    assert 0.4 < half[:COUNT].mean() < 0.6
    assert found_of(engine.rows_of(engine.many(QUERIES)), half) >= least
    engine.use(most, None)
    engine.insert(MORE)
    assert found_of(engine.rows_of(engine.many(QUERIES)), live(fresh=True)) >= least
    engine.delete(GONE)
    found = engine.rows_of(engine.many(QUERIES))
    assert found_of(found, live(fresh=True, deleted=True)) >= least


@pytest.mark.parametrize("name", [name for name in MAIN if ENGINES[name].mixed])
def test_one_modality_of_three(name: str, opened: Opened) -> None:
    engine = opened(name, MIXED)
    engine.use(engine.efforts()[-1][-1], IMAGES)
    images = stored_only(MIXED.kinds == IMAGE)
    assert found_of(engine.rows_of(engine.many(QUERIES)), images) >= 0.99


def test_the_attributes_that_are_said_to_be_returned(opened: Opened) -> None:
    engine = opened("lancedb-ivf-flat", STORED)
    engine.use(engine.efforts()[-1][-1], None)
    answer = engine.one(QUERIES[0])
    row = engine.rows_of_one(answer)[0]
    assert answer["market"][0].as_py() == STORED.market_names[row]
    assert answer["year"][0].as_py() == STORED.years[row]


def test_trichord_returns_its_attributes(opened: Opened) -> None:
    engine = opened("trichord", STORED)
    engine.use({}, None)
    hits = engine.one(QUERIES[0])
    rows = engine.rows_of_one(hits)
    assert list(hits.attributes["market"]) == [STORED.market_names[row] for row in rows]
    assert list(hits.attributes["year"]) == [STORED.years[row] for row in rows]


def saved(array: np.ndarray, path: Path) -> str:
    np.save(path, array)
    return str(path)


@pytest.mark.parametrize("name", ["faiss-ivf-flat", *PEERS])
def test_an_engine_in_its_worker(name: str, tmp_path: Path) -> None:
    """The commands of the coordinator, with what the worker says of recall and of wrong rows."""
    about = ENGINES[name]
    if reason := missing(about):
        pytest.skip(f"{about.label}: {reason}")
    STORED.save(tmp_path / "stored")
    MORE.save(tmp_path / "fresh")
    queries, gone = saved(QUERIES, tmp_path / "q.npy"), saved(GONE, tmp_path / "gone.npy")
    log = tmp_path / "log"

    def recall(worker: Worker, passing: Mask, where: Where | None = None, **files: Any) -> Any:
        said = f"t{passing.sum()}-{where and where.column}.npy"
        return worker.ask(
            "recall",
            60,
            queries=queries,
            truth=saved(exact(passing), tmp_path / said),
            effort=most,
            where=as_json(where),
            seconds=60,
            **files,
        )

    worker = Worker(about, DIM, 2, log)
    try:
        data, folder = str(tmp_path / "stored"), str(tmp_path / "index")
        built = worker.ask("build", 60, data=data, folder=folder)
        assert built["seconds"] > 0
        if about.kept:
            worker.close()
            worker = Worker(about, DIM, 2, log)
        most = worker.ask("open", 60, folder=folder, data=data)["ladders"][-1][-1]
        found = recall(worker, live())
        assert found["recall"] >= 0.99 and found["queries"] == len(QUERIES)
        if about.filters:
            found = recall(worker, stored_only(STORED.parts < 500), HALF)
            assert found["recall"] >= 0.99 and found["outside"] == 0
        done = worker.ask(
            "insert",
            60,
            data=str(tmp_path / "fresh"),
            queries=queries,
            size=30,
            effort=most,
            seconds=60,
        )
        assert done["inserted"] == FRESH and None not in done["found"]
        found = recall(worker, live(fresh=True), fresh_from=COUNT)
        assert found["recall"] >= 0.99 and found["fresh"] >= 0.99
        worker.ask("delete", 60, rows=gone)
        found = recall(worker, live(fresh=True, deleted=True), gone=gone)
        assert found["recall"] >= 0.99 and found["gone"] == 0
        assert worker.ask("memory", 60)["anonymous"] > 1_000_000
    finally:
        worker.kill()


def test_a_command_that_takes_too_long_costs_the_worker(tmp_path: Path) -> None:
    STORED.save(tmp_path / "stored")
    worker = Worker(ENGINES["faiss-ivf-flat"], DIM, 2, tmp_path / "log")
    folder = str(tmp_path / "index")
    with pytest.raises(Failed, match="did not finish in 0 s"):
        worker.ask("build", 0.0, data=str(tmp_path / "stored"), folder=folder)
    assert not worker.alive
    with pytest.raises(Failed, match="had ended"):
        worker.ask("memory", 1.0)


def test_an_error_of_an_engine_is_said_without_paths(tmp_path: Path) -> None:
    worker = Worker(ENGINES["faiss-ivf-flat"], DIM, 2, tmp_path / "log")
    try:
        with pytest.raises(Failed, match="^FileNotFoundError: ") as raised:
            worker.ask("build", 60, data=str(tmp_path / "none"), folder=str(tmp_path / "index"))
        assert str(tmp_path) not in str(raised.value)
        assert worker.ask("memory", 60)["anonymous"] > 1_000_000
    finally:
        worker.kill()


def test_a_worker_that_dies_is_said_to_have_died(tmp_path: Path) -> None:
    worker = Worker(ENGINES["faiss-ivf-flat"], DIM, 2, tmp_path / "log")
    worker._process.kill()
    with pytest.raises(Failed, match="ended with -9|had ended"):
        worker.ask("memory", 60)
    worker.kill()
