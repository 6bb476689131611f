"""FAISS without its type stubs: those of 1.15 lack the kernels and parameters used here.

Its OpenMP threads wait by turning in circles, by default for milliseconds, and so take processors
from those of numpy's BLAS and from threads that serve: a product by numpy before each batch of 64
made it take 160 us a query instead of 16, with fewer turns 40. With so many as here, some tens of
microseconds, consecutive calls find their threads awake all the same (GOMP_SPINCOUNT, libgomp's
manual). OpenMP reads its settings when it is loaded; those of the environment go before.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from trichord.types import F32, I64

SPINS = "10000"

_WAITING = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
if not any(name in os.environ for name in _WAITING):
    os.environ[_WAITING[0]] = SPINS
    try:
        import faiss as _faiss
    finally:
        del os.environ[_WAITING[0]]  # not for processes that are started later, nor other OpenMPs
else:
    import faiss as _faiss

faiss: Any = _faiss


def search_rows(index: Any, queries: F32, count: int, parameters: Any) -> I64:
    """The labels of index.search, int64 (n, count), past the wrapper's checks (4 us a call).

    queries must be C-contiguous float32 of the index's dimension.
    """
    rows = np.empty((len(queries), count), dtype=np.int64)
    distances = np.empty((len(queries), count), dtype=np.float32)
    index.search_c(
        len(queries),
        faiss.swig_ptr(queries),
        count,
        faiss.swig_ptr(distances),
        faiss.swig_ptr(rows),
        parameters,
    )
    return rows
