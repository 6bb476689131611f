"""Pages are one long list, whatever is committed in between."""

from __future__ import annotations

import base64
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.catalog.conftest import add, some_records
from tests.catalog.reference import Segment
from tests.fakes import HashSpace
from trichord.catalog import Catalog, pages
from trichord.catalog.viewing import VIEWS_KEPT
from trichord.errors import InvalidInput, PageTokenError
from trichord.query import ItemRef, Record, SearchOptions, as_query


def keys(hits: object) -> list[tuple[str, int]]:
    return [(hit.item_id, hit.segments[0].ordinal) for hit in hits]  # type: ignore[attr-defined]


@pytest.mark.parametrize("group", ["segment", "item", "entity"])
@pytest.mark.parametrize("fuse", ["rrf", "score"])
def test_pages_are_the_long_list(
    world: tuple[Catalog, list[Segment]], group: str, fuse: str
) -> None:
    catalog, _ = world
    for asked in ("rain on copper", ItemRef("text-3")):
        whole = keys(catalog.search(asked, group=group, fuse=fuse, limit=1000))
        for size in (1, 7, 13, len(whole)):
            seen: list[tuple[str, int]] = []
            token = ""
            for _ in range(1000):
                page = catalog.search(
                    asked, group=group, fuse=fuse, limit=size, page_token=token, where=None
                )
                seen += keys(page)
                token = page.next_page_token
                if not token:
                    break
            assert seen == whole


def test_pages_stay_at_their_snapshot(catalog: Catalog) -> None:
    records = some_records()
    add(catalog, records)
    whole = catalog.search("rain", limit=1000, attributes="number")
    first = catalog.search("rain", limit=9, attributes="number")
    # Who has begun to turn pages keeps the view, whatever others search, write and compact.
    second = catalog.search("rain", limit=9, attributes="number", page_token=first.next_page_token)
    for round_ in range(VIEWS_KEPT + 3):
        catalog.delete(str(records[round_].item_id))
        add(catalog, [Record(f"new-{round_}", text="rain rain"), Record("text-9", text="other")])
        add(catalog, [Record("image-30", attributes={"number": -round_})])
        catalog.search("rain")
    catalog.compact(keep_snapshots=1, retain=timedelta(0))
    seen = [*first.item_ids, *second.item_ids]
    numbers = [*first.attributes["number"], *second.attributes["number"]]
    token = second.next_page_token
    while token:
        page = catalog.search("rain", limit=9, attributes="number", page_token=token)
        assert page.snapshot == whole.snapshot
        seen += page.item_ids
        numbers += page.attributes["number"]
        token = page.next_page_token
    assert seen == list(whole.item_ids) and numbers == list(whole.attributes["number"])
    assert "new-0" in catalog.search("rain", limit=1000).item_ids


def test_a_page_of_another_process_is_read_from_the_store(catalog: Catalog) -> None:
    add(catalog, some_records())
    whole = catalog.search("rain", limit=1000)
    token = catalog.search("rain", limit=30).next_page_token
    add(catalog, [Record("new", text="rain")])
    with Catalog.open(catalog.path, space=HashSpace()) as other:
        page = other.search("rain", limit=30, page_token=token)
        assert list(page.item_ids) == list(whole.item_ids)[30:60]
        add(other, [Record("newer", text="rain")])
        other.compact(keep_snapshots=1, retain=timedelta(0))
        other._views._followed.clear()
        other._views._offered.clear()
        with pytest.raises(PageTokenError, match="no longer kept: start again"):
            other.search("rain", limit=30, page_token=token)


def test_foreign_and_damaged_tokens(world: tuple[Catalog, list[Segment]]) -> None:
    catalog, _ = world
    token = catalog.search("rain", limit=5).next_page_token
    assert len(catalog.search("rain", limit=50, page_token=token)) == 50  # sizes may differ
    for other in (
        {"asked": "snow"},
        {"asked": "rain", "where": "even = true"},
        {"asked": "rain", "group": "entity"},
        {"asked": "rain", "modality": "text"},
        {"asked": "rain", "exact": True},
    ):
        with pytest.raises(PageTokenError, match="another question"):
            catalog.search(**other, limit=5, page_token=token)  # type: ignore[arg-type]
    for damaged in (token[:-1], token[1:], token + "=", token + "!", "x", "ä", token[::-1]):
        with pytest.raises(PageTokenError, match="damaged"):
            catalog.search("rain", limit=5, page_token=damaged)
    with pytest.raises(InvalidInput, match="exactly one query"):
        catalog.search_many([as_query("rain")] * 2, SearchOptions(page_token=token))


def test_far_beyond_the_end(world: tuple[Catalog, list[Segment]]) -> None:
    catalog, _ = world
    asked = pages.question(as_query("rain"), SearchOptions(), "hash")
    for offset in (10**6, 2**62):
        token = pages.token(catalog.refresh(), offset, 10, asked)
        hits = catalog.search("rain", page_token=token)
        assert len(hits) == 0 and not hits.next_page_token
    with pytest.raises(PageTokenError):
        catalog.search("rain", page_token=pages.token(10**6, 5, 5, asked))
    with pytest.raises(PageTokenError):
        catalog.search("rain", page_token=pages.token(-1, 5, 5, asked))


@pytest.mark.parametrize("group", ["segment", "item", "entity"])
def test_pages_of_an_approximate_index(catalog: Catalog, group: str) -> None:
    """However much the first page misses: no hit comes twice, none is lost, the rest is exact."""
    generator = np.random.default_rng(2)
    vectors = generator.standard_normal((1500, 32)).astype(np.float32)
    names = [(f"i{n}", f"e{n // 2}", ("image", "audio")[n % 3 == 0]) for n in range(len(vectors))]
    rows = zip(names, vectors, strict=True)
    add(catalog, [Record(i, e, m, vector=vector) for (i, e, m), vector in rows])
    built = catalog.build_indexes(
        everything=True, kind="hnsw", recall_target=0.6, exact_below=0, threads=1
    )
    assert "hnsw" in {leg.index.info.kind for leg in built}
    for query in generator.standard_normal((6, 32)):
        exact = list(catalog.search(query, limit=2000, group=group, exact=True).item_ids)
        seen: list[str] = []
        token = ""
        for size in [7, 5, 9, 100, 2000]:
            page = catalog.search(query, limit=size, group=group, page_token=token)
            seen += page.item_ids
            token = page.next_page_token
        assert not token and sorted(seen) == sorted(exact)
        first = set(seen[:7])
        assert seen[7:] == [item for item in exact if item not in first]


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 2**63 - 1), st.integers(1, 2**63 - 1), st.integers(0, 2**64 - 1), st.data())
def test_token_codec(snapshot: int, offset: int, asked: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(1, offset))
    token = pages.token(snapshot, offset, first, asked)
    assert pages.read_token(token, asked) == (snapshot, offset, first)
    raw = bytearray(base64.urlsafe_b64decode(token))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(PageTokenError):
        pages.read_token(base64.urlsafe_b64encode(bytes(raw)).decode(), asked)
    with pytest.raises(PageTokenError):
        pages.read_token(token, asked ^ 1)
