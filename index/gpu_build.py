"""Indexes for the CPU whose costly part a GPU builds, if there is one that can."""

from __future__ import annotations

from typing import Literal

from trichord.index.gpu import Gpu, NoGpu, open_gpu
from trichord.index.gpu_cagra import built_on_gpu
from trichord.index.hnsw import HnswEngine
from trichord.index.ivf import IvfEngine
from trichord.index.reduction import Reduction
from trichord.types import F32

Device = Literal["auto", "cpu", "gpu"]
"""auto and gpu both take a GPU where one is at hand and can do it, else the CPU, and say why; they
differ in nothing but what the caller makes of the reason."""
DEVICES = ("auto", "cpu", "gpu")


def engine_by_gpu(
    kind: str,
    vectors: F32,
    *,
    reduction: Reduction | None = None,
    number: int = 0,
    threads: int | None = None,
    seed: int = 0,
    gpu: Gpu | None = None,
) -> tuple[HnswEngine | IvfEngine | None, str]:
    """An engine for the CPU, "hnsw" or "ivf", whose costly part a GPU has built, and where that
    was; or None, and why it could not."""
    try:
        gpu = (gpu or open_gpu(number)).apart()
        if kind == "hnsw":
            if reduction is None:
                graph = built_on_gpu(vectors, gpu, threads=threads, seed=seed)
            else:
                graph = built_on_gpu(reduction.rows(vectors), gpu, threads=threads, seed=seed)
                graph = HnswEngine(reduction.before(graph.index))
            return graph, f"built on {gpu.name}"
        with gpu.use("the build of an IVF index"):
            coarse = gpu.coarse(vectors.shape[1] if reduction is None else reduction.width)
            engine = IvfEngine.build(
                vectors, reduction=reduction, threads=threads, seed=seed, coarse=coarse
            )
        return engine, f"built on {gpu.name}"
    except NoGpu as why:
        return None, f"built on the CPU: {why}"
