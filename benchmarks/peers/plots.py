"""The figures of the page, small and without colour as the only difference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt

from benchmarks.peers.engines import ENGINES
from benchmarks.peers.figures import Tree, at, found_engines, p50s, rates
from benchmarks.peers.results import quartiles

OURS, THEIRS = "#c2410c", "#64748b"
MARKS = "os^vDPX*<>ph8"


def draw(tree: Tree, folder: Path) -> list[tuple[str, str]]:
    """Writes the figures; returns what each shows, and its file's name."""
    folder.mkdir(parents=True, exist_ok=True)
    style = {"font.size": 8, "axes.spines.top": False, "axes.spines.right": False}
    made = []
    with plt.rc_context(style):
        for name, said, figure in (
            ("peers-unfiltered.png", "latency and throughput at recall 0.95", _unfiltered(tree)),
            ("peers-filters.png", "recall and latency under filters", _filters(tree)),
            ("peers-inserts.png", "latency before, during and after inserts", _inserts(tree)),
        ):
            figure.savefig(folder / name, dpi=120, metadata={"Software": None})
            plt.close(figure)
            made.append((said, name))
    return made


def _colour(name: str) -> str:
    return OURS if name.startswith("trichord") else THEIRS


def _unfiltered(tree: Tree) -> Any:
    there = [about.name for about, _ in found_engines(tree)]
    names = [name for name in there if p50s(_lowest(tree, name, "unfiltered"))]
    names.sort(key=lambda name: -quartiles(p50s(_lowest(tree, name, "unfiltered")))[1])
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(8, 0.6 + 0.24 * max(4, len(names))), sharey=True, layout="constrained"
    )
    for place, name in enumerate(names):
        found = _lowest(tree, name, "unfiltered")
        for axis, values in ((left, [1e3 * p50 for p50 in p50s(found)]), (right, rates(found))):
            if not values:
                continue
            low, middle, high = quartiles(values)
            axis.barh(
                place,
                middle,
                color=_colour(name),
                xerr=[[middle - low], [high - middle]],
                error_kw={"lw": 0.8},
            )
    left.set_yticks(range(len(names)), [ENGINES[name].label for name in names])
    left.set(xscale="log", xlabel="p50 of one query, ms (less is better)")
    right.set(xscale="log", xlabel="queries/s in batches of 64 (more is better)")
    return figure


def _filters(tree: Tree) -> Any:
    steps = (("unfiltered", "all"), ("half", "50 %"), ("twentieth", "5 %"), ("thousandth", "0.1 %"))
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.6), layout="constrained")
    for number, (about, engine) in enumerate(found_engines(tree)):
        workloads = engine["workloads"]
        recalls, times = [], []
        for place, (workload, _) in enumerate(steps):
            found = workloads.get(workload, {})
            same = at(found, "lowest" if workload == "unfiltered" else "same")
            if same.get("recall") is not None:
                recalls.append((place, same["recall"]))
            if taken := p50s(at(found, "lowest")):
                times.append((place, 1e3 * quartiles(taken)[1]))
        if len(recalls) < 2:
            continue
        ours = about.name.startswith("trichord")
        style = {
            "marker": MARKS[number % len(MARKS)],
            "markersize": 4,
            "lw": 1.8 if ours else 0.9,
            "color": OURS if ours else f"C{number % 10}",
            "ls": ("-", "--", ":")[number % 3],
        }
        left.plot(*zip(*recalls, strict=True), label=about.label, **style)
        if times:
            right.plot(*zip(*times, strict=True), **style)
    for axis in (left, right):
        axis.set_xticks(range(len(steps)), [label for _, label in steps])
        axis.set_xlabel("rows that pass")
    left.set_ylabel("recall@10 at the effort of unfiltered search")
    right.set(yscale="log", ylabel="p50 at recall ≥ 0.95, ms")
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=7)
    return figure


def _inserts(tree: Tree) -> Any:
    bars: list[tuple[str, list[float]]] = []
    for about, engine in found_engines(tree):
        found = engine["workloads"].get("insert", {})
        before = p50s(_lowest(tree, about.name, "unfiltered"))
        if before and found.get("searching") and "single" in found:
            taken = [
                quartiles(before)[1],
                found["searching"]["p50"],
                found["single"]["p50"],
            ]
            bars.append((about.name, [1e3 * value for value in taken]))
    figure, axis = plt.subplots(figsize=(8, 0.6 + 0.34 * max(4, len(bars))), layout="constrained")
    for place, (name, values) in enumerate(reversed(bars)):
        axis.plot(values, [place] * 3, color=_colour(name), lw=0.8)
        for value, mark in zip(values, "o^s", strict=True):
            axis.plot(value, place, mark, color=_colour(name), markersize=5)
    for mark, said in zip("o^s", ("before", "while rows are inserted", "after"), strict=True):
        axis.plot([], [], mark, color="black", markersize=5, label=said)
    axis.set_yticks(range(len(bars)), [ENGINES[name].label for name, _ in reversed(bars)])
    axis.set(xscale="log", xlabel="p50 of one query, ms")
    axis.legend(frameon=False, fontsize=7)
    return figure


def _lowest(tree: Tree, name: str, workload: str) -> Tree:
    return at(tree["engines"][name]["workloads"].get(workload, {}), "lowest")
