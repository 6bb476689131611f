"""Answers of a catalogue against brute force over the raw vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.catalog import reference
from tests.catalog.conftest import add
from tests.catalog.reference import Segment, agrees, segments_of, unit
from tests.fakes import HashSpace, direction, embed_text, png, wav
from trichord.catalog import Catalog
from trichord.errors import (
    InvalidInput,
    MediaError,
    NotFound,
    TrichordError,
    VectorError,
)
from trichord.query import (
    Audio,
    EntityRef,
    Image,
    ItemRef,
    Query,
    Record,
    SearchOptions,
    SegmentRef,
    Term,
    Text,
    Vector,
    as_query,
)

World = tuple[Catalog, list[Segment]]


def mean(segments: list[Segment], item: str) -> np.ndarray:
    return unit(sum(s.vector.astype(np.float64) for s in segments if s.item == item))


@pytest.mark.parametrize("group", ["segment", "item", "entity"])
@pytest.mark.parametrize("fuse", ["rrf", "score"])
@pytest.mark.parametrize("modality", [None, "text", ["image", "audio"]])
def test_text_against_brute_force(
    world: World, group: str, fuse: str, modality: str | list[str] | None
) -> None:
    catalog, segments = world
    chosen = [modality] if isinstance(modality, str) else modality or reference.ORDER
    for exact in (False, True):
        hits = catalog.search(
            "rain on copper", modality=modality, group=group, fuse=fuse, limit=25, exact=exact
        )
        expected = reference.search(
            segments,
            embed_text("rain on copper", 32),
            modality=chosen,
            group=group,
            fuse=fuse,
            limit=25,
        )
        agrees(hits, expected)
        assert (hits.space, hits.coverage, hits.partial) == ("hash", 1.0, False)
        assert np.isnan(hits.significances).all()


@pytest.mark.parametrize("group", ["item", "entity"])
@pytest.mark.parametrize("count", [2, 4])
def test_best_segments_per_hit(world: World, group: str, count: int) -> None:
    catalog, segments = world
    hits = catalog.search("winter choir", group=group, segments=count, limit=40)
    expected = reference.search(
        segments, embed_text("winter choir", 32), group=group, per_group=count, limit=40
    )
    agrees(hits, expected)
    assert any(len(hit.segments) == count for hit in hits)


def test_what_can_ask(world: World) -> None:
    catalog, segments = world
    vector = np.random.default_rng(5).standard_normal(32)
    entity = "entity-3"
    items = sorted({s.item for s in segments if s.entity == entity})
    asked = {
        Image(png("red")): (direction("red", 32), []),
        Audio(wav("high")): (direction("high", 32), []),
        Vector(vector): (vector, []),
        ItemRef("text-4"): (mean(segments, "text-4"), ["text-4"]),
        SegmentRef("text-4", 0): (
            next(s.vector for s in segments if (s.item, s.ordinal) == ("text-4", 0)),
            ["text-4"],
        ),
        EntityRef(entity): (sum(mean(segments, item) for item in items), items),
    }
    for query, (expected, without) in asked.items():
        for group in ("segment", "item", "entity"):
            agrees(
                catalog.search(query, group=group, limit=30),
                reference.search(segments, expected, group=group, limit=30, without=without),
            )
    agrees(
        catalog.similar("image-2", modality="audio"),
        reference.search(segments, mean(segments, "image-2"), modality=["audio"]),
    )
    agrees(catalog.search(vector), reference.search(segments, vector))


def test_weighted_combination(world: World) -> None:
    catalog, segments = world
    query = Image(png("blue")) + 0.5 * Text("organ") - 0.3 * ItemRef("audio-7")
    query = query + 2 * EntityRef("entity-0")
    items = sorted({s.item for s in segments if s.entity == "entity-0"})
    entity = unit(sum(mean(segments, item) for item in items))
    wanted = (
        direction("blue", 32)
        + 0.5 * embed_text("organ", 32)
        - 0.3 * mean(segments, "audio-7")
        + 2 * entity
    )
    expected = reference.search(segments, wanted, without=[*items, "audio-7"], limit=50)
    agrees(catalog.search(query, limit=50), expected)
    agrees(catalog.search(query * 1e300, limit=50), expected)
    agrees(catalog.search(query * 1e-300, limit=50), expected)
    with pytest.raises(VectorError, match="cancel"):
        catalog.search(Text("organ") - Text("organ"))


def test_many_queries_answer_one_by_one(world: World) -> None:
    catalog, segments = world
    queries = [
        as_query("rain"),
        as_query(ItemRef("nowhere")),
        as_query(ItemRef("text-1")),
        as_query(Image(b"no picture")),
        as_query(Vector(np.ones(7))),
        as_query("choir"),
    ]
    answers = catalog.search_many(queries, SearchOptions(limit=5))
    kinds = [type(answer).__name__ for answer in answers]
    assert kinds == ["Hits", "NotFound", "Hits", "MediaError", "VectorError", "Hits"]
    for position, (vector, without) in {
        0: (embed_text("rain", 32), []),
        2: (mean(segments, "text-1"), ["text-1"]),
        5: (embed_text("choir", 32), []),
    }.items():
        answer = answers[position]
        assert not isinstance(answer, TrichordError)
        agrees(answer, reference.search(segments, vector, limit=5, without=without))


def test_many_left_out(world: World) -> None:
    catalog, segments = world
    items = sorted({s.item for s in segments})[:70]
    query = Query(tuple(Term(ItemRef(item)) for item in items))
    wanted = sum(mean(segments, item) for item in items)
    agrees(
        catalog.search(query, limit=80),
        reference.search(segments, wanted, without=items, limit=80),
    )


def test_attributes_come_as_columns(world: World) -> None:
    catalog, _ = world
    hits = catalog.search("rain", attributes="number,even", limit=30)
    for hit in hits:
        number = None if hit.modality == "text" else int(hit.item_id.rpartition("-")[2])
        even = None if number is None else number % 2 == 0
        assert hit.attributes == {"number": number, "even": even}
    assert set(catalog.search("rain", attributes="*").attributes) == {"number", "even"}
    with pytest.raises(InvalidInput, match="no attribute 'colour'.*even, number"):
        catalog.search("rain", attributes="colour")


def test_wrong_questions(world: World) -> None:
    catalog, _ = world
    with pytest.raises(InvalidInput, match="no modality 'video'"):
        catalog.search("rain", modality="video")
    with pytest.raises(InvalidInput, match="group is one of"):
        catalog.search("rain", group="album")
    with pytest.raises(InvalidInput, match="limit"):
        catalog.search("rain", limit=0)
    with pytest.raises(NotFound, match="no space 'other'"):
        catalog.search("rain", space="other")
    with pytest.raises(NotFound, match="no segment 99; it has"):
        catalog.search(SegmentRef("text-1", 99))
    with pytest.raises(NotFound, match="no entity 'nobody'"):
        catalog.search(EntityRef("nobody"))
    with pytest.raises(MediaError, match="a text"):
        catalog.search(Image(b"plain words"))
    with pytest.raises(InvalidInput, match="cannot search by int"):
        catalog.search(5)  # type: ignore[arg-type]


def test_nothing_stored(catalog: Catalog) -> None:
    for hits in (catalog.search("rain"), catalog.search("rain", exact=True, group="entity")):
        assert len(hits) == 0 and hits.next_page_token == "" and hits.to_polars().is_empty()
    with pytest.raises(NotFound):
        catalog.similar("x")
    assert catalog.get(["x"]).missing_item_ids == ("x",)
    assert catalog.stats().items == {"audio": 0, "image": 0, "text": 0}
    add(catalog, [Record("x", text="rain")])
    catalog.delete("x")
    assert len(catalog.search("rain")) == 0
    catalog.build_indexes()
    assert len(catalog.search("rain")) == 0


@pytest.mark.parametrize("kind", ["exact", "hnsw", "ivf"])
def test_indexes_keep_the_answers(tmp_path: Path, kind: str) -> None:
    """Bases of every kind, with rows changed and deleted since, against brute force."""
    generator = np.random.default_rng(1)

    def picture(number: int) -> Record:
        vector = generator.standard_normal(32).astype(np.float32)
        return Record(f"i{number}", f"e{number // 3}", "image", vector=vector)

    records = [picture(number) for number in range(600)]
    with Catalog.open(tmp_path / "store", space=HashSpace()) as catalog:
        add(catalog, records)
        built = catalog.build_indexes(everything=True, kind=kind, recall_target=0.99, threads=1)
        assert [leg.modality for leg in built] == ["image"]
        assert built[0].index.info.kind in (kind, "exact")
        changed = [picture(number) for number in range(0, 600, 7)]
        add(catalog, changed)
        gone = [f"i{n}" for n in range(0, 600, 5)]
        assert catalog.delete(gone) == len(gone)
        left = {r.item_id: r for r in [*records, *changed] if r.item_id not in gone}
        segments = segments_of(catalog, left.values())
        with Catalog.open(tmp_path / "store", space=HashSpace()) as other:
            for one in (catalog, other):
                found = 0
                for _ in range(8):
                    query = generator.standard_normal(32)
                    for group in ("segment", "item", "entity"):
                        exact = one.search(query, group=group, exact=True, segments=3)
                        agrees(
                            exact,
                            reference.search(segments, query, group=group, per_group=3),
                            segments=group != "segment",
                        )
                    fast = one.search(query)
                    found += len(set(fast.item_ids) & set(one.search(query, exact=True).item_ids))
                    assert not set(fast.item_ids) & set(gone)
                assert found >= 0.95 * 80
