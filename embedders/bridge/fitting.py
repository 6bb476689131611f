"""Fits projectors on the two frames' vectors of the same captions, and chooses one.

The captions are split in three: most are fitted on, a share tunes what a kind has to tune (the
strength of the ridge, the noise of the MLP), another share is scored once and decides between the
kinds. No picture and no sound is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trichord.embedders.bridge.projector import KINDS, Projector
from trichord.embedders.bridge.scores import Figures, figures, first_ranks
from trichord.errors import InvalidInput, VectorError
from trichord.types import F32, I64, Frame

RIDGES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Ridge strengths, relative to the mean eigenvalue of the source's covariance."""
NOISES = (0.03, 0.1, 0.3)
"""Noise of the MLP, relative to a centred vector's length."""
FEWEST = 200
"""Captions below which nothing is fitted."""


@dataclass(frozen=True)
class Candidate:
    """One kind at its best setting; `scores` on the captions that decide."""

    kind: str
    settings: Mapping[str, float]
    scores: Figures
    projector: Projector


@dataclass(frozen=True)
class FitReport:
    """All candidates and the chosen one; counts of captions fitted on, tuned on and scored."""

    candidates: tuple[Candidate, ...]
    chosen: Projector
    reason: str
    fitted: int
    tuned: int
    scored: int

    def candidate(self, kind: str) -> Candidate:
        return next(c for c in self.candidates if c.kind == kind)


def procrustes(source: F32, target: F32) -> F32:
    """The (ds, dt) map with orthonormal rows or columns that brings centred `source` (n, ds)
    nearest to centred `target` (n, dt) (P. Schönemann, 1966)."""
    u, _, vt = np.linalg.svd(source.astype(np.float64).T @ target, full_matrices=False)
    return np.asarray(u @ vt, np.float32)


def ridge(source: F32, target: F32, strength: float) -> F32:
    """The (ds, dt) least-squares map with a penalty of `strength` times the mean eigenvalue of
    source.T @ source on its squares (A. Hoerl and R. Kennard, 1970)."""
    x = source.astype(np.float64)
    gram = x.T @ x
    penalty = strength * np.trace(gram) / len(gram)
    return np.asarray(np.linalg.solve(gram + penalty * np.eye(len(gram)), x.T @ target), np.float32)


def fit(
    source_texts: F32,
    target_texts: F32,
    *,
    source: Frame,
    target: Frame,
    kinds: Sequence[str] = KINDS,
    held_out: float = 0.2,
    groups: Sequence[str] | None = None,
    seed: int = 0,
    about: Mapping[str, Any] | None = None,
) -> FitReport:
    """Fits each of `kinds` and chooses by held-out caption retrieval.

    `source_texts` (n, ds) and `target_texts` (n, dt) are the vectors of the same n distinct
    captions; rows are brought to unit length. `held_out` is the share that is not fitted on; half
    of it tunes, half decides. Captions of one of the `groups` (n) stay on one side of the split.
    `about` is stored with the projectors.

    The score is retrieval from a projected caption to the same caption in the target frame.
    Procrustes is taken unless another kind's interval of the mean reciprocal rank lies wholly
    above its own: it has nothing to tune and keeps distances, also where no caption lies. Without
    it among `kinds` the best mean reciprocal rank is taken.

    Raises VectorError for vectors that do not fit the frames or each other or are not finite,
    InvalidInput for fewer than 200 captions, an unknown kind or a share outside 0.02 to 0.5.
    """
    x, y = _checked(source_texts, source, "source"), _checked(target_texts, target, "target")
    if len(x) != len(y):
        raise VectorError(f"{len(x)} source vectors for {len(y)} target vectors")
    if len(x) < FEWEST:
        raise InvalidInput(f"{len(x)} captions are too few to fit on: give at least {FEWEST}")
    kinds = tuple(dict.fromkeys(kinds))
    if not kinds or any(kind not in KINDS for kind in kinds):
        raise InvalidInput(f"the kinds are {', '.join(KINDS)}, not {', '.join(kinds) or 'none'}")
    if not 0.02 <= held_out <= 0.5:
        raise InvalidInput(f"the held-out share is 0.02 to 0.5, not {held_out}")
    fitted, tuning, judging = split(len(x), held_out, groups, seed)
    work = _Work(x, y, source, target, fitted, tuning, seed, dict(about or {}))
    candidates = tuple(_candidate(kind, work, x, y, judging) for kind in kinds)
    chosen, reason = choose(candidates)
    counts = (len(fitted), len(tuning), len(judging))
    return FitReport(candidates, chosen.projector, reason, *counts)


def split(
    count: int, held_out: float, groups: Sequence[str] | None, seed: int
) -> tuple[I64, I64, I64]:
    """Row numbers to fit on, to tune on and to decide with; a group is never divided.

    Raises InvalidInput when the groups are too few or too large to be split so.
    """
    if groups is not None and len(groups) != count:
        raise InvalidInput(f"{len(groups)} groups for {count} captions")
    names: npt.NDArray[Any] = np.arange(count) if groups is None else np.asarray(groups)
    unique, which = np.unique(names, return_inverse=True)
    order = np.random.default_rng([seed, 101]).permutation(len(unique))
    sizes = np.bincount(which)[order].cumsum()
    aside = int(np.searchsorted(sizes, held_out * count))
    half = int(np.searchsorted(sizes, held_out * count / 2))
    sides = (order[aside:], order[:half], order[half:aside])
    rows = tuple(np.flatnonzero(np.isin(which, side)) for side in sides)
    if min(map(len, rows)) < 2 or len(rows[0]) < count // 4:
        raise InvalidInput(f"{count} captions in {len(unique)} groups cannot be split in three")
    return rows[0], rows[1], rows[2]


def choose(candidates: Sequence[Candidate]) -> tuple[Candidate, str]:
    """The rule of `fit`, and why in words."""
    best = max(candidates, key=lambda c: c.scores.mrr.value)
    plain = next((c for c in candidates if c.kind == "procrustes"), None)
    if len(candidates) == 1:
        return best, f"{best.kind} was asked for"
    if plain is None or best is plain:
        return best, f"{best.kind} has the best mean reciprocal rank on held-out captions"
    if best.scores.mrr.low > plain.scores.mrr.high:
        return best, (
            f"the interval of {best.kind} lies above that of procrustes on held-out captions: "
            f"mean reciprocal rank {best.scores.mrr} against {plain.scores.mrr}"
        )
    return plain, (
        f"no other kind is better than procrustes by more than the interval: {best.kind} has a "
        f"mean reciprocal rank of {best.scores.mrr} against {plain.scores.mrr}"
    )


@dataclass(frozen=True)
class _Work:
    """What is fitted on and what tunes."""

    x: F32
    y: F32
    source: Frame
    target: Frame
    fitted: I64
    tuning: I64
    seed: int
    about: Mapping[str, Any]

    @property
    def means(self) -> tuple[F32, F32]:
        return (
            self.x[self.fitted].mean(axis=0, dtype=np.float64).astype(np.float32),
            self.y[self.fitted].mean(axis=0, dtype=np.float64).astype(np.float32),
        )

    def made(self, kind: str, maps: Mapping[str, F32], settings: Mapping[str, float]) -> Projector:
        centre, target_mean = self.means
        tensors = {"centre": centre, "target_mean": target_mean, **maps}
        about = {**self.about, "seed": self.seed, "settings": dict(settings)}
        return Projector(kind, self.source, self.target, tensors, about)


def _candidate(kind: str, work: _Work, x: F32, y: F32, judging: I64) -> Candidate:
    tried = [(settings, work.made(kind, maps, settings)) for settings, maps in _fits(kind, work)]
    settings, made = max(tried, key=lambda each: _reciprocal(each[1], x, y, work.tuning))
    ranks = _ranks(made, x, y, judging)
    scores = figures(ranks, len(judging), np.arange(len(judging)))
    held = {"captions": len(judging), "r1": scores.r1.value, "mrr": scores.mrr.value}
    about = {**made.about, "held_out": held}
    final = Projector(kind, made.source, made.target, made.tensors, about)
    return Candidate(kind, settings, scores, final)


def _fits(kind: str, work: _Work) -> list[tuple[dict[str, float], dict[str, F32]]]:
    """(settings, tensors) of every setting of a kind."""
    centre, target_mean = work.means
    x, y = work.x[work.fitted] - centre, work.y[work.fitted] - target_mean
    if kind == "ridge":
        return [({"strength": s}, {"linear": ridge(x, y, s)}) for s in RIDGES]
    linear = procrustes(x, y)
    if kind == "procrustes":
        return [({}, {"linear": linear})]
    from trichord.embedders.bridge import mlp

    wanted = work.y[work.fitted]
    return [
        (
            {"noise": noise},
            mlp.fit_mlp(x, wanted, linear, target_mean, mlp.MlpSettings(noise=noise), work.seed),
        )
        for noise in NOISES
    ]


def _ranks(made: Projector, x: F32, y: F32, rows: I64) -> I64:
    relevant = np.eye(len(rows), dtype=bool)
    return first_ranks(made.apply(x[rows]), y[rows], relevant)


def _reciprocal(made: Projector, x: F32, y: F32, rows: I64) -> float:
    return float((1.0 / _ranks(made, x, y, rows)).mean())


def _checked(vectors: F32, frame: Frame, side: str) -> F32:
    array = np.asarray(vectors, np.float32)
    if array.ndim != 2 or array.shape[1] != frame.dim:
        raise VectorError(f"{side} vectors of {frame.id} are (n, {frame.dim}), not {array.shape}")
    if not np.isfinite(array).all() or not array.any(axis=1).all():
        raise VectorError(f"{side} vectors must be finite and not zero")
    return np.asarray(array / np.linalg.norm(array, axis=1, keepdims=True), np.float32)
