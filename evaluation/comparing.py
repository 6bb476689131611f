"""Runs against a baseline: paired differences, and p values corrected for how many there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from trichord.errors import InvalidInput
from trichord.evaluation.evaluating import Evaluation, clusters, golden_facts, run_facts
from trichord.evaluation.measures import Measure
from trichord.evaluation.slices import Slice
from trichord.evaluation.statistics import (
    Alternative,
    Difference,
    holm,
    paired,
    tries_for,
)


@dataclass(frozen=True)
class Compared:
    """One run, measure and slice: the means, their paired difference (run - baseline), and its p
    value after Holm's correction over the whole comparison."""

    run: str
    measure: Measure
    part: Slice
    baseline_value: float
    value: float
    difference: Difference
    p_holm: float

    def significant(self, confidence: float) -> bool:
        return self.p_holm < 1 - confidence


@dataclass(frozen=True)
class Comparison:
    baseline: Evaluation
    others: tuple[Evaluation, ...]
    rows: tuple[Compared, ...]
    alternative: Alternative = "two-sided"
    margin: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        settings = self.baseline.settings
        return {
            "golden": golden_facts(self.baseline.golden),
            "baseline": run_facts(self.baseline.run),
            "runs": [run_facts(other.run) for other in self.others],
            "settings": asdict(settings),
            "alternative": self.alternative,
            "margin": self.margin,
            "tests": len(self.rows),
            "differences": [
                {
                    "run": row.run,
                    "measure": str(row.measure),
                    "slice": str(row.part),
                    "queries": len(row.part.rows),
                    "baseline": row.baseline_value,
                    "value": row.value,
                    "difference": row.difference.interval.value,
                    "low": row.difference.interval.low,
                    "high": row.difference.interval.high,
                    "better": row.difference.better,
                    "worse": row.difference.worse,
                    "p": row.difference.p,
                    "p_holm": row.p_holm,
                    "significant": row.significant(settings.confidence),
                }
                for row in self.rows
            ],
        }


def compare(
    evaluations: Sequence[Evaluation],
    *,
    sliced: bool = True,
    alternative: Alternative = "two-sided",
    margin: float = 0.0,
) -> Comparison:
    """Every evaluation against the first, for all its measures and, with `sliced`, its slices.

    Raises InvalidInput for fewer than two, or evaluations of different golden sets, measures or
    settings: only the same questions can be paired.
    """
    if len(evaluations) < 2:
        raise InvalidInput("a comparison needs a baseline and at least one other run")
    first = evaluations[0]
    for other in evaluations[1:]:
        same = other.golden is first.golden or other.golden.sha256 == first.golden.sha256
        if not same:
            raise InvalidInput(
                f"{first.run.name!r} answers {first.golden.label} and {other.run.name!r} "
                f"{other.golden.label}: only runs of one golden set can be compared"
            )
        if other.measures != first.measures or other.settings != first.settings:
            raise InvalidInput("compared evaluations need the same measures and settings")
    made: list[tuple[Evaluation, Measure, Slice, Difference]] = []
    chosen = first.settings
    parts = [row.part for row in first.rows] if sliced else [first.rows[0].part]
    tests = (len(evaluations) - 1) * len(parts) * len(first.measures)
    for other in evaluations[1:]:
        for part in parts:
            found = paired(
                first.values[part.rows],
                other.values[part.rows],
                clusters=clusters(first.golden, part, chosen),
                alternative=alternative,
                margin=margin,
                method=chosen.method,
                confidence=chosen.confidence,
                resamples=chosen.resamples,
                tries=tries_for(tests, chosen.confidence, chosen.resamples),
                seed=chosen.seed,
            )
            made += [
                (other, measure, part, difference)
                for measure, difference in zip(first.measures, found, strict=True)
            ]
    corrected = holm([difference.p for *_, difference in made])
    rows = tuple(
        Compared(
            other.run.name,
            measure,
            part,
            float(first.column(measure)[part.rows].mean()),
            float(other.column(measure)[part.rows].mean()),
            difference,
            p,
        )
        for (other, measure, part, difference), p in zip(made, corrected, strict=True)
    )
    return Comparison(first, tuple(evaluations[1:]), rows, alternative, margin)
