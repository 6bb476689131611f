"""Interleaved measurements: what is compared runs in turn, so that a busy machine harms both."""

from __future__ import annotations

import gc
import json
import os
import platform
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("numpy", "pyarrow", "polars", "pylance", "lancedb", "faiss-cpu", "grpcio", "protobuf")


@dataclass(frozen=True)
class Times:
    """Seconds of repeated runs, in the order in which they were made; `cpu` are those that all
    threads of this process spent on processors, where that was measured."""

    values: Sequence[float]
    cpu: Sequence[float] = ()

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def quartiles(self) -> tuple[float, float]:
        if len(self.values) < 2:
            return self.values[0], self.values[0]
        low, _, high = statistics.quantiles(self.values, n=4, method="inclusive")
        return low, high

    def percentile(self, share: float) -> float:
        ordered = sorted(self.values)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def __str__(self) -> str:
        low, high = self.quartiles
        unit, scale = ("s", 1.0) if self.median >= 1 else ("ms", 1e3)
        if self.median < 1e-3:
            unit, scale = "µs", 1e6
        numbers = [value * scale for value in (self.median, low, high)]
        digits = 3 if unit == "s" else 1 if unit == "ms" else 0
        shown = [f"{number:.{digits}f}" for number in numbers]
        spent = f", cpu {statistics.median(self.cpu) * scale:.{digits}f}" if self.cpu else ""
        return f"{shown[0]} {unit} (quartiles {shown[1]}-{shown[2]}, n={len(self.values)}{spent})"


def ratio(over: Times, under: Times) -> Times:
    """The quotient of each pair of runs; its median is what a bar is judged by."""
    return Times([a / b for a, b in zip(over.values, under.values, strict=True)])


class Clock:
    """Seconds since it was made, by the wall and of this process' processors."""

    def __init__(self) -> None:
        self._began, self._processed = time.perf_counter(), time.process_time()

    def read(self) -> tuple[float, float]:
        return time.perf_counter() - self._began, time.process_time() - self._processed


def times_of(pairs: Sequence[tuple[float, float]]) -> Times:
    """What several clocks read."""
    return Times([wall for wall, _ in pairs], [cpu for _, cpu in pairs])


def interleaved(
    rounds: int,
    actions: Mapping[str, Callable[[], tuple[float, float] | None]],
    *,
    between: Callable[[], Any] | None = None,
) -> dict[str, Times]:
    """Each action once per round. The order turns with every round, so that no action always
    follows the same other one; `between` runs before each action and is not timed.

    An action may return its own seconds and processor seconds, when only a part of it counts.
    """
    names = list(actions)
    found: dict[str, list[float]] = {name: [] for name in names}
    spent: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            if between is not None:
                between()
            gc.collect()
            began, processed = time.perf_counter(), time.process_time()
            own = actions[name]()
            took, used = time.perf_counter() - began, time.process_time() - processed
            found[name].append(own[0] if own is not None else took)
            spent[name].append(own[1] if own is not None else used)
    return {name: Times(found[name], spent[name]) for name in names}


def in_turn(
    rounds: int, calls: int, actions: Mapping[str, Callable[[int], Any]], *, first: int = 0
) -> tuple[dict[str, list[Times]], dict[str, list[Any]]]:
    """Short actions that take turns call by call: in every round each is called with the next
    `calls` numbers from `first` on. Their order is another one every time, so that none follows
    the same other one and finds in the caches what that left there.

    Returns the times of each round and what the calls returned, by name, in the order of numbers.
    """
    names = list(actions)
    shuffle = random.Random(0).shuffle
    found: dict[str, list[Times]] = {name: [] for name in names}
    kept: dict[str, list[Any]] = {name: [] for name in names}
    for round_ in range(rounds):
        taken: dict[str, list[float]] = {name: [] for name in names}
        gc.collect()
        start = first + round_ * calls
        for number in range(start, start + calls):
            shuffle(names)
            for name in names:
                began = time.perf_counter()
                answer = actions[name](number)
                taken[name].append(time.perf_counter() - began)
                kept[name].append(answer)
        for name in actions:
            found[name].append(Times(taken[name]))
    return found, kept


def medians(rounds: Sequence[Times]) -> Times:
    """The median of every round: what a bar about p50 is judged by."""
    return Times([one.median for one in rounds])


PASS, MISS, WITHIN = "PASS", "MISS", "MISS within spread"


@dataclass(frozen=True)
class Verdict:
    """One bar: `figure` is compared with `limit`; `at_least` says on which side it must lie.

    `low` and `high` are the quartiles of the figure where it was measured several times.
    """

    bar: str
    figure: float
    limit: float
    at_least: bool
    spread: str = ""
    low: float | None = None
    high: float | None = None

    @property
    def passed(self) -> bool:
        return self.figure >= self.limit if self.at_least else self.figure <= self.limit

    @property
    def state(self) -> str:
        """PASS; MISS; or "MISS within spread": the median misses, but a quarter of the rounds or
        more did not."""
        if self.passed:
            return PASS
        best = self.high if self.at_least else self.low
        if best is None:
            return MISS
        met = best >= self.limit if self.at_least else best <= self.limit
        return WITHIN if met else MISS

    def __str__(self) -> str:
        sign = "≥" if self.at_least else "≤"
        spread = f" ({self.spread})" if self.spread else ""
        shown, limit = (f"{value:.{_digits(self.limit)}f}" for value in (self.figure, self.limit))
        return f"{self.state}  {self.bar}: {shown}{spread}, wanted {sign} {limit}"


def _digits(limit: float) -> int:
    """A recall is told to three digits: 0.99 against 0.9899 would look like an error."""
    return 3 if 0.9 <= limit <= 1.0 else 2


def share_verdict(bar: str, shares: Times, limit: float, *, at_least: bool) -> Verdict:
    low, high = shares.quartiles
    spread = f"quartiles {low:.2f}-{high:.2f}, n={len(shares.values)}"
    return Verdict(bar, shares.median, limit, at_least, spread, low, high)


@dataclass
class Result:
    """What one benchmark found; printed as it comes, kept as JSON."""

    name: str
    parameters: dict[str, Any] = field(default_factory=dict)
    measures: dict[str, Times] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    points: dict[str, Any] = field(default_factory=dict)
    """Whatever else is worth keeping, as JSON values."""

    def add(self, times: Mapping[str, Times]) -> None:
        for label, value in times.items():
            self.measures[label] = value
            print(f"  {label:<44} {value}", flush=True)

    def figure(self, label: str, value: float, unit: str = "") -> None:
        self.figures[label] = value
        print(f"  {label:<44} {value:.3g} {unit}".rstrip(), flush=True)

    def note(self, text: str) -> None:
        self.notes.append(text)
        print(f"  {text}", flush=True)

    def judge(self, verdict: Verdict) -> None:
        self.verdicts.append(verdict)
        print(f"  {verdict}", flush=True)

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        facts = {
            "benchmark": self.name,
            "measured": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine(),
            "parameters": self.parameters,
            "seconds": {
                label: {
                    "median": times.median,
                    "values": [round(v, 7) for v in times.values],
                    "cpu": [round(v, 7) for v in times.cpu],
                }
                for label, times in self.measures.items()
            },
            "figures": self.figures,
            "notes": self.notes,
            "bars": [
                {
                    "bar": verdict.bar,
                    "figure": verdict.figure,
                    "limit": verdict.limit,
                    "at_least": verdict.at_least,
                    "spread": verdict.spread,
                    "passed": verdict.passed,
                    "state": verdict.state,
                }
                for verdict in self.verdicts
            ],
        }
        if self.points:
            facts["points"] = self.points
        text = json.dumps(facts, indent=1, ensure_ascii=False)
        (folder / f"{self.name}.json").write_text(text + "\n", encoding="utf-8")


def machine() -> dict[str, Any]:
    """What the figures depend on; nothing that names the machine."""
    cpu = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                cpu = line.split(":", 1)[1].strip()
                break
    except OSError:
        pass
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "memory_gib": round(memory, 1),
        "load_1min": round(os.getloadavg()[0], 2),
        "system": platform.system(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
    }
