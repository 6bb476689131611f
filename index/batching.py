"""Callers that arrive while a batch runs make up the next batch: no timer, no thread of its own.

Where many queries cost little more than one (matrix products, a GPU), callers at the same time
should share a run. Waiting for company would slow down the one who comes alone, so nobody waits: a
caller who finds nothing running runs at once, and everyone who comes meanwhile is gathered. When
the run ends, the one who has waited longest runs for all of them. The batch grows by itself with
the load.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

Job = TypeVar("Job")
Answer = TypeVar("Answer")

MOST_QUERIES = 512
"""Queries per shared run of an index: beyond this a matrix product gains nothing more."""


class _Ticket(Generic[Job, Answer]):
    """A caller who waits: either the answer comes, or the turn to run a batch."""

    __slots__ = ("answer", "batch", "error", "gate", "job")

    def __init__(self, job: Job) -> None:
        self.job = job
        self.gate = threading.Lock()
        self.gate.acquire()
        self.batch: list[_Ticket[Job, Answer]] | None = None
        self.answer: Answer
        self.error: BaseException | None = None


class Batcher(Generic[Job, Answer]):
    """Calls `run` with one or several jobs, never from two threads at once.

    run: jobs -> their answers, in order. key: only jobs of equal keys share a run. weight and most:
    jobs share a run up to this sum of weights (a heavier job runs by itself). If a shared run
    fails, its jobs are run one by one, so that an error reaches the caller whose job it was.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Job]], Sequence[Answer]],
        *,
        key: Callable[[Job], Hashable] = lambda job: None,
        weight: Callable[[Job], int] = lambda job: 1,
        most: int = MOST_QUERIES,
    ) -> None:
        self._run, self._key, self._weight, self._most = run, key, weight, most
        self._lock = threading.Lock()
        self._running = False
        self._waiting: list[_Ticket[Job, Answer]] = []
        self.runs = 0
        self.jobs = 0

    def __call__(self, job: Job) -> Answer:
        """The answer to `job`; raises what `run` raised for it."""
        with self._lock:
            if self._running:
                ticket = _Ticket[Job, Answer](job)
                self._waiting.append(ticket)
            else:
                self._running, ticket = True, None
                self.runs += 1
                self.jobs += 1
        if ticket is None:
            try:
                (answer,) = self._run([job])
                return answer
            finally:
                self._pass_on()
        try:
            ticket.gate.acquire()
        except BaseException:  # a signal's handler raised: nobody may be left to wait for this one
            self._leave(ticket)
            raise
        if ticket.batch is not None:
            return self._lead(ticket, ticket.batch)
        if ticket.error is not None:
            raise ticket.error
        return ticket.answer

    def _lead(self, own: _Ticket[Job, Answer], batch: list[_Ticket[Job, Answer]]) -> Answer:
        try:
            self._settle(batch)
        except BaseException:  # not an error of a job: the others get their turn without this one
            self._give_back(batch[1:])
            self._pass_on()
            raise
        self._pass_on()  # first: the next batch runs while this one's callers wake up
        for ticket in batch[1:]:
            ticket.gate.release()
        if own.error is not None:
            raise own.error
        return own.answer

    def _settle(self, batch: list[_Ticket[Job, Answer]]) -> None:
        try:
            answers = self._run([ticket.job for ticket in batch])
            for ticket, answer in zip(batch, answers, strict=True):
                ticket.answer = answer
        except Exception as error:
            if len(batch) == 1:
                batch[0].error = error
                return
            for ticket in batch:
                self._settle([ticket])

    def _pass_on(self) -> None:
        """Give the turn to those who wait, or to nobody."""
        with self._lock:
            if not self._waiting:
                self._running = False
                return
            first = self._waiting[0]
            key, room = self._key(first.job), self._most
            batch: list[_Ticket[Job, Answer]] = []
            left: list[_Ticket[Job, Answer]] = []
            for ticket in self._waiting:
                weight = self._weight(ticket.job)
                fits = not batch or (weight <= room and self._key(ticket.job) == key)
                (batch if fits else left).append(ticket)
                room -= weight if fits else 0
            self._waiting = left
            first.batch = batch
            self.runs += 1
            self.jobs += len(batch)
        first.gate.release()

    def _give_back(self, tickets: list[_Ticket[Job, Answer]]) -> None:
        with self._lock:
            self._waiting[:0] = tickets
            self.jobs -= len(tickets)

    def _leave(self, ticket: _Ticket[Job, Answer]) -> None:
        with self._lock:
            if ticket in self._waiting:
                self._waiting.remove(ticket)
                return
            batch = ticket.batch
        if batch is not None:  # it was just given the turn
            self._give_back(batch[1:])
            self._pass_on()
