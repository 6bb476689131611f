"""Measures against published reference values, trec_eval's own code and sums done by hand."""

from __future__ import annotations

from math import log2

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evaluation.worlds import chance, golden_of, run_of
from trichord.errors import InvalidInput
from trichord.evaluation.measures import Measure, by_rank, parse_all, per_query
from trichord.evaluation.runs import Found, Run


def values(measures: str, golden: object, run: Run) -> list[float]:
    chosen = [Measure.parse(one) for one in measures.split()]
    return list(per_query(chosen, golden, run).mean(axis=0))  # type: ignore[arg-type]


def test_published_example_of_pytrec_eval() -> None:
    """The example in pytrec_eval's README (Van Gysel and de Rijke, SIGIR 2018), with the values
    that it prints: q1 is ranked d3 d1 d2 and d2 answers it, so AP = 1/3 and nDCG = 1/log2(4); q2 is
    ranked d1 d3 d2 and d2, d3 answer it: AP = (1/2 + 2/3) / 2, nDCG = (1/log2(3) + 1/2) / ideal."""
    golden = golden_of({"q1": {"d1": 0, "d2": 1, "d3": 0}, "q2": {"d2": 1, "d3": 1}})
    run = run_of({"q1": ["d3", "d1", "d2"], "q2": ["d1", "d3", "d2"]})
    found = per_query([Measure.parse("map"), Measure.parse("ndcg")], golden, run)
    published = [[0.3333333333333333, 0.5], [0.5833333333333333, 0.6934264036172708]]
    np.testing.assert_allclose(found, published, atol=1e-12, rtol=0)
    ideal = 1 + 1 / log2(3)
    assert found[1, 1] == pytest.approx((1 / log2(3) + 1 / 2) / ideal, abs=1e-12)


def test_published_example_of_ir_measures() -> None:
    """The graded example in ir_measures' README with the values that it prints."""
    golden = golden_of({"Q0": {"D0": 0, "D1": 1}, "Q1": {"D0": 0, "D3": 2}})
    run = run_of({"Q0": ["D0", "D1"], "Q1": ["D3", "D0"]})
    found = values("map ndcg mrr ndcg@10 p(rel=2)@10", golden, run)
    published = [0.75, 0.8154648767857288, 0.75, 0.8154648767857288, 0.05]
    assert found == pytest.approx(published, abs=1e-12)


def test_graded_by_hand() -> None:
    """Ranked: 1, not judged, 3, 0, 2; not found: a 1. Gain is the grade itself, not 2^grade - 1."""
    golden = golden_of({"q": {"a": 1, "c": 3, "d": 0, "e": 2, "z": 1}})
    run = run_of({"q": ["a", "b", "c", "d", "e"]})
    dcg = 1 / log2(2) + 3 / log2(4) + 2 / log2(6)
    ideal = 3 / log2(2) + 2 / log2(3) + 1 / log2(4) + 1 / log2(5)
    ideal3 = 3 / log2(2) + 2 / log2(3) + 1 / log2(4)
    by_hand = {
        "ndcg": dcg / ideal,
        "ndcg@3": (1 + 3 / 2) / ideal3,
        "map": (1 / 1 + 2 / 3 + 3 / 5) / 4,
        "map@3": (1 / 1 + 2 / 3) / 4,
        "mrr": 1.0,
        "mrr(rel=2)": 1 / 3,
        "mrr(rel=2)@2": 0.0,
        "mrr(rel=2)@3": 1 / 3,
        "recall@3": 2 / 4,
        "recall(rel=2)@3": 1 / 2,  # pytrec_eval itself would divide by 4
        "p@3": 2 / 3,
        "p@10": 3 / 10,
        "p(rel=3)@5": 1 / 5,
        "success@1": 1.0,
        "success(rel=3)@2": 0.0,
        "judged@2": 1 / 2,
        "judged@5": 4 / 5,
        "judged@10": 4 / 5,
    }
    found = values(" ".join(by_hand), golden, run)
    assert dict(zip(by_hand, found, strict=True)) == pytest.approx(by_hand, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_the_c_code(seed: int) -> None:
    golden, first, _ = chance(seed)
    names = {
        "ndcg@10": "ndcg_cut_10", "ndcg": "ndcg", "recall@10": "recall_10", "p@5": "P_5",
        "map": "map", "map@20": "map_cut_20", "mrr": "recip_rank", "success@5": "success_5",
    }  # fmt: skip
    run = {q: {one: 1.0 / (5 + n) for n, one in enumerate(f.ids)} for q, f in first.lists.items()}
    qrels = {q: dict(grades) for q, grades in golden.judgements.items()}
    reference = pytrec_eval.RelevanceEvaluator(qrels, set(names.values())).evaluate(run)
    found = per_query([Measure.parse(one) for one in names], golden, first)
    expected = [[reference[q.query_id][n] for n in names.values()] for q in golden.queries]
    np.testing.assert_allclose(found, expected, atol=1e-9, rtol=0)


def test_the_order_shown_is_the_order_judged() -> None:
    """A fused list: its cosines do not descend, and two are equal. Given these scores, trec_eval
    would put b before a; what people saw was a first."""
    golden = golden_of({"q": {"a": 1}})
    shown = Found(("a", "b", "c"), (0.2, 0.9, 0.2))
    run = Run("fused", {"q": shown}, 10)
    trap = pytrec_eval.RelevanceEvaluator({"q": {"a": 1}}, {"recip_rank"})
    by_score = trap.evaluate({"q": dict(zip(shown.ids, shown.scores, strict=True))})
    assert by_score["q"]["recip_rank"] == pytest.approx(1 / 3)  # the trap is real
    assert values("mrr ndcg@1 p@1", golden, run) == [1.0, 1.0, 1.0]
    equal = Run("equal", {"q": Found(("a", "b", "c"), (0.5, 0.5, 0.5))}, 10)
    assert values("mrr", golden, equal) == [1.0]  # ties by id would give 1/3


@settings(deadline=None, max_examples=40)
@given(st.permutations(range(12)), st.lists(st.integers(0, 3), min_size=12, max_size=12))
def test_reciprocal_rank_and_recall_of_any_order(order: list[int], grades: list[int]) -> None:
    grades = [*grades[:11], 1]
    golden = golden_of({"q": {f"d{place}": grade for place, grade in enumerate(grades)}})
    run = run_of({"q": [f"d{place}" for place in order]})
    ranked = [grades[place] for place in order]
    first = next(rank for rank, grade in enumerate(ranked, 1) if grade)
    inside = sum(grade > 0 for grade in ranked[:5])
    total = sum(grade > 0 for grade in grades)
    found = values("mrr recall@5 p@5", golden, run)
    assert found == pytest.approx([1 / first, inside / total, inside / 5], abs=1e-12)


def test_queries_without_results_count_as_zero() -> None:
    golden = golden_of({"a": {"x": 1}, "b": {"x": 1}, "c": {"x": 1}, "d": {"x": 1}})
    run = run_of({"a": ["x"], "b": []})
    found = per_query([Measure.parse("map"), Measure.parse("judged@5")], golden, run)
    assert found.tolist() == [[1, 1], [0, 0], [0, 0], [0, 0]]


def test_other_queries_of_the_run_do_not_count() -> None:
    run = run_of({"a": ["x"], "other": ["x"]})
    assert values("map", golden_of({"a": {"x": 1}}), run) == [1.0]


def test_long_lists_keep_their_order_in_32_bits() -> None:
    ids = [f"d{number}" for number in range(10_000)]
    scores = np.array(list(by_rank(ids).values()), np.float32)
    assert (np.diff(scores) == -1).all()


def test_names() -> None:
    same = ["nDCG@10", "NDCG@10", " ndcg@10 "]
    assert len(parse_all(same)) == 1
    assert [str(one) for one in parse_all(["R@5", "precision@3", "ap", "rr@10", "hit@1"])] == [
        "recall@5", "p@3", "map", "mrr@10", "success@1",
    ]  # fmt: skip
    assert str(Measure.parse("recall(rel=2)@10")) == "recall(rel=2)@10"
    assert [str(one) for one in parse_all([])][0] == "ndcg@10"


@pytest.mark.parametrize(
    "text",
    ["", "ndgc@10", "recall", "p", "ndcg@0", "ndcg@x", "ndcg(rel=2)@5", "p(rel=0)@5", "p@-1"],
)
def test_what_is_no_measure(text: str) -> None:
    with pytest.raises(InvalidInput):
        Measure.parse(text)


def test_a_run_that_is_not_deep_enough_is_refused() -> None:
    golden = golden_of({"q": {"a": 1}})
    with pytest.raises(InvalidInput, match="too few for ndcg@10"):
        values("ndcg@10", golden, run_of({"q": ["a"]}, depth=5))


def test_a_run_of_another_golden_set_is_refused() -> None:
    golden, other = golden_of({"q": {"a": 1}}), golden_of({"q": {"a": 2}})
    facts = {"golden": {"name": "toy", "version": 3, "sha256": other.sha256}}
    run = Run("x", {"q": Found(("a",))}, 10, facts=facts)
    with pytest.raises(InvalidInput, match="answers toy v3"):
        values("map", golden, run)
    with pytest.raises(InvalidInput, match="none of the queries"):
        values("map", golden, run_of({"z": ["a"]}))
