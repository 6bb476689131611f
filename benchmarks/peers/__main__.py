"""`python -m benchmarks.peers`: everything, or `--render` the page from what was found before."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.measure import machine
from benchmarks.peers import page, results, versions
from benchmarks.peers.channel import ROOT
from benchmarks.peers.coordinator import Coordinator
from benchmarks.peers.datasets import Sizes
from benchmarks.peers.engines import ENGINES
from benchmarks.peers.running import Plan


def main() -> int:
    arguments = _parser().parse_args()
    if not arguments.render:
        unknown = [name for name in arguments.engine if name not in ENGINES]
        if unknown:
            _parser().error(f"there is no engine {unknown[0]!r}; there are {', '.join(ENGINES)}")
        if not _run(arguments):
            print("stopped; what was found is kept, and `--render` makes the page of it")
            return 130
    tree = results.load(arguments.results)
    print(page.text_of(tree))
    if arguments.page is not None:
        page.write(tree, arguments.page)
        print(f"written: {arguments.page} and the figures beside it")
    return 0


def _run(arguments: argparse.Namespace) -> bool:
    """Whether it came to its end; what was found by then is kept in either case."""
    names = arguments.engine or list(ENGINES)
    if any(ENGINES[name].environment == "peers" for name in names):
        # What it could not install is said in the table; without the environment, all of it.
        subprocess.run([ROOT / "scripts" / "peers"], check=False)
    rows = arguments.rows
    insert = min(2_000, max(1, rows // 20))
    plan = Plan(
        names,
        Sizes(rows, arguments.dim, fresh=3 * insert, deleted=rows // 10),
        rounds=arguments.rounds,
        threads=arguments.threads,
        seconds=arguments.seconds,
        limit=arguments.limit,
        build_limit=arguments.build_limit,
        insert_size=insert,
        mixed=not arguments.plain_only,
        budget=arguments.budget,
    )
    facts: dict[str, Any] = {
        "benchmark": "peers",
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions.installed(names),
        "parameters": asdict(plan),
    }
    print(
        f"{facts['machine']['cpu']}, {facts['machine']['cores']} cores, load "
        f"{facts['machine']['load_1min']}; {rows} rows of {arguments.dim} dimensions",
        flush=True,
    )
    made = arguments.work is None
    work = Path(tempfile.mkdtemp(prefix="trichord-peers-")) if made else arguments.work
    work.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    try:
        Coordinator(plan, work, results.Results(arguments.results, facts)).run()
    except KeyboardInterrupt:
        return False
    finally:
        if made:
            shutil.rmtree(work, ignore_errors=True)
    print(f"all in {time.perf_counter() - began:.0f} s", flush=True)
    return True


def _parser() -> argparse.ArgumentParser:
    listed = "\n".join(f"  {name:<18}{about.label}" for name, about in ENGINES.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers",
        description="Trichord and its peers on the same rows in one run, with exact ground truth.",
        epilog=f"engines (default: all):\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("engine", nargs="*", help="which to run")
    parser.add_argument("--rows", type=int, default=200_000, help="default 200000")
    parser.add_argument("--dim", type=int, default=512, help="default 512")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default 5)")
    parser.add_argument("--threads", type=int, default=2, help="of every engine (default 2)")
    parser.add_argument(
        "--seconds", type=float, default=0.2, help="of each measurement in a round (default 0.2)"
    )
    parser.add_argument(
        "--limit", type=float, default=60, help="seconds before a command is given up (default 60)"
    )
    parser.add_argument(
        "--build-limit", type=float, default=240, help="the same for building (default 240)"
    )
    parser.add_argument(
        "--budget",
        type=float,
        default=20,
        help="minutes for all; engines that build long stay out of the mixed data set where more "
        "than 0.6 of it is used by then (default 20)",
    )
    parser.add_argument("--plain-only", action="store_true", help="leave out the mixed data set")
    parser.add_argument("--render", action="store_true", help="measure nothing, write the page")
    parser.add_argument(
        "--results", type=Path, default=results.FILE, help="default benchmarks/results/peers.json"
    )
    parser.add_argument(
        "--page",
        type=Path,
        default=page.FILE,
        help="the file whose marked section is written, with figures/ beside it (default "
        "docs/performance.md)",
    )
    parser.add_argument(
        "--no-page", dest="page", action="store_const", const=None, help="for trials"
    )
    parser.add_argument("--work", type=Path, help="a folder for rows and indexes (needs 15 GB)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
