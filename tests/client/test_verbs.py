"""A client gives what the catalog gives in process; both clients alike."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from tests.fakes import direction, png
from tests.server.serving import SPACE
from tests.wire.test_hits import assert_equal
from trichord.aio import AsyncClient
from trichord.catalog import Catalog
from trichord.catalog.migrations import Migrations
from trichord.client import Client
from trichord.errors import FilterError, InvalidInput, NotFound, TrichordError, VectorError
from trichord.filters import parse
from trichord.hits import Hits
from trichord.migrations import AsyncClientMigrations, ClientMigrations
from trichord.query import Audio, Image, ItemRef, SearchOptions, SegmentRef, Text, Vector, as_query
from trichord.server.app import Server
from trichord.types import Group, Role

Both = Callable[[Callable[[Any], Any]], list[Any]]


@pytest.fixture
def both(server: Server, client: Client) -> Both:
    """Runs a call with either client and gives both results."""

    def run(call: Callable[[Any], Any]) -> list[Any]:
        async def later() -> Any:
            async with AsyncClient(server.address) as asynchronous:
                made = call(asynchronous)
                return await made if isinstance(made, Awaitable) else made

        return [call(client), asyncio.run(later())]

    return run


OPTIONS: list[dict[str, Any]] = [
    {},
    {"modality": "image"},
    {"modality": "image,audio", "limit": 4},
    {"modality": ["text"], "where": "item_id != 'notes/sea'"},
    {"where": parse("market in ('SE', 'NO') and not (year = 2001)"), "attributes": "market,year"},
    {"group": "segment", "limit": 30, "segments": 2},
    {"group": Group.ENTITY, "attributes": "*", "fuse": "score", "exact": True},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_search_is_the_catalogs(catalog: Catalog, both: Both, options: dict) -> None:
    for asked in ("red", Text("red") - 0.5 * Image(png("blue")), direction("low", SPACE.dim)):
        expected = catalog.search(asked, **options)
        for hits in both(lambda client, asked=asked: client.search(asked, **options)):
            assert_equal(hits, expected)


def test_similar_is_the_catalogs(catalog: Catalog, both: Both) -> None:
    expected = catalog.similar("covers/red.png", modality="text", limit=2)
    for hits in both(lambda client: client.similar("covers/red.png", modality="text", limit=2)):
        assert_equal(hits, expected)
        assert "covers/red.png" not in hits.item_ids


def test_search_many_is_the_catalogs(catalog: Catalog, both: Both) -> None:
    asked = ["red", ItemRef("notes/sea"), direction("high", SPACE.dim)]
    expected = catalog.search_many([as_query(one) for one in asked], SearchOptions(limit=3))
    for answers in both(lambda client: client.search_many(asked, limit=3)):
        for got, one in zip(answers, expected, strict=True):
            assert isinstance(one, Hits)
            assert_equal(got, one)
    assert both(lambda client: client.search_many([])) == [[], []]


def test_an_error_of_one_query_is_raised_or_returned(both: Both, client: Client) -> None:
    asked = ["red", ItemRef("nobody"), "blue"]
    for first, failed, last in both(lambda client: client.search_many(asked, errors="return")):
        assert isinstance(first, Hits) and isinstance(last, Hits) and isinstance(failed, NotFound)
    with pytest.raises(NotFound, match="nobody") as raised:
        client.search_many(asked)
    assert raised.value.details["query"] == "1"
    for answers in both(lambda client: client.search_many([asked[1]], errors="return")):
        assert [type(one) for one in answers] == [NotFound]
    # What is wrong with the whole request is raised all the same.
    for many in (["red"], ["red", "blue"]):
        with pytest.raises(FilterError, match="colour"):
            client.search_many(many, where="colour = 1", errors="return")
    lone = ["red"] * 1024 + [ItemRef("nobody")]
    with pytest.raises(NotFound) as raised:
        client.search_many(lone, limit=1)
    assert raised.value.details["query"] == "1024"
    assert isinstance(client.search_many(lone, limit=1, errors="return")[-1], NotFound)


def test_embed_is_the_catalogs(catalog: Catalog, both: Both) -> None:
    inputs = ["red barn", Image(png("green")), ItemRef("notes/sea"), Vector(np.ones(SPACE.dim))]
    expected = catalog.embed([as_query(one).terms[0].input for one in inputs])
    for vectors in both(lambda client: client.embed(inputs, role="document")):
        assert vectors.dtype == np.float32
        assert np.array_equal(vectors, expected.vectors)
    assert [got.shape for got in both(lambda client: client.embed([]))] == [(0, 32)] * 2


def test_get_is_the_catalogs(catalog: Catalog, both: Both) -> None:
    ids, entities = ["covers/red.png", "ghost", "notes/sea"], ["track-0", "nobody"]
    expected = catalog.get(ids, entity_ids=entities, attributes=["market"])
    assert expected.missing_item_ids == ("ghost",)
    got = both(lambda client: client.get(ids, entity_ids=entities, attributes=["market"]))
    assert got == [expected, expected]
    one = both(lambda client: client.get("notes/sea", entity_ids="track-1"))
    assert one == [catalog.get("notes/sea", entity_ids="track-1")] * 2
    nothing = both(lambda client: client.get())
    assert nothing == [catalog.get()] * 2


def test_what_is_here(catalog: Catalog, server: Server, both: Both) -> None:
    assert both(lambda client: client.spaces()) == [catalog.spaces()] * 2
    for stats in both(lambda client: client.stats()):
        assert stats.path == server.address and stats.items == catalog.stats().items
        assert stats.bytes_on_disk > 0 and stats.calls
    assert both(lambda client: client.health()) == [True, True]


def test_pages(client: Client) -> None:
    whole = client.search("red", limit=9).item_ids
    page = client.search("red", limit=4)
    paged = list(page.item_ids)
    while page.next_page_token:
        page = client.search("red", limit=4, page_token=page.next_page_token)
        paged += page.item_ids
    assert paged == whole


def test_answers_become_tables(client: Client) -> None:
    frame = client.search("red", modality="audio", attributes=["market", "tags"]).to_polars()
    assert frame.columns[:4] == ["item_id", "entity_id", "modality", "score"]
    row = frame.filter(frame["item_id"] == "clips/low.wav").to_dicts()[0]
    assert (row["market"], row["tags"]) == ("SE", ["live", "loud"])
    assert (row["start_ms"], row["end_ms"], row["significance"]) == (0, 1000, None)


def test_a_space_is_named_once_or_per_call(server: Server, client: Client) -> None:
    with Client(server.address, space="nope") as other:
        with pytest.raises(NotFound, match="nope"):
            other.search("red")
        assert len(other.search("red", space="hash")) == 9
        assert other.embed(["red"], space="").shape == (1, 32)


BAD: list[tuple[Callable[[Any], Any], type[TrichordError], str]] = [
    (lambda c: c.search(""), InvalidInput, "empty"),
    (lambda c: c.search(17), InvalidInput, "cannot search by int"),
    (lambda c: c.search("a", limit=0), InvalidInput, "limit"),
    (lambda c: c.search("a", group="album"), InvalidInput, "segment, item, entity"),
    (lambda c: c.search("a", modality="video"), InvalidInput, "audio, image, text"),
    (lambda c: c.search("a", fuse="sum"), InvalidInput, "rrf"),
    (lambda c: c.search("a", where="market ="), FilterError, "column 9"),
    (lambda c: c.search("a", where="colour = 1"), FilterError, "colour"),
    (lambda c: c.search("a", where=3), FilterError, "int"),
    (lambda c: c.search(np.ones(3)), VectorError, "has 32"),
    (lambda c: c.search(np.full(32, np.nan)), VectorError, "NaN"),
    (lambda c: c.search("half \ud800"), InvalidInput, "surrogate"),
    (lambda c: c.get(["\udfff"]), InvalidInput, "surrogate"),
    (lambda c: c.get([3]), InvalidInput, "int: 3"),
    (lambda c: c.search(ItemRef(5)), InvalidInput, "int: 5"),
    (lambda c: c.search(SegmentRef("a", -1)), InvalidInput, "no -1"),
    (lambda c: c.delete([]), InvalidInput, "name the items"),
    (lambda c: c.similar("nobody"), NotFound, "nobody"),
    (lambda c: c.embed(["a"], role="judge"), InvalidInput, "query, document"),
    (lambda c: c.embed([Text("a") + Text("b")]), InvalidInput, "single"),
    (lambda c: c.embed(["a", Audio(b"no\0")]), InvalidInput, "unsupported"),
]


@pytest.mark.parametrize(("call", "kind", "says"), BAD)
def test_bad_input_is_one_clear_error(
    server: Server, client: Client, call: Callable, kind: type, says: str
) -> None:
    async def later() -> None:
        async with AsyncClient(server.address) as asynchronous:
            await call(asynchronous)

    for attempt in (lambda: call(client), lambda: asyncio.run(later())):
        with pytest.raises(kind, match=says):
            attempt()


def test_an_unknown_option_is_a_type_error(client: Client) -> None:
    with pytest.raises(TypeError, match="limt"):
        client.search("red", limt=3)  # type: ignore[call-arg]


def test_both_clients_have_the_same_verbs() -> None:
    def verbs(kind: type) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(member).parameters)
            for name, member in vars(kind).items()
            if not name.startswith("_") and callable(member)
        }

    assert verbs(Client) == verbs(AsyncClient)
    shared = set(verbs(Client)) & set(dir(Catalog))
    assert shared >= {"search", "search_many", "similar", "embed", "get", "ingest", "delete"}
    assert inspect.signature(Client.embed).parameters["role"].default == Role.QUERY
    assert verbs(ClientMigrations) == verbs(AsyncClientMigrations)
    remote = {"watch", "cancel"}  # of a backfill that runs elsewhere
    for name, parameters in verbs(ClientMigrations).items():
        if name not in remote:
            here = list(inspect.signature(getattr(Migrations, name)).parameters)
            assert [one for one in here if one not in ("principal", "stop")] == parameters, name
