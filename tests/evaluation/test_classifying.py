"""Measures of classification against scikit-learn and scipy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from trichord.evaluation import classifying


def made(seed: int, items: int = 120, labels: int = 8) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, labels - 1, items)  # one label never occurs
    scores = rng.standard_normal((items, labels)) * 0.1
    scores[np.arange(items), truth] += 0.12
    return scores, truth


@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_scikit_learn(seed: int) -> None:
    scores, truth = made(seed)
    every = np.arange(scores.shape[1])
    for k in (1, 5):
        reference = sklearn.metrics.top_k_accuracy_score(truth, scores, k=k, labels=every)
        assert classifying.top_k(scores, truth, k).mean() == pytest.approx(reference, abs=1e-12)
    predicted = scores.argmax(axis=1)
    reference = sklearn.metrics.f1_score(truth, predicted, average="macro")
    assert classifying.macro_f1(predicted, truth, 8) == pytest.approx(reference, abs=1e-12)
    reference = np.mean(
        [
            sklearn.metrics.average_precision_score(truth == one, scores[:, one])
            for one in np.unique(truth)
        ]
    )
    mine = classifying.mean_average_precision(scores, truth)
    assert mine == pytest.approx(reference, abs=1e-12)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=2, max_size=20))
def test_average_precision_with_ties(pairs: list[tuple[int, bool]]) -> None:
    scores = np.array([score for score, _ in pairs], np.float64)
    relevant = np.array([one for _, one in pairs], np.bool_)
    relevant[0] = True
    reference = sklearn.metrics.average_precision_score(relevant, scores)
    assert classifying.average_precision(scores, relevant) == pytest.approx(reference, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_temperature_is_the_most_likely_one(seed: int) -> None:
    scores, truth = made(seed)

    def loss(log_temperature: float) -> float:
        logits = scores / np.exp(log_temperature)
        return float(sklearn.metrics.log_loss(truth, softmax(logits), labels=np.arange(8)))

    def softmax(logits: np.ndarray) -> np.ndarray:
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    best = scipy.optimize.minimize_scalar(loss, bounds=(-6, 3), method="bounded")
    mine = classifying.fit_temperature(scores, truth)
    assert np.log(mine) == pytest.approx(best.x, abs=1e-3)
    np.testing.assert_allclose(
        classifying.softmax(scores, mine), softmax(scores / mine), atol=1e-12
    )


def test_calibration_error_by_hand() -> None:
    """Ten bins: 0.95 (right, wrong) is off by 0.45 with 2 of 4; 0.55 right by 0.45; 0.15 wrong by
    0.15: (2 * 0.45 + 0.45 + 0.15) / 4."""
    confidence = np.array([0.95, 0.95, 0.55, 0.15])
    right = np.array([True, False, True, False])
    assert classifying.calibration_error(confidence, right, 10) == pytest.approx(1.5 / 4)
    assert classifying.calibration_error(np.ones(3), np.ones(3, np.bool_)) == 0.0


def test_fitting_the_temperature_lowers_the_error() -> None:
    scores, truth = made(7, items=2_000)
    right = classifying.top_k(scores, truth, 1)
    raw = classifying.softmax(scores, 1.0).max(axis=1)
    fitted = classifying.softmax(scores, classifying.fit_temperature(scores, truth)).max(axis=1)
    before = classifying.calibration_error(raw, right)
    assert before > 0.2 and classifying.calibration_error(fitted, right) < 0.05
