"""One engine over one data set: built, opened, tuned and timed through its worker."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers import measuring, tuning
from benchmarks.peers.channel import Failed, Worker
from benchmarks.peers.datasets import DataSet, Sizes
from benchmarks.peers.engines import About
from benchmarks.peers.results import summary
from benchmarks.peers.rows import as_json
from benchmarks.peers.workloads import Workload

TARGET = 0.95
MOST = {1: 2_000, measuring.BATCH: 100}
"""Calls of one measurement, by queries per call."""


@dataclass(frozen=True)
class Plan:
    """`seconds` of each measurement; `limit` and `build_limit` seconds after which a command is
    given up; `insert_size` rows of one insert; `budget` minutes that the run should take."""

    engines: Sequence[str]
    sizes: Sizes
    rounds: int = 5
    threads: int = 2
    seconds: float = 0.2
    limit: float = 60.0
    build_limit: float = 240.0
    insert_size: int = 2_000
    mixed: bool = True
    budget: float = 20.0


class Running:
    """One engine over one data set: its folder, its worker, and what is said of these (`into`)."""

    def __init__(self, about: About, data: DataSet, work: Path, plan: Plan) -> None:
        self.about, self.data, self.plan = about, data, plan
        self.into: dict[str, Any] = {}
        self.folder = work / data.name / about.name
        self.log = work / f"{about.name}.log"
        self.worker: Worker | None = None
        self.ladders: list[list[dict[str, int]]] = []

    def build(self, from_folder: Path | None) -> None:
        """Builds and opens; raises Failed. `from_folder`: the files of the engine it shares."""
        if from_folder is not None and from_folder.exists():
            shutil.copytree(from_folder, self.folder)
            self.into["build"] = {"shared": self.about.shares}
        else:
            self.worker = self._spawn()
            self.into["build"] = self.worker.ask(
                "build",
                self.plan.build_limit,
                data=str(self.data.stored),
                folder=str(self.folder),
            )
            if self.about.kept:
                self.close()
        self.open()

    def open(self) -> None:
        if self.worker is None:
            self.worker = self._spawn()
        if self.about.kept:
            self.into.setdefault("idle", self.worker.ask("memory", self.plan.limit))
        opened = self.worker.ask(
            "open", self.plan.build_limit, folder=str(self.folder), data=str(self.data.stored)
        )
        self.ladders = opened.pop("ladders")
        self.into.setdefault("open", opened)

    def close(self) -> None:
        if self.worker is not None:
            self.worker.close()
            self.worker = None

    def _spawn(self) -> Worker:
        return Worker(self.about, self.data.sizes.dim, self.plan.threads, self.log)

    def ask(self, do: str, limit: float | None = None, **arguments: Any) -> Any:
        """A command; where it costs the worker, another one opens the files."""
        if self.worker is None:
            raise Failed(self.into.get("lost", "not running"))
        try:
            return self.worker.ask(do, limit or self.plan.limit, **arguments)
        except Failed as failed:
            if not self.worker.alive:
                self.worker.kill()
                self.worker = None
                self._again(failed)
            raise

    def _again(self, failed: Failed) -> None:
        if not self.about.kept:
            self.into["lost"] = f"gone since it {failed}"
            return
        try:
            self.open()
        except Failed as other:
            self.worker = None
            self.into["lost"] = f"gone since it {failed}; then: {other}"

    def recall(self, workload: Workload, effort: Any, kind: str, seconds: float) -> Any:
        return self.ask(
            "recall",
            queries=str(self.data.queries_file(workload.asked, kind)),
            truth=str(self.data.truth_file(workload.asked, kind, workload.where)),
            effort=effort,
            where=as_json(workload.where),
            seconds=seconds,
        )

    def tune(self, workload: Workload) -> Any:
        """The lowest effort that reaches the target on the queries for tuning, of the first ladder
        that has one; raises Failed where none has."""
        failures: list[str] = []
        best = 0.0
        for steps in self.ladders:

            def measure(effort: dict[str, int]) -> float:
                nonlocal best
                began = time.perf_counter()
                found: float = self.recall(workload, effort, "tuning", 8.0)["recall"]
                best = max(best, found)
                slow = time.perf_counter() - began > 16.0 and found < TARGET
                return float("nan") if slow else found

            try:
                place, _ = tuning.lowest(steps, measure, TARGET)
                if place is not None:
                    return steps[place]
            except Failed as failed:  # another ladder may do
                failures.append(str(failed))
        said = f"recall {TARGET} not reached (at most {best:.3f})"
        raise Failed("; ".join([said, *failures]))

    def times(
        self, workload: Workload, effort: Any, batch: int, first: int, seconds: float
    ) -> dict[str, float]:
        found = self.ask(
            "times",
            queries=str(self.data.queries_file(workload.asked, "measured")),
            effort=effort,
            where=as_json(workload.where),
            batch=batch,
            first=first,
            seconds=seconds,
            most=MOST[batch],
        )
        return summary(found["seconds"])
