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
}


def main() -> int:
    arguments = _parser().parse_args()
    names = arguments.name or list(NAMES)
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        _parser().error(f"there is no benchmark {unknown[0]!r}; there are {', '.join(NAMES)}")
    made = arguments.work is None
    work = Path(tempfile.mkdtemp(prefix="trichord-bench-")) if made else arguments.work
    work.mkdir(parents=True, exist_ok=True)
    context = Context(work, arguments.results, rounds=arguments.rounds)
    if arguments.rows:
        context.rows = arguments.rows
    if arguments.large:
        context.large = arguments.large
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
    listed = "\n".join(f"  {name:<12}{what}" for name, what in NAMES.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measures the bars of docs/performance.md; exit code 0 if all are met.",
        epilog=f"benchmarks (default: all):\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="*", help="which to run")
    parser.add_argument("--rounds", type=int, default=7, help="interleaved rounds (default 7)")
    parser.add_argument("--rows", type=int, default=0, help="rows of the store (default 200000)")
    parser.add_argument(
        "--large", type=int, default=0, help="rows of the large store of growth (default 2000000)"
    )
    parser.add_argument(
        "--work",
        type=Path,
        help="a folder for the stores, kept and used again (default: a temporary one; needs 8 GB)",
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
