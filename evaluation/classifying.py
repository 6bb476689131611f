"""Measures of classification from scores, in numpy; checked against scikit-learn in the tests."""

from __future__ import annotations

import numpy as np

from trichord.evaluation.measures import F64
from trichord.types import I64, Bool

BINS = 15


def top_k(scores: F64, truth: I64, k: int) -> Bool:
    """Whether each row's true label is among its k highest scores; `scores` (items, labels).

    A label of equal score before the true one comes first."""
    own = scores[np.arange(len(truth)), truth][:, None]
    before = np.arange(scores.shape[1]) < truth[:, None]
    place = (scores > own).sum(axis=1) + ((scores == own) & before).sum(axis=1)
    return np.asarray(place < k)


def macro_f1(predicted: I64, truth: I64, labels: int) -> float:
    """Mean F1 over the labels that occur, as truth or as prediction."""
    right = np.bincount(truth[predicted == truth], minlength=labels)
    total = np.bincount(truth, minlength=labels) + np.bincount(predicted, minlength=labels)
    occurs = total > 0
    return float((2 * right[occurs] / total[occurs]).mean())


def average_precision(scores: F64, relevant: Bool) -> float:
    """Area under the precision-recall steps of one label, equal scores taken together, so that
    their order is no matter: sum of (R_n - R_n-1) P_n. `relevant` has at least one true entry."""
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(relevant[order])
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    precision, recall = hits[last] / (last + 1), hits[last] / hits[-1]
    return float((np.diff(recall, prepend=0.0) * precision).sum())


def mean_average_precision(scores: F64, truth: I64) -> float:
    """Mean over the labels that occur in the truth; each label ranks all items by its scores."""
    present = np.unique(truth)
    return float(np.mean([average_precision(scores[:, one], truth == one) for one in present]))


def softmax(scores: F64, temperature: float) -> F64:
    """Probabilities (items, labels) of scores / temperature."""
    logits = scores / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float64)


def fit_temperature(scores: F64, truth: I64) -> float:
    """The temperature of least negative log-likelihood (Guo et al., On Calibration of Modern Neural
    Networks, ICML 2017), by golden-section search between 1e-4 and 1e2: the likelihood has one
    optimum in the inverse temperature."""

    def loss(log_temperature: float) -> float:
        logits = scores / np.exp(log_temperature)
        logits = logits - logits.max(axis=1, keepdims=True)
        own = logits[np.arange(len(truth)), truth]
        return float((np.log(np.exp(logits).sum(axis=1)) - own).mean())

    ratio = (np.sqrt(5.0) - 1) / 2
    low, high = float(np.log(1e-4)), float(np.log(1e2))
    inner = [high - ratio * (high - low), low + ratio * (high - low)]
    losses = [loss(one) for one in inner]
    while high - low > 1e-6:
        if losses[0] <= losses[1]:
            high, inner[1], losses[1] = inner[1], inner[0], losses[0]
            inner[0] = high - ratio * (high - low)
            losses[0] = loss(inner[0])
        else:
            low, inner[0], losses[0] = inner[0], inner[1], losses[1]
            inner[1] = low + ratio * (high - low)
            losses[1] = loss(inner[1])
    return float(np.exp((low + high) / 2))


def calibration_error(confidence: F64, right: Bool, bins: int = BINS) -> float:
    """Expected calibration error: over equal-width bins (a, b] of confidence, the mean distance of
    accuracy and mean confidence, weighted by how many fall in."""
    which = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    gap = np.bincount(which, weights=right - confidence, minlength=bins)
    return float(np.abs(gap).sum() / len(confidence))
