"""Two spaces (or aliases) of one catalogue, asked the same: what would a switch change?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from trichord.evaluation.comparing import Comparison, compare
from trichord.evaluation.evaluating import Evaluation, Settings, evaluate, golden_facts, run_facts
from trichord.evaluation.gate import Requirement, Verdict, columns, judge, no_loss
from trichord.evaluation.golden import GoldenSet
from trichord.evaluation.measures import DEFAULT, Measure
from trichord.evaluation.running import Advance, Searcher, run, searchable
from trichord.evaluation.runs import Found

NEIGHBOURS = 10


@dataclass(frozen=True)
class Overlap:
    """How alike the first `k` results of both spaces are, per modality, as means over the queries
    that found something in either: `overlap` = shared / k (of the longer list, where both are
    shorter), `jaccard` = shared / together, `same_first` = share with an equal first result."""

    modality: str
    queries: int
    k: int
    overlap: float
    jaccard: float
    same_first: float


@dataclass(frozen=True)
class ShadowReport:
    """`passed`: every requirement is met by the candidate and no measure loses significantly more
    than allowed."""

    live: Evaluation
    candidate: Evaluation
    comparison: Comparison
    overlaps: tuple[Overlap, ...]
    verdicts: tuple[Verdict, ...]

    @property
    def passed(self) -> bool:
        return all(verdict.passed for verdict in self.verdicts)

    @property
    def snapshot(self) -> int | None:
        """The oldest snapshot that the candidate's answers rest on; None if nothing was found."""
        return min(self.candidate.run.facts["snapshots"], default=None)

    def summary(self) -> dict[str, Any]:
        """Plain values for JSON, to be kept with the migration: no values of single queries."""
        compared = self.comparison.to_dict()
        return {
            "passed": self.passed,
            "golden": golden_facts(self.live.golden),
            "live": _shown(self.live),
            "candidate": _shown(self.candidate),
            "settings": asdict(self.live.settings),
            "tests": compared["tests"],
            "differences": compared["differences"],
            "overlap": [asdict(one) for one in self.overlaps],
            "verdicts": [verdict.to_dict() for verdict in self.verdicts],
        }


def shadow(
    searcher: Searcher,
    golden: GoldenSet,
    *,
    candidate: str,
    live: str | None = None,
    measures: Sequence[Measure] = DEFAULT,
    requirements: Sequence[Requirement] = (),
    max_loss: float = 0.0,
    k: int = 100,
    exact: bool = False,
    modalities: Sequence[str] = (),
    slices: Sequence[str] | None = None,
    settings: Settings | None = None,
    on_progress: Advance | None = None,
) -> ShadowReport:
    """Runs the golden set in both spaces (`live` None: the default one) and compares.

    Differences are candidate - live, Holm-corrected over measures and slices. The verdicts are the
    requirements on the candidate and, per measure, that it loses not significantly more than
    `max_loss`. `modalities` are those of the overlap; empty takes what the queries name, or else
    all that the candidate searches. Raises what `run` and `evaluate` raise.
    """
    chosen = settings or Settings()
    wanted = tuple(dict.fromkeys((*measures, *(one.measure for one in requirements))))
    named = dict.fromkeys(one for query in golden.queries for one in query.modality)
    compared = list(modalities) or list(named) or searchable(searcher, candidate)
    total = 2 * (1 + len(compared)) * len(golden.queries)
    before = 0

    def advance(done: int, _: int) -> None:
        if on_progress is not None:
            on_progress(before + done, total)

    evaluations = []
    for space, name in ((live, "live"), (candidate, "candidate")):
        answered = run(
            searcher,
            golden,
            space=space,
            k=k,
            exact=exact,
            name=f"{name} ({space})" if space else name,
            on_progress=advance,
        )
        before += len(golden.queries)
        evaluations.append(
            evaluate(
                golden,
                answered,
                wanted,
                slices=slices,
                also=columns(requirements),
                settings=chosen,
            )
        )
    overlaps = []
    for modality in compared:
        lists = []
        for space in (live, candidate):
            lists.append(
                run(
                    searcher,
                    golden,
                    space=space,
                    k=NEIGHBOURS,
                    exact=exact,
                    modality=modality,
                    on_progress=advance,
                ).lists
            )
            before += len(golden.queries)
        overlaps.append(overlap(modality, lists[0], lists[1]))
    old, new = evaluations
    verdicts = (*judge(new, requirements), *no_loss(new, old, max_loss=max_loss))
    return ShadowReport(old, new, compare([old, new]), tuple(overlaps), verdicts)


def overlap(
    modality: str, live: Mapping[str, Found], candidate: Mapping[str, Found], k: int = NEIGHBOURS
) -> Overlap:
    """Of two runs over the same queries."""
    shared, jaccard, first = [], [], []
    for query, found in live.items():
        a, b = found.ids[:k], candidate[query].ids[:k]
        if not a and not b:
            continue
        both = len(set(a) & set(b))
        shared.append(both / max(len(a), len(b)))
        jaccard.append(both / len(set(a) | set(b)))
        first.append(a[:1] == b[:1])
    if not shared:
        return Overlap(modality, 0, k, 0.0, 0.0, 0.0)
    means = [float(np.mean(one)) for one in (shared, jaccard, first)]
    return Overlap(modality, len(shared), k, *means)


def _shown(evaluation: Evaluation) -> dict[str, Any]:
    report = evaluation.to_dict(worst=0, queries=False)
    return {
        "run": run_facts(evaluation.run),
        "judged@10": report["judged@10"],
        "slices": report["slices"],
    }
