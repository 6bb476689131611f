"""What the approximate index loses against exact search: apart from relevance, on real queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from trichord.errors import InvalidInput
from trichord.evaluation.evaluating import Settings
from trichord.evaluation.golden import GoldenSet
from trichord.evaluation.measures import F64
from trichord.evaluation.running import Advance, Searcher, run, searchable
from trichord.evaluation.runs import Found, Run
from trichord.evaluation.statistics import Interval, mean_intervals
from trichord.types import Modality

TIE = 1e-6
"""Cosines this close are one: which of equal neighbours comes back is no matter of recall."""


@dataclass(frozen=True)
class AnnRow:
    """One modality: recall@k with its interval, the share of queries that lost nothing, and the
    query that lost most."""

    modality: str
    queries: int
    recall: Interval
    complete: float
    worst_query: str
    worst_recall: float


@dataclass(frozen=True)
class AnnReport:
    k: int
    space: str
    rows: tuple[AnnRow, ...]
    errors: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def ann_recall(
    searcher: Searcher,
    golden: GoldenSet,
    *,
    space: str | None = None,
    k: int = 10,
    modalities: Sequence[str] = (),
    settings: Settings | None = None,
    on_progress: Advance | None = None,
) -> AnnReport:
    """Recall@k of the index against `exact=True`, per modality (every one has an index of its own),
    over the golden set's queries. Judgements play no part.

    `modalities` empty takes those that the queries name, or all. A hit counts if exact search has
    it among its first k, or if its cosine reaches that of exact search's last. Queries that find
    nothing exactly, and those that fail, are left out and the latter listed.
    """
    chosen = settings or Settings()
    named = dict.fromkeys(one for query in golden.queries for one in query.modality)
    wanted = list(modalities) or list(named) or searchable(searcher, space)
    unknown = [one for one in wanted if one not in set(Modality)]
    if unknown:
        known = ", ".join(Modality)
        raise InvalidInput(f"unknown modality {', '.join(unknown)}: choose from {known}")
    rows: list[AnnRow] = []
    errors: dict[str, str] = {}
    total = 2 * len(wanted) * len(golden.queries)
    before = 0

    def advance(done: int, _: int) -> None:
        if on_progress is not None:
            on_progress(before + done, total)

    used = ""
    for modality in wanted:
        runs: list[Run] = []
        for exact in (True, False):
            runs.append(
                run(
                    searcher,
                    golden,
                    space=space,
                    k=k,
                    exact=exact,
                    modality=modality,
                    on_progress=advance,
                )
            )
            before += len(golden.queries)
        failed = {**runs[0].errors, **runs[1].errors}
        errors |= failed
        used = str(runs[0].facts["space"])
        ids = [one for one in runs[0].lists if runs[0].lists[one].ids and one not in failed]
        if not ids:
            continue
        shares: F64 = np.array([share(runs[0].lists[i], runs[1].lists[i], k) for i in ids])
        least = int(shares.argmin())
        rows.append(
            AnnRow(
                modality,
                len(ids),
                mean_intervals(
                    shares[:, None],
                    method=chosen.method,
                    confidence=chosen.confidence,
                    resamples=chosen.resamples,
                    seed=chosen.seed,
                )[0],
                float((shares >= 1.0).mean()),
                ids[least],
                float(shares[least]),
            )
        )
    return AnnReport(k, used, tuple(rows), errors)


def share(exact: Found, approximate: Found, k: int) -> float:
    """Of what exact search found in k places, how much the other list has, ties forgiven.

    Both lists are of one modality, so their scores are comparable cosines."""
    truth = set(exact.ids[:k])
    last = min(exact.scores[:k]) - TIE
    right = sum(
        one in truth or score >= last
        for one, score in zip(approximate.ids[:k], approximate.scores[:k], strict=True)
    )
    return min(1.0, right / len(truth))
