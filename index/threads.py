"""The one place that sets FAISS's number of threads.

OpenMP keeps the number per calling thread, so setting it around one call neither affects searches
that run in other threads nor needs a lock.
"""

from __future__ import annotations

import threading
from types import TracebackType

from trichord.errors import InvalidInput
from trichord.index._faiss import faiss


class omp_threads:  # named as a function, which it is to its users; a generator costs more a call
    """Run FAISS calls of this thread on `count` OpenMP threads; None changes nothing."""

    __slots__ = ("_before", "_count")

    def __init__(self, count: int | None) -> None:
        if count is not None and count < 1:
            raise InvalidInput(f"threads must be at least 1, not {count}")
        self._count = count
        self._before = 0

    def __enter__(self) -> None:
        if self._count is not None:
            before = faiss.omp_get_max_threads()
            if before != self._count:
                self._before = before
                faiss.omp_set_num_threads(self._count)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._before:
            faiss.omp_set_num_threads(self._before)


_lock = threading.Lock()
_batches = 0


class batch_threads(omp_threads):
    """Run a batch of this thread on its share of `count` OpenMP threads (None: of the process
    default), by the batches that run at the same time.

    Two batches with two threads each on two processors wait for each other: in every parallel part
    one thread has no processor, and all others turn in circles until it has.
    """

    __slots__ = ()

    def __enter__(self) -> None:
        global _batches
        with _lock:
            _batches += 1
            together = _batches
        if together > 1:
            self._count = max(1, (self._count or faiss.omp_get_max_threads()) // together)
        super().__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        global _batches
        super().__exit__(kind, error, trace)
        with _lock:
            _batches -= 1
