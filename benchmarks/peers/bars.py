"""What Trichord promises beside the others, judged by the quotients of each round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.peers.engines import BASELINE, ENGINES
from benchmarks.peers.figures import Tree, at, p50s, rates, table
from benchmarks.peers.results import quartiles
from benchmarks.peers.workloads import PLAIN


@dataclass(frozen=True)
class Bar:
    """`values`: the figure of each round; their median must be at least, or at most, `limit`."""

    said: str
    values: Sequence[float]
    limit: float
    at_least: bool

    @property
    def verdict(self) -> str:
        if not self.values:
            return "not measured"
        low, middle, high = quartiles(self.values)
        if self._reaches(middle):
            return "met"
        # A miss whose spread includes the limit is one that another run may turn.
        near = self._reaches(low) or self._reaches(high)
        return "missed, within the spread" if near else "missed"

    def _reaches(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit

    def row(self) -> list[str]:
        sign = "≥" if self.at_least else "≤"
        limit = f"{sign} {self.limit:g}"
        if not self.values:
            return [self.said, "–", "–", limit, self.verdict]
        low, middle, high = quartiles(self.values)
        return [
            self.said,
            f"{middle:.3g}",
            f"{low:.3g} to {high:.3g}" if len(self.values) > 1 else "–",
            limit,
            self.verdict,
        ]


def quotients(over: Sequence[float], under: Sequence[float]) -> list[float]:
    """Of each round in which both were measured."""
    return [a / b for a, b in zip(over, under, strict=False)]


def bars(tree: Tree) -> list[Bar]:
    engines = tree["engines"]

    def found(engine: str, workload: str = "unfiltered") -> Tree:
        return at(engines.get(engine, {}).get("workloads", {}).get(workload, {}), "lowest")

    base, ours, ivf = found(BASELINE), found("trichord"), found("trichord-ivf")
    peers = [name for name in engines if not name.startswith("trichord") and name != BASELINE]
    lance = _best([name for name in peers if name.startswith("lancedb")], found)
    made = [
        Bar(
            "batches, throughput of the baseline's",
            quotients(rates(ours), rates(base)),
            12,
            True,
        ),
        Bar(
            "batches with IVF asked for, of the baseline's",
            quotients(rates(ivf), rates(base)),
            7,
            True,
        ),
        Bar(
            f"one query, p50 of LanceDB's best{_named(lance)}",
            quotients(p50s(ours), p50s(found(lance)) if lance else []),
            0.05,
            False,
        ),
    ]
    first = _best(peers, found)
    made.append(
        Bar(
            f"one query, p50 of the fastest peer's{_named(first)}",
            quotients(p50s(ours), p50s(found(first)) if first else []),
            1,
            False,
        )
    )
    most = max(
        (name for name in peers if rates(found(name))),
        key=lambda name: quartiles(rates(found(name)))[1],
        default="",
    )
    made.append(
        Bar(
            f"batches, throughput of the fastest peer's{_named(most)}",
            quotients(rates(ours), rates(found(most)) if most else []),
            1,
            True,
        )
    )
    anything = found(BASELINE, "anything")
    for workload, label, least, most_p50, beside in (
        ("half", "50 % pass", 0.99, 1.5, base),
        ("twentieth", "5 % pass", 0.99, 4.0, base),
        ("thousandth", "0.1 % pass", 1.0, 0.2, base),
        ("modality", "by modality", 0.99, None, anything),
        ("cross", "cross-modal", 0.99, 0.5, anything),
    ):
        mine = found("trichord", workload)
        recalls = [mine["recall"]] if mine.get("recall") is not None else []
        made.append(Bar(f"{label}: recall@10", recalls, least, True))
        if most_p50 is not None:
            values = quotients(p50s(mine), p50s(beside))
            made.append(Bar(f"{label}: p50 of the baseline's unfiltered", values, most_p50, False))
    made.append(Bar("results outside a filter, or deleted", _wrong(tree), 0, False))
    return made


def _best(names: Sequence[str], found: object) -> str:
    """The engine with the lowest p50 at the recall; empty if there is none."""
    there = [name for name in names if p50s(found(name))]  # type: ignore[operator]
    return min(there, key=lambda name: quartiles(p50s(found(name)))[1], default="")  # type: ignore[operator]


def _named(name: str) -> str:
    return f" ({ENGINES[name].label})" if name else ""


def _wrong(tree: Tree) -> list[float]:
    """How many results of Trichord should not have been, over everything that was counted."""
    count, seen = 0, False
    for name, engine in tree["engines"].items():
        if not name.startswith("trichord") or "failed" in engine.get(PLAIN, {}):
            continue
        for workload in engine["workloads"].values():
            for part in ("same", "lowest", "after", "by_deleted"):
                one = workload.get(part, {})
                seen |= "outside" in one
                count += one.get("outside", 0) + one.get("gone", 0)
    return [float(count)] if seen else []


def rendered(tree: Tree) -> str:
    head = ["Trichord", "figure", "quartiles", "wanted", ""]
    return table(head, [bar.row() for bar in bars(tree)])
