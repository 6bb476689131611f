"""Significance and P(relevant) as mathematics, against distributions that are known."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import brier_score_loss

from trichord.catalog import relevance, tails
from trichord.catalog.relevance import Curve, expected_calibration_error
from trichord.catalog.tails import Tail
from trichord.errors import InvalidInput, StoreDamaged


def cosines(dim: int, seed: int, rows: int = 1_000) -> np.ndarray:
    generator = np.random.default_rng(seed)
    left, right = generator.standard_normal((2, rows, dim))
    left /= np.linalg.norm(left, axis=1, keepdims=True)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    return (left @ right.T).ravel()


@pytest.mark.parametrize("dim", [64, 384])
def test_random_directions_have_the_significance_of_their_exact_law(dim: int) -> None:
    # The cosine of random directions, moved to [0, 1], is Beta((d-1)/2, (d-1)/2) distributed.
    tail = tails.fit(cosines(dim, seed=dim))
    law = stats.beta((dim - 1) / 2, (dim - 1) / 2)
    for probability in (0.5, 0.1, 0.01, 1e-3, 1e-4):
        score = 2 * law.isf(probability) - 1
        # The tail must reach beyond a cosine of 1, so it errs towards too little.
        error = float(tail.significance(score)) + np.log10(probability)
        assert -0.25 < error < 0.1


def test_far_beyond_the_background_it_still_tells_scores_apart() -> None:
    tail = tails.fit(cosines(256, seed=1))
    rising = tail.significance([0.5, 0.6, 0.7, 0.8, 0.9, 0.99, 1.0])
    assert (np.diff(rising) > 1).all()
    assert np.isfinite(rising).all() and rising[0] > 6


def test_the_tail_is_that_of_a_pareto_law() -> None:
    sample = stats.genpareto(0.2, scale=0.01).rvs(1_000_000, random_state=3) - 0.5
    tail = tails.fit(sample)
    # Over any threshold a generalised Pareto law keeps its shape.
    assert tail.shape == pytest.approx(0.2, abs=0.04)
    assert tail.significance(0.0) == pytest.approx(
        -np.log10(stats.genpareto(0.2, scale=0.01).sf(0.5)), abs=0.15
    )


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 10_000),
    spread=st.floats(0.01, 0.08),
    centre=st.floats(-0.5, 0.5),
    power=st.floats(0.5, 2.0),
)
def test_it_never_falls_and_survives_json(
    seed: int, spread: float, centre: float, power: float
) -> None:
    noise = np.random.default_rng(seed).standard_normal(40_000)
    scores = np.clip(centre + spread * np.sign(noise) * np.abs(noise) ** power, -1, 1)
    tail = tails.fit(scores)
    grid = np.linspace(-1, 1, 2_001)
    values = tail.significance(grid)
    assert (np.diff(values) >= 0).all() and np.isfinite(values).all() and (values >= 0).all()
    above = values[grid > tail.threshold]
    assert (np.diff(above) > 0).all()
    back = Tail.from_json(json.loads(json.dumps(tail.to_json())))
    assert np.array_equal(back.significance(grid), values)


def test_about_as_many_as_promised_lie_above_a_level() -> None:
    tail = tails.fit(cosines(128, seed=4))
    fresh = cosines(128, seed=5)
    for level in (1.0, 2.0, 3.0):
        share = (tail.significance(fresh) >= level).mean()
        assert 0.8 * 10**-level < share < 1.25 * 10**-level


@pytest.mark.parametrize(
    ("scores", "says"),
    [
        (np.zeros(1_000), "too few"),
        (np.zeros(100_000), "hardly differ"),
        (np.append(np.linspace(0, 1, 100_000), np.nan), "finite"),
    ],
)
def test_what_is_no_background_is_refused(scores: np.ndarray, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        tails.fit(scores)


@pytest.mark.parametrize("change", ["scale", "body_scores", "pairs"])
def test_a_damaged_record_is_refused(change: str) -> None:
    value = tails.fit(cosines(64, seed=1)).to_json()
    value[change] = {"scale": -1.0, "body_scores": [1.0, 0.0], "pairs": "many"}[change]
    with pytest.raises(StoreDamaged):
        Tail.from_json(value)


@pytest.mark.parametrize(("count", "method"), [(300, "platt"), (20_000, "isotonic")])
def test_probabilities_are_those_that_made_the_judgements(count: int, method: str) -> None:
    generator = np.random.default_rng(count)
    significance = generator.uniform(0, 8, count)
    truth_of = 1 / (1 + np.exp(-(significance - 5)))
    truth = generator.random(count) < truth_of
    curve = relevance.fit(significance, truth)
    assert curve.method == method
    fresh = generator.uniform(0, 8, 5_000)
    expected = 1 / (1 + np.exp(-(fresh - 5)))
    guess = curve.probability(fresh)
    assert np.abs(guess - expected).mean() < (0.06 if method == "platt" else 0.03)
    assert (np.diff(curve.probability(np.linspace(0, 8, 200))) >= -1e-6).all()
    drawn = generator.random(5_000) < expected
    noise = brier_score_loss(drawn, np.full(5_000, truth.mean()))
    assert brier_score_loss(drawn, guess) < 0.7 * noise
    assert curve.error < (0.12 if method == "platt" else 0.02)
    again = Curve.from_json(json.loads(json.dumps(curve.to_json())))
    assert np.array_equal(again.probability(fresh), guess)


def test_the_calibration_error_is_the_one_by_hand() -> None:
    # Two bins: five guesses of 0.15 with one hit (0.2), five of 0.75 with three hits (0.6).
    predicted = [0.15] * 5 + [0.75] * 5
    truth = [1, 0, 0, 0, 0, 1, 1, 1, 0, 0]
    assert expected_calibration_error(predicted, truth) == pytest.approx(0.5 * 0.05 + 0.5 * 0.15)


def test_too_few_judgements_are_refused() -> None:
    with pytest.raises(InvalidInput, match="too few"):
        relevance.fit(np.arange(20.0), np.arange(20) < 3)
