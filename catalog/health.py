"""The health of a space in one catalogue: lengths, spread, hubs, gaps of modalities, coverage.

Hubness is the skewness of how often a vector is among the 10 nearest of others (Radovanovic,
Nanopoulos and Ivanovic, JMLR 2010); the modality gap is the distance between the centroids of two
modalities (Liang et al., NeurIPS 2022); the effective dimension is the participation ratio of the
covariance's eigenvalues.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from trichord.catalog.legs import Leg
from trichord.catalog.view import View
from trichord.errors import InvalidInput
from trichord.types import F32, I64, Modality, Space

SAMPLE = 4_000
NEIGHBOURS = 10
BLOCK = 512

NORM_OFF = 1e-3
HUBBY = 6.0
"""Skewness from which a warning is given; unrelated directions of 512 dimensions have about 1."""
NARROW = 0.5
"""Mean cosine of unrelated vectors from which a warning is given."""


@dataclass(frozen=True)
class ModalityHealth:
    """`items` of the modality, `covered` of them with segments in the space, `segments`; over a
    sample of vectors: `norm_error`, the largest distance of a length from 1; `mean_cosine` of two
    of them; `effective_dimension`."""

    modality: Modality
    items: int
    covered: int
    segments: int
    norm_error: float
    mean_cosine: float
    effective_dimension: float

    @property
    def coverage(self) -> float:
        return self.covered / self.items if self.items else 1.0


@dataclass(frozen=True)
class PairHealth:
    """Over samples: `gap`, the distance between the two centroids (0 to 2); `hubness`, the skewness
    of how often an item is among the 10 nearest of a query; `largest_hub`, the share of queries
    that the most frequent one answers; `never`, the share of items that answer none. Queries are
    stored vectors of modality `query`."""

    query: Modality
    item: Modality
    gap: float
    hubness: float
    largest_hub: float
    never: float


@dataclass(frozen=True)
class SpaceHealth:
    """`warnings` say in words what is not as it should be."""

    space: Space
    snapshot: int
    modalities: tuple[ModalityHealth, ...]
    pairs: tuple[PairHealth, ...]
    warnings: tuple[str, ...] = field(default=())


def measure(view: View, space: Space, *, sample: int = SAMPLE, seed: int = 0) -> SpaceHealth:
    """Reads a sample of `sample` vectors per modality; the counts are of all. Raises InvalidInput
    for a sample of fewer than 2."""
    if sample < 2:
        raise InvalidInput(f"a sample holds at least 2 vectors, not {sample}")
    generator = np.random.default_rng(seed)
    drawn: dict[Modality, tuple[F32, I64]] = {}
    modalities = []
    for modality in Modality:
        if modality not in space.encoders:
            continue
        leg = view.legs.get((space.name, modality))
        items = view.items.counts()[modality]
        if leg is None or not leg.index.live:
            modalities.append(ModalityHealth(modality, items, 0, 0, 0.0, 0.0, 0.0))
            continue
        live = np.flatnonzero(leg.index.alive)
        picked = generator.choice(live, min(sample, len(live)), replace=False)
        vectors = leg.index.take(picked)
        drawn[modality] = vectors, view.items.entity_code[leg.rows.item[picked]]
        modalities.append(_modality(modality, items, leg, live, vectors))
    pairs = [_pair(query, item, *drawn[query], *drawn[item]) for query in drawn for item in drawn]
    return SpaceHealth(
        space, view.snapshot.id, tuple(modalities), tuple(pairs), _warnings(modalities, pairs)
    )


def _modality(modality: Modality, items: int, leg: Leg, live: I64, vectors: F32) -> ModalityHealth:
    wide = vectors.astype(np.float64)
    count = len(wide)
    total = wide.sum(axis=0)
    own = float((wide**2).sum())
    cosine = (float(total @ total) - own) / max(count * (count - 1), 1)
    centred = wide - wide.mean(axis=0)
    spectrum = np.linalg.eigvalsh(centred.T @ centred)
    dimension = float(spectrum.sum() ** 2 / max(float((spectrum**2).sum()), 1e-30))
    return ModalityHealth(
        modality,
        items,
        len(np.unique(leg.rows.item[live])),
        len(live),
        float(np.abs(np.linalg.norm(wide, axis=1) - 1).max()),
        cosine if count > 1 else 1.0,
        dimension,
    )


def _pair(
    query: Modality, item: Modality, asking: F32, askers: I64, stored: F32, owners: I64
) -> PairHealth:
    gap = float(np.linalg.norm(asking.mean(axis=0) - stored.mean(axis=0)))
    depth = min(NEIGHBOURS, len(stored))
    counts = np.zeros(len(stored), np.int64)
    for first in range(0, len(asking), BLOCK):
        scores = asking[first : first + BLOCK] @ stored.T
        # One's own entity is near for a reason that says nothing of the space.
        scores[askers[first : first + BLOCK, None] == owners[None, :]] = -np.inf
        nearest = np.argpartition(-scores, depth - 1, axis=1)[:, :depth]
        real = np.take_along_axis(scores, nearest, axis=1) > -np.inf
        np.add.at(counts, nearest[real], 1)
    spread = counts.std()
    skewness = float(((counts - counts.mean()) ** 3).mean() / spread**3) if spread > 0 else 0.0
    return PairHealth(
        query,
        item,
        gap,
        skewness,
        float(counts.max() / len(asking)),
        float((counts == 0).mean()),
    )


def _warnings(modalities: Sequence[ModalityHealth], pairs: Sequence[PairHealth]) -> tuple[str, ...]:
    said = []
    for one in modalities:
        if one.covered < one.items:
            said.append(
                f"{one.items - one.covered} of {one.items} {one.modality} items have no vectors "
                "in this space"
            )
        if one.norm_error > NORM_OFF:
            said.append(f"{one.modality} vectors are not of length 1 (off by {one.norm_error:.2g})")
        if one.segments > 1 and one.mean_cosine > NARROW:
            said.append(
                f"unrelated {one.modality} vectors have a mean cosine of {one.mean_cosine:.2f}: "
                "they lie in a narrow cone, and raw scores say little"
            )
    for pair in pairs:
        if pair.hubness > HUBBY:
            said.append(
                f"{pair.query} -> {pair.item} has hubs (skewness {pair.hubness:.1f}): one item is "
                f"among the {NEIGHBOURS} nearest of {pair.largest_hub:.0%} of the queries"
            )
    return tuple(said)
