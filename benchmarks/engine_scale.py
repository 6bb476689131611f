"""How the search engine grows: 50 k to 2 M rows of one modality, HNSW and IVF.

Every step of a size runs in a fresh process (`benchmarks.scale_steps`). Rows are drawn and written
batch by batch, with the exact neighbours of 200 queries on the way, so nothing but the engine
itself needs memory. Anonymous memory is what the kernel counts after the searches, with free heap
given back; raw vectors are mapped and counted apart, and so is the file of the index where it is
mapped.

2 M rows need 12 GB of disk (vectors in the store and beside the index, 4.1 GB each, the index, and
room to write); a size is removed when it is done. What was measured is kept size by size; with
`--resume` the next run takes it over.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.context import Context
from benchmarks.measure import Result, Times, Verdict
from benchmarks.serving import ROOT

NAME = "engine-scale"
KINDS = ("hnsw", "ivf")
JUDGED_ROWS = 2_000_000
MOST_BYTES = 4e9
RECALL = 0.95
BYTES_PER_VALUE = 12.0
"""Disk while a size is measured, per value of its matrix: both copies, index, room to write."""


def run(context: Context) -> Result:
    result = Result(NAME, {"dim": context.dim, "sizes": list(context.sizes)})
    if context.resume:
        result.points = _kept(context.results)
    for rows in context.sizes:
        _size(context, result, rows)
    for rows in context.sizes:
        for kind in KINDS:
            _report(result, result.points[_key(rows, kind)])
    return result


def _size(context: Context, result: Result, rows: int) -> None:
    missing = [kind for kind in KINDS if _key(rows, kind) not in result.points]
    if not missing:
        print(f"  {rows} rows: taken from an earlier run", flush=True)
        return
    store = context.work / f"scale-{rows}"
    _room(context, rows)
    filled = store.with_suffix(".json")
    if not (store.exists() and filled.exists()):
        told = _step("fill", store, rows, context.dim)
        filled.write_text(json.dumps(told), encoding="utf-8")
    for kind in missing:
        shutil.rmtree(store / "indexes", ignore_errors=True)  # or both would need room at once
        built = _step("build", store, kind, context.dim)
        served = _step("serve", store, context.dim, context.rounds)
        result.points[_key(rows, kind)] = {
            "rows": rows,
            "asked_kind": kind,
            "measured": datetime.now(UTC).isoformat(timespec="seconds"),
            **json.loads(filled.read_text(encoding="utf-8")),
            **built,
            **served,
        }
        result.save(context.results)
        print(
            f"  {rows} rows, {kind}: built in {built['build_seconds']:.0f} s, recall "
            f"{served['recall']:.3f}, p50 {Times(served['p50']).median * 1e6:.0f} µs",
            flush=True,
        )
    shutil.rmtree(store, ignore_errors=True)
    filled.unlink(missing_ok=True)


def _report(result: Result, point: dict[str, Any]) -> None:
    name = f"{point['rows']} rows, {point['asked_kind']}"
    result.add(
        {
            f"{name}: one query, p50 of each round": Times(point["p50"]),
            f"{name}: batches of 64, per query": Times(point["batch_seconds_per_query"]),
        }
    )
    result.figure(f"{name}: build", point["build_seconds"], "s")
    result.figure(f"{name}: open", point["open_seconds"], "s")
    for what in ("anonymous", "index", "vectors"):
        result.figure(f"{name}: {what}", point[f"{what}_bytes"] / 1e9, "GB")
    result.figure(f"{name}: most anonymous while built", point["build_anonymous_most"] / 1e9, "GB")
    least = min(point["recall"], point["batch_recall"])
    result.judge(Verdict(f"{name}: recall@10", least, RECALL, at_least=True))
    if point["rows"] == JUDGED_ROWS:
        bar = f"{name}: anonymous memory + index, GB"
        result.judge(Verdict(bar, memory_of(point) / 1e9, MOST_BYTES / 1e9, at_least=False))


def memory_of(point: Mapping[str, Any]) -> float:
    """Anonymous memory and the index; an index that is not mapped is in the former already."""
    mapped = point["index_bytes"] if point["index_is_mapped"] else 0
    return float(point["anonymous_bytes"] + mapped)


def _step(step: str, *given: object) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.scale_steps", step, *map(str, given)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _room(context: Context, rows: int) -> None:
    needed = BYTES_PER_VALUE * rows * context.dim
    free = shutil.disk_usage(context.work).free
    if free < needed:
        raise OSError(
            f"{rows} rows need {needed / 1e9:.1f} GB of disk in {context.work.name}, "
            f"{free / 1e9:.1f} GB are free"
        )


def _kept(results: Path) -> dict[str, Any]:
    path = results / f"{NAME}.json"
    if not path.exists():
        return {}
    points: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")).get("points", {})
    return points


def _key(rows: int, kind: str) -> str:
    return f"{rows}-{kind}"
