"""`python -m benchmarks [name …]`: runs them, prints a verdict per bar, keeps the JSON."""

from __future__ import annotations

import argparse
import importlib
import shutil
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.context import Context
from benchmarks.measure import Result, Verdict, machine

NAMES = {
    "ingest": "ready vectors in, new and again, beside a raw Lance append",
    "growth": "one batch, the writer and the view at 200 k and at 2 M rows",
    "cold-start": "from process start to the first answer, beside np.load",
    "search": "where the time of one search in process goes",
    "embedding": "files through decoders and models into the store, beside the bare models",
    "grpc-search": "one search over gRPC beside an empty call and the search in process",
    "engine": "searches in process: batches, one query, fresh rows, beside FAISS and LanceDB",
    "engine-filters": "filters, one modality, across modalities, exclusions: recall and time",
    "engine-grpc": "clients, streams, batches and processes beside an empty call",
    "serving-shapes": "threads and asyncio, numbers of threads, batched encoding; if named",
    "engine-freshness": "what was committed is found, an index is swapped under load",
    "engine-scale": "from 50 k to 2 M rows: a quarter of an hour and 12 GB, so only if it is named",
}
LONG = ("engine-scale", "serving-shapes")
ROUNDS, ENGINE_ROUNDS = 7, 5


def main() -> int:
    arguments = _parser().parse_args()
    names = arguments.name or [name for name in NAMES if name not in LONG]
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        _parser().error(f"there is no benchmark {unknown[0]!r}; there are {', '.join(NAMES)}")
    made = arguments.work is None
    work = Path(tempfile.mkdtemp(prefix="trichord-bench-")) if made else arguments.work
    work.mkdir(parents=True, exist_ok=True)
    context = Context(work, arguments.results, resume=arguments.resume)
    if arguments.rows:
        context.rows = arguments.rows
    if arguments.large:
        context.large = arguments.large
    if arguments.sizes:
        context.sizes = tuple(int(size) for size in arguments.sizes.split(","))
    facts = machine()
    print(
        f"{facts['cpu']}, {facts['cores']} cores, {facts['memory_gib']} GiB, Python "
        f"{facts['python']}, load {facts['load_1min']}",
        flush=True,
    )
    verdicts: list[Verdict] = []
    began = time.perf_counter()
    try:
        for name in names:
            started = time.perf_counter()
            usual = ENGINE_ROUNDS if name.startswith("engine") else ROUNDS
            context.rounds = arguments.rounds or usual
            print(f"\n{name}: {NAMES[name]}", flush=True)
            module = importlib.import_module(f"benchmarks.{name.replace('-', '_')}")
            result: Result = module.run(context)
            result.save(arguments.results)
            verdicts += result.verdicts
            print(f"  took {time.perf_counter() - started:.0f} s", flush=True)
    finally:
        if made:
            shutil.rmtree(work, ignore_errors=True)
    print(f"\nall in {time.perf_counter() - began:.0f} s")
    for verdict in verdicts:
        print(verdict)
    return 0 if all(verdict.passed for verdict in verdicts) else 1


def _parser() -> argparse.ArgumentParser:
    listed = "\n".join(f"  {name:<18}{what}" for name, what in NAMES.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measures the bars of docs/performance.md; exit code 0 if all are met.",
        epilog=f"benchmarks (default: all but {', '.join(LONG)}):\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="*", help="which to run")
    parser.add_argument(
        "--rounds",
        type=int,
        default=0,
        help=f"interleaved rounds (default {ROUNDS}, {ENGINE_ROUNDS} for those of the engine)",
    )
    parser.add_argument("--rows", type=int, default=0, help="rows of the store (default 200000)")
    parser.add_argument(
        "--large", type=int, default=0, help="rows of the large store of growth (default 2000000)"
    )
    parser.add_argument("--sizes", help="rows of engine-scale (default 50000,200000,…,2000000)")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="engine-scale: take what an earlier run measured of a size from its results",
    )
    parser.add_argument(
        "--work",
        type=Path,
        help="a folder for the stores, kept and used again (default: a temporary one; needs 16 GB)",
    )
    parser.add_argument(
        "--results",
        type=Path,
        default=Path(__file__).parent / "results",
        help="where the JSON goes (default benchmarks/results)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
