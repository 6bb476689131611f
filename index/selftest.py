"""Asks FAISS indexes whether they heed a selector, since some accept one and ignore it.

FAISS's own GPU kernels ignore it, and so do IndexShardsIVF and an HNSW whose queue is not bounded:
no error, only rows that a filter excludes. Who wants to use a selector asks here first, with the
parameters of the real search; a kind that is not known to heed selectors does not. And even then
rows that come back are held against the filter (docs/decisions/0002).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from trichord.index._faiss import faiss, search_rows
from trichord.index.base import PADDING
from trichord.types import F32, I64, Bool

QUERIES, NEIGHBOURS, LISTED = 16, 5, 64

Parameters = Callable[[Any], Any]
"""A selector -> the search parameters that carry it."""

_known: dict[tuple[str, ...], bool] = {}
_lock = threading.Lock()


def honours_selector(engine: Any, parameters: Parameters | None = None, *, kind: str = "") -> bool:
    """Whether this kind of index leaves out the rows that a selector excludes.

    engine: a FAISS index, or an engine that holds one, with at least 2 · QUERIES rows. parameters:
    selector -> the parameters of the search that is planned; None takes those of the index's class.
    kind: what tells apart indexes of one class that behave differently. Asked once per kind,
    parameters' class and process. An index that refuses selectors honours none.
    """
    index = _index_of(engine)
    given = parameters or default_parameters(index)
    sample = given(faiss.IDSelectorRange(0, 1))
    key = (
        type(index).__name__,
        kind or str(getattr(engine, "kind", "")),
        type(sample).__name__,
        str(getattr(sample, "bounded_queue", "")),
        str(getattr(getattr(index, "hnsw", None), "search_bounded_queue", "")),
    )
    with _lock:
        if key not in _known:
            _known[key] = heeds(index, given)
        return _known[key]


def heeds(index: Any, parameters: Parameters) -> bool:
    """The test itself: exclude the nearest rows of some queries, ask again, and look for them.

    Every kind of selector, since an index may have a way of its own for each; all must be heeded,
    and where nearly all rows are allowed, some must still come.
    """
    size, dim = int(index.ntotal), int(index.d)
    if size < 2 * QUERIES:
        return False
    queries = np.random.default_rng(0).standard_normal((QUERIES, dim))
    unit: F32 = (queries / np.linalg.norm(queries, axis=1, keepdims=True)).astype(np.float32)
    everything = parameters(faiss.IDSelectorRange(0, size))
    try:
        nearest = np.unique(search_rows(index, unit, 1, everything))
        nearest = nearest[nearest != PADDING]
        if not len(nearest):
            return False
        for selector, allowed in _selectors(nearest, size):
            found = search_rows(index, unit, NEIGHBOURS, parameters(selector))
            found = found[found != PADDING]
            if not allowed[found].all() or (not len(found) and allowed.sum() > 0.9 * size):
                return False
        return True
    except (RuntimeError, TypeError, MemoryError):
        return False


def default_parameters(index: Any) -> Parameters:
    """The search parameters that suit the class of a FAISS index."""
    if isinstance(index, _classes("GpuIndexCagra")):
        return lambda selector: faiss.SearchParametersCagra(sel=selector)
    if isinstance(index, _classes("IndexIVF", "IndexShardsIVF", "GpuIndexIVF")):
        lists = int(index.nlist)
        return lambda selector: faiss.SearchParametersIVF(sel=selector, nprobe=min(lists, 64))
    if isinstance(index, _classes("IndexHNSW")):
        bounded = bool(index.hnsw.search_bounded_queue)
        return lambda selector: faiss.SearchParametersHNSW(
            sel=selector, efSearch=64, bounded_queue=bounded
        )
    return lambda selector: faiss.SearchParameters(sel=selector)


def _selectors(nearest: I64, size: int) -> list[tuple[Any, Bool]]:
    """Selectors that exclude the rows `nearest`, or some of them, and which rows each allows: by
    hash, by bitmap, by range, and as a list (a short one: FAISS goes through it for every row)."""
    others = np.ones(size, dtype=bool)
    others[nearest] = False
    upper = np.arange(size) >= size // 2
    listed = np.zeros(size, dtype=bool)
    listed[np.flatnonzero(others)[:: max(1, size // LISTED)]] = True
    return [
        (faiss.IDSelectorNot(faiss.IDSelectorBatch(nearest)), others),
        (faiss.IDSelectorBitmap(np.packbits(others, bitorder="little")), others),
        (faiss.IDSelectorRange(size // 2, size), upper),
        (faiss.IDSelectorArray(np.flatnonzero(listed)), listed),
    ]


def _index_of(engine: Any) -> Any:
    for name in ("index", "_index"):
        inner = getattr(engine, name, None)
        if inner is not None and hasattr(inner, "ntotal"):
            return inner
    return engine


def _classes(*names: str) -> tuple[Any, ...]:
    """Those of FAISS's classes that this build has."""
    return tuple(getattr(faiss, name) for name in names if hasattr(faiss, name))
