"""P(relevant) from judged results: isotonic regression over significance, and its error.

Isotonic regression: Zadrozny and Elkan, KDD 2002; with few judgements Platt's sigmoid (1999), which
needs two parameters only. The expected calibration error is cross-validated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trichord.errors import InvalidInput, StoreDamaged
from trichord.types import F32

MIN_OF_EACH = 10
"""Relevant and other results, at least, that a curve is fitted to."""
ISOTONIC_FROM = 200
"""Relevant results from which on isotonic regression is used; below, Platt's sigmoid."""
FOLDS = 5
BINS = 10

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """P(relevant) by significance: linear between knots, flat beyond them. float64 (n,) each.

    `error` is the cross-validated expected calibration error over 10 bins of equal width;
    `relevant` of `judged` results were relevant.
    """

    significances: F64
    probabilities: F64
    method: str
    judged: int
    relevant: int
    error: float

    def probability(self, significances: npt.ArrayLike) -> F32:
        given = np.asarray(significances, np.float64)
        answer: F32 = np.interp(given, self.significances, self.probabilities).astype(np.float32)
        return answer

    def to_json(self) -> dict[str, Any]:
        return {
            "significances": [float(value) for value in self.significances],
            "probabilities": [float(value) for value in self.probabilities],
            "method": self.method,
            "judged": self.judged,
            "relevant": self.relevant,
            "error": self.error,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Curve:
        try:
            return cls(
                np.asarray(value["significances"], np.float64),
                np.asarray(value["probabilities"], np.float64),
                str(value["method"]),
                int(value["judged"]),
                int(value["relevant"]),
                float(value["error"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise StoreDamaged(f"a curve of relevance cannot be read: {error}") from None


def fit(significances: npt.ArrayLike, relevant: npt.ArrayLike, *, seed: int = 0) -> Curve:
    """The curve of judged results: significance float (n,) and whether relevant, bool (n,).

    Raises InvalidInput with fewer than 10 relevant or fewer than 10 other results.
    """
    given = np.asarray(significances, np.float64)
    truth = np.asarray(relevant, bool)
    positive = int(truth.sum())
    if min(positive, len(truth) - positive) < MIN_OF_EACH:
        raise InvalidInput(
            f"{positive} relevant and {len(truth) - positive} other judged results are too few: "
            f"at least {MIN_OF_EACH} of each"
        )
    method = "isotonic" if positive >= ISOTONIC_FROM else "platt"
    knots, values = _fitted(method, given, truth)
    folds = np.random.default_rng(seed).permutation(len(truth)) % FOLDS
    predicted = np.zeros(len(truth))
    for fold in range(FOLDS):
        test = folds == fold
        if truth[~test].all() or not truth[~test].any():
            predicted[test] = truth[~test].mean()
            continue
        predicted[test] = np.interp(given[test], *_fitted(method, given[~test], truth[~test]))
    error = expected_calibration_error(predicted, truth)
    return Curve(knots, values, method, len(truth), positive, error)


def expected_calibration_error(predicted: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Mean absolute difference of predicted and observed share over bins of equal width, weighted
    by how many fall in each (Naeini, Cooper and Hauskrecht, AAAI 2015)."""
    guess, real = np.asarray(predicted, np.float64), np.asarray(truth, np.float64)
    bins = np.minimum((guess * BINS).astype(int), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    gaps = np.abs(
        np.bincount(bins, weights=guess, minlength=BINS)
        - np.bincount(bins, weights=real, minlength=BINS)
    )
    return float(gaps[counts > 0].sum() / max(len(guess), 1))


def _fitted(method: str, given: F64, truth: npt.NDArray[np.bool_]) -> tuple[F64, F64]:
    if method == "isotonic":
        from sklearn.isotonic import IsotonicRegression

        model = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(given, truth)
        return np.asarray(model.X_thresholds_), np.asarray(model.y_thresholds_)
    from sklearn.linear_model import LogisticRegression

    # Weak regularisation stands in for Platt's smoothed targets: separable data stay finite.
    model = LogisticRegression(C=10.0).fit(given[:, None], truth)
    slope = max(float(model.coef_[0, 0]), 0.0)
    knots = np.linspace(given.min(), given.max(), 64)
    return knots, 1 / (1 + np.exp(-(slope * knots + float(model.intercept_[0]))))
