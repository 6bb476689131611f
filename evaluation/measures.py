"""Measures of ranked lists, computed by trec_eval's own code (ir_measures over pytrec_eval).

| written | measure |
|---|---|
| `ndcg@10`, `ndcg` | gain = grade, discount log2(rank + 1), over the ideal order of all judged |
| `recall@10` | relevant ones in the first 10 / all relevant |
| `p@5` | relevant ones in the first 5 / 5, also where fewer were found |
| `map`, `map@100` | mean over all relevant of the precision at their ranks (0 if not found) |
| `mrr`, `mrr@10` | 1 / rank of the first relevant one, 0 if there is none |
| `success@1` | whether a relevant one is among the first k |
| `judged@10` | share of the first results that are judged at all |

What is not judged counts as not relevant; every query of the golden set counts, with 0 where
nothing was found (trec_eval's `-c`). `(rel=2)` before the `@` asks for grades of at least 2.
trec_eval sorts by score and then by id; it is given scores made of the ranks, so that the order
that was shown is the order that is judged, also of fused lists whose cosines do not descend.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trichord.errors import InvalidInput, MissingExtra
from trichord.evaluation.golden import GoldenSet
from trichord.evaluation.runs import EXACT_SCORES, Run

F64 = npt.NDArray[np.float64]

NAMES = {
    "ndcg": "ndcg", "recall": "recall", "r": "recall", "precision": "p", "p": "p",
    "map": "map", "ap": "map", "mrr": "mrr", "rr": "mrr", "success": "success", "hit": "success",
    "judged": "judged",
}  # fmt: skip
CUT = ("recall", "p", "success", "judged")
"""These mean nothing without a cutoff."""

_WRITTEN = re.compile(r"([a-z]+)(?:\(rel=(\d+)\))?(?:@(\d+))?", re.I)


@dataclass(frozen=True, order=True)
class Measure:
    """`kind` is one of ndcg, recall, p, map, mrr, success, judged; `cutoff` None is the whole list;
    `rel` is the least grade that counts as relevant."""

    kind: str
    cutoff: int | None = None
    rel: int = 1

    def __str__(self) -> str:
        rel = f"(rel={self.rel})" if self.rel != 1 else ""
        return f"{self.kind}{rel}" + (f"@{self.cutoff}" if self.cutoff is not None else "")

    @classmethod
    def parse(cls, text: str) -> Measure:
        """`ndcg@10`, `recall@100`, `p@5`, `mrr`, `map`, `success@1`, `recall(rel=2)@10`; raises
        InvalidInput."""
        match = _WRITTEN.fullmatch(text.strip())
        kind = NAMES.get(match[1].lower()) if match else None
        if match is None or kind is None:
            raise InvalidInput(
                f"there is no measure {text!r}: write one of ndcg@10, recall@10, p@5, mrr, map, "
                "success@1, judged@10"
            )
        cutoff = None if match[3] is None else int(match[3])
        if cutoff == 0 or (cutoff is None and kind in CUT):
            raise InvalidInput(f"{text!r} needs a cutoff of 1 or more: {kind}@10")
        rel = 1 if match[2] is None else int(match[2])
        if rel < 1 or (rel != 1 and kind in ("ndcg", "judged")):
            raise InvalidInput(f"{text!r}: {kind} takes no such least grade")
        return cls(kind, cutoff, rel)


DEFAULT = tuple(Measure.parse(one) for one in ("ndcg@10", "recall@10", "p@10", "mrr", "map"))


def parse_all(texts: Sequence[str]) -> tuple[Measure, ...]:
    """The measures written, each once; the usual ones if none is."""
    return tuple(dict.fromkeys(Measure.parse(text) for text in texts)) or DEFAULT


def per_query(measures: Sequence[Measure], golden: GoldenSet, run: Run) -> F64:
    """float64 (queries, measures) in the golden set's order of queries.

    Raises InvalidInput where a measure looks deeper than the run goes, or the run is of another
    golden set; MissingExtra without ir_measures.
    """
    check(measures, golden, run)
    place = {query.query_id: row for row, query in enumerate(golden.queries)}
    values = np.zeros((len(place), len(measures)), np.float64)
    batches: dict[tuple[int, int | None, bool], list[int]] = {}
    for column, measure in enumerate(measures):
        # The reciprocal rank has no cutoff in trec_eval: the list is cut instead.
        cut = measure.cutoff if measure.kind == "mrr" else None
        batches.setdefault((measure.rel, cut, measure.kind == "judged"), []).append(column)
    for (rel, cut, _), columns in batches.items():
        provider, wanted = _provider([measures[column] for column in columns])
        qrels = {
            query: {target: _graded(grade, rel) for target, grade in grades.items()}
            for query, grades in golden.judgements.items()
        }
        lists = {
            query: by_rank(run.lists[query].ids[:cut])
            for query in place
            if query in run.lists and run.lists[query].ids
        }
        number = {measure: column for measure, column in zip(wanted, columns, strict=True)}
        for metric in provider.evaluator(wanted, qrels).iter_calc(lists):
            values[place[metric.query_id], number[metric.measure]] = metric.value
    return values


def by_rank(ids: Sequence[str]) -> dict[str, float]:
    """Scores that fall by one from place to place: no ties, exact as 32-bit floats."""
    if len(ids) >= EXACT_SCORES:
        raise InvalidInput(f"a list of {len(ids)} results is too long to be judged")
    return {one: float(len(ids) - place) for place, one in enumerate(ids)}


def check(measures: Sequence[Measure], golden: GoldenSet, run: Run) -> None:
    """Raises InvalidInput where the values would mislead."""
    if run.golden_sha256 and run.golden_sha256 != golden.sha256:
        of = run.facts["golden"]
        raise InvalidInput(
            f"the run {run.name!r} answers {of['name']} v{of['version']}, not {golden.label}"
        )
    if not any(query.query_id in run.lists for query in golden.queries):
        raise InvalidInput(f"the run {run.name!r} has none of the queries of {golden.label}")
    if run.facts.get("source") == "trec":
        return  # nobody knows how many were asked for; trec_eval takes shorter lists as they are
    deep = [str(m) for m in measures if m.cutoff is not None and m.cutoff > run.depth]
    if deep:
        raise InvalidInput(
            f"the run {run.name!r} holds {run.depth} results per query: too few for "
            f"{', '.join(deep)}; ask with a greater k"
        )


def _graded(grade: int, rel: int) -> int:
    """pytrec_eval counts all grades > 0 as relevant in recall whatever the least grade is, so the
    judgements are made binary here instead."""
    return grade if rel == 1 else int(grade >= rel)


def _provider(measures: Sequence[Measure]) -> tuple[Any, list[Any]]:
    try:
        import ir_measures as ir
        import pytrec_eval  # noqa: F401 (ir_measures would fall back to other code without it)
    except ModuleNotFoundError as error:
        package = (error.name or "ir_measures").replace("_", "-")
        raise MissingExtra(package, "evaluation") from None
    made = {
        "ndcg": ir.nDCG, "recall": ir.R, "p": ir.P, "map": ir.AP, "mrr": ir.RR,
        "success": ir.Success, "judged": ir.Judged,
    }  # fmt: skip
    wanted = []
    for measure in measures:
        cut = measure.cutoff is not None and measure.kind != "mrr"
        wanted.append(made[measure.kind] @ measure.cutoff if cut else made[measure.kind])
    return (ir.judged if measures[0].kind == "judged" else ir.pytrec_eval), wanted
