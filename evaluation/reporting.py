"""What a report tells, whichever way it is shown: terminal, JSON or HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trichord.evaluation.comparing import Comparison
from trichord.evaluation.evaluating import Evaluation
from trichord.evaluation.gate import Verdict
from trichord.evaluation.shadow import Overlap, ShadowReport


@dataclass(frozen=True)
class Report:
    """An evaluation, and what it was held against. `worst` is how many queries are shown."""

    evaluation: Evaluation
    verdicts: tuple[Verdict, ...] = ()
    comparison: Comparison | None = None
    overlaps: tuple[Overlap, ...] = ()
    worst: int = 10

    @property
    def passed(self) -> bool:
        return all(verdict.passed for verdict in self.verdicts)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        report = self.evaluation.to_dict(worst=self.worst)
        report["verdicts"] = [verdict.to_dict() for verdict in self.verdicts]
        report["passed"] = self.passed
        if self.comparison is not None:
            report["comparison"] = self.comparison.to_dict()
        if self.overlaps:
            report["overlap"] = [vars(one) for one in self.overlaps]
        return report


def of_shadow(shadow: ShadowReport, worst: int = 10) -> Report:
    """The candidate's evaluation, held against the live space's."""
    return Report(shadow.candidate, shadow.verdicts, shadow.comparison, shadow.overlaps, worst)


def facts(evaluation: Evaluation) -> list[tuple[str, str]]:
    """What the figures rest on, as pairs for people."""
    golden, run, settings = evaluation.golden, evaluation.run, evaluation.settings
    judged = sum(map(len, golden.judgements.values()))
    pairs = [
        ("golden set", f"{golden.label}, sha256 {golden.sha256[:12]}"),
        ("queries", f"{len(golden.queries)} with {judged} judgements of {_level(golden.judges)}"),
        ("run", f"{run.name}, {run.depth} results per query"),
    ]
    for name in ("space", "frame", "created"):
        if run.facts.get(name):
            pairs.append((name, str(run.facts[name])))
    if run.facts.get("snapshots"):
        pairs.append(("snapshot", ", ".join(map(str, run.facts["snapshots"]))))
    drawn = "queries" if settings.cluster is None else f"clusters of equal {settings.cluster}"
    pairs.append(
        (
            "intervals",
            f"{settings.confidence:.0%}, {settings.method} bootstrap, {settings.resamples:,} "
            f"resamples of {drawn}",
        )
    )
    return pairs


def notes(evaluation: Evaluation) -> list[str]:
    """What a reader must know before believing the figures."""
    run, depth = evaluation.run, max(1, min(10, evaluation.run.depth))
    lines = [f"{evaluation.judged:.1%} of the first {depth} results are judged"]
    if evaluation.golden.complete:
        lines = ["the golden set is complete: what it does not list counts as wrong"]
    elif evaluation.judged < 0.5:
        lines[0] += ": what is not judged counts as wrong, so the true values may be higher"
    if run.errors:
        lines.append(f"{counted(len(run.errors))} failed; counted as lists without results")
        lines += [f"{query}: {error}" for query, error in list(run.errors.items())[:5]]
    if evaluation.missing:
        lines.append(f"the run lacks {counted(evaluation.missing)}; counted as 0")
    few = [str(row.part) for row in evaluation.rows if row.queries < 10]
    if few:
        shown = ", ".join(few[:8]) + (", …" if len(few) > 8 else "")
        lines.append(f"fewer than 10 queries, so intervals are rough: {shown}")
    return lines + [str(note) for note in run.facts.get("notes", ())]


def significant_rows(comparison: Comparison) -> Sequence[bool]:
    confidence = comparison.baseline.settings.confidence
    return [row.significant(confidence) for row in comparison.rows]


def counted(queries: int) -> str:
    return f"{queries} query" if queries == 1 else f"{queries} queries"


def _level(judges: str) -> str:
    return "items" if judges == "item" else "entities"
