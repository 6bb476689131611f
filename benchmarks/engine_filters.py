"""Searches under filters, by modality, across modalities and with a long list of exclusions.

One query at a time by vector, k = 10, ids, scores and two attributes read, in turn call by call:
  baseline A, B      FAISS `IVF1024,Flat` without a filter over all rows of the data set
  50 %, 5 %, 0.1 %   of A, by `bucket < 500`, `< 50`, `< 1`
  exclusions         of A, 10,000 ids, among them the five best rows of every query
  by modality        of B, pictures asked by pictures
  cross-modal        of B, pictures asked by texts
A filter is kept from the first time on; what a new one costs is told apart. Recall is that of the
answers that were timed, against exact search over the rows allowed; no row may be one that the
filter excludes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks import baselines, data, engine_calls
from benchmarks.context import Context
from benchmarks.engine_stores import MODALITY, QUERIES, OneLeg, ThreeLegs
from benchmarks.measure import Result, Times, Verdict, in_turn, medians, ratio, share_verdict
from benchmarks.truth import Truth, nearest, violations
from trichord.catalog import Catalog
from trichord.types import F32, Bool

CALLS = 200
BASELINE_RECALL = 0.95
RECALL = 0.99
EXCLUDED = 10_000
OF_EACH_QUERY = 5
NEW = 50
"""New filters, and new lists of exclusions, of which each is asked once."""
SELECTIVE = {"50 %": 500, "5 %": 50, "0.1 %": 1}
WANTED_RECALL = {"50 %": 0.99, "5 %": 0.99, "0.1 %": 1.0}
AT_MOST = {"50 %": 1.5, "5 %": 4.0, "0.1 %": 0.2}


@dataclass(frozen=True)
class Case:
    """One kind of search: `options` of every call, its queries, and which rows may be found."""

    catalog: Catalog
    queries: F32
    options: Mapping[str, Any]
    allowed: Bool
    truth: Truth
    recall: float
    first: int = 0

    def number(self, number: int) -> int:
        """The query of a call. Cases start at other queries: what was asked for just now is
        quicker to find again."""
        return (number + self.first) % len(self.queries)

    def call(self, number: int) -> engine_calls.Read:
        query = self.queries[self.number(number)]
        return engine_calls.one(self.catalog, query, **self.options)


def run(context: Context) -> Result:
    one, three = OneLeg(context), ThreeLegs(context)
    result = Result("engine-filters", {"rows": context.rows, "dim": context.dim, "limit": 10})
    with ExitStack() as stack:

        def opened(path: Any) -> Catalog:
            catalog = Catalog.open(path, space=data.space(context.dim), create=False)
            return stack.enter_context(catalog)

        of_a, of_b = opened(one.store("hnsw")), opened(three.store())
        cases = _shifted(_of_one_leg(one, of_a) | _of_three_legs(three, of_b))
        base_a = _baseline(result, "A", one.vectors, one.tuning)
        base_b = _baseline(result, "B", three.vectors, three.tuning)
        _measure(result, context, cases, {"baseline A": base_a, "baseline B": base_b}, one, three)
        _first_calls(result, one, of_a)
    return result


def _of_one_leg(given: OneLeg, catalog: Catalog) -> dict[str, Case]:
    asked: dict[str, Any] = {"modality": MODALITY}
    everything = np.ones(given.rows, bool)
    cases = {
        "no filter": Case(
            catalog,
            given.queries,
            asked | {"recall": BASELINE_RECALL},
            everything,
            given.truth,
            BASELINE_RECALL,
        )
    }
    for name, below in SELECTIVE.items():
        allowed = given.buckets < below
        cases[name] = Case(
            catalog,
            given.queries,
            asked | {"where": f"bucket < {below}"},
            allowed,
            nearest(given.vectors, given.queries, allowed=allowed),
            WANTED_RECALL[name],
        )
    ids, allowed = excluded(given)
    cases["exclusions"] = Case(
        catalog,
        given.queries,
        asked | {"recall": BASELINE_RECALL, "exclude_items": ids},
        allowed,
        nearest(given.vectors, given.queries, allowed=allowed),
        BASELINE_RECALL,
    )
    return cases


def _of_three_legs(given: ThreeLegs, catalog: Catalog) -> dict[str, Case]:
    pictures = given.of("image", given.context.rows)
    cases = {}
    for name, asked_by in (("by modality", "image"), ("cross-modal", "text")):
        queries = given.queries[given.of(asked_by, len(given.queries))]
        options = {"modality": "image", "recall": RECALL}
        truth = nearest(given.vectors, queries, allowed=pictures)
        cases[name] = Case(catalog, queries, options, pictures, truth, RECALL)
    return cases


def _shifted(cases: Mapping[str, Case]) -> dict[str, Case]:
    step = QUERIES // (len(cases) + 1)
    return {
        name: replace(case, first=place * step)
        for place, (name, case) in enumerate(cases.items(), start=1)
    }


def excluded(given: OneLeg) -> tuple[tuple[str, ...], Bool]:
    """The ids left out, and which rows that leaves: the best rows of every query, as those that a
    user was shown before, and others by chance."""
    generator = np.random.default_rng(0)
    best = np.unique(given.truth.rows[:, :OF_EACH_QUERY])
    others = np.setdiff1d(generator.permutation(given.rows)[: 2 * EXCLUDED], best)
    count = min(EXCLUDED, given.rows // 2)
    rows = np.concatenate([best, generator.permutation(others)])[:count]
    allowed = np.ones(given.rows, bool)
    allowed[rows] = False
    return tuple(data.item_id(row) for row in rows.tolist()), allowed


def _baseline(result: Result, name: str, vectors: F32, tuning: F32) -> baselines.IvfFlat:
    baseline = baselines.IvfFlat(vectors)
    reached = baseline.tune(tuning, nearest(vectors, tuning), BASELINE_RECALL)
    result.note(
        f"baseline {name}: {baseline.lists} lists, {baseline.probes} probed, recall {reached:.3f} "
        "on the tuning queries"
    )
    return baseline


def _measure(
    result: Result,
    context: Context,
    cases: Mapping[str, Case],
    bases: Mapping[str, baselines.IvfFlat],
    one: OneLeg,
    three: ThreeLegs,
) -> None:
    queries = {"baseline A": one.queries, "baseline B": three.queries}

    def alone(name: str) -> Callable[[int], Any]:
        return lambda number: bases[name].one(queries[name][number % len(queries[name])])

    actions: dict[str, Callable[[int], Any]] = {name: alone(name) for name in bases}
    actions |= {name: case.call for name, case in cases.items()}
    in_turn(1, 20, actions)  # warm
    taken, answers = in_turn(context.rounds, CALLS, actions)
    p50 = {name: medians(rounds) for name, rounds in taken.items()}
    result.add({f"{name}, p50 of each round": times for name, times in p50.items()})
    for name, rounds in taken.items():
        together = Times([second for times in rounds for second in times.values])
        result.figure(f"{name}, p99", together.percentile(0.99) * 1e6, "µs")
    broken = 0
    for name, case in cases.items():
        found = [engine_calls.rows_of(answer) for answer in answers[name]]
        asked = [case.number(number) for number in range(len(found))]
        truth = Truth(case.truth.rows[asked], case.truth.scores[asked], case.truth.k)
        broken += violations(found, case.allowed)
        recall = truth.recall(found)
        result.judge(Verdict(f"{name}: recall@10", recall, case.recall, at_least=True))
    result.judge(Verdict("returned rows that a filter excludes", broken, 0, at_least=False))
    for name, limit in AT_MOST.items():
        _judge(result, p50, name, "baseline A", limit)
    _judge(result, p50, "cross-modal", "baseline B", 0.5)
    _judge(result, p50, "exclusions", "no filter", 2.0)


def _judge(result: Result, p50: Mapping[str, Times], name: str, other: str, at_most: float) -> None:
    bar = f"{name}: p50 relative to {other}"
    result.judge(share_verdict(bar, ratio(p50[name], p50[other]), at_most, at_least=False))


def _first_calls(result: Result, given: OneLeg, catalog: Catalog) -> None:
    """What a filter costs that was never asked for, and a list of exclusions that is new."""
    generator = np.random.default_rng(1)
    for name, width in SELECTIVE.items():
        taken = []
        for number in range(NEW):
            start = int(generator.integers(0, data.BUCKETS - width))
            # The second part holds always, and makes each filter another one.
            where = f"bucket >= {start} and bucket < {start + width} and year > {number}"
            query = given.queries[number]
            began = time.perf_counter()
            engine_calls.one(catalog, query, modality=MODALITY, where=where)
            taken.append(time.perf_counter() - began)
        result.add({f"{name}, a new filter": Times(taken)})
    taken = []
    for number in range(NEW):
        rows = generator.permutation(given.rows)[: min(EXCLUDED, given.rows // 2)]
        ids = tuple(data.item_id(row) for row in rows.tolist())
        query = given.queries[number]
        began = time.perf_counter()
        engine_calls.one(
            catalog, query, modality=MODALITY, recall=BASELINE_RECALL, exclude_items=ids
        )
        taken.append(time.perf_counter() - began)
    result.add({"exclusions, a new list": Times(taken)})
