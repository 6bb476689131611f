"""The results of the search engine as plots."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from benchmarks.engine_paper import SHARD_ROWS, PerRow, Power
from benchmarks.engine_scale import memory_of
from benchmarks.engine_scale_tables import KINDS, of_kinds
from benchmarks.engine_tables import BATCHES, FILTERED

Told = Mapping[str, Any]
COLOURS = {"PASS": "#2a7f62", "MISS within spread": "#d9a441", "MISS": "#b5403c"}
BLUE, GREY = "#3a6ea5", "#888888"
OF_KIND = {"hnsw": "#3a6ea5", "ivf": "#2a7f62"}
DOTS_PER_INCH = 120


Panel = tuple[str, Callable[[Told], float], str | None, float]
"""Label, value of a point, the fitted power that belongs to it, and its unit."""


def draw(found: Mapping[str, Told], folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    drawn = [_save(_bars(found), folder / "engine-bars.png")]
    if told := found.get("engine"):
        drawn.append(_save(_batches(told), folder / "engine-batches.png"))
    if told := found.get("engine-filters"):
        drawn.append(_save(_filters(told), folder / "engine-filters.png"))
    if told := found.get("engine-scale"):
        points = list(told["points"].values())
        drawn.append(_save(_scale(points), folder / "engine-scale.png"))
    return drawn


def _save(figure: Any, path: Path) -> Path:
    figure.savefig(path, dpi=DOTS_PER_INCH, bbox_inches="tight")
    plt.close(figure)
    return path


def _bars(found: Mapping[str, Told]) -> Any:
    """How far every bar with a limit above zero was met: figure by limit, or the other way round
    where less is better, so that right of 1 is met."""
    bars = [bar for told in found.values() for bar in told["bars"] if bar["limit"] > 0]
    shares = []
    for bar in bars:
        figure = max(bar["figure"], 1e-9)
        share = figure / bar["limit"] if bar["at_least"] else bar["limit"] / figure
        shares.append(min(max(share, 0.05), 50.0))
    figure, axes = plt.subplots(figsize=(9, 0.27 * len(bars) + 1))
    places = range(len(bars))
    axes.barh(places, shares, color=[COLOURS[bar["state"]] for bar in bars])
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.set_yticks(places, [bar["bar"] for bar in bars], fontsize=7)
    axes.invert_yaxis()
    axes.set_xlabel("how far the bar is met (right of 1: met)")
    return figure


def _batches(told: Told) -> Any:
    figure, axes = plt.subplots(figsize=(7, 3))
    rates = [
        [1 / value for value in told["seconds"][f"{name}, batches of 64, per query"]["values"]]
        for name in BATCHES
    ]
    middle = [statistics.median(values) for values in rates]
    colours = [GREY if name.startswith("FAISS") else BLUE for name in BATCHES]
    bars = axes.barh(BATCHES, middle, color=colours)
    for place, values in enumerate(rates):
        axes.plot(values, [place] * len(values), "|", color="black", markersize=8)
    axes.bar_label(bars, [f"{value:,.0f}" for value in middle], padding=8, fontsize=8)
    axes.set_xscale("log")
    axes.invert_yaxis()
    axes.set_xlabel("queries/s, batches of 64, two cores (marks: rounds)")
    axes.set_xlim(min(middle) / 4, max(middle) * 3)
    return figure


def _filters(told: Told) -> Any:
    figure, axes = plt.subplots(figsize=(7, 3.4))
    rounds = [told["seconds"][f"{name}, p50 of each round"]["values"] for name in FILTERED]
    middle = [statistics.median(values) * 1e6 for values in rounds]
    colours = [GREY if name.startswith("baseline") else BLUE for name in FILTERED]
    bars = axes.barh(FILTERED, middle, color=colours)
    for place, values in enumerate(rounds):
        axes.plot([v * 1e6 for v in values], [place] * len(values), "|", color="black")
    axes.bar_label(bars, [f"{value:,.0f}" for value in middle], padding=8, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("µs, p50 of one query (marks: rounds)")
    axes.margins(x=0.15)
    return figure


def _scale(points: Sequence[Told]) -> Any:
    """Measured sizes as dots, fitted powers as lines, dashed where nothing was measured."""
    figure, grid = plt.subplots(2, 2, figsize=(10, 7))
    panels: tuple[Panel, ...] = (
        ("p50 of one query, µs", lambda p: statistics.median(p["p50"]) * 1e6, "query_seconds", 1e6),
        (
            "µs per query, batches of 64",
            lambda p: statistics.median(p["batch_seconds_per_query"]) * 1e6,
            "batch_seconds",
            1e6,
        ),
        ("build, s (two cores)", lambda p: p["build_seconds"], "build_seconds", 1.0),
        ("anonymous memory + index, GB", lambda p: memory_of(p) / 1e9, None, 1.0),
    )
    fitted = of_kinds(points)
    for axes, (label, value, power, unit) in zip(grid.flat, panels, strict=True):
        for kind, name in KINDS.items():
            mine = sorted((p for p in points if p["asked_kind"] == kind), key=lambda p: p["rows"])
            if not mine:
                continue
            rows = [p["rows"] for p in mine]
            axes.plot(rows, [value(p) for p in mine], "o", color=OF_KIND[kind], label=name)
            if kind in fitted:
                _line(axes, fitted[kind], power, unit, mine, OF_KIND[kind])
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("rows")
        axes.set_ylabel(label)
        axes.grid(True, which="major", alpha=0.3)
    grid.flat[0].legend(title="dots: measured, dashed: drawn on", fontsize=8)
    figure.tight_layout()
    return figure


def _line(
    axes: Any, one: PerRow, power: str | None, unit: float, mine: Sequence[Told], colour: str
) -> None:
    largest = mine[-1]

    def at(rows: float) -> float:
        if power is not None:
            fitted: Power = getattr(one, power)
            return fitted.at(rows) * unit
        grown = (rows - largest["rows"]) * (one.index + one.anonymous)
        return float((memory_of(largest) + grown) / 1e9)

    ends = [mine[0]["rows"], largest["rows"], SHARD_ROWS]
    steps = [
        [low * (high / low) ** (step / 20) for step in range(21)]
        for low, high in zip(ends, ends[1:], strict=False)
    ]
    for style, rows in zip(("-", "--"), steps, strict=True):
        axes.plot(rows, [at(count) for count in rows], style, color=colour, linewidth=1)
