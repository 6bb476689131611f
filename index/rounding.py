"""How far scores may be off that a device has computed, and a test of whether they keep to it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from trichord.index._faiss import faiss
from trichord.index.base import PADDING
from trichord.index.gpu import Gpu, NoGpu
from trichord.index.scoring import pair_scores
from trichord.types import F32, I64

SAMPLE = 64
"""Queries and rows that a device is tried on."""


def error_bound(dim: int, *, reduced: bool) -> float:
    """The largest difference between an exact score and one that was rounded on the way.

    For unit rows the products sum to at most 1 in absolute value (Cauchy and Schwarz). In float32,
    adding them in any order is off by at most dim · 2⁻²⁴, on either side. reduced: both factors are
    cut to 11 significant bits first (float16, TF32), 2⁻¹⁰ each at worst, or lie where float16 has
    steps of 2⁻²⁴.
    """
    bound = 2.0 * dim * 2.0**-24
    if reduced:
        bound += 2.0**-9 + math.sqrt(dim) * 2.0**-24
    return 1.01 * bound  # rows are of unit length within the tolerance of `checked_vectors`


def kept_bound(vectors: F32, index: Any, gpu: Gpu, *, half: bool) -> float:
    """The bound that this device keeps. Raises NoGpu if it keeps none.

    Whether factors are cut depends on device, driver and library, so it is measured, on a vector
    whose float32 value is as far as can be from one of 11 bits; then on rows of the index.
    """
    dim = vectors.shape[1]
    probe = np.zeros((SAMPLE, dim), dtype=np.float32)
    probe[:, 0] = 1.0 + 0.9 * 2.0**-11
    with gpu.use("an exact search"):
        trial = gpu.flat(dim, half=half)
        trial.add(probe)
        error = float(np.abs(nearest(trial, probe, 1)[0] - probe[0, 0] ** 2).max())
    bound = error_bound(dim, reduced=error > error_bound(dim, reduced=False))
    picks = np.unique(np.linspace(0, len(vectors) - 1, SAMPLE).astype(np.int64))
    queries = np.ascontiguousarray(vectors[picks])
    with gpu.use("an exact search"):
        scores, rows = nearest(index, queries, min(SAMPLE, gpu.flat_limit, len(vectors)))
    true = pair_scores(vectors, queries, rows)
    error = max(error, float(np.abs(scores - true)[rows != PADDING].max(initial=0.0)))
    itself = pair_scores(vectors, queries, picks[:, None])  # what is found first is no worse
    error = max(error, float((itself - scores[:, :1]).max()))
    if not error <= bound:
        raise NoGpu(f"scores of {gpu.name} are off by {error:.1e}, more than rounding explains")
    return bound


def nearest(index: Any, queries: F32, count: int) -> tuple[F32, I64]:
    """What a FAISS index proposes: scores float32 (n, count), descending, and rows int64."""
    scores = np.empty((len(queries), count), dtype=np.float32)
    rows = np.empty((len(queries), count), dtype=np.int64)
    index.search_c(
        len(queries),
        faiss.swig_ptr(queries),
        count,
        faiss.swig_ptr(scores),
        faiss.swig_ptr(rows),
    )
    return scores, rows
