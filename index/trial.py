"""Small indexes of every kind, built and asked: for a report at start-up, and to try out a GPU.

The second runs in a process of its own (see gpu.trial), since FAISS aborts where CUDA fails.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from trichord.index.gpu import Gpu, NoGpu, Report
from trichord.index.gpu_cagra import GpuCagraEngine
from trichord.index.gpu_flat import GpuFlat
from trichord.index.gpu_ivf import GpuIvfEngine
from trichord.index.hnsw import HnswEngine
from trichord.index.ivf import IvfEngine
from trichord.index.plan import Effort
from trichord.index.scoring import pair_scores
from trichord.index.selftest import honours_selector
from trichord.index.synthetic import Synthetic
from trichord.types import F32, I64

ROWS, DIM, NEIGHBOURS = 4096, 32, 5


def selectors() -> dict[str, bool]:
    """Kind of engine -> whether it honours selectors, for the engines of the CPU as they are built
    here: for a report at start-up. Takes a second."""
    rows = _rows()
    engines = {
        "hnsw": HnswEngine.build(rows, threads=1),
        "ivf": IvfEngine.build(rows, threads=1),
    }
    return {kind: honours_selector(engine) for kind, engine in engines.items()}


def tried(gpu: Gpu) -> Report:
    """The report on every kind of index that this device and this FAISS have. Raises NoGpu."""
    rows = _rows()
    queries = Synthetic(DIM, seed=1).draw(64, seed=3)[0]
    truth = np.argsort(-(queries @ rows.T), axis=1, kind="stable")[:, :NEIGHBOURS]
    report: Report = {}
    flat = GpuFlat.build(rows, gpu, half=False)
    found = flat.search(queries, NEIGHBOURS)
    report["gpu-flat"] = {
        "right": bool((found.rows == truth).mean() > 0.99) and flat.left_to_cpu < len(queries) / 2,
        "selector": _gpu_heeds(flat, gpu, "gpu-flat"),
    }
    makers: dict[str, Callable[[], Any]] = {
        "gpu-ivf-flat": lambda: GpuIvfEngine.build(rows, gpu, coding="flat"),
        "gpu-ivf-pq": lambda: GpuIvfEngine.build(rows, gpu, coding="pq"),
    }
    if gpu.cuvs:
        makers["gpu-cagra"] = lambda: GpuCagraEngine.build(rows, gpu)
    for kind, make in makers.items():
        engine = make()
        proposed = engine.candidates(queries, Effort(NEIGHBOURS, 64, 64))
        report[kind] = {
            "right": _recall(rows, queries, proposed, truth) > 0.8 and not engine.failures,
            "selector": _gpu_heeds(engine, gpu, kind),
        }
    return report


def main(number: int) -> None:
    """Try out a device and print the report as one line of JSON; exits non-zero on failure."""
    try:
        report = tried(Gpu.bare(number))
    except NoGpu as why:
        sys.exit(str(why))
    print(json.dumps(report))  # noqa: T201


def _gpu_heeds(engine: Any, gpu: Gpu, kind: str) -> bool:
    with gpu.use("a test of selectors"):
        return honours_selector(engine, kind=f"{kind} cuvs" if gpu.cuvs else kind)


def _recall(rows: F32, queries: F32, proposed: I64, truth: I64) -> float:
    scores = pair_scores(rows, queries, proposed)
    order = np.argsort(-scores, axis=1, kind="stable")[:, : truth.shape[1]]
    best = np.take_along_axis(proposed, order, axis=1)
    return float(np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(best, truth, strict=True)]))


def _rows() -> F32:
    return Synthetic(DIM, seed=1, clusters=64, intrinsic=12).draw(ROWS, seed=2)[0]
