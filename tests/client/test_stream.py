"""The streaming verbs of both clients."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
import pytest

from tests.fakes import direction
from tests.server.serving import SPACE, Gate, eventually, serving
from tests.wire.test_hits import assert_equal
from trichord.aio import AsyncClient
from trichord.answers import Answers
from trichord.catalog import Catalog
from trichord.client import Client
from trichord.errors import (
    DeadlineExceeded,
    FilterError,
    InvalidInput,
    NotFound,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
)
from trichord.query import ItemRef, Text, Vector
from trichord.server.app import Server

WORDS = ["red", "green", "blue", "a low horn", "high"]


def streamed(
    server: Server, kind: str, requests: Any, *, found: list[Any] | None = None, **options: Any
) -> list[Any]:
    """The pairs of a stream of either client, added to `found` as they come."""
    pairs: list[Any] = [] if found is None else found
    if kind == "sync":
        with Client(server.address) as client:
            for one in client.search_stream(requests, **options):
                pairs.append(one)
        return pairs

    async def later() -> None:
        async with AsyncClient(server.address) as client:
            async for one in client.search_stream(requests, **options):
                pairs.append(one)

    asyncio.run(later())
    return pairs


both = pytest.mark.parametrize("kind", ["sync", "async"])


@both
@pytest.mark.parametrize("ahead", [1, 3, 50])
def test_answers_are_the_catalogs(catalog: Catalog, server: Server, kind: str, ahead: int) -> None:
    asked = [*WORDS, Text("red") - 0.5 * Text("blue"), Vector(direction("low", SPACE.dim)), *WORDS]
    options: dict[str, Any] = {"limit": 4, "attributes": "*", "segments": 2}
    for requests in (asked, iter(asked)):
        pairs = streamed(server, kind, requests, ahead=ahead, **options)
        assert [name for name, _ in pairs] == [str(number) for number in range(len(asked))]
        for one, (_, hits) in zip(asked, pairs, strict=True):
            assert_equal(hits, catalog.search(one, **options))


@both
def test_ids_options_and_matrices_of_single_requests(
    catalog: Catalog, server: Server, kind: str
) -> None:
    matrix = np.stack([direction(word, SPACE.dim) for word in ("red", "high")])
    requests = [
        ("mine", "red"),
        ("one", "red", {"limit": 1}),
        ("two", ItemRef("covers/red.png"), {"modality": "text"}),
        ("many", matrix, {"modality": "image"}),
        matrix,
    ]
    pairs = streamed(server, kind, requests, limit=2)
    assert [name for name, _ in pairs] == ["mine", "one", "two", "many", "4"]
    mine, one, two, many, last = (answer for _, answer in pairs)
    assert (len(mine), len(one)) == (2, 1)
    assert_equal(two, catalog.search(ItemRef("covers/red.png"), modality="text", limit=2))
    assert isinstance(many, Answers) and isinstance(last, Answers)
    expected = catalog.search_many(matrix, modality="image", limit=2)
    for got, wanted in zip(many, expected, strict=True):
        assert_equal(got, wanted)


@both
def test_errors_stand_in_their_place(server: Server, kind: str) -> None:
    requests: list[Any] = [
        "red",
        ("filter", "red", {"where": "weight > 3"}),
        ItemRef("nowhere"),
        3,
        "half a pair \ud800",
        ("range", "red", {"limit": 0}),
        ("short",),
        (7, "red"),
        ("zero", np.zeros(SPACE.dim)),
        "blue",
    ]
    pairs = streamed(server, kind, requests, limit=1)
    kinds = [type(answer).__name__ for _, answer in pairs]
    assert kinds == ["Hits", "FilterError", "NotFound"] + ["InvalidInput"] * 5 + [
        "VectorError",
        "Hits",
    ]
    assert [name for name, _ in pairs] == ["0", "filter", "2", "3", "4", "range", *"67", "zero"] + [
        "9"
    ]


def test_what_cannot_be_sent_is_answered_without_more_to_come(server: Server) -> None:
    """A caller that asks the next only when the last is answered does not wait for ever."""
    with Client(server.address) as client:
        answers: list[Any] = []
        heard = threading.Semaphore(0)

        def one_by_one() -> Iterator[Any]:
            for asked in (3, "red", ("x", None), "blue"):
                yield asked
                assert heard.acquire(timeout=20)

        for _, answer in client.search_stream(one_by_one()):
            answers.append(answer)
            heard.release()
    assert [type(answer).__name__ for answer in answers] == ["InvalidInput", "Hits"] * 2


@both
def test_no_more_than_ahead_are_under_way(catalog: Catalog, kind: str) -> None:
    gate = Gate(catalog)
    taken = 0

    def requests() -> Iterator[str]:
        nonlocal taken
        for word in WORDS * 100:
            taken += 1
            yield word

    with serving(gate) as server:
        found: list[Any] = []
        asking = threading.Thread(
            target=lambda: streamed(server, kind, requests(), ahead=3, found=found)
        )
        asking.start()
        assert gate.entered.acquire(timeout=20)
        eventually(lambda: taken == 3)
        gate.open.set()
        eventually(lambda: taken > 3)
        gate.open.clear()
        while gate.entered.acquire(timeout=0.3):  # until it stands still
            pass
        under_way = taken - len(found)
        assert under_way <= 3
        gate.open.set()
        asking.join(30)
        assert len(found) == taken == 500


@both
def test_requests_that_break_raise_what_broke_them(server: Server, kind: str) -> None:
    def requests() -> Iterator[str]:
        yield "red"
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        streamed(server, kind, requests())
    eventually(lambda: not server._pools.searches.unfinished)


@both
def test_wrong_options_are_told_before_anything_is_sent(server: Server, kind: str) -> None:
    for wrong in ({"limit": 0}, {"ahead": 0}, {"group": "album"}):
        with pytest.raises(InvalidInput):
            streamed(server, kind, ["red"], **wrong)
    with pytest.raises(TypeError):
        streamed(server, kind, ["red"], colour="red")


def test_a_stream_that_is_left_ends_at_the_server_too(server: Server) -> None:
    before = threading.active_count()
    with Client(server.address) as client:
        for _ in client.search_stream(iter(WORDS * 100)):
            break
        eventually(lambda: not server._pools.searches.unfinished)
    eventually(lambda: threading.active_count() <= before + 1)


@both
def test_an_answer_that_does_not_come_in_time(catalog: Catalog, kind: str) -> None:
    gate = Gate(catalog)

    async def later(address: str) -> None:
        async with AsyncClient(address, timeout=0.3) as client:
            with pytest.raises(DeadlineExceeded, match=r"within 0\.3 s"):
                _ = [one async for one in client.search_stream(["red", "blue"])]
            async with client.searching() as ask:
                with pytest.raises(DeadlineExceeded, match=r"within 0\.3 s"):
                    await ask("red")

    with serving(gate) as server:
        if kind == "sync":
            with Client(server.address, timeout=0.3) as client:
                with pytest.raises(DeadlineExceeded, match=r"within 0\.3 s"):
                    list(client.search_stream(["red", "blue"]))
                with (
                    client.searching() as ask,
                    pytest.raises(DeadlineExceeded, match=r"within 0\.3 s"),
                ):
                    ask("red")
        else:
            asyncio.run(later(server.address))
        gate.open.set()
        eventually(lambda: not server._pools.searches.unfinished)


def test_waiting_for_the_next_question_is_not_late(server: Server) -> None:
    with Client(server.address, timeout=0.2) as client, client.searching(limit=1) as ask:
        first = ask("red")
        threading.Event().wait(0.7)
        assert_equal(ask("red"), first)
        stream = client.search_stream(_slowly(["red", "red"]), limit=1)
        assert [len(hits) for _, hits in stream] == [1, 1]


def _slowly(requests: list[str]) -> Iterator[str]:
    for request in requests:
        threading.Event().wait(0.5)
        yield request


@both
def test_one_question_after_the_other(catalog: Catalog, server: Server, kind: str) -> None:
    async def later() -> None:
        async with (
            AsyncClient(server.address) as client,
            client.searching(modality="image", limit=2) as ask,
        ):
            assert_equal(await ask("red"), catalog.search("red", modality="image", limit=2))
            with pytest.raises(NotFound):
                await ask(ItemRef("nowhere"))
            assert len(await ask("red", limit=1)) == 1
            assert len(await ask("blue")) == 2

    if kind == "async":
        asyncio.run(later())
    else:
        with Client(server.address) as client, client.searching(modality="image", limit=2) as ask:
            assert_equal(ask("red"), catalog.search("red", modality="image", limit=2))
            with pytest.raises(NotFound):
                ask(ItemRef("nowhere"))
            with pytest.raises(FilterError):
                ask("red", where="weight > 3")
            assert len(ask("red", limit=1)) == 1
            assert isinstance(ask(np.ones((2, SPACE.dim))), Answers)
            assert len(ask("blue")) == 2
    eventually(lambda: not server._pools.searches.unfinished)
    # All of it in one stream, which ended well.
    counted = server.counters.snapshot()
    assert not [name for name in counted if "StreamSearch" in name and "UNKNOWN" in name]


def test_threads_share_an_open_stream(catalog: Catalog, server: Server) -> None:
    expected = {word: list(catalog.search(word, limit=3).item_ids) for word in WORDS}
    wrong: list[str] = []
    with Client(server.address) as client, client.searching(limit=3) as ask:

        def work(shift: int) -> None:
            for turn in range(15):
                word = WORDS[(turn + shift) % len(WORDS)]
                if list(ask(word).item_ids) != expected[word]:
                    wrong.append(word)

        threads = [threading.Thread(target=work, args=(shift,)) for shift in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert not wrong


@both
def test_a_server_that_comes_back_is_asked_again(catalog: Catalog, kind: str) -> None:
    with serving(catalog) as server:
        address = server.address

    async def later() -> None:
        async with AsyncClient(address) as client, client.searching(limit=1) as ask:
            with serving(catalog, listen=address):
                first = await ask("red")
            with serving(catalog, listen=address):
                assert_equal(await ask("red"), first)
            with pytest.raises(Unavailable):
                await ask("red")

    if kind == "async":
        asyncio.run(later())
        return
    with Client(address) as client, client.searching(limit=1) as ask:
        with serving(catalog, listen=address):
            first = ask("red")
        with serving(catalog, listen=address):
            assert_equal(ask("red"), first)
        with pytest.raises(Unavailable, match=address):
            ask("red")


@both
def test_no_token_and_no_room_are_errors_of_their_own(catalog: Catalog, kind: str) -> None:
    tokens = {"team": "right-token-1"}

    async def later(address: str) -> None:
        async with AsyncClient(address) as nobody:
            async with nobody.searching() as ask:
                with pytest.raises(Unauthenticated, match="token"):
                    await ask("red")
            with pytest.raises(Unauthenticated, match="token"):
                _ = [one async for one in nobody.search_stream(_forever())]
        async with (
            AsyncClient(address, token="right-token-1") as client,
            client.searching() as ask,
            client.searching() as other,
        ):
            await ask("red")
            with pytest.raises(ResourceExhausted, match="streams of searches") as raised:
                await other("red")
            assert raised.value.retry_after_s == 0.5

    with serving(catalog, tokens=tokens, search_streams=1) as server:
        if kind == "async":
            asyncio.run(later(server.address))
            return
        with Client(server.address) as nobody:
            with nobody.searching() as ask, pytest.raises(Unauthenticated, match="token"):
                ask("red")
            with pytest.raises(Unauthenticated, match="token"):
                list(nobody.search_stream(iter(["red", "blue"])))
        with (
            Client(server.address, token="right-token-1") as client,
            client.searching() as ask,
            client.searching() as other,
        ):
            ask("red")
            with pytest.raises(ResourceExhausted, match="streams of searches") as raised:
                other("red")
            assert raised.value.retry_after_s == 0.5


async def _forever() -> AsyncIterator[str]:
    while True:
        yield "red"
        await asyncio.sleep(0.01)
