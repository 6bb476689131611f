"""A worker process: `python -m benchmarks.peers.worker NAME DIM THREADS`.

Takes one command per line of its standard input, as JSON, and answers each with one line. What an
engine prints goes to standard error.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import measuring, memory
from benchmarks.peers.engines import ENGINES
from benchmarks.peers.engines.base import Engine
from benchmarks.peers.rows import Rows, Where
from benchmarks.peers.wording import one_line


class Worker:
    """The commands, by their names; every argument is JSON, arrays are named by their files."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._stored: Rows | None = None
        self._arrays: dict[str, Any] = {}

    def build(self, data: str, folder: str) -> dict[str, Any]:
        where = Path(folder)
        where.mkdir(parents=True, exist_ok=True)
        rows = Rows.load(Path(data))
        np.asarray(rows.vectors).max()  # from here on, the rows are in memory
        began = time.perf_counter()
        parts = self._engine.build(rows, where)
        took = time.perf_counter() - began
        return {
            "seconds": took,
            "parts": parts,
            "disk": memory.disk(where),
            "peak": memory.peak(os.getpid()),
        }

    def open(self, folder: str, data: str) -> dict[str, Any]:
        began = time.perf_counter()
        self._engine.open(Path(folder))
        took = time.perf_counter() - began
        self._stored = Rows.load(Path(data))
        return {"seconds": took, "ladders": self._engine.efforts()}

    def recall(
        self,
        queries: str,
        truth: str,
        effort: dict[str, int],
        where: dict[str, Any] | None,
        seconds: float,
        **files: Any,
    ) -> dict[str, Any]:
        assert self._stored is not None
        gone = files.get("gone")
        return measuring.recall(
            self._engine,
            self._array(queries)[: files.get("most")],
            self._array(truth),
            effort=effort,
            where=Where.read(where),
            stored=self._stored,
            seconds=seconds,
            gone=None if gone is None else self._array(gone),
            fresh_from=files.get("fresh_from"),
        )

    def times(self, queries: str, where: dict[str, Any] | None, **asked: Any) -> dict[str, Any]:
        taken = measuring.times(
            self._engine, self._array(queries), where=Where.read(where), **asked
        )
        return {"seconds": [round(second, 7) for second in taken]}

    def insert(self, data: str, queries: str, **asked: Any) -> dict[str, Any]:
        return measuring.insert(self._engine, Rows.load(Path(data)), self._array(queries), **asked)

    def delete(self, rows: str) -> dict[str, Any]:
        began = time.perf_counter()
        with self._engine.guard():
            self._engine.delete(self._array(rows))
        return {"seconds": time.perf_counter() - began}

    def memory(self) -> dict[str, Any]:
        return memory.memory(os.getpid())

    def close(self) -> dict[str, Any]:
        self._engine.close()
        return {}

    def _array(self, path: str) -> Any:
        if path not in self._arrays:
            self._arrays[path] = np.load(path)
        return self._arrays[path]


def main() -> None:
    name, dim, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])  # children inherit it
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # an engine that prints must not break the lines of JSON
    about = ENGINES[name]
    module = importlib.import_module(f"benchmarks.peers.engines.{about.module}")
    worker = Worker(module.Adapter(dim, threads, **about.options))
    _say(answers, {"ready": True})
    for line in sys.stdin:
        asked = json.loads(line)
        command: Callable[..., dict[str, Any]] = getattr(worker, asked.pop("do"))
        try:
            _say(answers, {"answer": command(**asked)})
        except Exception as error:
            traceback.print_exc()
            _say(answers, {"error": f"{type(error).__name__}: {one_line(str(error))}"})


def _say(answers: Any, value: dict[str, Any]) -> None:
    answers.write(json.dumps(value) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
