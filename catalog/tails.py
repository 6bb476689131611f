"""How likely a score is by chance: an empirical body and a fitted tail of background scores.

The tail is a generalised Pareto distribution over a threshold (Pickands 1975; Coles, "An
Introduction to Statistical Modeling of Extreme Values", 2001, ch. 4), fitted by maximum likelihood.
Percentiles alone would say "above everything seen" of nearly every good hit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trichord.errors import InvalidInput, StoreDamaged
from trichord.types import F32

TAIL_SHARE = 0.01
"""Share of the background above the threshold of the tail."""

BODY_POINTS = 101
MIN_EXCEEDANCES = 200
END = 1.05
"""A cosine ends at 1 and rounding: the tail must reach further, or a very good hit would be
impossible instead of unlikely."""

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Tail:
    """The upper distribution of `pairs` background scores.

    `body_scores` rise and `body_survival` (share of the background at or above) falls from 1 to
    `share`, float64 (n,) each; above `threshold`, the last of them, the share decays as a
    generalised Pareto tail of `shape` and `scale`.
    """

    pairs: int
    body_scores: F64
    body_survival: F64
    shape: float
    scale: float

    @property
    def threshold(self) -> float:
        return float(self.body_scores[-1])

    @property
    def share(self) -> float:
        return float(self.body_survival[-1])

    def significance(self, scores: npt.ArrayLike) -> F32:
        """-log10 of the probability of at least this score by chance, float32, 0 or more; it rises
        with the score, strictly so above the threshold."""
        given = np.asarray(scores, np.float64)
        body = np.interp(given, self.body_scores, -np.log10(self.body_survival))
        over = np.maximum(given - self.threshold, 0.0) / self.scale
        if abs(self.shape) < 1e-9:
            decay = over
        else:
            decay = np.log1p(np.maximum(self.shape * over, -1 + 1e-12)) / self.shape
        tail = -np.log10(self.share) + decay / np.log(10)
        answer: F32 = np.where(given > self.threshold, tail, body).astype(np.float32)
        return answer

    def to_json(self) -> dict[str, Any]:
        return {
            "pairs": self.pairs,
            "body_scores": [float(value) for value in self.body_scores],
            "body_survival": [float(value) for value in self.body_survival],
            "shape": self.shape,
            "scale": self.scale,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Tail:
        """Raises StoreDamaged for what `to_json` did not write."""
        try:
            tail = cls(
                int(value["pairs"]),
                np.asarray(value["body_scores"], np.float64),
                np.asarray(value["body_survival"], np.float64),
                float(value["shape"]),
                float(value["scale"]),
            )
            sound = (
                tail.body_scores.shape == tail.body_survival.shape == (len(tail.body_scores),)
                and len(tail.body_scores) > 1
                and bool((np.diff(tail.body_scores) >= 0).all())
                and bool((np.diff(tail.body_survival) <= 0).all())
                and tail.share > 0
                and tail.scale > 0
            )
        except (KeyError, TypeError, ValueError) as error:
            raise StoreDamaged(f"a calibration cannot be read: {error}") from None
        if not sound:
            raise StoreDamaged("a calibration is not a falling distribution: calibrate again")
        return tail


def fit(scores: npt.ArrayLike) -> Tail:
    """The distribution of background scores, any float (n,).

    Raises InvalidInput for too few scores (fewer than 20,000) or scores that do not vary.
    """
    values = np.sort(np.asarray(scores, np.float64).ravel())
    if len(values) * TAIL_SHARE < MIN_EXCEEDANCES:
        raise InvalidInput(
            f"{len(values)} background scores are too few for a tail; it takes at least "
            f"{int(MIN_EXCEEDANCES / TAIL_SHARE)}"
        )
    if not np.isfinite(values[[0, -1]]).all():
        raise InvalidInput("background scores must be finite")
    cut = len(values) - int(len(values) * TAIL_SHARE)
    threshold = values[cut - 1]
    over = values[cut:] - threshold
    over = over[over > 0]
    if len(over) < MIN_EXCEEDANCES // 2 or values[-1] - values[0] < 1e-6:
        raise InvalidInput("the background scores hardly differ: no tail can be fitted")
    # From 1 down to the share, closer together towards the tail.
    survival = np.geomspace(1.0, len(over) / len(values), BODY_POINTS)
    places = np.clip(np.round((1 - survival) * len(values)).astype(int), 0, len(values) - 1)
    body = np.maximum.accumulate(values[places])
    body[-1] = threshold
    body = np.minimum(body, threshold)
    shape, scale = _pareto(over, room=max(END - threshold, 1e-3))
    return Tail(len(values), body, survival, shape, scale)


def _pareto(over: F64, room: float) -> tuple[float, float]:
    """Shape and scale of the tail by maximum likelihood, with its end at `room` or beyond."""
    # A third of a second that opening a catalogue need not wait for.
    from scipy.optimize import minimize

    mean = float(over.mean())

    def loss(parameters: F64) -> float:
        scale, shape = float(np.exp(parameters[0])), float(parameters[1])
        if shape < 0 and -scale / shape < room:
            return float("inf")
        if abs(shape) < 1e-6:
            return float(np.log(scale) + mean / scale)
        inside = 1 + shape * over / scale
        if inside.min() <= 0:
            return float("inf")
        return float(np.log(scale) + (1 + 1 / shape) * np.log(inside).mean())

    found = minimize(
        loss,
        np.array([np.log(mean), 0.0]),
        method="Nelder-Mead",
        options={"xatol": 1e-7, "fatol": 1e-10, "maxiter": 2_000},
    )
    return float(found.x[1]), float(np.exp(found.x[0]))
