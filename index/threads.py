"""The one place that sets FAISS's number of threads.

OpenMP keeps the number per calling thread, so setting it around one call neither affects searches
that run in other threads nor needs a lock.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from trichord.errors import InvalidInput
from trichord.index._faiss import faiss


@contextmanager
def omp_threads(count: int | None) -> Iterator[None]:
    """Run FAISS calls of this thread on `count` OpenMP threads; None changes nothing."""
    if count is None:
        yield
        return
    if count < 1:
        raise InvalidInput(f"threads must be at least 1, not {count}")
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(count)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
