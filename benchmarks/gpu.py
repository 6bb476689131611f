"""Indexes in GPU memory beside those of the CPU: building, recall, searching, memory.

On a machine with a GPU, from the root of the repository, with FAISS for it (`faiss-gpu`, or
`faiss-gpu-cuvs` for CAGRA, never beside `faiss-cpu`), numpy and xxhash; no table engine is needed:

    python -m pytest -m gpu tests/index         # is it right? (pytest and hypothesis too)
    python -m benchmarks.gpu --out gpu.json     # how fast? minutes

The file is written again after every part, so a run that is cut short leaves what it has found.
`--rehearse` runs everything with the CPU in the GPU's place, to try out the script: its figures say
nothing about a GPU.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from trichord.index._faiss import faiss
from trichord.index.ann import AnnIndex
from trichord.index.base import VectorIndex
from trichord.index.build import build, samples_of
from trichord.index.exact import ExactIndex
from trichord.index.gpu import Gpu, NoGpu, open_gpu
from trichord.index.gpu_build import engine_by_gpu
from trichord.index.gpu_flat import GpuFlat
from trichord.index.placement import placed
from trichord.index.rowset import RowSet
from trichord.index.synthetic import Synthetic
from trichord.index.tuning import tune
from trichord.types import F32

K = 10
SHARES = {"50 %": 0.5, "5 %": 0.05, "0.1 %": 0.001}
CLIENTS = 32


class Report:
    """Figures by part, printed as they come and kept in a file."""

    def __init__(self, out: Path | None) -> None:
        self.parts: dict[str, dict[str, Any]] = {}
        self._out = out

    def add(self, part: str, **figures: Any) -> None:
        self.parts.setdefault(part, {}).update(figures)
        shown = ", ".join(f"{name} {_shown(value)}" for name, value in figures.items())
        print(f"{part}: {shown}", flush=True)
        if self._out is not None:
            self._out.write_text(json.dumps(self.parts, indent=2), encoding="utf-8")


class World:
    """Rows of one modality, held-out queries of the same and of another, and the truth."""

    def __init__(self, rows: int, dim: int) -> None:
        source = Synthetic(dim, seed=1, modalities=2)
        self.rows = source.draw(rows, seed=1)[0]
        self.queries = {
            "own": source.draw(1024, seed=2)[0],
            "cross": source.draw(1024, modality=1, seed=3)[0],
        }
        self.tuning = source.draw(512, modality=1, seed=4)[0]
        generator = np.random.default_rng(5)
        self.filters = {name: RowSet(generator.random(rows) < s) for name, s in SHARES.items()}
        self.exact = ExactIndex(self.rows)
        self.bars = {
            (kind, name): self.exact.search(queries[:256], K, allowed=allowed).scores[:, -1:]
            for kind, queries in self.queries.items()
            for name, allowed in {"": None, **self.filters}.items()
        }

    def recall(self, index: VectorIndex, kind: str, name: str = "") -> float:
        found = index.search(self.queries[kind][:256], K, allowed=self.filters.get(name))
        return float((found.scores >= self.bars[kind, name] - 1e-6).mean())


def main() -> int:
    arguments = _arguments()
    report = Report(arguments.out)
    gpu = _device(report, arguments.rehearse)
    if gpu is None:
        return 2
    began = time.perf_counter()
    world = World(arguments.rows, arguments.dim)
    report.add("data", rows=arguments.rows, dim=arguments.dim, seconds=_since(began))
    searches(report, "exact on the cpu", world.exact, world, arguments.seconds)
    flat(report, gpu, world, arguments.seconds)
    for kind in ("ivf-flat", "ivf-pq", "cagra"):
        copies(report, gpu, world, kind, arguments.seconds)
    for kind in ("hnsw", "ivf"):
        served_by_cpu(report, gpu, world, kind, arguments.seconds, arguments.threads)
    report.add("all", seconds=_since(began))
    return 0


def _device(report: Report, rehearse: bool) -> Gpu | None:
    report.add(
        "machine",
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        python=sys.version.split()[0],
        faiss=faiss.__version__,
        options=faiss.get_compile_options().strip(),
        rehearsal=rehearse,
    )
    if rehearse:
        from tests.index.stand_in import StandIn

        return StandIn()
    began = time.perf_counter()
    try:
        gpu = open_gpu()
    except NoGpu as why:
        print(f"no GPU: {why}", file=sys.stderr)
        return None
    facts = gpu.facts
    report.add(
        "device",
        name=gpu.name,
        capability=list(facts.capability) if facts else None,
        memory=facts.total if facts else None,
        free=gpu.free(),
        cuvs=gpu.cuvs,
        trial_seconds=_since(began),
        trial=gpu.report,
    )
    return gpu


def flat(report: Report, gpu: Gpu, world: World, seconds: float) -> None:
    """Exact search, rows in 32 and in 16 bits; that it is exact is compared bit by bit."""
    for half in (False, True):
        part = f"exact on the gpu, {'float16' if half else 'float32'}"
        before, began = gpu.free(), time.perf_counter()
        try:
            index = GpuFlat.build(world.rows, gpu, half=half)
        except NoGpu as why:
            report.add(part, failed=str(why))
            continue
        report.add(part, build_seconds=_since(began), device_bytes=_taken(gpu, before))
        same = True
        for kind, queries in world.queries.items():
            for allowed in (None, *world.filters.values()):
                found = index.search(queries[:64], K, allowed=allowed)
                truth = world.exact.search(queries[:64], K, allowed=allowed)
                same &= bool(np.array_equal(found.rows, truth.rows))
                same &= bool(np.array_equal(found.scores, truth.scores))
            report.add(part, **{f"equal to the cpu ({kind})": same})
        searches(report, part, index, world, seconds)
        report.add(
            part, proven=index.proven, left_to_cpu=index.left_to_cpu, bound=float(index.bound)
        )
        del index


def copies(report: Report, gpu: Gpu, world: World, kind: Any, seconds: float) -> None:
    """Approximate indexes that are searched in GPU memory."""
    part = f"{kind} on the gpu"
    before, began = gpu.free(), time.perf_counter()
    found = placed(world.exact, kind=kind, queries=world.tuning, recall_target=0.95, gpu=gpu)
    if found.device == "cpu":
        report.add(part, failed=found.reason)
        return
    index = found.index
    report.add(
        part,
        build_and_tuning_seconds=_since(began),
        device_bytes=_taken(gpu, before),
        efforts=index.info.parameters["efforts"],
    )
    searches(report, part, index, world, seconds)
    assert isinstance(index, AnnIndex)
    report.add(part, failures=getattr(index.engine, "failures", None))


def served_by_cpu(
    report: Report, gpu: Gpu, world: World, kind: Any, seconds: float, threads: int | None
) -> None:
    """The same kind of index for the CPU, built by the CPU and by the GPU."""
    part = f"{kind} of the cpu"
    began = time.perf_counter()
    index: VectorIndex = build(world.rows, kind=kind, queries=world.tuning, threads=threads)
    report.add(part, build_and_tuning_seconds=_since(began), kind=index.info.kind)
    searches(report, part, index, world, seconds)
    part = f"{kind} of the cpu, built by the gpu"
    began = time.perf_counter()
    engine, remark = engine_by_gpu(kind, world.rows, gpu=gpu, threads=threads)
    report.add(part, build_seconds=_since(began), remark=remark)
    if engine is None:
        return
    samples = samples_of(world.rows, world.tuning, 0)
    tuned = tune(world.rows, engine, samples, target=0.95, k=K, threads=threads)
    report.add(part, tuned_recall=dict(tuned.recall), efforts=tuned.curve.as_json())
    if tuned.curve.efforts:
        index = AnnIndex(world.rows, engine, tuned.curve, index.info, threads=threads)
        searches(report, part, index, world, seconds)


def searches(report: Report, part: str, index: VectorIndex, world: World, seconds: float) -> None:
    """Recall, single queries, batches, filters, and many callers at once."""
    for kind in world.queries:
        report.add(part, **{f"recall ({kind})": world.recall(index, kind)})
    own = world.queries["own"]
    single = _times(lambda i: index.search(own[i % 1024][None], K), seconds)
    report.add(part, p50_ms=_p(single, 50), p99_ms=_p(single, 99))
    for size in (64, 256, 1024):
        taken = _times(lambda i, size=size: index.search(_rows(own, i, size), K), seconds)
        report.add(part, **{f"queries_per_s in batches of {size}": size / statistics.median(taken)})
    for name, allowed in world.filters.items():
        filtered = _times(
            lambda i, a=allowed: index.search(own[i % 1024][None], K, allowed=a), seconds
        )
        report.add(
            part,
            **{
                f"p50_ms at {name}": _p(filtered, 50),
                f"recall at {name}": world.recall(index, "own", name),
            },
        )
    rate, p50 = _callers(index, own, seconds)
    report.add(part, **{f"queries_per_s of {CLIENTS} callers": rate, "their p50_ms": p50})


def _times(action: Callable[[int], Any], seconds: float) -> list[float]:
    action(0)
    taken: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(taken) < 5:
        began = time.perf_counter()
        action(len(taken))
        taken.append(time.perf_counter() - began)
    return taken


def _callers(index: VectorIndex, queries: F32, seconds: float) -> tuple[float, float]:
    taken: list[float] = []
    start = threading.Barrier(CLIENTS)

    def call(number: int) -> int:
        start.wait()
        end, count = time.perf_counter() + seconds, 0
        while (began := time.perf_counter()) < end:
            index.search(queries[(number + CLIENTS * count) % len(queries)][None], K)
            taken.append(time.perf_counter() - began)
            count += 1
        return count

    began = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        total = sum(pool.map(call, range(CLIENTS)))
    return total / (time.perf_counter() - began), _p(taken, 50)


def _rows(queries: F32, number: int, size: int) -> F32:
    start = (number * size) % len(queries)
    return queries[start : start + size]


def _p(seconds: list[float], percent: int) -> float:
    return float(np.percentile(seconds, percent) * 1e3)


def _taken(gpu: Gpu, before: int | None) -> int | None:
    after = gpu.free()
    return None if before is None or after is None else before - after


def _since(began: float) -> float:
    return time.perf_counter() - began


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--seconds", type=float, default=1.0, help="per figure (default 1)")
    parser.add_argument("--threads", type=int, help="of the CPU, for building (default all)")
    parser.add_argument("--out", type=Path, help="where the figures go, as JSON")
    parser.add_argument("--rehearse", action="store_true", help="with the CPU as a stand-in")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
