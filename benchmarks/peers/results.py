"""What was found, kept in one JSON file that is written again after every step."""

from __future__ import annotations

import json
import os
import statistics
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[1] / "results" / "peers.json"


class Results:
    """A tree of JSON values; `engine(name)` is the part of one engine. Who changes it while
    another thread may save it holds `lock`."""

    def __init__(self, path: Path, facts: dict[str, Any]) -> None:
        self.path, self.tree = path, {**facts, "engines": {}}
        self.lock = threading.RLock()

    def engine(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.tree["engines"].setdefault(name, {"workloads": {}})
        return found

    def save(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.lock:
            text = json.dumps(self.tree, indent=1, ensure_ascii=False) + "\n"
            beside = self.path.with_suffix(".tmp")
            beside.write_text(text, encoding="utf-8")
            os.replace(beside, self.path)


def load(path: Path) -> dict[str, Any]:
    tree: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return tree


def summary(seconds: Sequence[float]) -> dict[str, float]:
    """One round's calls: median and 99th percentile in seconds, and how many there were."""
    ordered = sorted(seconds)
    return {
        "p50": statistics.median(ordered),
        "p99": ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))],
        "calls": len(ordered),
    }


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Lower quartile, median, upper quartile."""
    if len(values) < 2:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high
