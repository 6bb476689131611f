"""Diversity: a hit counts less the nearer it is to a better one.

Maximal Marginal Relevance (Carbonell and Goldstein, SIGIR 1998), greedily over a pool of hits.
"""

from __future__ import annotations

import numpy as np

from trichord.catalog.places import F64, Places
from trichord.types import F32, I64


def diversified(places: Places, diversity: float, wanted: int) -> Places:
    """The places of one query (without padding) with the first `wanted` chosen one after the other:
    each the best of (1 - diversity) × relevance - diversity × nearness to the nearest chosen one.

    Relevance is the cosine that the order rests on; in a list of several modalities, whose cosines
    are not comparable, it falls from 1 to 0 with the rank. The others follow as they were.
    """
    count = places.rows.shape[1]
    if count < 2 or diversity == 0:
        return places
    relevance = (
        np.asarray(places.ordered_by[0], np.float64)
        if places.leg is None
        else 1.0 - np.arange(count) / count
    )
    order = mmr(_vectors(places), relevance, diversity, wanted)
    return places.picked(order[None, :])


def mmr(vectors: F32, relevance: F64, diversity: float, wanted: int) -> I64:
    """The order: int64 (n,) a permutation whose first `wanted` are chosen by marginal relevance.
    vectors float32 (n, dim), unit rows; relevance float64 (n,)."""
    count = len(vectors)
    nearest = np.full(count, -np.inf)
    left = np.ones(count, bool)
    chosen: list[int] = []
    for _ in range(min(wanted, count)):
        gain = (1 - diversity) * relevance
        if chosen:
            gain = gain - diversity * nearest
        gain[~left] = -np.inf
        best = int(gain.argmax())
        chosen.append(best)
        left[best] = False
        nearest = np.maximum(nearest, vectors @ vectors[best])
    return np.concatenate([np.array(chosen, np.int64), np.flatnonzero(left)])


def _vectors(places: Places) -> F32:
    numbers, rows = places.leg_numbers()[0], places.rows[0, :, 0]
    vectors = np.empty((len(rows), places.legs[0].index.dim), np.float32)
    for number, leg in enumerate(places.legs):
        mine = numbers == number
        if mine.any():
            vectors[mine] = leg.index.take(rows[mine])
    return vectors
