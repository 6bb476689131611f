"""Grouped search against grouping the whole ranking."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trichord.errors import InvalidInput
from trichord.index import groups as groups_module
from trichord.index.ann import AnnIndex
from trichord.index.base import VectorIndex
from trichord.index.exact import ExactIndex
from trichord.index.groups import GroupedNeighbours, Groups, search_groups
from trichord.index.live import LiveIndex
from trichord.index.reference import ReferenceIndex
from trichord.types import F32, I64, Bool


def grouped_by_hand(
    rows: F32, query: F32, k: int, groups: I64, allowed: Bool, per_group: int
) -> list[tuple[int, list[int]]]:
    """The k best groups with their best rows, from the ranking of all rows."""
    scores = rows.astype(np.float64) @ query.astype(np.float64)
    members: dict[int, list[int]] = {}
    ranking = np.lexsort((np.arange(len(rows)), -scores.astype(np.float32)))
    for row in ranking[allowed[ranking] & (groups[ranking] >= 0)].tolist():
        members.setdefault(int(groups[row]), []).append(row)
    return [(group, found[:per_group]) for group, found in list(members.items())[:k]]


def check(
    found: GroupedNeighbours, rows: F32, queries: F32, k: int, groups: I64, allowed: Bool, per: int
) -> None:
    assert found.groups.shape == found.scores.shape == (len(queries), k)
    assert found.rows.shape == found.row_scores.shape == (len(queries), k, per)
    assert np.array_equal(found.scores, found.row_scores[:, :, 0])
    for i, query in enumerate(queries):
        expected = grouped_by_hand(rows, query, k, groups, allowed, per)
        cosines = rows.astype(np.float64) @ query.astype(np.float64)
        real = [int(group) for group in found.groups[i] if group >= 0]
        assert len(real) == len(set(real)) == len(expected)
        assert np.all(found.groups[i, len(expected) :] == -1)
        assert np.isneginf(found.scores[i, len(expected) :]).all()
        for j, (group, best_rows) in enumerate(expected):
            got = [int(row) for row in found.rows[i, j] if row >= 0]
            assert len(got) == len(best_rows)
            np.testing.assert_allclose(found.row_scores[i, j, : len(got)], cosines[got], atol=1e-6)
            np.testing.assert_allclose(cosines[got], cosines[best_rows], atol=3e-7)
            if found.groups[i, j] != group:  # only where float32 cannot tell them apart
                assert abs(found.scores[i, j] - cosines[best_rows[0]]) <= 3e-7
            assert all(groups[row] == found.groups[i, j] and allowed[row] for row in got)


@settings(deadline=None, max_examples=80)
@given(data=st.data(), seed=st.integers(0, 10_000))
def test_equals_grouping_the_whole_ranking(data: st.DataObject, seed: int) -> None:
    generator = np.random.default_rng(seed)
    size = data.draw(st.integers(1, 120))
    k, per = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 4))
    distinct = generator.standard_normal((size, 5))
    rows = distinct[generator.integers(0, size, size)]  # some rows repeat
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    queries = rows[generator.integers(0, size, data.draw(st.integers(1, 3)))]
    # One group may own nearly everything; numbers may be sparse; some rows have no group.
    numbers = data.draw(st.sampled_from([[0, 1, 2, 3, 4], [7, 10**12, 3, 5], [0], list(range(50))]))
    groups = np.array(numbers)[generator.integers(0, len(numbers), size)]
    groups[generator.random(size) < data.draw(st.sampled_from([0.0, 0.6, 0.95]))] = numbers[0]
    groups[generator.random(size) < data.draw(st.sampled_from([0.0, 0.2]))] = -1
    allowed = generator.random(size) < data.draw(st.sampled_from([0.1, 0.7, 1.0]))
    split = data.draw(st.integers(0, size))
    live = LiveIndex(ExactIndex(rows[:split])).with_changes(rows[split:])
    indexes: list[VectorIndex] = [ExactIndex(rows), live, ReferenceIndex(rows)]
    deepest = data.draw(st.sampled_from([1, 10, 4096]))  # 1: the scan of all groups takes over
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(groups_module, "DEEPEST", deepest)
        patch.setattr(groups_module, "SCANNED_SCORES", 64)
        for index in indexes:
            for given_groups in (groups, Groups(groups)):
                found = search_groups(
                    index, queries, k, given_groups, allowed=allowed, per_group=per
                )
                check(found, rows, queries, k, groups, allowed, per)


def test_a_podcast_of_a_thousand_rows_takes_one_place(world) -> None:
    """The nearest thousand rows of every query are one group: deep widening or the scan."""
    everything = np.ones(len(world.rows), dtype=bool)
    for query in (world.own[:1], world.cross[:1]):
        groups = np.arange(len(world.rows)) // 2 + 1
        groups[np.argsort(-(world.rows @ query[0]))[:1000]] = 0
        for index in (ExactIndex(world.rows), ReferenceIndex(world.rows)):
            found = search_groups(index, query, 5, groups, per_group=3)
            assert found.groups[0, 0] == 0
            check(found, world.rows, query, 5, groups, everything, 3)


def test_an_approximate_index_finds_groups_at_its_recall(ann: AnnIndex, world) -> None:
    everything = np.ones(len(world.rows), dtype=bool)
    for groups in (world.clusters, np.arange(len(world.rows)) // 8):
        for queries in (world.own[:40], world.cross[:40]):
            found = search_groups(ann, queries, 10, groups, per_group=2)
            hits = 0
            for i, query in enumerate(queries):
                expected = grouped_by_hand(world.rows, query, 10, groups, everything, 2)
                best = dict(expected)
                hits += len(set(best) & set(found.groups[i].tolist()))
                for j, group in enumerate(found.groups[i].tolist()):
                    if group in best:  # the rows within a found group are exact
                        np.testing.assert_allclose(
                            world.rows[found.rows[i, j]] @ query,
                            world.rows[best[group]] @ query,
                            atol=3e-7,
                        )
            assert hits / (10 * len(queries)) >= 0.94  # so few queries tell it within 0.01
            assert np.all(np.diff(found.scores, axis=1) <= 0)


def test_fewer_groups_than_asked_and_none() -> None:
    rows = np.eye(4, dtype=np.float32)
    index = ExactIndex(rows)
    groups = np.array([5, 5, -1, 9])
    found = search_groups(index, rows[:1], 4, groups, per_group=3)
    assert found.groups.tolist() == [[5, 9, -1, -1]]
    assert found.rows[0].tolist() == [[0, 1, -1], [3, -1, -1], [-1] * 3, [-1] * 3]
    nobody = search_groups(index, rows[:1], 2, np.full(4, -1))
    assert nobody.groups.tolist() == [[-1, -1]] and np.isneginf(nobody.scores).all()
    empty = search_groups(ExactIndex(rows[:0]), rows[:1], 2, np.empty(0, dtype=np.int64))
    assert empty.groups.tolist() == [[-1, -1]]
    with pytest.raises(InvalidInput):
        search_groups(index, rows[:1], 2, groups[:3])
    with pytest.raises(InvalidInput):
        search_groups(index, rows[:1], 2, groups.reshape(2, 2))
    with pytest.raises(InvalidInput):
        search_groups(index, rows[:1], 2, groups, per_group=0)


@pytest.mark.parametrize("per_group", [1, 2, 3])
@pytest.mark.parametrize("filtered", [False, True])
@pytest.mark.parametrize("size", [40, 3_000])
def test_removed_rows_never_come_back(size: int, filtered: bool, per_group: int) -> None:
    """Also where whole groups are scanned, which reads rows without asking the index."""
    generator = np.random.default_rng(size + per_group)
    rows = generator.standard_normal((size, 16)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    numbers = np.sort(generator.integers(0, max(2, size // 50), size))
    removed = generator.choice(size, size // 3, replace=False)
    live = LiveIndex(ExactIndex(rows[: size // 2])).with_changes(rows[size // 2 :], removed)
    alive = np.ones(size, bool)
    alive[removed] = False
    mask = generator.random(size) < 0.5 if filtered else np.ones(size, bool)
    queries = rows[removed[:3]]  # nearest to what is gone
    for k in (1, 5, size):
        found = search_groups(
            live, queries, k, numbers, allowed=mask if filtered else None, per_group=per_group
        )
        check(found, rows, queries, k, numbers, mask & alive, per_group)
