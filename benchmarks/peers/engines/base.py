"""What an adapter of an engine is asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from benchmarks.peers.rows import F32, I64, Rows, Where

Effort = dict[str, int]
"""The engine's own names of what makes it search more."""


class Engine(ABC):
    """One engine, in its worker process; `one` and `many` are what is timed.

    `threads` is how many the engine may use. An adapter builds once into a folder; another process
    opens it (unless the engine keeps nothing), then `use` sets effort and filter, untimed, for the
    searches that follow. A search asks for `rows.LIMIT` results and returns what the engine
    returns, in the engine's own shape; `rows_of` reads row numbers out of it later, untimed.
    """

    def __init__(self, dim: int, threads: int, **options: Any) -> None:
        self.dim, self.threads, self.options = dim, threads, options
        self.effort: Effort = {}
        self.where: Any = None

    @abstractmethod
    def build(self, rows: Rows, folder: Path) -> dict[str, float]:
        """Stores and indexes the rows, ready to be searched by whoever opens the folder; returns
        seconds of the parts where that says more than the whole."""

    @abstractmethod
    def open(self, folder: Path) -> None: ...

    @abstractmethod
    def efforts(self) -> list[list[Effort]]:
        """Ladders of efforts, each cheapest first; a ladder is tried where none before it reaches
        the recall."""

    def use(self, effort: Effort, where: Where | None) -> None:
        """From here on, searches are made with this effort and filter."""
        self.effort = effort
        self.where = None if where is None else self.filter(where)

    def filter(self, where: Where) -> Any:
        """The filter as the engine wants it."""
        raise NotImplementedError("this engine has no filters")

    @abstractmethod
    def one(self, query: F32) -> Any:
        """The answer to one query, float32 (dim,)."""

    @abstractmethod
    def many(self, queries: F32) -> Any:
        """The answers to several queries, float32 (n, dim), in one call."""

    @abstractmethod
    def rows_of(self, answers: Any) -> list[list[int]]:
        """Row numbers of what `many` returned."""

    @abstractmethod
    def rows_of_one(self, answer: Any) -> list[int]:
        """Row numbers of what `one` returned."""

    @abstractmethod
    def insert(self, rows: Rows) -> None:
        """Adds rows; when this returns they are stored as safely as the engine does it."""

    @abstractmethod
    def delete(self, numbers: I64) -> None:
        """Removes rows by id."""

    def guard(self) -> AbstractContextManager[Any]:
        """Held around every search and write while both go on: a lock where one is needed."""
        return nullcontext()

    def close(self) -> None:  # noqa: B027  (most have nothing to close)
        pass


def ladder(low: int, high: int, ratio: float = 1.08) -> list[int]:
    """Integers from `low` to `high`, each larger by one or by about `ratio`."""
    steps = [low]
    while steps[-1] < high:
        steps.append(min(high, max(steps[-1] + 1, round(steps[-1] * ratio))))
    return steps
