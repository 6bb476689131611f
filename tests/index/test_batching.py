"""Callers share runs, everyone gets his own answer or his own error, and nobody is left waiting."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from trichord.index.batching import Batcher

PATIENCE = 20.0


class Squares:
    """Jobs are numbers; negative ones fail. Notes every batch and that no two runs overlap."""

    def __init__(self, takes: float = 0.0) -> None:
        self.takes = takes
        self.batches: list[list[int]] = []
        self.gate = threading.Event()
        self.gate.set()
        self._inside = threading.Lock()

    def __call__(self, jobs: Sequence[int]) -> list[int]:
        assert self._inside.acquire(blocking=False), "two runs at once"
        try:
            self.batches.append(list(jobs))
            assert self.gate.wait(PATIENCE)
            time.sleep(self.takes)
            for job in jobs:
                if job < 0:
                    raise ValueError(f"no root: {job}")
            return [job * job for job in jobs]
        finally:
            self._inside.release()


def waiting(batcher: Batcher[int, int], count: int) -> None:
    """Returns when `count` callers wait."""
    end = time.monotonic() + PATIENCE
    while len(batcher._waiting) < count:
        assert time.monotonic() < end
        time.sleep(0.001)


def gathered(run: Squares, batcher: Batcher[int, int], jobs: Sequence[int]) -> list[object]:
    """Outcomes of jobs that all arrive, one after the other, while a first one (0) runs."""
    run.gate.clear()
    outcomes: list[object] = [None] * len(jobs)

    def call(place: int) -> None:
        try:
            outcomes[place] = batcher(jobs[place])
        except ValueError as error:
            outcomes[place] = error

    first = threading.Thread(target=lambda: batcher(0))
    first.start()
    end = time.monotonic() + PATIENCE
    while not run.batches:
        assert time.monotonic() < end
        time.sleep(0.001)
    threads = []
    for place in range(len(jobs)):
        threads.append(threading.Thread(target=call, args=(place,)))
        threads[-1].start()
        waiting(batcher, place + 1)
    run.gate.set()
    for thread in (first, *threads):
        thread.join(PATIENCE)
        assert not thread.is_alive()
    return outcomes


def test_a_lone_caller_runs_at_once_and_alone() -> None:
    run = Squares()
    batcher = Batcher[int, int](run)
    assert [batcher(job) for job in (2, 3, 4)] == [4, 9, 16]
    assert run.batches == [[2], [3], [4]]
    assert (batcher.runs, batcher.jobs) == (3, 3)


def test_those_who_come_meanwhile_are_one_batch() -> None:
    run = Squares()
    batcher = Batcher[int, int](run)
    assert gathered(run, batcher, [5, 6, 7, 8]) == [25, 36, 49, 64]
    assert run.batches == [[0], [5, 6, 7, 8]]
    assert (batcher.runs, batcher.jobs) == (2, 5)
    assert batcher(9) == 81  # and then it is idle again


def test_an_error_reaches_the_caller_whose_job_it_was() -> None:
    run = Squares()
    batcher = Batcher[int, int](run)
    outcomes = gathered(run, batcher, [5, -6, 7, -8])
    assert outcomes[0] == 25 and outcomes[2] == 49
    assert str(outcomes[1]) == "no root: -6" and str(outcomes[3]) == "no root: -8"
    with pytest.raises(ValueError, match="no root: -1"):
        batcher(-1)
    assert batcher(3) == 9


def test_only_equal_keys_share_and_the_first_who_waits_is_first() -> None:
    run = Squares()
    batcher = Batcher[int, int](run, key=lambda job: job % 2)
    assert gathered(run, batcher, [5, 6, 7, 8, 9]) == [25, 36, 49, 64, 81]
    assert run.batches == [[0], [5, 7, 9], [6, 8]]


def test_a_batch_is_no_heavier_than_the_most() -> None:
    run = Squares()
    batcher = Batcher[int, int](run, weight=lambda job: job, most=10)
    assert gathered(run, batcher, [4, 5, 50, 1, 6]) == [16, 25, 2500, 1, 36]
    assert run.batches == [[0], [4, 5, 1], [50], [6]]


def test_answers_that_are_missing_are_an_error_for_each() -> None:
    batcher = Batcher[int, int](lambda jobs: [])
    with pytest.raises(ValueError):
        batcher(1)
    with pytest.raises(ValueError):
        batcher(2)


def test_many_threads_get_their_own_answers() -> None:
    """Thousands of hand-overs: a lost one would hang, a mixed-up one would be wrong."""
    run = Squares(takes=1e-4)
    batcher = Batcher[int, int](run, key=lambda job: abs(job) % 3, weight=lambda job: 1, most=7)

    def caller(number: int) -> int:
        generator = np.random.default_rng(number)
        for job in generator.integers(-20, 1000, 300).tolist():
            if job < 0:
                with pytest.raises(ValueError, match=f"no root: {job}$"):
                    batcher(job)
            else:
                assert batcher(job) == job * job
        return number

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(caller, range(16))) == list(range(16))
    assert batcher.jobs == 16 * 300 and batcher.runs < batcher.jobs
    assert not batcher._waiting and not batcher._running
    assert max(len(batch) for batch in run.batches) <= 7
    assert all(len({abs(job) % 3 for job in batch}) == 1 for batch in run.batches)


class Interrupted(BaseException):
    pass


def interrupt(number: int, frame: object) -> None:
    raise Interrupted


@pytest.fixture
def _interruptible():
    before = signal.signal(signal.SIGALRM, interrupt)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("_interruptible")
def test_a_caller_who_is_interrupted_while_waiting_takes_nobody_along() -> None:
    run = Squares()
    batcher = Batcher[int, int](run)
    run.gate.clear()
    found: list[int] = []
    first = threading.Thread(target=lambda: found.append(batcher(2)))
    first.start()
    while not run.batches:
        time.sleep(0.001)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    with pytest.raises(Interrupted):
        batcher(3)  # this thread waits, and is the next to lead
    later = threading.Thread(target=lambda: found.append(batcher(4)))
    later.start()
    waiting(batcher, 1)
    run.gate.set()
    for thread in (first, later):
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert found == [4, 16] and run.batches == [[2], [4]]
    assert batcher(5) == 25


def test_a_caller_who_is_stopped_while_leading_gives_the_others_their_turn() -> None:
    stopped: list[int] = []

    def run(jobs: Sequence[int]) -> list[int]:
        if jobs[0] == 0:
            assert gate.wait(PATIENCE)
        if jobs[0] == 1:
            raise Interrupted
        return [job * job for job in jobs]

    gate = threading.Event()
    batcher = Batcher[int, int](run)
    found: dict[int, int] = {}

    def call(job: int) -> None:
        try:
            found[job] = batcher(job)
        except Interrupted:
            stopped.append(job)

    threads = []
    for count, job in enumerate((0, 1, 2, 3)):
        threads.append(threading.Thread(target=call, args=(job,)))
        threads[-1].start()
        if job == 0:
            while not batcher._running:
                time.sleep(0.001)
        else:
            waiting(batcher, count)
    gate.set()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert found == {0: 0, 2: 4, 3: 9} and stopped == [1]
    assert (batcher.runs, batcher.jobs) == (3, 4)
