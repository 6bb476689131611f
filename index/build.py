"""One call from a matrix to the index that suits it."""

from __future__ import annotations

import time
from typing import Literal

import numpy as np

from trichord.errors import InvalidInput
from trichord.index.ann import AnnIndex, Engine
from trichord.index.base import IndexInfo, checked_queries, checked_vectors
from trichord.index.exact import ExactIndex
from trichord.index.hnsw import HnswEngine
from trichord.index.ivf import IvfEngine
from trichord.index.tuning import SAMPLE_QUERIES, perturbed_rows, tune
from trichord.types import F32

Kind = Literal["auto", "exact", "hnsw", "ivf"]

EXACT_BELOW = 20_000
IVF_FROM = 2_000_000
"""From here on "auto" takes IVF: HNSW would build for a quarter of an hour or more on few cores."""
SMALLEST_ANN = 256
"""Fewer rows do not train a quantizer, and exact search over them takes microseconds."""


def build(
    vectors: F32,
    *,
    kind: Kind = "auto",
    recall_target: float = 0.95,
    k: int = 10,
    queries: F32 | None = None,
    exact_below: int = EXACT_BELOW,
    ivf_from: int = IVF_FROM,
    threads: int | None = None,
    seed: int = 0,
) -> ExactIndex | AnnIndex:
    """An index over unit rows: float32 (n, dim); the matrix is kept, not copied.

    kind "auto" is exact below `exact_below` rows, then HNSW, from `ivf_from` on IVF. An approximate
    index is tuned until recall at `k` reaches `recall_target` both for queries near its own rows
    and for `queries` (float32 (m, dim): samples of the queries that will come, those of other
    modalities above all, which lie elsewhere and are harder). If that cannot be had for less than
    exact search costs, the result is an ExactIndex, and its info says why.

    threads: OpenMP threads for building and for batches; None is the process default.
    Raises VectorError, InvalidInput.
    """
    if kind not in ("auto", "exact", "hnsw", "ivf"):
        raise InvalidInput(f"unknown kind of index {kind!r}: auto, exact, hnsw or ivf")
    if not 0 < recall_target <= 1 or k < 1:
        raise InvalidInput(f"need 0 < recall_target <= 1 and k >= 1, not {recall_target} and {k}")
    began = time.perf_counter()
    vectors = checked_vectors(vectors)
    size, dim = vectors.shape
    if queries is not None:
        queries = checked_queries(queries, dim)

    def exact(reason: str, recall: dict[str, float] | None = None) -> ExactIndex:
        info = IndexInfo(
            kind="exact",
            requested=kind,
            recall={"exact": 1.0},
            recall_target=recall_target,
            k=k,
            parameters={} if recall is None else {"rejected_recall": recall},
            reason=reason,
            build_seconds=time.perf_counter() - began,
        )
        return ExactIndex(vectors, info=info, threads=threads, checked=True)

    if kind == "exact":
        return exact("asked for")
    if kind == "auto" and size < exact_below:
        return exact(f"{size} rows are fewer than {exact_below}")
    if size < max(SMALLEST_ANN, 4 * k):
        return exact(f"{size} rows are too few for an approximate index")

    chosen = kind if kind != "auto" else "hnsw" if size < ivf_from else "ivf"
    engine: Engine = (
        HnswEngine.build(vectors, threads=threads, seed=seed)
        if chosen == "hnsw"
        else IvfEngine.build(vectors, threads=threads, seed=seed)
    )
    samples = {"own": perturbed_rows(vectors, SAMPLE_QUERIES, seed)}
    if queries is not None and len(queries):
        picks = np.random.default_rng(seed).permutation(len(queries))[:SAMPLE_QUERIES]
        samples["given"] = np.ascontiguousarray(queries[np.sort(picks)])
    tuned = tune(vectors, engine, samples, target=recall_target, k=k, threads=threads)
    if not tuned.curve.efforts:
        reached = ", ".join(f"{name} {value:.3f}" for name, value in tuned.recall.items())
        return exact(
            f"{chosen} did not reach recall {recall_target} for less than exact search costs "
            f"(reached: {reached})",
            dict(tuned.recall),
        )
    info = IndexInfo(
        kind=chosen,
        requested=kind,
        recall=dict(tuned.recall),
        recall_target=recall_target,
        k=k,
        parameters={**engine.parameters, "efforts": tuned.curve.as_json()},
        reason="asked for" if kind != "auto" else f"{size} rows",
        build_seconds=time.perf_counter() - began,
    )
    return AnnIndex(vectors, engine, tuned.curve, info, threads=threads)
