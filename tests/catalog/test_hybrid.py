"""Words beside vectors, and a second opinion on the best hits: against plain lists."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import bm25
from tests.catalog.conftest import add
from tests.catalog.reference import Segment, segments_of, unit
from tests.fakes import HashSpace, embed_text
from trichord.catalog import Catalog
from trichord.errors import InvalidInput
from trichord.hits import Hits
from trichord.query import Record, Text
from trichord.types import F32

SUBJECTS = ["rain", "harbour", "organ", "violet", "river", "lantern", "copper", "winter"]
QUERY = embed_text("copper river", 32)


def records() -> list[Record]:
    """Texts of one to several chunks, and ready vectors with titles; three items to an entity."""
    generator = np.random.default_rng(11)
    made = []
    for number in range(60):
        words = [str(word) for word in generator.choice(SUBJECTS, int(generator.integers(1, 40)))]
        if number % 2:
            made.append(Record(f"t{number}", f"e{number // 3}", text=" ".join(words)))
        else:
            vector = generator.standard_normal(32).astype(np.float32)
            title = {"title": " ".join(words[:3]), "number": number}
            made.append(
                Record(f"v{number}", f"e{number // 3}", "image", vector=vector, attributes=title)
            )
    return made


RECORDS = {str(record.item_id): record for record in records()}
DOCUMENTS = {
    item: (record.text or str(record.attributes["title"])).split()
    for item, record in RECORDS.items()
}


class Overlap:
    """A reranker that prefers texts with many different words, and waits when told to."""

    name, batch = "overlap", 4

    def __init__(self) -> None:
        self.go = threading.Event()
        self.go.set()
        self.asked: list[str] = []
        self.slices = 0
        self.stop_after: int | None = None

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"backend": "overlap"}

    def load(self) -> None:
        pass

    def score(self, query: str, texts: Sequence[str]) -> F32:
        if self.stop_after is not None and self.slices >= self.stop_after:
            self.go.wait(20)
        self.slices += 1
        self.asked += texts
        return np.array([value(text) for text in texts], np.float32)


def value(text: str) -> float:
    return len(set(text.split())) + len(text) / 1e4


@pytest.fixture
def reranker() -> Overlap:
    return Overlap()


@pytest.fixture
def shelf(tmp_path: Path, reranker: Overlap) -> Iterator[tuple[Catalog, list[Segment]]]:
    space = HashSpace()
    with Catalog.open(tmp_path / "store", space=space, reranker=reranker) as catalog:
        add(catalog, list(RECORDS.values()))
        yield catalog, segments_of(catalog, list(RECORDS.values()))


def cosines(segments: list[Segment]) -> dict[tuple[str, int], float]:
    direction = unit(QUERY).astype(np.float64)
    return {(s.item, s.ordinal): float(s.vector.astype(np.float64) @ direction) for s in segments}


def key_of(segment: Segment, group: str) -> object:
    return {
        "segment": (segment.item, segment.ordinal),
        "item": segment.item,
        "entity": segment.entity,
    }[group]


def by_vectors(segments: list[Segment], group: str) -> list[object]:
    """Lists of the two modalities, taken by turns, each group at its best place."""
    score = cosines(segments)
    lists = []
    for modality in ("image", "text"):
        best: dict[object, float] = {}
        for one in segments:
            if one.modality == modality:
                key = key_of(one, group)
                best[key] = max(best.get(key, -2.0), score[one.item, one.ordinal])
        lists.append(sorted(best, key=lambda key: -best[key]))
    turns = [
        (rank, number, key) for number, one in enumerate(lists) for rank, key in enumerate(one)
    ]
    return list(dict.fromkeys(key for _, _, key in sorted(turns, key=lambda t: t[:2])))


def by_words(
    catalog: Catalog, segments: list[Segment], group: str, words: str, items: set[str]
) -> list[object]:
    score = cosines(segments)
    # Statistics are those of the whole catalogue, whatever a search may find.
    found = bm25.score(DOCUMENTS, set(words.split()))
    view = catalog._views.refresh()
    rows, scores = catalog._words.at(view).search(words, 1000, None)
    ranked = view.items.ids.take(rows)
    assert set(ranked) == set(found)
    # Its order is right but for ties, which are its own to break.
    assert scores == pytest.approx([found[item] for item in ranked], abs=1e-5)
    assert all(scores[:-1] >= scores[1:])
    ranked = [item for item in ranked if item in items]
    keys: list[object] = []
    for item in ranked:
        mine = [one for one in segments if one.item == item]
        keys.append(key_of(max(mine, key=lambda one: score[one.item, one.ordinal]), group))
    return list(dict.fromkeys(keys))


def fused(*lists: list[object]) -> list[object]:
    values: dict[object, float] = {}
    for one in lists:
        for rank, key in enumerate(one):
            values[key] = values.get(key, 0.0) + 1 / (61 + rank)
    return sorted(values, key=lambda key: -values[key])  # stable: vectors first


def keys(hits: Hits, group: str) -> list[object]:
    if group == "segment":
        return [(hit.item_id, hit.segments[0].ordinal) for hit in hits]
    return list(hits.item_ids if group == "item" else hits.entity_ids)


@pytest.mark.parametrize("group", ["segment", "item", "entity"])
@pytest.mark.parametrize("words", ["violet", "copper winter", "nothing", "organ organ lantern"])
def test_words_and_vectors_by_reciprocal_rank(
    shelf: tuple[Catalog, list[Segment]], group: str, words: str
) -> None:
    catalog, segments = shelf
    hits = catalog.search(
        "copper river", modality="image,text", keywords=words, group=group, limit=200
    )
    found = by_words(catalog, segments, group, words, set(RECORDS))
    expected = fused(by_vectors(segments, group), found)
    assert keys(hits, group) == expected
    score = cosines(segments)
    for hit in hits:  # whoever found it, the score is its cosine
        cosine = score[hit.item_id, hit.segments[0].ordinal]
        assert hit.score == pytest.approx(cosine, abs=1e-5)


def test_words_obey_filters_exclusions_and_modalities(
    shelf: tuple[Catalog, list[Segment]],
) -> None:
    catalog, segments = shelf
    out = frozenset(["v6", "v10"])
    hits = catalog.search(
        "copper river",
        modality="image",
        where="number < 30",
        exclude_items=out,
        keywords="violet organ",
        limit=100,
    )
    allowed = {f"v{number}" for number in range(0, 30, 2)} - out
    mine = [one for one in segments if one.item in allowed]
    words = by_words(catalog, mine, "item", "violet organ", allowed)
    expected = fused(by_vectors(mine, "item"), words)
    assert keys(hits, "item") == expected


def test_what_is_committed_is_found_by_its_words(shelf: tuple[Catalog, list[Segment]]) -> None:
    catalog, _ = shelf
    assert "new" not in catalog.search("rain", keywords="zeppelin", limit=100).item_ids
    add(catalog, [Record("new", text="a zeppelin over the harbour")])
    assert catalog.search("rain", keywords="zeppelin", modality="text")[0].item_id == "new"
    add(catalog, [Record("v8", attributes={"title": "zeppelin"})])
    hits = catalog.search("rain", keywords="zeppelin", modality="image")
    assert hits[0].item_id == "v8"
    catalog.delete("new")
    assert "new" not in catalog.search("rain", keywords="zeppelin", limit=100).item_ids


def test_words_that_are_none(shelf: tuple[Catalog, list[Segment]]) -> None:
    catalog, _ = shelf
    with pytest.raises(InvalidInput, match="letter"):
        catalog.search("rain", keywords="?!")


def test_the_first_hits_in_the_order_of_the_reranker(
    shelf: tuple[Catalog, list[Segment]], reranker: Overlap
) -> None:
    catalog, _ = shelf
    plain = catalog.search("copper river", limit=30)
    hits = catalog.search("copper river", limit=30, rerank=12, rerank_ms=20_000)
    head = sorted(plain.item_ids[:12], key=lambda item: -value(" · ".join(_said(item))))
    assert list(hits.item_ids) == [*head, *plain.item_ids[12:]]
    assert not hits.partial and hits.notes == ()
    assert len(reranker.asked) == 12


def _said(item: str) -> list[str]:
    record = RECORDS[item]
    return [record.text or str(record.attributes["title"])]


def test_a_slow_reranker_does_not_hold_up_the_answer(
    shelf: tuple[Catalog, list[Segment]], reranker: Overlap
) -> None:
    catalog, _ = shelf
    plain = catalog.search("copper river", limit=30)
    reranker.stop_after = 1  # one slice of four is scored, then it hangs
    reranker.go.clear()
    try:
        hits = catalog.search("copper river", limit=30, rerank=12, rerank_ms=700)
    finally:
        reranker.go.set()
    head = sorted(plain.item_ids[:4], key=lambda item: -value(" · ".join(_said(item))))
    assert list(hits.item_ids) == [*head, *plain.item_ids[4:]]
    assert hits.partial and "4 of 12" in hits.notes[0]


def test_a_reranker_needs_words_and_has_to_be_there(
    shelf: tuple[Catalog, list[Segment]], tmp_path: Path
) -> None:
    catalog, _ = shelf
    with pytest.raises(InvalidInput, match="needs words"):
        catalog.search(np.ones(32), rerank=5)
    by_words = catalog.search(np.ones(32), rerank=5, rerank_ms=20_000, keywords="copper")
    assert len(by_words)
    with Catalog.open(tmp_path / "other", space=HashSpace()) as other:
        add(other, [Record("a", text="rain")])
        with pytest.raises(InvalidInput, match="no reranker"):
            other.search(Text("rain"), rerank=5)
