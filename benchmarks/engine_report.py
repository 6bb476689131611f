"""`python -m benchmarks.engine_report`: tables and plots of the search engine.

Reads `benchmarks/results/engine*.json`, draws `docs/figures/engine-*.png`, and puts tables between
the marks `<!-- engine: NAME -->` and `<!-- end -->` of `docs/performance.md` and `docs/scale.md`.
What was not measured is left as it stands.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks import engine_plots, engine_tables

ROOT = Path(__file__).parents[1]
NAMES = ("engine", "engine-filters", "engine-grpc", "engine-freshness", "engine-scale")
PAGES = ("performance.md", "scale.md")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine_report")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    arguments = parser.parse_args()
    found = {name: told for name in NAMES if (told := _read(arguments.results / f"{name}.json"))}
    if not found:
        parser.error(f"{arguments.results} holds no results of the engine: run them first")
    blocks = engine_tables.blocks(found)
    for page in PAGES:
        path = arguments.docs / page
        if path.exists():
            path.write_text(
                engine_tables.replaced(path.read_text("utf-8"), blocks), encoding="utf-8"
            )
    drawn = engine_plots.draw(found, arguments.docs / "figures")
    print(f"tables: {', '.join(blocks)}\nplots: {', '.join(path.name for path in drawn)}")


def _read(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return told


if __name__ == "__main__":
    main()
