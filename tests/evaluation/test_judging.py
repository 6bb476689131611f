"""Slices, evaluations, comparisons and gates."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.evaluation.worlds import MARKETS, chance, golden_of, run_of
from trichord.errors import InvalidInput
from trichord.evaluation.comparing import compare
from trichord.evaluation.evaluating import Evaluation, Settings, evaluate
from trichord.evaluation.gate import Requirement, judge, no_loss
from trichord.evaluation.measures import Measure, parse_all
from trichord.evaluation.slices import slices_of, with_head_and_tail
from trichord.evaluation.statistics import holm, paired

FAST = Settings(resamples=1_000)
TWO = parse_all(["ndcg@10", "recall@10"])


def pair(seed: int = 0) -> tuple[Evaluation, Evaluation]:
    golden, first, second = chance(seed)
    return (
        evaluate(golden, first, TWO, settings=FAST),
        evaluate(golden, second, TWO, settings=FAST),
    )


def test_slices_are_the_means_of_their_queries() -> None:
    evaluation, _ = pair()
    names = [str(row.part) for row in evaluation.rows]
    assert names == ["all", "market=SE", "market=DE", "market=JP", "language=en", "language=sv"]
    for column, value in (("market", "DE"), ("language", "sv")):
        rows = [
            place
            for place, query in enumerate(evaluation.golden.queries)
            if query.slices[column] == value
        ]
        row = evaluation.row[column, value]
        assert row.queries == len(rows)
        for place, interval in enumerate(row.intervals):
            assert interval.value == pytest.approx(evaluation.values[rows, place].mean())
            assert interval.low < interval.value < interval.high
    counts = [evaluation.row["market", one].queries for one in MARKETS]
    assert sum(counts) == len(evaluation.golden.queries)


def test_columns_that_tell_nothing_apart_are_left_out() -> None:
    cells = {f"q{n}": {"same": "x", "unique": str(n), "half": str(n % 2)} for n in range(60)}
    cells["q0"].pop("half")
    golden = golden_of({query: {"a": 1} for query in cells}, columns=cells)
    assert [str(part) for part in slices_of(golden)] == ["all", "half=1", "half=0", "half=(none)"]
    assert len(slices_of(golden, ["unique"])) == 61
    assert [str(part) for part in slices_of(golden, ["same"], ["asked_with"])][1:] == [
        "same=x", "asked_with=text",
    ]  # fmt: skip
    with pytest.raises(InvalidInput, match="has no column 'city'; it has"):
        slices_of(golden, ["city"])


def test_head_and_tail() -> None:
    """Ten things; the top 20 % are a and b."""
    popularity = {name: float(10 - place) for place, name in enumerate("abcdefghij")}
    golden = golden_of(
        {"head": {"a": 1, "z": 0}, "both": {"b": 1, "c": 2}, "tail": {"c": 1}, "new": {"zz": 1}}
    )
    cut = with_head_and_tail(golden, popularity)
    assert {q.query_id: q.slices["head_tail"] for q in cut.queries} == {
        "head": "head", "both": "mixed", "tail": "tail", "new": "tail",
    }  # fmt: skip
    with pytest.raises(InvalidInput):
        with_head_and_tail(golden, {})
    with pytest.raises(InvalidInput):
        with_head_and_tail(golden, popularity, top=1.0)


def test_worst_queries_say_what_was_found_and_expected() -> None:
    golden = golden_of({"good": {"a": 1}, "bad": {"a": 2, "b": 1, "x": 0}, "lost": {"a": 1}})
    run = run_of({"good": ["a"], "bad": ["x", "y", "b"], "lost": []})
    evaluation = evaluate(golden, run, parse_all(["mrr"]), settings=FAST)
    lost, bad = evaluation.worst(2)
    assert (lost.query_id, lost.value, lost.found) == ("lost", 0.0, ())
    assert (bad.query_id, bad.value) == ("bad", pytest.approx(1 / 3))
    assert bad.found == (("x", 0), ("y", None), ("b", 1))
    assert bad.expected == (("a", 2, None), ("b", 1, 3))
    assert evaluation.judged == pytest.approx((1 + 2 / 3) / 2)  # of the queries with results


def test_in_a_complete_set_what_is_not_listed_is_wrong() -> None:
    golden = replace(golden_of({"q": {"a": 1}}), complete=True)
    evaluation = evaluate(golden, run_of({"q": ["x", "a"]}), parse_all(["mrr"]), settings=FAST)
    assert evaluation.worst(1)[0].found == (("x", 0), ("a", 1))
    assert evaluation.judged == 1.0


def test_the_report_is_plain_json() -> None:
    evaluation, _ = pair()
    report = json.loads(json.dumps(evaluation.to_dict()))
    assert report["slices"][0]["measures"]["ndcg@10"]["value"] == pytest.approx(
        evaluation.overall(TWO[0]).value
    )
    assert len(report["queries"]) == 40
    assert report["golden"]["sha256"] == evaluation.golden.sha256


def test_clusters_of_a_column() -> None:
    golden, run, _ = chance(1)
    free = evaluate(golden, run, TWO, settings=FAST)
    bound = evaluate(golden, run, TWO, settings=Settings(resamples=1_000, cluster="market"))
    assert bound.overall(TWO[0]).value == free.overall(TWO[0]).value
    assert bound.overall(TWO[0]) != free.overall(TWO[0])
    assert {row.part.column for row in bound.rows} == {"", "language"}
    with pytest.raises(InvalidInput, match="no column 'planet'"):
        evaluate(golden, run, TWO, settings=Settings(cluster="planet"))


def test_comparison_is_paired_and_corrected() -> None:
    first, second = pair()
    found = compare([first, second])
    assert len(found.rows) == 6 * 2
    by_hand = []
    for row in found.rows:
        a, b = first.column(row.measure)[row.part.rows], second.column(row.measure)[row.part.rows]
        by_hand.append(paired(a[:, None], b[:, None], resamples=1_000, tries=4_800)[0].p)
        assert row.difference.interval.value == pytest.approx((b - a).mean())
        assert row.value - row.baseline_value == pytest.approx((b - a).mean())
        assert row.difference.better == (b > a).sum()
    assert [row.difference.p for row in found.rows] == by_hand
    assert [row.p_holm for row in found.rows] == holm(by_hand)
    assert found.rows[0].significant(0.95) and found.rows[0].difference.interval.low > 0
    json.dumps(found.to_dict())


def test_only_runs_of_one_golden_set_are_compared() -> None:
    first, _ = pair(0)
    other, _ = pair(1)
    with pytest.raises(InvalidInput, match="only runs of one golden set"):
        compare([first, other])
    with pytest.raises(InvalidInput, match="at least one other"):
        compare([first])
    less = evaluate(first.golden, first.run, TWO[:1], settings=FAST)
    with pytest.raises(InvalidInput, match="same measures"):
        compare([first, less])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ndcg@10>=0.6", ("ndcg@10", ">=", 0.6, "value", "", "all")),
        (" nDCG@10 > .6 ", ("ndcg@10", ">", 0.6, "value", "", "all")),
        ("ndcg@10[market=SE]>=0.5", ("ndcg@10", ">=", 0.5, "value", "market", "SE")),
        ("lower(ndcg@10)>=0.55", ("ndcg@10", ">=", 0.55, "lower", "", "all")),
        ("upper( p@5[a b=x = y] ) < 1e-1", ("p@5", "<", 0.1, "upper", "a b", "x = y")),
        (
            "recall(rel=2)@10[market='SE']<=1",
            ("recall(rel=2)@10", "<=", 1, "value", "market", "SE"),
        ),
        ("lower(recall(rel=2)@10)>=0", ("recall(rel=2)@10", ">=", 0, "lower", "", "all")),
        ("map[genre=a>b]>=0.1", ("map", ">=", 0.1, "value", "genre", "a>b")),
    ],
)
def test_requirements_as_they_are_typed(text: str, expected: tuple[object, ...]) -> None:
    found = Requirement.parse(text)
    seen = (
        str(found.measure), found.sign, found.threshold, found.bound, found.column, found.value,
    )  # fmt: skip
    assert seen == expected


@pytest.mark.parametrize(
    "text",
    ["", "ndcg@10", ">=0.5", "ndcg@10>=", "ndcg@10>=high", "ndcg@10=0.5", "ndcg@10[market]>=0.5",
     "middle(ndcg@10)>=0.5", "lower ndcg@10>=0.5", "accuracy>=1", "ndcg@10>=nan", "ndcg@10=>0.5"],
)  # fmt: skip
def test_what_is_no_requirement(text: str) -> None:
    with pytest.raises(InvalidInput):
        Requirement.parse(text)


def test_verdicts() -> None:
    evaluation, _ = pair()
    interval = evaluation.overall(TWO[0])
    market = evaluation.row["market", "SE"].intervals[0]

    def passed(text: str) -> bool:
        (verdict,) = judge(evaluation, [Requirement.parse(text)])
        assert verdict.line.startswith("met: " if verdict.passed else "NOT MET: ")
        return verdict.passed

    assert passed(f"ndcg@10>={interval.value - 0.001}")
    assert not passed(f"ndcg@10>={interval.value + 0.001}")
    assert not passed(f"lower(ndcg@10)>={interval.value - 0.001}")
    assert passed(f"lower(ndcg@10)>={interval.low - 0.001}")
    assert passed(f"upper(ndcg@10)>={interval.value + 0.001}")
    assert passed(f"ndcg@10[market=SE]<{market.value + 1e-9}")
    assert not passed(f"ndcg@10[market=SE]<{market.value - 1e-9}")
    with pytest.raises(InvalidInput, match="was not evaluated"):
        passed("ndcg@10[market=XX]>=0.1")
    with pytest.raises(InvalidInput, match="was not measured"):
        passed("map>=0.1")


def test_no_significant_loss() -> None:
    first, second = pair()
    assert all(verdict.passed for verdict in no_loss(second, first))
    worse = no_loss(first, second)
    assert [verdict.passed for verdict in worse] == [False, False]
    assert "NOT MET" in worse[0].line
    assert all(verdict.passed for verdict in no_loss(first, second, max_loss=0.9))
    assert all(verdict.passed for verdict in no_loss(first, first))
    with pytest.raises(InvalidInput):
        no_loss(first, second, max_loss=-0.1)


def test_a_small_loss_within_the_noise_is_no_failure() -> None:
    rng = np.random.default_rng(3)
    queries = [f"q{number}" for number in range(20)]
    golden = golden_of({query: {"a": 1} for query in queries})

    def run(places: list[int]) -> Evaluation:
        lists = {
            query: [f"x{other}" for other in range(place)] + ["a"]
            for query, place in zip(queries, places, strict=True)
        }
        return evaluate(golden, run_of(lists), [Measure("mrr")], settings=FAST)

    base = [int(one) for one in rng.integers(0, 4, 20)]
    one_worse = [base[0] + 1, *base[1:]]
    (verdict,) = no_loss(run(one_worse), run(base))
    assert verdict.measured < 0 and verdict.passed
