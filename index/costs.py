"""What searches cost, in microseconds: enough to choose the cheapest way.

Costs are measured when an index is built (see fitting) and kept in its manifest. Another machine
has other costs, so they are measured again there.
"""

from __future__ import annotations

import functools
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

BATCH = 64
"""Queries in the batch whose costs are known; between one query and a batch they are mixed."""


@dataclass(frozen=True)
class Line:
    """Microseconds per query of an engine: `call`, and one rate for each number in its `work`."""

    call: float
    rates: tuple[float, ...]

    def at(self, work: Sequence[float]) -> float:
        return self.call + sum(rate * amount for rate, amount in zip(self.rates, work, strict=True))

    def times(self, factor: float) -> Line:
        """On a machine that takes so many times as long."""
        return Line(factor * self.call, tuple(factor * rate for rate in self.rates))


@dataclass(frozen=True)
class ExactCosts:
    """Microseconds per query of exact search. `call`: whatever the number of rows; the others per
    row: allowed ones read where they lie, all of them read in their order; and both within a batch.
    """

    call: float
    gathered: float
    streamed: float
    batch_gathered: float
    batch_streamed: float

    def at(self, queries: int, allowed: int, size: int) -> float:
        """Per query of a search by `queries` queries over `allowed` of `size` rows."""
        alone = self.call + min(allowed * self.gathered, size * self.streamed)
        if queries == 1:
            return alone
        batched = min(allowed * self.batch_gathered, size * self.batch_streamed)
        return batched + (alone - batched) / queries


TYPICAL_EXACT = ExactCosts(10.0, 0.12, 0.066, 0.03, 0.012)
"""For tests and for what must not depend on the moment: rows of 512 floats, two cores of 2025.
Only ratios matter, and these hold within a factor of two from machine to machine."""


@dataclass(frozen=True)
class Costs:
    """Of one index. `alone`: one query, `batched`: per query of a batch; both of the engine.
    `machine`: where they were measured."""

    exact: ExactCosts
    alone: Line
    batched: Line
    machine: str

    @classmethod
    def typical(cls, engine: Line) -> Costs:
        return cls(TYPICAL_EXACT, engine, engine, machine())

    def of_engine(self, queries: int, work: Sequence[float]) -> float:
        """Per query of a search by `queries` queries."""
        alone = self.alone.at(work)
        if queries == 1:
            return alone
        batched = self.batched.at(work)
        return batched + (alone - batched) / queries

    def as_json(self) -> dict[str, Any]:
        facts: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return facts

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Costs:
        alone, batched = (
            Line(facts[name]["call"], tuple(facts[name]["rates"])) for name in ("alone", "batched")
        )
        return cls(ExactCosts(**facts["exact"]), alone, batched, facts["machine"])


@functools.cache
def machine() -> str:
    """What costs depend on: the processor and how many of it this process may use."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{model} x {usable}"
