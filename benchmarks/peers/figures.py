"""How figures are written: durations, sizes, medians with their quartiles, and tables of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.peers.engines import ENGINES, About
from benchmarks.peers.measuring import BATCH
from benchmarks.peers.results import quartiles

Tree = dict[str, Any]
NONE = "–"
FEW = 50
"""Fewer calls in a round have no 99th percentile."""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    cells = [[cell.replace("|", "/") for cell in line] for line in lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in cells)


def seconds(value: float) -> str:
    if value < 999.5e-6:
        return f"{value * 1e6:.0f} µs"
    if value < 0.9995:
        return f"{_three(value * 1e3)} ms"
    return f"{_three(value)} s"


def _three(value: float) -> str:
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def megabytes(value: float) -> str:
    return f"{value / 1e6:,.0f} MB"


def found_engines(tree: Tree) -> list[tuple[About, Tree]]:
    """Engines that were run, in the order of the list of engines, with what was found of each."""
    found = tree["engines"]
    return [(about, found[name]) for name, about in ENGINES.items() if name in found]


def share(value: float | None) -> str:
    return NONE if value is None else f"{value:.3f}"


def effort_text(effort: Tree | None) -> str:
    if not effort:
        return "its own"
    asked = effort.get("recall_permille")
    if asked is not None:
        return f"recall {asked / 1000:.3f}"
    return ", ".join(f"{name} {value}" for name, value in effort.items())


def at(workload: Tree, name: str) -> Tree:
    """What was measured with the "same" effort or the "lowest", wherever it stands."""
    found: Tree = workload.get(name, {})
    return at(workload, found["as"]) if "as" in found else found


def p50s(found: Tree) -> list[float]:
    return [one["p50"] for one in found.get("single", [])]


def rates(found: Tree) -> list[float]:
    """Queries per second of each round, in batches."""
    return [BATCH / one["p50"] for one in found.get("batch", [])]


def spread(values: Sequence[float]) -> str:
    """Median with quartiles, of seconds."""
    if not values:
        return NONE
    low, middle, high = quartiles(values)
    said = f" ({seconds(low)} to {seconds(high)})" if len(values) > 1 else ", once"
    return seconds(middle) + said


def rate(values: Sequence[float]) -> str:
    if not values:
        return NONE
    low, middle, high = quartiles(values)
    return f"{middle:,.0f}" + (f" ({low:,.0f} to {high:,.0f})" if len(values) > 1 else ", once")


def p99(found: Tree) -> str:
    rounds = [one["p99"] for one in found.get("single", []) if one["calls"] >= FEW]
    return seconds(quartiles(rounds)[1]) if rounds else NONE


def recall(found: Tree) -> str:
    return NONE if "failed" in found else share(found.get("recall"))
