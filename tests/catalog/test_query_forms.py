"""Exclusions, boosts, diversity, facets, histories, many vectors at once: against plain lists."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.catalog import reference
from tests.catalog.conftest import add, some_records
from tests.catalog.reference import Segment, agrees, unit
from tests.fakes import HashSpace, embed_text
from trichord.catalog import Catalog
from trichord.errors import FrameMismatch, InvalidInput, TrichordError, VectorError
from trichord.hits import Hits
from trichord.query import Boost, ItemRef, Record, SearchOptions, Vector, Vectors, history

World = tuple[Catalog, list[Segment]]
QUERY = embed_text("rain on copper", 32)
NUMBERS = {record.item_id: record.attributes.get("number") for record in some_records()}
EVEN = {record.item_id: record.attributes.get("even") for record in some_records()}


def keys(hits: Hits, group: str) -> list[object]:
    if group == "segment":
        return [(hit.item_id, hit.segments[0].ordinal) for hit in hits]
    return list(hits.item_ids if group == "item" else hits.entity_ids)


# Ids that are left out


@pytest.mark.parametrize("group", ["segment", "item", "entity"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_excluded_ids_against_brute_force(world: World, group: str, share: float) -> None:
    catalog, segments = world
    items = sorted({segment.item for segment in segments})
    picked = np.random.default_rng(3).random(len(items)) < share
    out = {item for item, gone in zip(items, picked, strict=True) if gone}
    hits = catalog.search("rain on copper", group=group, limit=30, exclude_items=out)
    expected = reference.search(
        segments, QUERY, group=group, limit=30, allowed=lambda item: item not in out
    )
    agrees(hits, expected)


def test_excluding_the_best_ones_brings_up_the_next(world: World) -> None:
    """The excluded ids are just those that would be found, more of them than are asked in spare."""
    catalog, segments = world
    first = catalog.search("rain on copper", modality="text", limit=15)
    out = list(first.item_ids)
    hits = catalog.search("rain on copper", modality="text", limit=5, exclude_items=out)
    expected = reference.search(
        segments, QUERY, modality=["text"], limit=5, allowed=lambda item: item not in out
    )
    agrees(hits, expected)


@pytest.mark.parametrize("group", ["segment", "item", "entity"])
def test_excluded_entities(world: World, group: str) -> None:
    catalog, segments = world
    out = {f"entity-{number}" for number in range(0, 20, 3)}
    of = {segment.item: segment.entity for segment in segments}
    hits = catalog.search(
        "rain on copper", group=group, limit=40, exclude_entities=out, exclude_items="text-1"
    )
    expected = reference.search(
        segments,
        QUERY,
        group=group,
        limit=40,
        allowed=lambda item: of[item] not in out and item != "text-1",
    )
    agrees(hits, expected)


def test_exclusions_with_a_stored_query_a_filter_and_pages(world: World) -> None:
    catalog, segments = world
    out = frozenset(f"image-{number}" for number in range(0, 60, 4))
    asked = {"modality": "image", "where": "number < 40", "exclude_items": out}
    seen: list[str] = []
    token = ""
    while True:
        hits = catalog.search(ItemRef("image-2"), limit=4, page_token=token, **asked)
        seen += hits.item_ids
        token = hits.next_page_token
        if not token:
            break
    wanted = {
        item
        for item, number in NUMBERS.items()
        if number is not None and number < 40 and item.startswith("image") and item not in out
    } - {"image-2"}
    assert sorted(seen) == sorted(wanted) and len(seen) == len(wanted)


def test_unknown_ids_are_no_error_and_too_many_are(world: World) -> None:
    catalog, _ = world
    plain = catalog.search("rain", limit=5)
    hits = catalog.search("rain", limit=5, exclude_items=["nobody"], exclude_entities="nothing")
    assert list(hits.item_ids) == list(plain.item_ids)
    with pytest.raises(InvalidInput, match="10000"):
        catalog.search("rain", exclude_items=[str(number) for number in range(10_001)])
    with pytest.raises(InvalidInput, match="text"):
        catalog.search("rain", exclude_items=[7])  # type: ignore[list-item]


# Boosts


def boosted(
    segments: list[Segment], group: str, modality: str, added: Callable[[str], float]
) -> dict[object, float]:
    """By group: the best of cosine plus boost over its segments."""
    best: dict[object, float] = {}
    for segment in segments:
        if segment.modality == modality:
            key: object = {
                "segment": (segment.item, segment.ordinal),
                "item": segment.item,
                "entity": segment.entity,
            }[group]
            value = float(segment.vector @ unit(QUERY)) + added(segment.item)
            best[key] = max(best.get(key, -np.inf), value)
    return best


@pytest.mark.parametrize("group", ["segment", "item", "entity"])
@pytest.mark.parametrize("weight", [0.2, -0.3, 5.0])
def test_a_boost_by_a_filter(world: World, group: str, weight: float) -> None:
    catalog, segments = world
    hits = catalog.search(
        "rain on copper",
        modality="image",
        group=group,
        limit=25,
        boosts=Boost(weight, where="number > 30"),
    )
    best = boosted(segments, group, "image", lambda item: weight * ((NUMBERS[item] or 0) > 30))
    expected = sorted(best, key=lambda key: -best[key])[:25]
    assert keys(hits, group) == expected
    cosines = {(s.item, s.ordinal): float(s.vector @ unit(QUERY)) for s in segments}
    for hit in hits:  # scores stay cosines
        assert hit.score == pytest.approx(cosines[hit.item_id, hit.segments[0].ordinal], abs=1e-5)


def test_boosts_by_a_number_and_by_filters_add_up(world: World) -> None:
    catalog, segments = world
    boosts = [
        Boost(0.01, attribute="number"),
        Boost(0.1, where="even = true"),
        Boost(0.05, where="number < 9"),
    ]
    hits = catalog.search("rain on copper", modality=["audio", "image"], limit=40, boosts=boosts)

    def added(item: str) -> float:
        number = NUMBERS[item] or 0
        return 0.01 * number + 0.1 * bool(EVEN[item]) + 0.05 * (number < 9)

    lists = []
    for modality in ("audio", "image"):
        best = boosted(segments, "item", modality, added)
        lists.append(sorted(best, key=lambda key: -best[key]))
    expected = [item for pair in zip(*lists, strict=True) for item in pair][:40]
    assert list(hits.item_ids) == expected


def test_a_boost_lifts_what_is_far_away(tmp_path: Path) -> None:
    """The lifted item is the farthest of many, beyond any pool of the nearest."""
    generator = np.random.default_rng(5)
    rows = generator.standard_normal((1500, 32)).astype(np.float32)
    query = rows[0]
    farthest = int((rows / np.linalg.norm(rows, axis=1, keepdims=True) @ query).argmin())
    records = [
        Record(f"image-{n}", modality="image", vector=row, attributes={"lifted": n == farthest})
        for n, row in enumerate(rows)
    ]
    with Catalog.open(tmp_path / "store", space=HashSpace()) as catalog:
        add(catalog, records)
        hits = catalog.search(query, limit=3, boosts=Boost(3, where="lifted = true"))
        assert list(hits.item_ids[:2]) == [f"image-{farthest}", "image-0"]


def test_pages_of_a_boosted_list_are_one_list(world: World) -> None:
    catalog, _ = world
    asked = {"boosts": Boost(0.3, where="even = true"), "diversity": 0.3}
    whole = catalog.search("rain on copper", limit=30, **asked)
    paged: list[str] = []
    token = ""
    for _ in range(6):
        hits = catalog.search("rain on copper", limit=5, page_token=token, **asked)
        paged += hits.item_ids
        token = hits.next_page_token
    assert paged == list(whole.item_ids)


def test_boosts_that_cannot_be(world: World) -> None:
    catalog, _ = world
    with pytest.raises(InvalidInput, match="finite number"):
        Boost(float("nan"), attribute="number")
    with pytest.raises(InvalidInput, match="either"):
        Boost(0.1)
    with pytest.raises(InvalidInput, match="either"):
        Boost(0.1, where="number > 1", attribute="number")
    with pytest.raises(InvalidInput, match="no attribute 'loudness'"):
        catalog.search("rain", boosts=Boost(1, attribute="loudness"))
    with pytest.raises(TrichordError, match="loudness"):
        catalog.search("rain", boosts=Boost(1, where="loudness > 3"))


# Diversity


@pytest.mark.parametrize("diversity", [0.2, 0.5, 0.9])
def test_diversity_is_maximal_marginal_relevance(world: World, diversity: float) -> None:
    catalog, segments = world
    left = {s.item: s.vector.astype(np.float64) for s in segments if s.modality == "image"}
    direction = unit(QUERY).astype(np.float64)
    chosen: dict[str, np.ndarray] = {}

    def gain(item: str) -> float:
        near = max((float(left[item] @ other) for other in chosen.values()), default=0.0)
        return float((1 - diversity) * (left[item] @ direction) - diversity * near)

    while len(chosen) < 12:
        best = max(left, key=gain)
        chosen[best] = left.pop(best)
    hits = catalog.search("rain on copper", modality="image", limit=12, diversity=diversity)
    assert list(hits.item_ids) == list(chosen)


def test_diversity_spreads_a_mixed_list(world: World) -> None:
    catalog, segments = world
    vectors = {(s.item, s.ordinal): s.vector for s in segments}

    def nearness(hits: Hits) -> float:
        shown = np.stack([vectors[hit.item_id, hit.segments[0].ordinal] for hit in hits])
        products = shown @ shown.T
        return float(products[np.triu_indices(len(hits), 1)].mean())

    plain = catalog.search("rain on copper", limit=12)
    spread = catalog.search("rain on copper", limit=12, diversity=0.7)
    assert list(spread.item_ids)[0] == list(plain.item_ids)[0]
    assert nearness(spread) < nearness(plain)


# Facets


def test_facets_count_what_could_be_found(world: World) -> None:
    catalog, segments = world
    out = {"image-2", "image-4", "image-40"}
    hits = catalog.search(
        "rain",
        modality=["image", "text"],
        where="number < 50 or not (number is not null)",
        limit=1,
        facets="even,modality,number",
        exclude_items=out,
    )
    could = [
        s.item
        for s in segments
        if s.ordinal == 0
        and s.modality in ("image", "text")
        and s.item not in out
        and (NUMBERS[s.item] is None or NUMBERS[s.item] < 50)
    ]
    even, modality, number = hits.facets
    assert (even.name, modality.name, number.name) == ("even", "modality", "number")
    assert dict(even.values) == Counter(EVEN[item] for item in could if EVEN[item] is not None)
    assert even.missing == sum(EVEN[item] is None for item in could) == 20
    assert dict(modality.values) == Counter(item.split("-")[0] for item in could)
    assert dict(number.values) == {NUMBERS[item]: 1 for item in could if NUMBERS[item] is not None}
    assert all(facet.others == 0 for facet in hits.facets)
    with pytest.raises(InvalidInput, match="no attribute 'mood' to count"):
        catalog.search("rain", facets="mood")


# Histories


def test_a_history_weighs_by_age(world: World) -> None:
    catalog, segments = world
    now = datetime(2026, 3, 1, tzinfo=UTC)
    liked = [
        ("image-2", now - timedelta(days=3)),
        ("audio-5", now - timedelta(days=30), 2.0),
        ("image-8", now - timedelta(days=60), -1.0),
    ]
    asked = history(liked, half_life_days=30, now=now)
    weights = [term.weight for term in asked.terms]
    assert weights == pytest.approx([0.5**0.1, 1.0, -0.25])
    of = {s.item: s.vector.astype(np.float64) for s in segments if s.ordinal == 0}
    direction = sum(w * of[item] for w, (item, *_) in zip(weights, liked, strict=True))
    hits = catalog.search(asked, modality=["audio", "image"], limit=20)
    expected = reference.search(
        segments,
        direction,
        modality=["audio", "image"],
        limit=20,
        without=["image-2", "audio-5", "image-8"],
    )
    agrees(hits, expected)


def test_a_long_history_keeps_what_counts_most() -> None:
    now = datetime(2026, 3, 1)
    events = [(f"item-{day}", now - timedelta(days=day)) for day in range(400)]
    asked = history(events, half_life_days=10, now=now)
    assert {term.input.item_id for term in asked.terms} == {f"item-{day}" for day in range(256)}  # type: ignore[union-attr]
    with pytest.raises(InvalidInput, match="empty"):
        history([])
    with pytest.raises(InvalidInput, match="half_life_days"):
        history(events, half_life_days=0)


# Many vectors at once


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 1000),
    count=st.integers(1, 20),
    limit=st.integers(1, 30),
    group=st.sampled_from(["segment", "item", "entity"]),
    modality=st.sampled_from(["image", "text", "image,text", ""]),
    segments=st.integers(1, 3),
)
def test_a_matrix_is_answered_as_its_rows(
    world: World, seed: int, count: int, limit: int, group: str, modality: str, segments: int
) -> None:
    catalog, _ = world
    matrix = np.random.default_rng(seed).standard_normal((count, 32)).astype(np.float32)
    options = {"limit": limit, "group": group, "modality": modality, "segments": segments}
    answers = catalog.search_many(matrix, attributes="number", **options)
    assert len(answers) == count
    for row, answer in zip(matrix, answers, strict=True):
        alone = catalog.search(Vector(row), attributes="number", **options)
        assert isinstance(answer, Hits)
        assert list(answer.item_ids) == list(alone.item_ids)
        assert list(answer.entity_ids) == list(alone.entity_ids)
        assert list(answer.modalities) == list(alone.modalities)
        assert answer.attributes == alone.attributes
        assert np.array_equal(answer.scores, alone.scores)
        for name in ("segment_offsets", "segment_ordinals", "segment_scores", "start_char"):
            assert np.array_equal(getattr(answer, name), getattr(alone, name))


def test_vectors_that_cannot_be(world: World) -> None:
    catalog, _ = world
    good = np.eye(32, dtype=np.float32)[:3]
    for spoilt in (0.0, np.nan, np.inf):
        bad = good.copy()
        bad[1] = spoilt
        with pytest.raises(VectorError, match="no direction"):
            catalog.search_many(bad)
    with pytest.raises(VectorError, match="has 31 values"):
        catalog.search_many(good[:, :31])
    with pytest.raises(VectorError, match="shape"):
        Vectors(good[0])
    with pytest.raises(FrameMismatch):
        catalog.search_many(Vectors(good, frame="other/32"))
    with pytest.raises(InvalidInput, match="1 to 1024 queries"):
        catalog.search_many(np.ones((1025, 32), np.float32))
    long = catalog.search_many(5 * good, limit=3)
    assert [list(one.item_ids) for one in long] == [  # type: ignore[union-attr]
        list(one.item_ids)  # type: ignore[union-attr]
        for one in catalog.search_many(good, limit=3)
    ]


def test_a_failed_query_stands_in_its_place(world: World) -> None:
    catalog, _ = world
    answers = catalog.search_many(["rain", ItemRef("nobody"), "copper"], SearchOptions(limit=3))
    first, failed, last = answers
    assert isinstance(failed, TrichordError)
    for answer, words in ((first, "rain"), (last, "copper")):
        assert isinstance(answer, Hits)
        assert list(answer.item_ids) == list(catalog.search(words, limit=3).item_ids)
    assert answers[-1].item_ids == last.item_ids  # type: ignore[union-attr]
    with pytest.raises(IndexError):
        answers[3]


@pytest.mark.parametrize("modality", ["audio", "image", "text"])
@pytest.mark.parametrize("group", ["segment", "item"])
@pytest.mark.parametrize("where", [None, "number < 4", "number < 0", "even = true"])
@pytest.mark.parametrize("limit", [1, 7, 60])
def test_the_short_way_answers_as_the_long_one(
    world: World, modality: str, group: str, where: str | None, limit: int
) -> None:
    """An explanation is made on the long way only; by whole columns, one query and several."""
    catalog, _ = world
    matrix = np.stack([QUERY, embed_text("a blue door", 32), embed_text("wood", 32)])
    for queries in (matrix, matrix[:1]):
        options: Any = {
            "modality": modality,
            "group": group,
            "where": where,
            "limit": limit,
            "attributes": ("number", "even"),
        }
        short = catalog.search_many(queries, **options)
        long = catalog.search_many(queries, explain=True, **options)
        assert list(short.bounds) == list(long.bounds) and not short.errors
        assert short.flat.explanation is None and long.flat.explanation is not None
        if short.flat.bare:
            assert not long.flat.segment_ordinals.any() and (long.flat.start_char == -1).all()
        for name, column in vars(long.flat).items():
            if name in ("explanation", "next_page_token", "probabilities", "bare"):
                continue
            found = getattr(short.flat, name)
            if isinstance(column, np.ndarray):
                np.testing.assert_array_equal(found, column, err_msg=name)
                assert found.dtype == column.dtype
            else:
                assert list(found) == list(column) if name.endswith("s") else found == column
        for number in range(len(queries)):
            one = short[number]
            other = long[number]
            assert isinstance(one, Hits) and isinstance(other, Hits)
            assert one.entity_ids == other.entity_ids and one.attributes == other.attributes
            assert np.array_equal(one.scores, other.scores)


@pytest.mark.parametrize("best", [0, 3, 12, 40])
@pytest.mark.parametrize("limit", [1, 7, 60])
@pytest.mark.parametrize("where", [None, "number < 4"])
def test_the_short_way_leaves_out_what_is_excluded(
    world: World, best: int, limit: int, where: str | None
) -> None:
    """More of the nearest than are asked in spare, and some that are far away."""
    catalog, _ = world
    options: Any = {"modality": "image", "where": where}
    first = catalog.search(QUERY, limit=100, **options)
    out = {*first.item_ids[:best], *first.item_ids[-2:], "unknown"}
    entities = {first.entity_ids[best]} if best < len(first) else set()
    for excluded in ({"exclude_items": out}, {"exclude_items": out, "exclude_entities": entities}):
        asked = options | excluded
        short = catalog.search(QUERY, limit=limit, **asked)
        long = catalog.search(QUERY, limit=limit, explain=True, **asked)
        assert short.item_ids == long.item_ids and np.array_equal(short.scores, long.scores)
        assert short.next_page_token == long.next_page_token
        gone = excluded.get("exclude_entities", set())
        left = [
            item
            for item, entity in zip(first.item_ids, first.entity_ids, strict=True)
            if item not in out and entity not in gone
        ]
        assert list(short.item_ids) == left[:limit]
        assert bool(short.next_page_token) == (len(left) > limit)
