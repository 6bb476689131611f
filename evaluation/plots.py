"""Plots as SVG text. matplotlib is loaded on the first one; without it there are none."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from trichord.errors import MissingExtra
from trichord.evaluation.evaluating import Evaluation
from trichord.evaluation.measures import F64, Measure

MOST_SLICES = 40
SHORT = 28

INK, SOFT, BLUE, GREEN, RED = "#222222", "#c9ced6", "#2a5db0", "#2e7d4f", "#b3392f"

_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "trichord",
    "text.parse_math": False,  # a label may hold a dollar sign
    "font.family": "sans-serif",
    "font.size": 9.0,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
}


def slices(evaluation: Evaluation) -> str:
    """Every measure (columns) on every slice (rows): the mean and its interval."""
    rows = evaluation.rows[:MOST_SLICES]
    places = np.arange(len(rows))[::-1]

    def draw(figure: Any) -> None:
        count = len(evaluation.measures)
        axes = figure.subplots(1, count, sharey=True, squeeze=False)[0]
        for column, (axis, measure) in enumerate(zip(axes, evaluation.measures, strict=True)):
            for place, row in zip(places, rows, strict=True):
                interval = row.intervals[column]
                colour = INK if not row.part.column else BLUE
                axis.plot([interval.low, interval.high], [place, place], color=colour, lw=1.6)
                axis.plot([interval.value], [place], "o", color=colour, ms=4.5)
            axis.axvline(rows[0].intervals[column].value, color=SOFT, lw=1, zorder=0)
            ends = [row.intervals[column] for row in rows]
            low, high = min(one.low for one in ends), max(one.high for one in ends)
            room = max(0.04, 0.08 * (high - low))
            axis.set_xlim(low - room, high + room)
            axis.set_ylim(-0.7, len(rows) - 0.3)
            axis.set_title(str(measure), fontsize=9)
            axis.locator_params(axis="x", nbins=3)
            axis.tick_params(axis="y", length=0)
        axes[0].set_yticks(places, [f"{_short(str(row.part))} ({row.queries})" for row in rows])

    width = 2.6 + 1.55 * len(evaluation.measures)
    return _svg(draw, min(width, 12.0), 0.9 + 0.27 * len(rows))


def distribution(values: F64, measure: Measure) -> str:
    """How many queries have which value."""

    def draw(figure: Any) -> None:
        axis = figure.subplots()
        axis.hist(values, bins=np.linspace(0, 1, 21), color=BLUE, rwidth=0.9)
        axis.axvline(float(values.mean()), color=INK, lw=1.2)
        axis.set_title(f"line: mean {values.mean():.3f}", loc="right", fontsize=9)
        axis.set_xlim(-0.02, 1.02)
        axis.set_xlabel(f"{measure} of a query")
        axis.set_ylabel("queries")
        axis.yaxis.get_major_locator().set_params(integer=True)

    return _svg(draw, 6.2, 2.6)


def differences(before: F64, after: F64, measure: Measure, names: Sequence[str]) -> str:
    """Every query's change, sorted: green is better in the second of `names`."""
    change = np.sort(after - before)

    def draw(figure: Any) -> None:
        axis = figure.subplots()
        colours = [GREEN if one > 0 else RED if one < 0 else SOFT for one in change]
        axis.bar(np.arange(len(change)), change, color=colours, width=1.0)
        axis.axhline(0, color=INK, lw=0.8)
        axis.axhline(float(change.mean()), color=BLUE, lw=1.2, ls="--")
        axis.set_ylabel(f"{measure}: {_short(names[1])}\nminus {_short(names[0])}")
        axis.set_xlabel(f"{len(change)} queries, sorted by change (dashed: mean)")
        axis.set_xticks([])
        reach = max(0.05, float(np.abs(change).max()) * 1.08)
        axis.set_ylim(-reach, reach)

    return _svg(draw, 6.2, 2.6)


def _svg(draw: Any, width: float, height: float) -> str:
    """Raises MissingExtra without matplotlib."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or "matplotlib", "evaluation") from None
    # A figure of its own, not pyplot's: no global state and no window system.
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure)
        out = io.StringIO()
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    text = out.getvalue()
    return text[text.index("<svg") :]


def _short(text: str) -> str:
    return text if len(text) <= SHORT else text[: SHORT - 1] + "…"
