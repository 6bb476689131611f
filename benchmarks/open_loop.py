"""Load by a schedule: calls start when their time has come, whether earlier ones are answered or
not, and a latency counts from the scheduled time.

A loop that waits for each answer sends nothing while the server stands still, and so leaves out
just the calls that would have been slow (Gil Tene's "coordinated omission").
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]

DEADLINE_S = 30.0
LEAD_S = 0.05


def arrivals(rate: float, *, seed: int = 0) -> Iterator[float]:
    """Seconds after the start, ascending, without end: as many users who do not know of each other
    would call `rate` times a second together (a Poisson process)."""
    if rate <= 0:
        raise ValueError(f"a rate is positive, not {rate}")
    generator = np.random.default_rng(seed)
    at = 0.0
    while True:
        for gap in generator.exponential(1.0 / rate, 1024).tolist():
            at += gap
            yield at


@dataclass(frozen=True)
class Log:
    """What became of every call: when it was due and done, seconds of the system's monotonic clock,
    float64 (n,), and whether it succeeded, bool (n,)."""

    due: F64
    done: F64
    fine: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.due)

    def between(self, start: float, end: float) -> Log:
        """The calls that were due in a span of time."""
        there = (self.due >= start) & (self.due < end)
        return Log(self.due[there], self.done[there], self.fine[there])

    @property
    def latencies(self) -> F64:
        """Of the calls that succeeded, from the time they were due."""
        taken: F64 = (self.done - self.due)[self.fine]
        return taken

    @property
    def errors(self) -> int:
        return int((~self.fine).sum())

    def percentile(self, share: float) -> float:
        """The smallest latency that at least that share of the calls stay within (nearest rank);
        a call that failed counts as DEADLINE_S at least: longer than any that succeeded."""
        taken = self.done - self.due
        ordered = np.sort(np.where(self.fine, taken, np.maximum(taken, DEADLINE_S)))
        if not len(ordered):
            raise ValueError("there was no call")
        return float(ordered[max(0, int(np.ceil(share * len(ordered))) - 1)])

    def save(self, path: Path) -> None:
        np.savez(path, due=self.due, done=self.done, fine=self.fine)

    @classmethod
    def load(cls, path: Path) -> Log:
        with np.load(path) as arrays:
            return cls(arrays["due"], arrays["done"], arrays["fine"])


def send(
    offsets: Iterable[float],
    began: float,
    now: Callable[[], float],
    pause: Callable[[float], bool],
    fire: Callable[[int, float], None],
) -> None:
    """`fire(number, due)` at every `began` + offset, or as soon as it can once that has passed: a
    call that is late is neither left out nor put off. `pause(seconds)` waits, and says whether to
    go on."""
    for number, offset in enumerate(offsets):
        due = began + offset
        while True:
            early = due - now()
            if not pause(max(0.0, early)):
                return
            if early <= 0:
                break
        fire(number, due)


class OpenLoop:
    """Sends by a schedule, seconds after the start, in a thread of its own until `stop`.

    `calls` are gRPC methods, taken in turn; each is asked for a future, so that no number of
    threads bounds how many calls are under way. `good` looks at an answer.
    """

    def __init__(
        self,
        calls: Sequence[Any],
        requests: Sequence[bytes],
        offsets: Iterable[float],
        good: Callable[[Any], bool],
    ) -> None:
        self._calls, self._requests, self._good = calls, requests, good
        self._stopping = threading.Event()
        self._due: list[float] = []
        self._done: dict[int, tuple[float, bool]] = {}
        self._ended = threading.Condition()
        began = time.perf_counter() + LEAD_S
        self._thread = threading.Thread(
            target=send,
            args=(offsets, began, time.perf_counter, self._pause, self._fire),
            name="open-loop",
            daemon=True,
        )
        self._thread.start()

    def stop(self) -> Log:
        """Sends no more, waits for what is under way."""
        self._stopping.set()
        return self.wait()

    def wait(self) -> Log:
        """Waits for the end of the schedule, and of what is under way."""
        self._thread.join()
        with self._ended:
            whole = self._ended.wait_for(lambda: len(self._done) == len(self._due), DEADLINE_S + 5)
        if not whole:
            raise TimeoutError(f"{len(self._due) - len(self._done)} calls have no end")
        ends = [self._done[number] for number in range(len(self._due))]
        return Log(
            np.array(self._due, np.float64),
            np.array([at for at, _ in ends], np.float64),
            np.array([fine for _, fine in ends], bool),
        )

    def _pause(self, seconds: float) -> bool:
        if seconds > LEAD_S:
            self._stopping.wait(seconds - LEAD_S)
        elif seconds:
            time.sleep(seconds)
        return not self._stopping.is_set()

    def _fire(self, number: int, due: float) -> None:
        self._due.append(due)
        call = self._calls[number % len(self._calls)]
        request = self._requests[number % len(self._requests)]

        def note(future: Any) -> None:
            at = time.perf_counter()
            fine = future.exception() is None and self._good(future.result())
            with self._ended:
                self._done[number] = at, fine
                self._ended.notify()

        call.future(request, timeout=DEADLINE_S).add_done_callback(note)
