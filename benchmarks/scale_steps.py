"""The steps of `engine-scale`, each in a process of its own, so that none inherits memory.

`python -m benchmarks.scale_steps fill STORE ROWS DIM` makes a store batch by batch, and the exact
neighbours of the queries on the way; `build STORE KIND DIM` builds its index; `serve STORE DIM
ROUNDS` opens it and searches. Each prints what it found as one line of JSON.
"""

from __future__ import annotations

import ctypes
import gc
import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import data, engine_calls
from benchmarks.context import table_of
from benchmarks.engine_stores import MODALITY, QUERY_SEED, Aside, index_files
from benchmarks.measure import Times, in_turn
from benchmarks.truth import Running, Truth
from trichord.catalog import Catalog
from trichord.index.persist import ENGINE, VECTORS
from trichord.index.synthetic import Synthetic
from trichord.types import F32

QUERIES = 200
RECALL = 0.95
FIRST_SEED = 1_000
"""Batch i of the rows has the seed FIRST_SEED + i."""
TRUTH = "truth.npz"
PASS_S = 0.3
LOOK_S = 0.1
Found = dict[str, Any]


def fill(store: Path, rows: int, dim: int) -> Found:
    """Nothing is held but one batch: the exact neighbours grow with the rows."""
    source, queries = Synthetic(dim), _queries(dim)
    running = Running(queries)
    drawn = written = 0.0
    with Aside(store) as aside, Catalog.open(aside, space=data.space(dim)) as catalog:
        with catalog.ingestion() as ingestion:
            for number, first in enumerate(range(0, rows, data.BATCH)):
                began = time.perf_counter()
                count = min(data.BATCH, rows - first)
                part = source.draw(count, seed=FIRST_SEED + number)[0]
                running.add(part, np.arange(first, first + count))
                table = data.engine_table(part, first, modality=MODALITY)
                done = time.perf_counter()
                ingestion.add_vectors(table_of(table))
                drawn, written = drawn + done - began, written + time.perf_counter() - done
        truth = running.truth()
        np.savez(aside / TRUTH, rows=truth.rows, scores=truth.scores)
    return {"drawn_seconds": drawn, "ingest_seconds": written, "store_bytes": _size(store)}


def build(store: Path, kind: str, dim: int) -> Found:
    """A new base; the most anonymous memory that the process had meanwhile."""
    began = time.perf_counter()
    with Catalog.open(store, space=data.space(dim), create=False) as catalog:
        opened = time.perf_counter() - began
        before = anonymous_bytes()
        with most_memory() as seen:
            began = time.perf_counter()
            (leg,) = catalog.build_indexes(everything=True, kind=kind)
            took = time.perf_counter() - began
        info = leg.index.info
    files = index_files(store)
    return {
        "open_without_index_seconds": opened,
        "build_seconds": took,
        "build_anonymous_before": before,
        "build_anonymous_most": max(seen),
        "kind": info.kind,
        "tuned_recall": dict(info.recall),
        "parameters": dict(info.parameters),
        "index_bytes": files[ENGINE],
        "vectors_bytes": files[VECTORS],
        "tables_bytes": sum(files.values()) - files[ENGINE] - files[VECTORS],
    }


def serve(store: Path, dim: int, rounds: int) -> Found:
    """Opens the store as a server would, searches, and says what memory that takes."""
    queries = _queries(dim)
    with np.load(store / TRUTH) as arrays:
        truth = Truth(arrays["rows"], arrays["scores"], 10)
    began = time.perf_counter()
    with Catalog.open(store, space=data.space(dim), create=False) as catalog:
        opened = time.perf_counter() - began
        asked: dict[str, Any] = {"modality": MODALITY, "recall": RECALL}

        def one(number: int) -> engine_calls.Read:
            return engine_calls.one(catalog, queries[number % len(queries)], **asked)

        in_turn(1, len(queries), {"one": one})  # warm
        taken, answers = in_turn(rounds, len(queries), {"one": one})
        found = [engine_calls.rows_of(answer) for answer in answers["one"][: len(queries)]]
        batches = [_batches(catalog, queries) for _ in range(rounds)]
        trim()
        memory = smaps()
        mapped = engine_is_mapped()
    return {
        "open_seconds": opened,
        "anonymous_bytes": memory["Anonymous"],
        "resident_bytes": memory["Rss"],
        "index_is_mapped": mapped,
        "recall": truth.recall(found),
        "p50": [times.median for times in taken["one"]],
        "p99": Times([s for times in taken["one"] for s in times.values]).percentile(0.99),
        "batch_seconds_per_query": [seconds for seconds, _ in batches],
        "batch_recall": truth.part(slice(0, len(batches[-1][1]))).recall(batches[-1][1]),
    }


def _batches(catalog: Catalog, queries: F32) -> tuple[float, list[list[int]]]:
    """Seconds per query, and the rows that the last pass found."""
    options = engine_calls.batch_options(modality=(MODALITY,), recall=RECALL)
    whole = len(queries) // engine_calls.BATCH * engine_calls.BATCH
    once = engine_calls.batched(
        lambda part: engine_calls.many(catalog, part, options), queries[:whole]
    )
    once()
    count, began = 0, time.perf_counter()
    while True:
        answers = once()
        count += whole
        took = time.perf_counter() - began
        if took > PASS_S:
            return took / count, engine_calls.rows_of_batches(answers)


def _queries(dim: int) -> F32:
    return data.one_modality(QUERIES, dim, seed=QUERY_SEED)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


# Memory


def smaps() -> dict[str, int]:
    """Bytes of this process by kind, as the kernel sums them up: `Anonymous` is heap and stacks,
    what no file holds; `Rss` also mapped files as far as they are in memory."""
    found = {}
    for line in Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]:
        name, value = line.split(":")
        found[name] = int(value.split()[0]) * 1024
    return found


def anonymous_bytes() -> int:
    return smaps()["Anonymous"]


def trim() -> None:
    """Gives memory that nothing uses back, so that what is counted is in use."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)


def engine_is_mapped() -> bool:
    """Whether the index's file is mapped into this process; if not it is in anonymous memory."""
    return f"/{ENGINE}" in Path("/proc/self/maps").read_text(encoding="utf-8")


@contextmanager
def most_memory() -> Iterator[list[int]]:
    """Anonymous bytes as a thread sees them again and again while the block runs."""
    seen, stopping = [anonymous_bytes()], threading.Event()

    def look() -> None:
        while not stopping.wait(LOOK_S):
            seen.append(anonymous_bytes())

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        stopping.set()
        thread.join()


def main() -> None:
    step, store, *given = sys.argv[1:]
    match step:
        case "fill":
            found = fill(Path(store), int(given[0]), int(given[1]))
        case "build":
            found = build(Path(store), given[0], int(given[1]))
        case "serve":
            found = serve(Path(store), int(given[0]), int(given[1]))
        case _:
            raise SystemExit(f"there is no step {step!r}")
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
