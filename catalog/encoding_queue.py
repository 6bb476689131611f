"""What several callers ask for at once is embedded together.

A model takes twenty queries in little more time than one. There is no timer: a caller who comes
while the model is at rest starts it at once, alone; those who come while it runs are the next
batch, which the first of them runs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

S = TypeVar("S")
R = TypeVar("R")

TOGETHER = 64
"""At most so many things are done at once, unless one caller brings more."""


class _Ticket(Generic[S, R]):
    """What one caller wants. `turn` is set when it is done, or its caller is to run a batch."""

    __slots__ = ("answers", "failure", "things", "turn")

    def __init__(self, things: Sequence[S]) -> None:
        self.things = things
        self.answers: Sequence[R] | None = None
        self.failure: Exception | None = None
        self.turn: threading.Event | None = None

    @property
    def done(self) -> bool:
        return self.answers is not None or self.failure is not None


class EncodingQueue(Generic[S, R]):
    """Runs `work` for one batch after the other: it gets things and returns an answer for each, in
    order. What it raises is raised to the caller whose things it cannot do, and to nobody else."""

    def __init__(self, work: Callable[[Sequence[S]], Sequence[R]]) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._waiting: list[_Ticket[S, R]] = []
        self._running = False

    def do(self, things: Sequence[S]) -> Sequence[R]:
        """The answers to these things; waits until their batch is done."""
        ticket: _Ticket[S, R] = _Ticket(things)
        with self._lock:
            waits = self._running
            self._running = True
            self._waiting.append(ticket)
            if waits:
                ticket.turn = threading.Event()
        if ticket.turn is not None:
            ticket.turn.wait()
        if not ticket.done:
            self._run(ticket)
        if ticket.failure is not None:
            raise ticket.failure
        assert ticket.answers is not None
        return ticket.answers

    def _run(self, own: _Ticket[S, R]) -> None:
        """One batch, to which the caller's own ticket belongs, as it is the first that waits."""
        with self._lock:
            batch = [own]
            count = len(own.things)
            for ticket in self._waiting[1:]:
                if count + len(ticket.things) > TOGETHER:
                    break
                batch.append(ticket)
                count += len(ticket.things)
            del self._waiting[: len(batch)]
        try:
            self._fill(batch)
        finally:
            with self._lock:
                # Where this thread was interrupted, the others' things are still to be done.
                self._waiting[:0] = [one for one in batch[1:] if not one.done]
                if self._waiting:
                    following = self._waiting[0].turn
                    assert following is not None
                    following.set()
                else:
                    self._running = False
            for ticket in batch[1:]:
                if ticket.done and ticket.turn is not None:
                    ticket.turn.set()

    def _fill(self, batch: Sequence[_Ticket[S, R]]) -> None:
        try:
            answers = self._work([thing for ticket in batch for thing in ticket.things])
        except Exception as error:
            if len(batch) == 1:
                batch[0].failure = error
                return
            for ticket in batch:  # each by itself, to see whose it is
                self._fill([ticket])
            return
        first = 0
        for ticket in batch:
            ticket.answers = answers[first : first + len(ticket.things)]
            first += len(ticket.things)
