"""What a worker says of an engine, shown with engines that are known to be wrong."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from benchmarks.peers import measuring, memory, truth
from benchmarks.peers.engines.base import Effort, Engine
from benchmarks.peers.rows import F32, I64, LIMIT, Rows, Where


def some_rows(count: int, *, first: int = 0, seed: int = 1, dim: int = 16) -> Rows:
    generator = np.random.default_rng(seed)
    vectors = generator.standard_normal((count, dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Rows(
        first,
        vectors,
        generator.integers(0, 5, count).astype(np.int8),
        generator.integers(1990, 2025, count),
        generator.integers(0, 1000, count),
        np.ones(count, np.int8),
    )


class Exact(Engine):
    """Right, unless it is told to `leak` (no filter), to keep what is `deleted`, to lose what is
    `fresh`, or to find only the first `found` results."""

    def __init__(self, rows: Rows, **wrong: Any) -> None:
        super().__init__(rows.dim, 1)
        self.stored, self.wrong = rows, wrong
        self.lock = threading.Lock()
        self.live = np.ones(len(rows), bool)
        self.vectors = np.asarray(rows.vectors)

    def guard(self) -> AbstractContextManager[Any]:
        return self.lock

    def build(self, rows: Rows, folder: Path) -> dict[str, float]:
        return {}

    def open(self, folder: Path) -> None: ...

    def efforts(self) -> list[list[Effort]]:
        return [[{}]]

    def filter(self, where: Where) -> Any:
        return where.mask(self.stored)

    def many(self, queries: F32) -> Any:
        passing = self.live.copy()
        if self.where is not None and not self.wrong.get("leak"):
            passing &= self.where
        return truth.nearest(self.vectors, queries, LIMIT, passing)

    def one(self, query: F32) -> Any:
        return self.many(query[None, :])

    def rows_of(self, answers: Any) -> list[list[int]]:
        most = self.wrong.get("found", LIMIT)
        return [[row for row in rows[:most] if row >= 0] for rows in answers.tolist()]

    def rows_of_one(self, answer: Any) -> list[int]:
        return self.rows_of(answer)[0]

    def insert(self, rows: Rows) -> None:
        self.vectors = np.concatenate([self.vectors, rows.vectors])
        self.live = np.concatenate([self.live, np.full(len(rows), not self.wrong.get("fresh"))])

    def delete(self, numbers: I64) -> None:
        if not self.wrong.get("deleted"):
            self.live[numbers] = False


ROWS = some_rows(800)
QUERIES = some_rows(150, seed=2).vectors
HALF = Where("part", "<", 500)


def measured(engine: Engine, where: Where | None, exact: I64, **asked: Any) -> dict[str, Any]:
    return measuring.recall(
        engine, QUERIES, exact, effort={}, where=where, stored=ROWS, seconds=60, **asked
    )


def test_an_exact_engine_finds_all() -> None:
    passing = ROWS.parts < 500
    found = measured(Exact(ROWS), HALF, truth.nearest(ROWS.vectors, QUERIES, LIMIT, passing))
    assert found == {"recall": 1.0, "queries": 150, "short": 0, "outside": 0}


def test_what_does_not_pass_is_counted() -> None:
    passing = ROWS.parts < 500
    exact = truth.nearest(ROWS.vectors, QUERIES, LIMIT, passing)
    all_rows = truth.nearest(ROWS.vectors, QUERIES, LIMIT)
    found = measured(Exact(ROWS, leak=True), HALF, exact)
    assert found["outside"] == int((~passing[all_rows]).sum()) > 500
    assert 0.2 < found["recall"] < 0.8


def test_short_answers_are_counted() -> None:
    found = measured(Exact(ROWS, found=7), None, truth.nearest(ROWS.vectors, QUERIES, LIMIT))
    assert found["short"] == 150
    assert found["recall"] == pytest.approx(0.7)


@pytest.mark.parametrize("wrong", [False, True])
def test_deleted_rows_that_come_back_are_counted(wrong: bool) -> None:
    gone = np.arange(0, 800, 10)
    engine = Exact(ROWS, deleted=wrong)
    engine.delete(gone)
    live = np.ones(800, bool)
    live[gone] = False
    exact = truth.nearest(ROWS.vectors, QUERIES, LIMIT, live)
    found = measured(engine, None, exact, gone=gone)
    expected = np.isin(truth.nearest(ROWS.vectors, QUERIES, LIMIT), gone).sum() if wrong else 0
    assert found["gone"] == expected
    assert (found["gone"] > 0) == wrong


@pytest.mark.parametrize("wrong", [False, True])
def test_recall_of_fresh_rows(wrong: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "FOUND_WITHIN", 0.3)
    fresh = some_rows(120, first=800, seed=3)
    engine = Exact(ROWS, fresh=wrong)
    done = measuring.insert(engine, fresh, QUERIES, size=40, effort={}, seconds=60)
    assert done["inserted"] == 120 and len(done["insert"]) == len(done["found"]) == 3
    assert (None in done["found"]) == wrong
    exact = truth.nearest(np.concatenate([ROWS.vectors, fresh.vectors]), QUERIES, LIMIT)
    found = measured(engine, None, exact, fresh_from=800)
    assert found["fresh"] == (0.0 if wrong else 1.0)
    assert (found["recall"] == 1.0) != wrong


def test_an_error_of_a_search_under_load_is_raised() -> None:
    class Broken(Exact):
        def one(self, query: F32) -> Any:
            raise ValueError("torn")

    with pytest.raises(ValueError, match="torn"):
        measuring.insert(
            Broken(ROWS), some_rows(40, first=800), QUERIES, size=20, effort={}, seconds=60
        )


def test_times_are_of_single_calls_that_differ_by_round() -> None:
    class Noting(Exact):
        asked: list[F32]

        def many(self, queries: F32) -> Any:
            self.asked = [*getattr(self, "asked", []), queries]
            return super().many(queries)

    engine = Noting(ROWS)
    taken = measuring.times(
        engine, QUERIES, batch=4, first=97, effort={}, where=None, seconds=60, most=20
    )
    assert len(taken) == 20 and all(second > 0 for second in taken)
    asked = np.concatenate(engine.asked[1:])  # the first call is not timed
    np.testing.assert_array_equal(asked, QUERIES[np.arange(97, 97 + 80) % 150])


def test_memory_is_that_of_the_family() -> None:
    before = memory.memory(os.getpid())
    own = psutil.Process().memory_info().rss
    assert before["anonymous"] + before["mapped"] == pytest.approx(own, rel=0.2)
    block = np.ones(8_000_000)  # 64 MB, touched
    after = memory.memory(os.getpid())
    assert after["anonymous"] - before["anonymous"] == pytest.approx(block.nbytes, rel=0.1)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert child.pid in memory.family(os.getpid())
        assert memory.memory(os.getpid())["mapped"] > after["mapped"]
    finally:
        child.communicate(b"\n")
    assert memory.peak(os.getpid()) >= own * 0.8


def test_disk_counts_what_is_below(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.bin").write_bytes(os.urandom(100_000))
    assert 100_000 <= memory.disk(tmp_path) <= 110_000
