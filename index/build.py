"""One call from a matrix to the index that suits it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from trichord.errors import InvalidInput
from trichord.index import budget
from trichord.index.ann import AnnIndex, Engine
from trichord.index.base import IndexInfo, checked_queries, checked_vectors
from trichord.index.budget import KINDS, Kind, Memory
from trichord.index.costs import Costs
from trichord.index.exact import ExactIndex
from trichord.index.fitting import fit
from trichord.index.gpu_build import DEVICES, Device, engine_by_gpu
from trichord.index.hnsw import HnswEngine
from trichord.index.ivf import IvfEngine
from trichord.index.progress import OnProgress, of_stage, unheeded
from trichord.index.reduction import fitted as fitted_reduction
from trichord.index.tuning import SAMPLE_QUERIES, Tuned, perturbed_rows, tune
from trichord.types import F32

EXACT_BELOW = 20_000
IVF_FROM = 500_000
"""From here on "auto" takes IVF: 500,000 x 512 answered 54,000 queries a second in batches (HNSW
46,000) and one in 122 us (138), and were built in 19 s (40); 2,000,000 answered 52,000 (15,000)."""
SMALLEST_ANN = 256
"""Fewer rows do not train a quantizer, and exact search over them takes microseconds."""
HELD_BACK = 16
"""At most one row in so many is kept back for tuning."""
TARGETS = (0.9, 0.95, 0.99)
"""Recalls that an index is tuned to beside its own target, so that a search may ask for another."""


def build(
    vectors: F32,
    *,
    kind: Kind = "auto",
    recall_target: float = 0.95,
    k: int = 10,
    queries: F32 | None = None,
    memory: Memory = None,
    exact_below: int = EXACT_BELOW,
    ivf_from: int = IVF_FROM,
    threads: int | None = None,
    seed: int = 0,
    device: Device = "cpu",
    reduced: bool = True,
    fitted: bool = True,
    on_progress: OnProgress = unheeded,
) -> ExactIndex | AnnIndex:
    """An index over unit rows: float32 (n, dim); the matrix is kept, not copied.

    kind "auto" is exact below `exact_below` rows, then HNSW, from `ivf_from` on IVF; and the next
    of these where one does not fit into `memory` (bytes, or "2GB"; see budget for what counts). An
    approximate index is tuned until recall at `k` reaches `recall_target` for queries near its own
    rows, for its newest rows before they are in it, and for `queries` (float32 (m, dim): samples of
    the queries that will come, those of other modalities above all, which lie elsewhere and are
    harder). If that cannot be had for less than exact search costs, the result is an ExactIndex,
    and its info says why.

    threads: OpenMP threads for building and for batches; None is the process default. device: where
    the costly part of an approximate index is built, "auto" and "gpu" on a GPU if one can; it
    answers on the CPU in any case, and its reason says where it was built. reduced: let it find
    candidates by fewer dimensions where they suffice (see reduction). fitted: measure what
    searches cost here, instead of taking what is usual. on_progress(stage, done, total): called now
    and then; what it raises ends the build. Raises VectorError; InvalidInput, also where nothing
    fits.
    """
    if kind not in KINDS:
        raise InvalidInput(f"unknown kind of index {kind!r}: auto, exact, hnsw or ivf")
    if not 0 < recall_target <= 1 or k < 1:
        raise InvalidInput(f"need 0 < recall_target <= 1 and k >= 1, not {recall_target} and {k}")
    if device not in DEVICES:
        raise InvalidInput(f"no device {device!r}: auto, cpu or gpu")
    began, room = time.perf_counter(), budget.in_bytes(memory)
    vectors = checked_vectors(vectors)
    size, dim = vectors.shape
    if queries is not None:
        queries = checked_queries(queries, dim)

    def info(kind_: str, reason: str) -> IndexInfo:
        return IndexInfo(
            kind=kind_,
            requested=kind,
            recall={"exact": 1.0},
            recall_target=recall_target,
            k=k,
            reason=reason,
            build_seconds=time.perf_counter() - began,
        )

    chosen, why = budget.choice(kind, size, dim, room, exact_below=exact_below, ivf_from=ivf_from)
    if chosen != "exact" and size < max(SMALLEST_ANN, 4 * k):
        chosen, why = "exact", f"{size} rows are too few for an approximate index"
    if chosen == "exact":
        return ExactIndex(vectors, info=info("exact", why), threads=threads, checked=True)

    # The newest rows are kept back until the index is tuned with them: queries that it has never
    # seen, and of the kind that will come.
    first = size - min(SAMPLE_QUERIES, size // HELD_BACK)
    samples = samples_of(vectors[:first], queries, seed)
    held_back = {**samples, "newest": vectors[first:]}
    reduction = fitted_reduction(vectors[:first], held_back, k, seed=seed) if reduced else None
    how: dict[str, Any] = {"reduction": reduction, "threads": threads, "seed": seed}
    engine: HnswEngine | IvfEngine | None = None
    if device != "cpu":
        engine, where = engine_by_gpu(chosen, vectors[:first], **how)
        why += f"; {where}"
    if engine is None and chosen == "hnsw":
        graph = of_stage("graph", on_progress)
        engine = HnswEngine.build(vectors[:first], on_progress=graph, **how)
    elif engine is None:
        lists = of_stage("lists", on_progress)
        engine = IvfEngine.build(vectors[:first], on_progress=lists, **how)
    costs = (
        fit(vectors[:first], engine, threads=threads, seed=seed)
        if fitted
        else Costs.typical(engine.typical)
    )
    tuned = tune(
        vectors[:first],
        engine,
        held_back,
        target=recall_target,
        further=TARGETS,
        k=k,
        costs=costs.alone,
        threads=threads,
        on_progress=of_stage("tuning", on_progress),
    )
    engine.add(vectors[first:], threads=threads)
    if not tuned.curve.efforts:
        reached = ", ".join(f"{name} {value:.3f}" for name, value in tuned.recall.items())
        reason = (
            f"{chosen} did not reach recall {recall_target} for less than exact search costs "
            f"(reached: {reached})"
        )
        if room is not None and budget.bytes_for("exact", size, dim) > room:
            raise InvalidInput(
                f"{reason}, and exact search does not fit into {budget.told(room)}: allow more "
                "memory or a lower recall"
            )
        rejected = replace(
            info("exact", reason), parameters={"rejected_recall": dict(tuned.recall)}
        )
        return ExactIndex(vectors, info=rejected, threads=threads, checked=True)
    return assembled(
        vectors, engine, tuned, info(chosen, why), samples=samples, costs=costs, threads=threads
    )


def assembled(
    vectors: F32,
    engine: Engine,
    tuned: Tuned,
    info: IndexInfo,
    *,
    samples: Mapping[str, F32],
    costs: Costs,
    threads: int | None = None,
) -> AnnIndex:
    """The index of a tuned engine. `info` is completed by what was measured; its parameters are
    what `persist` needs to bring the index back."""
    complete = replace(
        info,
        recall=dict(tuned.recall),
        parameters={
            **engine.parameters,
            "efforts": {str(target): curve.as_json() for target, curve in tuned.curves.items()},
            "costs": costs.as_json(),
        },
        targets={str(target): dict(found) for target, found in tuned.recalls.items()},
        index_bytes=engine.bytes,
    )
    return AnnIndex(
        vectors, engine, tuned.curves, complete, samples=samples, costs=costs, threads=threads
    )


def samples_of(vectors: F32, queries: F32 | None, seed: int) -> Mapping[str, F32]:
    """Queries to tune with: "own" near the rows, "given" of those that were given."""
    samples = {"own": perturbed_rows(vectors, SAMPLE_QUERIES, seed)}
    if queries is not None and len(queries):
        picks = np.random.default_rng(seed).permutation(len(queries))[:SAMPLE_QUERIES]
        samples["given"] = np.ascontiguousarray(queries[np.sort(picks)])
    return samples
