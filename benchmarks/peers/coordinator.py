"""The order of work: build, tune, measure in turn, write under load; results saved as they come."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks.peers import measuring
from benchmarks.peers.channel import Failed
from benchmarks.peers.datasets import DataSet
from benchmarks.peers.engines import BASELINE, ENGINES, About
from benchmarks.peers.results import Results, summary
from benchmarks.peers.running import TARGET, Plan, Running
from benchmarks.peers.workloads import BY_NAME, MIXED, PLAIN, WORKLOADS, Workload

SLOW_BATCH = 10.0
"""Seconds beyond which a batch is not measured: it would be a loop over single queries."""
SLOW_QUERY = 0.5
"""Seconds beyond which a query is measured in the first round only."""
LATE = 0.6
"""Share of the budget beyond which engines that build long are left out of the second data set."""
LEFT_OUT = "left out: the time for the run was used up"


class Coordinator:
    def __init__(self, plan: Plan, work: Path, results: Results) -> None:
        self._plan, self._work, self._results = plan, work, results
        self._began = time.perf_counter()
        self._started: list[Running] = []

    def run(self) -> None:
        try:
            for name in (PLAIN, MIXED) if self._plan.mixed else (PLAIN,):
                self._run(DataSet(name, self._work / f"data-{name}", self._plan.sizes))
        finally:
            for one in self._started:
                if one.worker is not None:
                    one.worker.kill()

    def _run(self, data: DataSet) -> None:
        with self._step(f"making the {data.name} rows"):
            data.make()
        workloads = [workload for workload in WORKLOADS if workload.data == data.name]
        running = self._built(data)
        for one in running:
            self._tune(one, workloads)
        self._rounds(running, workloads)
        for one in running:
            if data.name == PLAIN:
                self._write(one)
            one.close()  # its memory is wanted by those who follow
        shutil.rmtree(self._work / data.name, ignore_errors=True)
        shutil.rmtree(data.folder)

    def _built(self, data: DataSet) -> list[Running]:
        """One after the other where the time of building is of interest, else two at once."""
        asked = [ENGINES[name] for name in self._plan.engines]
        if data.name == MIXED:
            asked = [about for about in asked if about.mixed and self._built_before(about)]
        at_once = 1 if data.name == PLAIN else 2
        running: list[Running] = []

        def build(about: About) -> None:
            one = Running(about, data, self._work, self._plan)
            if data.name == MIXED and about.heavy and self._late():
                with self._results.lock:
                    self._results.engine(about.name)[MIXED] = {"failed": LEFT_OUT}
                return
            self._started.append(one)
            shared = self._work / data.name / about.shares if about.shares else None
            with self._step(f"{data.name}: building {about.label}"):
                try:
                    one.build(shared)
                    running.append(one)
                except Failed as failed:
                    one.into["failed"] = str(failed)
                    print(f"    {about.label}: {failed}", flush=True)
                    one.close()
                with self._results.lock:
                    self._results.engine(about.name)[data.name] = one.into

        asked.sort(key=lambda about: data.name == MIXED and about.heavy)
        for group in ([a for a in asked if not a.shares], [a for a in asked if a.shares]):
            with ThreadPoolExecutor(at_once) as pool:
                list(pool.map(build, group))
        order = {name: place for place, name in enumerate(ENGINES)}
        return sorted(running, key=lambda one: order[one.about.name])

    def _late(self) -> bool:
        return time.perf_counter() - self._began > LATE * 60 * self._plan.budget

    def _built_before(self, about: About) -> bool:
        return "failed" not in self._results.engine(about.name)[PLAIN]

    def _tune(self, one: Running, workloads: Sequence[Workload]) -> None:
        """Efforts, and the recall with them on the queries that are measured."""
        mine = self._results.engine(one.about.name)
        for workload in workloads:
            if workload.where is None:
                # Over the mixed rows only the baseline answers this: others are judged by it.
                if workload.data == PLAIN or one.about.name == BASELINE:
                    self._recall_at(one, workload, "lowest", None)
                continue
            if not one.about.filters:
                mine["workloads"][workload.name] = {"failed": "it has no filters"}
                continue
            general = mine["workloads"].get("unfiltered", {}).get("lowest", {}).get("effort")
            if general is not None:
                self._recall_at(one, workload, "same", general)
            self._recall_at(one, workload, "lowest", None)
        with suppress(Failed):
            one.into["memory"] = one.ask("memory")
        self._results.save()

    def _recall_at(self, one: Running, workload: Workload, name: str, effort: Any) -> None:
        into = self._results.engine(one.about.name)["workloads"].setdefault(workload.name, {})
        said = "" if name == "lowest" else ", same effort"
        with self._step(f"{one.about.label}: recall, {workload.label}{said}"):
            try:
                if name == "lowest" and self._only(one, into.get("same", {})):
                    into["lowest"] = {"as": "same"}
                    return
                effort = one.tune(workload) if effort is None else effort
                if name == "lowest" and into.get("same", {}).get("effort") == effort:
                    into["lowest"] = {"as": "same"}
                    return
                found = one.recall(workload, effort, "measured", 10.0)
                into[name] = {"effort": effort, **found, "single": [], "batch": []}
                print(f"    {effort} {found}", flush=True)
            except Failed as failed:
                into[name] = {"failed": str(failed)}
                print(f"    {failed}", flush=True)

    def _only(self, one: Running, same: dict[str, Any]) -> bool:
        """Whether the effort measured reaches the target and nothing lower is to be tried."""
        lowest = one.about.fixed or [steps[0] for steps in one.ladders] == [same.get("effort")]
        return lowest and (same.get("recall") or 0.0) >= TARGET

    def _rounds(self, running: list[Running], workloads: Sequence[Workload]) -> None:
        """Every engine measures all its workloads once a round; the order turns."""
        for number in range(self._plan.rounds):
            turn = number % max(1, len(running))
            with self._step(f"{workloads[0].data}: round {number + 1} of {self._plan.rounds}"):
                for one in running[turn:] + running[:turn]:
                    for workload in workloads:
                        self._measure(one, workload, number)
                self._results.save()

    def _measure(self, one: Running, workload: Workload, number: int) -> None:
        found = self._results.engine(one.about.name)["workloads"].get(workload.name, {})
        first, seconds = number * 97, self._plan.seconds
        for name in ("same", "lowest"):
            into = found.get(name, {})
            if "effort" not in into or into.get("stopped"):
                continue
            if into["single"] and into["single"][-1]["p50"] > SLOW_QUERY:
                continue
            effort = into["effort"]
            try:
                single = one.times(workload, effort, 1, first, seconds)
                into["single"].append(single)
                if single["p50"] * measuring.BATCH > SLOW_BATCH:
                    continue
                if name == "lowest" or found.get("lowest", {}).get("as") == "same":
                    batch = one.times(workload, effort, measuring.BATCH, first, seconds)
                    into["batch"].append(batch)
            except Failed as failed:
                into["stopped"] = str(failed)
                print(f"    {one.about.label}, {workload.label}: {failed}", flush=True)

    def _write(self, one: Running) -> None:
        """Inserts under load, then deletes, each with what searches find afterwards."""
        mine = self._results.engine(one.about.name)["workloads"]
        effort = mine.get("unfiltered", {}).get("lowest", {}).get("effort")
        for name, action in (("insert", self._insert), ("delete", self._delete)):
            with self._step(f"{one.about.label}: {name}"):
                if effort is None:
                    mine[name] = {"failed": "no effort reached the recall"}
                    continue
                mine[name] = {"effort": effort}
                try:
                    action(one, effort, mine)
                except Failed as failed:
                    mine[name]["failed"] = str(failed)
                    print(f"    {failed}", flush=True)
                    break
        self._results.save()

    def _insert(self, one: Running, effort: Any, mine: dict[str, Any]) -> None:
        queries = str(one.data.queries_file("image", "measured"))
        found = one.ask(
            "insert",
            data=str(one.data.fresh),
            queries=queries,
            size=self._plan.insert_size,
            effort=effort,
            seconds=self._plan.limit / 3,
        )
        searches = found.pop("searches")
        mine["insert"] |= {**found, "searching": summary(searches) if searches else None}
        self._after(one, effort, mine["insert"], fresh=found["inserted"], deleted=False)

    def _delete(self, one: Running, effort: Any, mine: dict[str, Any]) -> None:
        mine["delete"] |= one.ask("delete", rows=str(one.data.deleted_file))
        fresh = mine["insert"]["inserted"]
        self._after(one, effort, mine["delete"], fresh=fresh, deleted=True)
        mine["delete"]["by_deleted"] = self._recall_after(
            one, effort, "deleted", fresh=fresh, deleted=True
        )

    def _after(self, one: Running, effort: Any, into: Any, *, fresh: int, deleted: bool) -> None:
        into["after"] = self._recall_after(one, effort, "image", fresh=fresh, deleted=deleted)
        into["single"] = one.times(BY_NAME["unfiltered"], effort, 1, 0, self._plan.seconds)

    def _recall_after(
        self, one: Running, effort: Any, asked: str, *, fresh: int, deleted: bool
    ) -> Any:
        data = one.data
        return one.ask(
            "recall",
            queries=str(data.queries_file(asked, "measured")),
            truth=str(data.truth_file(asked, "measured", fresh=fresh, deleted=deleted)),
            effort=effort,
            where=None,
            seconds=10.0,
            gone=str(data.deleted_file) if deleted else None,
            fresh_from=data.sizes.rows if fresh and asked == "image" else None,
        )

    @contextmanager
    def _step(self, said: str) -> Iterator[None]:
        print(f"  {said} …", flush=True)
        began = time.perf_counter()
        yield
        ended = time.perf_counter()
        self._results.tree["took_seconds"] = round(ended - self._began, 1)
        print(f"    {ended - began:.1f} s", flush=True)
        self._results.save()
