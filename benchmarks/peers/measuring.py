"""What a worker measures of its engine: recall, times of calls, and writes under load."""

from __future__ import annotations

import gc
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.peers import truth
from benchmarks.peers.engines.base import Effort, Engine
from benchmarks.peers.rows import F32, I64, LIMIT, Rows, Where

BATCH = 64
FOUND_WITHIN = 30.0
"""Seconds after which a written row that is not found counts as not found."""


def recall(
    engine: Engine,
    queries: F32,
    exact: I64,
    *,
    effort: Effort,
    where: Where | None,
    stored: Rows,
    seconds: float,
    gone: I64 | None = None,
    fresh_from: int | None = None,
) -> dict[str, Any]:
    """Recall at LIMIT against the exact rows, in batches, of as many queries as `seconds` allow.

    Also counts what must not be: results that do not pass the filter (`outside`), and results
    among `gone`. With `fresh_from`, `fresh` is the recall of the true rows from that number on.
    """
    engine.use(effort, where)
    found: list[list[int]] = []
    began = time.perf_counter()
    for start, stop in _parts(len(queries)):
        part = queries[start:stop]
        answers = engine.rows_of(engine.many(part))
        found += answers + [[] for _ in range(len(part) - len(answers))]
        spent = time.perf_counter() - began
        if spent / stop * min(stop + BATCH, 4 * stop) > seconds:
            break
    exact = exact[: len(found)]
    returned = np.asarray([row for answer in found for row in answer], np.int64)
    result: dict[str, Any] = {
        "recall": truth.recall(found, exact),
        "queries": len(found),
        "short": sum(len(answer) < LIMIT for answer in found),
        "outside": 0 if where is None else int((~where.mask(stored)[returned]).sum()),
    }
    if gone is not None:
        result["gone"] = int(np.isin(returned, gone).sum())
    if fresh_from is not None:
        fresh = np.arange(int(exact.max()) + 1) >= fresh_from
        result["fresh"] = truth.recall(found, exact, of=fresh)
    return result


def _parts(count: int) -> list[tuple[int, int]]:
    """Batches of queries, the first ones small: a slow engine does not start a large one."""
    edges = [0, 4, 16, *range(BATCH, count, BATCH), count]  # each next part is within 4 × all
    edges = sorted({min(edge, count) for edge in edges})
    return list(zip(edges, edges[1:], strict=False))


def times(
    engine: Engine,
    queries: F32,
    *,
    batch: int,
    first: int,
    effort: Effort,
    where: Where | None,
    seconds: float,
    most: int,
) -> list[float]:
    """Seconds of single calls, one after the other: at least one, at most `most`, and no new one
    after `seconds`. They start at query `first`, so that rounds ask different ones."""
    engine.use(effort, where)
    picks = np.arange(first, first + most * batch) % len(queries)
    parts = [picks[at : at + batch] for at in range(0, len(picks), batch)]
    asked = [np.ascontiguousarray(queries[part]) for part in parts]
    call = engine.many if batch > 1 else lambda query: engine.one(query[0])
    call(asked[-1])  # whatever the first call after a change of effort has to set up
    gc.collect()
    taken: list[float] = []
    until = time.perf_counter() + seconds
    for query in asked:
        began = time.perf_counter()
        call(query)
        ended = time.perf_counter()
        taken.append(ended - began)
        if ended > until:
            break
    return taken


@dataclass
class Load:
    """A thread that searches one query after the other and notes when."""

    engine: Engine
    queries: F32
    spans: list[tuple[float, float]] = field(default_factory=list)
    error: BaseException | None = None

    def __enter__(self) -> Load:
        self._told = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._told.set()
        self._thread.join()

    def _run(self) -> None:
        number = 0
        try:
            while not self._told.is_set():
                query = self.queries[number % len(self.queries)]
                began = time.perf_counter()
                with self.engine.guard():
                    self.engine.one(query)
                self.spans.append((began, time.perf_counter()))
                number += 1
        except BaseException as error:
            self.error = error

    def during(self, windows: list[tuple[float, float]]) -> list[float]:
        """Seconds of the searches that overlap one of the windows."""
        return [
            ended - began
            for began, ended in list(self.spans)
            if any(began < stop and ended > start for start, stop in windows)
        ]


def insert(
    engine: Engine, fresh: Rows, queries: F32, *, size: int, effort: Effort, seconds: float
) -> dict[str, Any]:
    """Inserts `fresh` in batches of `size` while a thread searches; for at most about `seconds`.

    `found` are seconds from the return of an insert until a search by a vector of the batch has
    it at the first place; None where that took more than FOUND_WITHIN.
    """
    engine.use(effort, None)
    writes: list[tuple[float, float]] = []
    found: list[float | None] = []
    done = 0
    with Load(engine, queries) as load:
        time.sleep(0.2)
        began = time.perf_counter()
        for part in fresh.batches(size):
            started = time.perf_counter()
            with engine.guard():
                engine.insert(part)
            returned = time.perf_counter()
            writes.append((started, returned))
            found.append(_until_found(engine, part[len(part) - 1 :], returned))
            done += len(part)
            if time.perf_counter() - began > seconds or load.error is not None:
                break
    if load.error is not None:
        raise load.error
    return {
        "inserted": done,
        "insert": [stop - start for start, stop in writes],
        "found": found,
        "searches": load.during(writes),
    }


def _until_found(engine: Engine, row: Rows, since: float) -> float | None:
    query = np.array(row.vectors[0])  # a plain array, not a page of a file
    while (passed := time.perf_counter() - since) < FOUND_WITHIN:
        with engine.guard():
            answer = engine.one(query)
        if engine.rows_of_one(answer)[:1] == [row.first]:
            return time.perf_counter() - since
        time.sleep(0.002 if passed < 1 else 0.05)
    return None
