"""FAISS without its type stubs: those of 1.15 lack the kernels and parameters used here."""

from __future__ import annotations

from typing import Any

import faiss as _faiss
import numpy as np

from trichord.types import F32, I64

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
