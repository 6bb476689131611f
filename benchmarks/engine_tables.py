"""The results of the search engine as tables of a page, by name of the block they go to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from benchmarks.engine_scale_tables import of_kinds, paper, per_row, scale
from benchmarks.tables import number, quartiles, spread, table, time

Told = Mapping[str, Any]
"""One file of results."""
PLOTS = {
    "bars": "how far each bar is met",
    "batches": "queries per second in batches of 64",
    "filters": "p50 of one query under filters",
    "scale": "p50, batches, build and memory by rows; dashed lines are drawn on to 10 M",
}
"""The plots of `engine_plots`, below the table of the same name."""
SINGLES = ("FAISS alone", "HNSW", "HNSW, fresh", "IVF", "LanceDB")
BATCHES = ("FAISS IVF-Flat", "HNSW", "IVF", "FAISS Flat", "exact")
FILTERED = (
    "baseline A",
    "no filter",
    "50 %",
    "5 %",
    "0.1 %",
    "exclusions",
    "baseline B",
    "by modality",
    "cross-modal",
)


def blocks(found: Mapping[str, Told]) -> dict[str, str]:
    """Markdown by the name of its block, for the benchmarks that were run."""
    made: dict[str, str] = {"bars": bars(found)}
    if told := found.get("engine"):
        made["batches"], made["singles"] = batches(told), singles(told)
    if told := found.get("engine-filters"):
        made["filters"] = filters(told)
    if told := found.get("engine-grpc"):
        made["grpc"] = calls(told)
    if told := found.get("engine-freshness"):
        made["freshness"] = freshness(told)
    if told := found.get("engine-scale"):
        points = list(told["points"].values())
        made["scale"] = scale(points)
        by_kind = of_kinds(points)
        if by_kind:
            made["per-row"], made["paper"] = per_row(by_kind), paper(by_kind)
    for name, what in PLOTS.items():
        if name in made:
            made[name] += f"\n\n![{what}](figures/engine-{name}.png)"
    return made


def replaced(page: str, blocks: Mapping[str, str]) -> str:
    """The page with the text between the marks of every block that there is one for."""

    def text(match: re.Match[str]) -> str:
        name = match["name"]
        if name not in blocks:
            return match[0]
        return f"<!-- engine: {name} -->\n{blocks[name]}\n<!-- end -->"

    return re.sub(
        r"<!-- engine: (?P<name>[\w-]+) -->\n.*?<!-- end -->", text, page, flags=re.DOTALL
    )


def bars(found: Mapping[str, Told]) -> str:
    rows = []
    for told in found.values():
        for bar in told["bars"]:
            sign = "≥" if bar["at_least"] else "≤"
            spread = bar["spread"].removeprefix("quartiles ").partition(",")[0]
            figure, limit = (number(bar[key], bar["limit"]) for key in ("figure", "limit"))
            state = bar["state"].lower() if bar["passed"] else f"**{bar['state'].lower()}**"
            rows.append((bar["bar"], figure, spread, f"{sign} {limit}", state))
    return table(("bar", "figure", "quartiles", "wanted", ""), rows)


def batches(told: Told) -> str:
    rows = []
    for name in BATCHES:
        values = told["seconds"][f"{name}, batches of 64, per query"]["values"]
        low, middle, high = quartiles([1 / value for value in values])
        rows.append((name, f"{middle:,.0f}", f"{low:,.0f}-{high:,.0f}"))
    return table(("batches of 64", "queries/s", "quartiles"), rows)


def singles(told: Told) -> str:
    rows = []
    for name in SINGLES:
        seconds = told["seconds"][f"{name}, one query, p50 of each round"]["values"]
        p99 = told["figures"][f"{name}, one query, p99"] * 1e-6
        rows.append((name, spread(seconds), time(p99)))
    return table(("one query", "p50 (quartiles of the rounds)", "p99"), rows)


def filters(told: Told) -> str:
    recalls = {
        bar["bar"].removesuffix(": recall@10"): f"{bar['figure']:.3f}"
        for bar in told["bars"]
        if bar["bar"].endswith(": recall@10")
    }
    rows = []
    for name in FILTERED:
        seconds = told["seconds"][f"{name}, p50 of each round"]["values"]
        new = told["seconds"].get(f"{name}, a new filter") or told["seconds"].get(
            f"{name}, a new list"
        )
        first = time(new["median"]) if new else ""
        p99 = time(told["figures"][f"{name}, p99"] * 1e-6)
        rows.append((name, recalls.get(name, ""), spread(seconds), p99, first))
    return table(("", "recall@10", "p50 (quartiles of the rounds)", "p99", "first call"), rows)


def calls(told: Told) -> str:
    rows = []
    for name, measured in told["seconds"].items():
        if not name.endswith(", seconds per query or call"):
            continue
        low, middle, high = quartiles([1 / value for value in measured["values"]])
        label = name.removesuffix(", seconds per query or call")
        rows.append((label, f"{middle:,.0f}", f"{low:,.0f}-{high:,.0f}"))
    for name, measured in told["seconds"].items():
        if name.startswith("one client, "):
            label = name.removesuffix(", p50 of each round")
            rows.append((f"{label}, p50", spread(measured["values"]), ""))
    return table(("", "per second", "quartiles"), rows)


def freshness(told: Told) -> str:
    rows = []
    for name, measured in told["seconds"].items():
        values = measured["values"]
        rows.append((name, spread(values), time(max(values)), str(len(values))))
    for name, value in told["figures"].items():
        rows.append((name, f"{value:,.4g}", "", ""))
    return table(("", "median (quartiles)", "slowest", "n"), rows)
