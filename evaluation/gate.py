"""Requirements that a run must meet, as one types them, and no significant loss against another.

ndcg@10>=0.6                  the mean over all queries
ndcg@10[market=SE]>=0.5       the mean over a slice
lower(ndcg@10)>=0.55          the lower end of its confidence interval
upper(judged@10[modality=audio])<0.9
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from trichord.errors import InvalidInput
from trichord.evaluation.comparing import compare
from trichord.evaluation.evaluating import Evaluation
from trichord.evaluation.measures import Measure
from trichord.evaluation.slices import ALL

Bound = Literal["value", "lower", "upper"]

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}

_WRITTEN = re.compile(
    r"""\s*(?:(?P<bound>lower|upper)\s*\(\s*(?P<inner>.+?)\s*\)|(?P<plain>.+?))
        \s*(?P<sign>>=|<=|>|<)\s*(?P<number>[^<>=]+?)\s*""",
    re.X | re.I,
)
_SLICED = re.compile(r"(?P<measure>[^\[\]]+?)\s*(?:\[(?P<column>[^=\[\]]+)=(?P<value>.*)\])?")


@dataclass(frozen=True)
class Requirement:
    """`bound` of `measure` over a slice compared with `threshold`."""

    text: str
    measure: Measure
    sign: str
    threshold: float
    bound: Bound = "value"
    column: str = ""
    value: str = ALL

    @classmethod
    def parse(cls, text: str) -> Requirement:
        """Raises InvalidInput that says what of the text cannot be read."""
        match = _WRITTEN.fullmatch(text)
        if match is None:
            raise InvalidInput(
                f'the requirement {text!r} cannot be read: write it as "ndcg@10>=0.6", '
                '"ndcg@10[market=SE]>=0.5" or "lower(ndcg@10)>=0.55"'
            )
        sliced = _SLICED.fullmatch(match["inner"] or match["plain"])
        if sliced is None:
            raise InvalidInput(
                f"the slice in {text!r} cannot be read: write it as ndcg@10[market=SE]"
            )
        try:
            threshold = float(match["number"])
        except ValueError:
            raise InvalidInput(f"{match['number']!r} in {text!r} is no number") from None
        if threshold != threshold:
            raise InvalidInput(f"{text!r} compares with no number")
        bound: Bound = "value"
        if match["bound"]:
            bound = "lower" if match["bound"].lower() == "lower" else "upper"
        column, value = "", ALL
        if sliced["column"] is not None:
            column, value = sliced["column"].strip(), sliced["value"].strip().strip("'\"")
        measure = Measure.parse(sliced["measure"])
        return cls(text.strip(), measure, match["sign"], threshold, bound, column, value)


def columns(requirements: Sequence[Requirement]) -> list[str]:
    """The slice columns that they speak of."""
    return list(dict.fromkeys(one.column for one in requirements if one.column))


@dataclass(frozen=True)
class Verdict:
    """One requirement, what was measured, whether it is met, and a line that says so."""

    requirement: str
    measured: float
    passed: bool
    line: str

    def to_dict(self) -> dict[str, Any]:
        return {
            "requirement": self.requirement,
            "measured": self.measured,
            "passed": self.passed,
            "line": self.line,
        }


def judge(evaluation: Evaluation, requirements: Sequence[Requirement]) -> list[Verdict]:
    """A verdict for each; raises InvalidInput for a measure or slice that was not evaluated."""
    verdicts = []
    for wanted in requirements:
        row = evaluation.row.get((wanted.column, wanted.value))
        if row is None:
            known = ", ".join(str(one.part) for one in evaluation.rows)
            raise InvalidInput(
                f"{wanted.text!r} names a slice that was not evaluated; there are {known}"
            )
        interval = row.intervals[evaluation.place(wanted.measure)]
        measured = {"value": interval.value, "lower": interval.low, "upper": interval.high}
        number = measured[wanted.bound]
        passed = OPERATORS[wanted.sign](number, wanted.threshold)
        count = f"{row.queries} {'query' if row.queries == 1 else 'queries'}"
        end = "" if wanted.bound == "value" else f"{wanted.bound} end {number:.4f} of "
        line = f"{'met' if passed else 'NOT MET'}: {wanted.text} ({end}{interval} over {count})"
        verdicts.append(Verdict(wanted.text, number, passed, line))
    return verdicts


def no_loss(
    evaluation: Evaluation, baseline: Evaluation, *, max_loss: float = 0.0
) -> list[Verdict]:
    """A verdict per measure over all queries: not met where the paired difference to the baseline
    is significantly below -`max_loss` (one-sided randomisation test, Holm over the measures).

    That no loss was proven is no proof that there is none: the line says how great it may be.
    """
    if not 0 <= max_loss < 1:
        raise InvalidInput(f"the greatest loss is 0 or more and below 1, not {max_loss}")
    found = compare([baseline, evaluation], sliced=False, alternative="less", margin=-max_loss)
    verdicts = []
    for row in found.rows:
        lost = row.significant(evaluation.settings.confidence)
        interval = row.difference.interval
        text = f"{row.measure} loses at most {max_loss:g} against {baseline.run.name}"
        line = (
            f"{'NOT MET' if lost else 'met'}: {text} ({row.baseline_value:.4f} -> {row.value:.4f}, "
            f"difference {interval.value:+.4f} [{interval.low:+.4f}, {interval.high:+.4f}], "
            f"p {row.p_holm:.4f} for a greater loss)"
        )
        verdicts.append(Verdict(text, interval.value, not lost, line))
    return verdicts
