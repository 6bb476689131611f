"""Ranks against brute force, intervals against known spreads."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from trichord.embedders.bridge.scores import figures, first_ranks, interval


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000))
def test_ranks_are_those_of_sorting(seed: int) -> None:
    rng = np.random.default_rng(seed)
    q, d = (rng.normal(size=(n, 6)).astype(np.float32) for n in (8, 25))
    relevant = rng.random((8, 25)) < 0.2
    relevant[:, 0] = True
    wanted = []
    for row, which in zip(q @ d.T, relevant, strict=True):
        order = sorted(range(25), key=lambda i: -row[i])
        wanted.append(next(place for place, i in enumerate(order, 1) if which[i]))
    assert first_ranks(q, d, relevant).tolist() == wanted


def test_ties_count_against() -> None:
    same = np.ones((4, 2), np.float32)
    relevant = np.eye(1, 4, dtype=bool)
    assert first_ranks(same[:1], same, relevant).tolist() == [4]


def test_figures_by_hand() -> None:
    found = figures(np.array([1, 2, 5, 10, 11, 1]), 30, np.arange(6))
    assert (found.r1.value, found.r5.value, found.r10.value) == (2 / 6, 4 / 6, 5 / 6)
    assert abs(found.mrr.value - (1 + 1 / 2 + 1 / 5 + 1 / 10 + 1 / 11 + 1) / 6) < 1e-12
    runs = figures(np.array([[1, 1], [2, 1]]), 9, np.arange(2))
    assert runs.r1.value == 0.75 and runs.queries == 2


def test_intervals_of_whole_clusters_are_wider() -> None:
    rng = np.random.default_rng(1)
    per_cluster = (rng.random(60) < 0.5).astype(float)
    values, clusters = per_cluster.repeat(10), np.arange(60).repeat(10)
    loose, tight = interval(values, clusters), interval(values, np.arange(600))
    assert loose.value == tight.value == per_cluster.mean()
    # the spread of a mean of n coins is sqrt(p q / n)
    spread = np.sqrt(loose.value * (1 - loose.value) / 60)
    assert abs((loose.high - loose.low) / (2 * 1.96 * spread) - 1) < 0.15
    assert (tight.high - tight.low) < 0.5 * (loose.high - loose.low)
