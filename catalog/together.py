"""Searches that come while another one runs are answered as one batch.

A search of one query spends most of its time on its own way through Python, which one thread at a
time can go. Nobody waits for company: a search that finds nobody at work goes at once and alone.
Those that come meanwhile wait, and one of them, woken when the first is done, answers for all that
ask alike. Each thread leads at most one batch, the one that it is in itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

import numpy as np

from trichord.types import F32

A = TypeVar("A")

AT_MOST = 64


class _Call(Generic[A]):
    """One that waits. `answer` None when it is woken: it leads `batch`, or has to go alone."""

    __slots__ = ("answer", "batch", "key", "vector", "woken")

    def __init__(self, key: Hashable, vector: F32) -> None:
        self.key, self.vector = key, vector
        self.batch: Sequence[_Call[A]] = ()
        self.answer: A | None = None
        self.woken = threading.Lock()  # half the cost of an event
        self.woken.acquire()


class Together(Generic[A]):
    """Shared by the threads of a server."""

    def __init__(self, *, at_most: int = AT_MOST) -> None:
        self._at_most = at_most
        self._lock = threading.Lock()
        self._running = False
        self._waiting: list[_Call[A]] = []

    def ask(
        self,
        key: Hashable,
        vector: F32,
        alone: Callable[[], A],
        many: Callable[[F32], Sequence[A]],
    ) -> A:
        """The answer to a query vector, float32 (dim,): that of `alone`, or its own among those of
        `many`, which gets the vectors of all that asked with this key, float32 (n, dim). Where
        `many` fails each goes alone, and so learns of what is wrong with its own query."""
        with self._lock:
            mine: _Call[A] | None = None
            if self._running:
                mine = _Call(key, vector)
                self._waiting.append(mine)
            self._running = True
        if mine is None:
            return self._alone(alone)
        mine.woken.acquire()
        if len(mine.batch) == 1:
            return self._alone(alone)
        if mine.batch:
            self._lead(mine, many)
        return alone() if mine.answer is None else mine.answer

    def _lead(self, mine: _Call[A], many: Callable[[F32], Sequence[A]]) -> None:
        """Answers for the whole batch, and wakes the others in it."""
        batch, mine.batch = mine.batch, ()
        answers: Sequence[A] = ()
        try:
            answers = many(np.stack([call.vector for call in batch]))
        except Exception:  # each meets it again on its own
            answers = ()
        finally:
            self._next()
            for number, call in enumerate(batch):
                if answers:
                    call.answer = answers[number]
                if call is not mine:
                    call.woken.release()

    def _alone(self, alone: Callable[[], A]) -> A:
        try:
            return alone()
        finally:
            self._next()

    def _next(self) -> None:
        """Wakes one of those that wait, to answer for all that ask alike."""
        with self._lock:
            waiting = self._waiting
            if not waiting:
                self._running = False
                return
            first = waiting[0]
            first.batch = [call for call in waiting if call.key == first.key][: self._at_most]
            if len(first.batch) == len(waiting):
                self._waiting = []
            else:
                taken = set(map(id, first.batch))
                self._waiting = [call for call in waiting if id(call) not in taken]
        first.woken.release()
