"""Indexes in GPU memory for the suite that every index passes: on a device, and on a stand-in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.index.stand_in import StandIn
from trichord.index._faiss import faiss
from trichord.index.base import VectorIndex
from trichord.index.exact import ExactIndex
from trichord.index.gpu import Gpu, NoGpu, open_gpu
from trichord.index.placement import GpuKind, placed

KINDS: tuple[GpuKind, ...] = ("flat", "ivf-flat", "ivf-pq", "cagra")


def device() -> Gpu:
    """The first GPU, or a skipped test that says why there is none."""
    try:
        return open_gpu()
    except NoGpu as why:
        pytest.skip(str(why))


def have_gpu() -> bool:
    return bool(hasattr(faiss, "StandardGpuResources") and faiss.get_num_gpus())


def on(world: Any, gpu: Gpu, kind: GpuKind) -> VectorIndex:
    home = ExactIndex(world.rows)
    found = placed(
        home, kind=kind, queries=world.tuning, recall_target=0.95, threads=1, fitted=False, gpu=gpu
    )
    assert found.device == gpu.name, found.reason
    return found.index


def _real(kind: GpuKind) -> Any:
    def make(world: Any, _: Path) -> VectorIndex:
        gpu = device()
        if kind == "cagra" and not gpu.cuvs:
            pytest.skip("CAGRA needs FAISS with cuVS")
        return on(world, gpu, kind)

    return make


def _half(world: Any, _: Path) -> VectorIndex:
    from trichord.index.gpu_flat import GpuFlat

    return GpuFlat.build(world.rows, device(), half=True)


def _rehearsed(kind: GpuKind) -> Any:
    return lambda world, _: on(world, StandIn(), kind)


GPU_MAKERS: dict[str, Any] = {f"gpu {kind}": _real(kind) for kind in KINDS}
GPU_MAKERS["gpu flat in 16 bits"] = _half
STAND_IN_MAKERS: dict[str, Any] = {
    "stand-in flat": _rehearsed("flat"),
    "stand-in ivf-flat": _rehearsed("ivf-flat"),
    "stand-in cagra": _rehearsed("cagra"),
}
