"""Where an index answers: in the memory of a GPU if there is one with room, else on the CPU, and in
either case why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trichord.errors import InvalidInput
from trichord.index.ann import AnnIndex
from trichord.index.base import IndexInfo, VectorIndex, checked_queries
from trichord.index.build import TARGETS, assembled, samples_of
from trichord.index.costs import Costs
from trichord.index.exact import ExactIndex
from trichord.index.fitting import fit
from trichord.index.gpu import Gpu, NoGpu, open_gpu
from trichord.index.gpu_build import DEVICES, Device
from trichord.index.gpu_cagra import GpuCagraEngine
from trichord.index.gpu_engine import GpuEngine
from trichord.index.gpu_flat import GpuFlat
from trichord.index.gpu_ivf import GpuIvfEngine
from trichord.index.tuning import tune
from trichord.types import F32

GpuKind = Literal["auto", "flat", "ivf-flat", "ivf-pq", "cagra"]
KINDS = ("auto", "flat", "ivf-flat", "ivf-pq", "cagra")


@dataclass(frozen=True)
class Placement:
    """index answers; device is "cpu" or the name of the GPU; reason says why there."""

    index: VectorIndex
    device: str
    reason: str


def placed(
    index: ExactIndex | AnnIndex,
    *,
    device: Device = "auto",
    kind: GpuKind = "auto",
    queries: F32 | None = None,
    recall_target: float | None = None,
    number: int = 0,
    threads: int | None = None,
    seed: int = 0,
    fitted: bool = True,
    gpu: Gpu | None = None,
) -> Placement:
    """A copy of `index` in GPU memory that answers the same questions, or `index` itself.

    The copy is made from the rows, which stay in memory or mapped: exact scores come from them.
    kind: "auto" is "flat" for an exact index; for an approximate one CAGRA with cuVS, else inverted
    lists, coded if whole rows do not fit. It is tuned to `recall_target` (None: what `index` was
    tuned to), on samples of its own rows and of `queries` (float32 (m, dim)). fitted: measure what
    searches cost here. number: which GPU; gpu: that device, already opened. Save and load `index`,
    never the copy. Raises InvalidInput, VectorError.
    """
    if device not in DEVICES or kind not in KINDS:
        raise InvalidInput(f"no device {device!r} or kind {kind!r}: {DEVICES}, {KINDS}")
    if device == "cpu":
        return Placement(index, "cpu", "asked for")
    if queries is not None:
        queries = checked_queries(queries, index.dim)
    try:
        gpu = (gpu or open_gpu(number)).apart()
        if kind == "flat" or (kind == "auto" and isinstance(index, ExactIndex)):
            flat = GpuFlat.build(index.vectors, gpu, requested=index.info.requested)
            return Placement(flat, gpu.name, f"exact on {gpu.name}, {flat.stored}")
        engine = _engine(index.vectors, gpu, kind, seed)
        found = _tuned(index, engine, queries, recall_target, threads, seed, fitted)
    except NoGpu as why:
        return Placement(index, "cpu", str(why))
    return Placement(found, gpu.name, f"{engine.kind} on {gpu.name}")


def _engine(vectors: F32, gpu: Gpu, kind: GpuKind, seed: int) -> GpuEngine:
    if kind == "cagra" or (kind == "auto" and gpu.cuvs):
        try:
            return GpuCagraEngine.build(vectors, gpu)
        except NoGpu:
            if kind == "cagra":
                raise
    coding: Literal["flat", "pq"] | None = None
    if kind == "ivf-flat":
        coding = "flat"
    elif kind == "ivf-pq":
        coding = "pq"
    return GpuIvfEngine.build(vectors, gpu, coding=coding, seed=seed)


def _tuned(
    index: ExactIndex | AnnIndex,
    engine: GpuEngine,
    queries: F32 | None,
    target: float | None,
    threads: int | None,
    seed: int,
    fitted: bool,
) -> AnnIndex:
    wanted = index.info
    target = wanted.recall_target if target is None else target
    samples = samples_of(index.vectors, queries, seed)
    costs = Costs.typical(engine.typical)
    if fitted:
        costs = fit(index.vectors, engine, threads=threads, seed=seed)
    tuned = tune(
        index.vectors,
        engine,
        samples,
        target=target,
        further=TARGETS,
        k=wanted.k,
        costs=costs.alone,
        threads=threads,
    )
    if engine.failures:
        raise NoGpu(engine.last_failure)
    if not tuned.curve.efforts:
        reached = ", ".join(f"{name} {value:.3f}" for name, value in tuned.recall.items())
        raise NoGpu(
            f"{engine.kind} on {engine.gpu.name} did not reach recall {target} (reached: {reached})"
        )
    info = IndexInfo(
        kind=engine.kind,
        requested=wanted.requested,
        recall_target=target,
        k=wanted.k,
        reason=f"in the memory of {engine.gpu.name}",
    )
    return assembled(
        index.vectors, engine, tuned, info, samples=samples, costs=costs, threads=threads
    )
