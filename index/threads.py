"""The one place that sets FAISS's number of threads.

OpenMP keeps the number per calling thread, so setting it around one call neither affects searches
that run in other threads nor needs a lock.
"""

from __future__ import annotations

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
