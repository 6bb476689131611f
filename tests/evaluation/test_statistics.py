"""Intervals and tests against scipy and sums by hand."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from trichord.errors import InvalidInput
from trichord.evaluation.statistics import holm, mean_intervals, paired, sign_flips, tries_for

RNG = np.random.default_rng(5)


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_intervals_agree_with_scipy(method: str) -> None:
    values = RNG.beta(0.6, 0.3, 80)
    mine = mean_intervals(values[:, None], method=method, resamples=20_000)[0]  # type: ignore[arg-type]
    theirs = scipy.stats.bootstrap(
        (values,),
        np.mean,
        method="BCa" if method == "bca" else method,
        n_resamples=20_000,
        rng=np.random.default_rng(1),
    ).confidence_interval
    # Both draw 20,000 times: the ends differ by their own chance, a few thousandths.
    assert mine.low == pytest.approx(theirs.low, abs=4e-3)
    assert mine.high == pytest.approx(theirs.high, abs=4e-3)
    assert mine.value == pytest.approx(values.mean())


def test_small_samples_against_every_resample() -> None:
    """All 4^4 resamples of four values: the percentile interval of the whole distribution."""
    values = np.array([0.0, 0.2, 0.5, 1.0])
    means = sorted(np.mean(one) for one in product(values, repeat=4))
    exact = np.quantile(means, [0.025, 0.975])
    mine = mean_intervals(values[:, None], method="percentile", resamples=50_000)[0]
    assert [mine.low, mine.high] == pytest.approx(list(exact), abs=0.02)


def test_coverage() -> None:
    """Of 300 samples of 50 values each, about 95 % of the intervals hold the true mean."""
    rng = np.random.default_rng(0)
    inside = 0
    for seed in range(300):
        values = rng.beta(2, 1, 50)
        found = mean_intervals(values[:, None], resamples=1_000, seed=seed)[0]
        inside += found.low <= 2 / 3 <= found.high
    assert 0.91 <= inside / 300 <= 0.98


def test_columns_share_resamples_and_do_not_touch_each_other() -> None:
    values = RNG.random((40, 3))
    together = mean_intervals(values, seed=3)
    alone = [mean_intervals(values[:, [column]], seed=3)[0] for column in range(3)]
    for one, other in zip(together, alone, strict=True):
        assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=1e-12)
    assert mean_intervals(values, seed=3) == together
    assert mean_intervals(values, seed=4) != together


def test_clusters_widen_the_interval() -> None:
    """Ten copies of each of twelve values are twelve observations, not 120."""
    values = np.repeat(RNG.random(12), 10)
    names = np.repeat(np.arange(12), 10).tolist()
    free = mean_intervals(values[:, None])[0]
    bound = mean_intervals(values[:, None], clusters=names)[0]
    twelve = mean_intervals(values[::10][:, None])[0]
    assert bound.high - bound.low > 2.5 * (free.high - free.low)
    assert (bound.low, bound.high) == pytest.approx((twelve.low, twelve.high), abs=1e-9)


def test_equal_values_still_have_an_interval() -> None:
    """20 of 20 right: the exact binomial (Clopper-Pearson) lower bound, not [1, 1]."""
    found = mean_intervals(np.ones((20, 1)))[0]
    exact = scipy.stats.binomtest(20, 20).proportion_ci(0.95, method="exact")
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(exact.low, abs=1e-9)
    none = mean_intervals(np.zeros((20, 1)))[0]
    assert (none.low, none.high) == pytest.approx((0.0, 1 - exact.low), abs=1e-9)
    one = mean_intervals(np.array([[0.5]]))[0]
    assert one.low < 0.05 and one.high > 0.95


def test_sign_flips_agree_with_scipy_when_all_are_tried() -> None:
    a, b = RNG.random(10), RNG.random(10) + 0.15
    for alternative in ("two-sided", "less", "greater"):
        reference = scipy.stats.permutation_test(
            (b, a),
            lambda x, y: np.mean(x - y),
            permutation_type="samples",
            n_resamples=np.inf,
            alternative=alternative,
        ).pvalue
        (mine,) = sign_flips((b - a)[:, None], alternative=alternative)  # type: ignore[arg-type]
        assert mine == pytest.approx(reference, abs=1e-12), alternative


def flips(*difference: float, **options: Any) -> float:
    return sign_flips(np.array(difference)[:, None], **options)[0]


def test_sign_flips_by_hand() -> None:
    """Differences 1, 2, 3, all positive: of 8 signs 1 is as great, and 1 as small: p = 2/8."""
    assert flips(1, 2, 3) == pytest.approx(2 / 8)
    assert flips(1, 2, 3, alternative="greater") == pytest.approx(1 / 8)
    assert flips(1, 2, 3, alternative="less") == pytest.approx(8 / 8)
    # -1, 2: sums 1 (seen), 3, -3, -1: all are at least 1 away from 0.
    assert flips(-1, 2) == 1.0


def test_many_queries_agree_with_scipy() -> None:
    a = RNG.random(60)
    b = a + RNG.normal(0.05, 0.2, 60)
    reference = scipy.stats.permutation_test(
        (b, a),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=20_000,
        rng=np.random.default_rng(2),
    ).pvalue
    assert flips(*(b - a), tries=20_000) == pytest.approx(reference, abs=0.015)


def test_false_alarms_are_as_rare_as_said() -> None:
    rng = np.random.default_rng(8)
    below = sum(flips(*rng.normal(0, 1, 30), tries=500, seed=s) < 0.05 for s in range(400))
    assert 0.02 <= below / 400 <= 0.085


def test_paired_counts_and_margin() -> None:
    a = np.full((30, 1), 0.5)
    b = a - RNG.uniform(0.01, 0.03, (30, 1))
    (lost,) = paired(a, b, alternative="less")
    assert lost.p < 1e-3 and (lost.better, lost.worse) == (0, 30)
    assert lost.interval.high < 0
    assert paired(a, b, alternative="less", margin=-0.05)[0].p > 0.99
    (same,) = paired(a, a)
    assert same.p == 1.0
    # 30 equal queries do not prove that all queries are equal.
    assert same.interval.low < 0 < same.interval.high


def test_columns_are_tested_each_for_itself() -> None:
    difference = RNG.normal(0.05, 0.2, (50, 3))
    together = sign_flips(difference, tries=2_000)
    assert together == [flips(*difference[:, column], tries=2_000) for column in range(3)]


def test_enough_signs_for_many_tests() -> None:
    for tests in (1, 10, 1_000):
        tries = tries_for(tests)
        assert tries >= 10_000 and tests / (tries + 1) < 0.05 / 19
    a = np.zeros((40, 1))
    (found,) = paired(a, a + 0.1, tries=tries_for(1_000))
    assert holm([found.p, *[1.0] * 999])[0] < 0.05


def test_clusters_in_the_test() -> None:
    """Ten copies of three differences are three coin tosses: no p below 2/8."""
    difference = np.repeat([0.1, 0.2, 0.3], 10)
    names = np.repeat(np.arange(3), 10).tolist()
    assert flips(*difference, clusters=names) == pytest.approx(2 / 8)
    assert flips(*difference) < 0.001


def test_holm_by_hand() -> None:
    """Sorted 0.01, 0.03, 0.04 of 3: 3 * 0.01, then 2 * 0.03 and the greater of that and 0.04."""
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([]) == []
    assert holm([0.5, 0.9]) == [1.0, 1.0]


@settings(deadline=None, max_examples=100)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_no_correction_and_bonferroni(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    for p, found in zip(p_values, adjusted, strict=True):
        assert p <= found <= min(1.0, len(p_values) * p) + 1e-12
    order = sorted(range(len(p_values)), key=lambda one: p_values[one])
    assert all(adjusted[a] <= adjusted[b] for a, b in zip(order, order[1:], strict=False))


def test_bad_input() -> None:
    with pytest.raises(InvalidInput):
        mean_intervals(np.zeros((0, 2)))
    with pytest.raises(InvalidInput):
        mean_intervals(np.array([[math.nan]]))
    with pytest.raises(InvalidInput):
        mean_intervals(np.ones((3, 1)), clusters=["a"])
    with pytest.raises(InvalidInput):
        mean_intervals(np.ones((3, 1)), confidence=1.0)
    with pytest.raises(InvalidInput):
        paired(np.ones((3, 1)), np.ones((4, 1)))
