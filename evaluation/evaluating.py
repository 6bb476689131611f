"""One run judged by one golden set: values per query, means with intervals per slice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from trichord.errors import InvalidInput
from trichord.evaluation.golden import GoldenSet
from trichord.evaluation.measures import DEFAULT, F64, Measure, per_query
from trichord.evaluation.runs import Run
from trichord.evaluation.slices import NONE, Slice, column_of, slices_of
from trichord.evaluation.statistics import (
    CONFIDENCE,
    RESAMPLES,
    Interval,
    Method,
    mean_intervals,
)


@dataclass(frozen=True)
class Settings:
    """How intervals and tests are made; kept in every report."""

    confidence: float = CONFIDENCE
    resamples: int = RESAMPLES
    method: Method = "bca"
    seed: int = 0
    cluster: str | None = None


@dataclass(frozen=True)
class Row:
    """One slice: an interval per measure, in the evaluation's order."""

    part: Slice
    intervals: tuple[Interval, ...]

    @property
    def queries(self) -> int:
        return len(self.part.rows)


@dataclass(frozen=True)
class Looked:
    """The query at `place` with its value: what was found (id, grade; None: not judged), and what
    should have been (id, grade, rank or None)."""

    place: int
    query_id: str
    shown: str
    kind: str
    value: float
    found: tuple[tuple[str, int | None], ...]
    expected: tuple[tuple[str, int, int | None], ...]
    error: str = ""


@dataclass(frozen=True)
class Evaluation:
    """`values` float64 (queries, measures), queries in the golden set's order; `rows` begin with
    all queries. `judged` is the mean share of the first 10 results (or as many as the run has) that
    are judged (1 of a complete set): where it is low, the measures say less than they seem to."""

    golden: GoldenSet
    run: Run
    measures: tuple[Measure, ...]
    values: F64 = field(hash=False, compare=False)
    rows: tuple[Row, ...]
    judged: float
    settings: Settings

    @cached_property
    def row(self) -> Mapping[tuple[str, str], Row]:
        """By (column, value); all queries are ("", "all")."""
        return {(row.part.column, row.part.value): row for row in self.rows}

    @property
    def missing(self) -> int:
        """Queries that the run has no list for at all (a run of another system)."""
        return sum(query.query_id not in self.run.lists for query in self.golden.queries)

    def column(self, measure: Measure) -> F64:
        """One value per query."""
        return self.values[:, self.place(measure)]

    def place(self, measure: Measure) -> int:
        if measure not in self.measures:
            known = ", ".join(map(str, self.measures))
            raise InvalidInput(f"{measure} was not measured; measured are {known}")
        return self.measures.index(measure)

    def overall(self, measure: Measure) -> Interval:
        return self.rows[0].intervals[self.place(measure)]

    def worst(self, count: int = 10, measure: Measure | None = None) -> list[Looked]:
        """The queries with the least values, worst first; equal ones in the set's order."""
        chosen = self.measures[0] if measure is None else measure
        order = np.argsort(self.column(chosen), kind="stable")[:count]
        return [self.look(int(place), chosen) for place in order]

    def look(self, place: int, measure: Measure, *, depth: int = 10) -> Looked:
        """What the query at `place` found in the first `depth` results and should have found."""
        query = self.golden.queries[place]
        grades = self.golden.judgements[query.query_id]
        unlisted = 0 if self.golden.complete else None
        found = self.run.lists.get(query.query_id)
        ids = () if found is None else found.ids
        rank = {one: number for number, one in enumerate(ids, 1)}
        return Looked(
            place,
            query.query_id,
            query.shown,
            query.kind,
            float(self.column(measure)[place]),
            tuple((one, grades.get(one, unlisted)) for one in ids[:depth]),
            tuple(
                (one, grade, rank.get(one))
                for one, grade in self.golden.relevant(query.query_id, measure.rel).items()
            ),
            self.run.errors.get(query.query_id, ""),
        )

    def to_dict(self, *, worst: int = 10, queries: bool = True) -> dict[str, Any]:
        """Plain values for JSON; `queries` adds every query's values."""
        names = [str(measure) for measure in self.measures]
        report: dict[str, Any] = {
            "golden": golden_facts(self.golden),
            "run": run_facts(self.run),
            "settings": asdict(self.settings),
            "measures": names,
            "judged@10": self.judged,
            "missing": self.missing,
            "slices": [
                {
                    "column": row.part.column,
                    "value": row.part.value,
                    "queries": row.queries,
                    "measures": {
                        name: asdict(interval)
                        for name, interval in zip(names, row.intervals, strict=True)
                    },
                }
                for row in self.rows
            ],
            "worst": [looked_facts(one) for one in self.worst(worst)],
        }
        if queries:
            report["queries"] = {
                query.query_id: dict(zip(names, map(float, values), strict=True))
                for query, values in zip(self.golden.queries, self.values, strict=True)
            }
        return report


def evaluate(
    golden: GoldenSet,
    run: Run,
    measures: Sequence[Measure] = DEFAULT,
    *,
    slices: Sequence[str] | None = None,
    also: Sequence[str] = (),
    settings: Settings | None = None,
) -> Evaluation:
    """Judges a run. `slices` names columns (None: all that tell queries apart), `also` further ones
    that must be there.

    Raises InvalidInput for a run of another golden set or less deep than a measure looks, and for
    unknown columns; MissingExtra without ir_measures.
    """
    chosen = settings or Settings()
    wanted = tuple(dict.fromkeys(measures))
    if not wanted:
        raise InvalidInput("name at least one measure")
    judged = Measure("judged", max(1, min(10, run.depth)))
    values = per_query((*wanted, judged), golden, run)
    answered = np.array(
        [bool(run.lists[q.query_id].ids) if q.query_id in run.lists else False
         for q in golden.queries]
    )  # fmt: skip
    share = float(values[answered, -1].mean()) if answered.any() else 0.0
    share = 1.0 if golden.complete else share
    rows = tuple(
        Row(part, tuple(intervals(values[part.rows, :-1], golden, part, chosen)))
        for part in slices_of(golden, slices, also, clusters=chosen.cluster)
    )
    return Evaluation(golden, run, wanted, values[:, :-1], rows, share, chosen)


def intervals(values: F64, golden: GoldenSet, part: Slice, settings: Settings) -> list[Interval]:
    """Of the columns of `values`, whose rows are those of `part`."""
    return mean_intervals(
        values,
        clusters=clusters(golden, part, settings),
        method=settings.method,
        confidence=settings.confidence,
        resamples=settings.resamples,
        seed=settings.seed,
    )


def clusters(golden: GoldenSet, part: Slice, settings: Settings) -> list[str] | None:
    """The clusters of the part's queries; a query without a value is a cluster of its own."""
    if settings.cluster is None:
        return None
    values = column_of(golden, settings.cluster)
    return [
        f"value {values[row]}" if values[row] != NONE else f"query {row}"
        for row in map(int, part.rows)
    ]


def golden_facts(golden: GoldenSet) -> dict[str, Any]:
    return {
        "name": golden.name,
        "version": golden.version,
        "sha256": golden.sha256,
        "judges": golden.judges,
        "complete": golden.complete,
        "queries": len(golden.queries),
        "judgements": sum(map(len, golden.judgements.values())),
    }


def run_facts(run: Run) -> dict[str, Any]:
    return {
        "name": run.name,
        "depth": run.depth,
        "failed": len(run.errors),
        "errors": dict(run.errors),
        **{key: value for key, value in run.facts.items() if key != "golden"},
    }


def looked_facts(one: Looked) -> dict[str, Any]:
    return {
        "query_id": one.query_id,
        "asked": one.shown,
        "value": one.value,
        "found": [{"id": name, "grade": grade} for name, grade in one.found],
        "expected": [
            {"id": name, "grade": grade, "rank": rank} for name, grade, rank in one.expected
        ],
        "error": one.error,
    }
