from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2

from tests.server.serving import Gate, channel, detail, reason_of, serving, status_of
from trichord.catalog import Catalog
from trichord.client import Client
from trichord.errors import DeadlineExceeded, ResourceExhausted
from trichord.query import Text, as_query
from trichord.server.app import Server
from trichord.v1 import ingest_pb2, search_pb2
from trichord.wire.plans import Stubs
from trichord.wire.queries import to_query

SEARCH = search_pb2.SearchRequest(queries=[to_query(as_query(Text("red")))])


@pytest.fixture
def gate(catalog: Catalog) -> Iterator[Gate]:
    gate = Gate(catalog)
    yield gate
    gate.open.set()


@pytest.fixture
def narrow(gate: Gate) -> Iterator[Server]:
    """One call at a time, one may wait, one stream."""
    with serving(gate, workers=1, queue=1, streams=1) as server:
        yield server
        gate.open.set()


def until(happened: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(2_000):
        if happened():
            return
        pause.wait(0.005)
    raise AssertionError("it did not happen")


def waiting(server: Server, count: int) -> None:
    """Until that many calls are with the server."""
    until(lambda: server._pools.answers.unfinished >= count)


def test_beyond_the_queue_calls_are_refused_at_once(narrow: Server, gate: Gate) -> None:
    with channel(narrow) as opened:
        stubs = Stubs(opened)
        running = [stubs.search.Search.future(SEARCH)]
        assert gate.entered.acquire(timeout=10)
        running.append(stubs.search.Search.future(SEARCH))
        waiting(narrow, 2)
        with pytest.raises(grpc.RpcError) as raised:
            stubs.search.Search(SEARCH, timeout=10)
        assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert reason_of(raised.value) == "RESOURCE_EXHAUSTED"
        retry = detail(status_of(raised.value), error_details_pb2.RetryInfo)
        assert retry.retry_delay.ToMilliseconds() == 500
        # Health is answered all the same.
        assert stubs.health.Check(health_pb2.HealthCheckRequest(), timeout=10).status == 1
        gate.open.set()
        assert all(len(call.result(10).hits.item_ids) == 9 for call in running)
        assert stubs.search.Search(SEARCH).answers[0].count == 9
    assert gate.searches == 3


def test_the_client_sees_when_to_come_again(narrow: Server, gate: Gate) -> None:
    with Client(narrow.address) as client, ThreadPoolExecutor(2) as pool:
        running = [pool.submit(client.search, "red") for _ in range(2)]
        waiting(narrow, 2)
        with pytest.raises(ResourceExhausted, match="busy") as raised:
            client.search("red")
        assert raised.value.retry_after_s == 0.5
        gate.open.set()
        assert [len(one.result(10)) for one in running] == [9, 9]


def test_streams_have_threads_of_their_own(narrow: Server, gate: Gate) -> None:
    gate.open.set()
    hold = threading.Event()

    def requests() -> Iterator[ingest_pb2.IngestRequest]:
        assert hold.wait(30)
        yield from ()

    with channel(narrow) as opened:
        stubs = Stubs(opened)
        first = stubs.ingest.Ingest(requests())
        until(lambda: narrow._pools.streams.unfinished == 1)
        with pytest.raises(grpc.RpcError, match="1 open streams") as raised:
            list(stubs.ingest.Ingest(iter(()), timeout=10))
        assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert stubs.search.Search(SEARCH, timeout=10).answers[0].count == 9
        hold.set()
        assert list(first) == []
        until(lambda: narrow._pools.streams.unfinished == 0)
        assert list(stubs.ingest.Ingest(iter(()))) == []


def test_what_waited_past_its_deadline_is_not_started(narrow: Server, gate: Gate) -> None:
    with channel(narrow) as opened:
        stubs = Stubs(opened)
        first = stubs.search.Search.future(SEARCH)
        assert gate.entered.acquire(timeout=10)
        late = stubs.search.Search.future(SEARCH, timeout=0.2)
        with pytest.raises(grpc.RpcError) as raised:
            late.result(10)
        assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        gate.open.set()
        assert first.result(10).answers[0].count == 9
        assert stubs.search.Search(SEARCH).answers[0].count == 9
    assert gate.searches == 2


def test_what_was_cancelled_while_it_waited_is_not_started(narrow: Server, gate: Gate) -> None:
    with channel(narrow) as opened:
        stubs = Stubs(opened)
        first = stubs.search.Search.future(SEARCH)
        assert gate.entered.acquire(timeout=10)
        gone = stubs.search.Search.future(SEARCH)
        waiting(narrow, 2)
        gone.cancel()
        gate.open.set()
        assert first.result(10).answers[0].count == 9
        assert stubs.search.Search(SEARCH).answers[0].count == 9
    assert gate.searches == 2


def test_a_deadline_is_said_in_words(narrow: Server) -> None:
    says = r"did not answer within 0\.2 s"
    with Client(narrow.address, timeout=0.2) as client, pytest.raises(DeadlineExceeded, match=says):
        client.search("red")


def test_many_callers_at_once_get_their_own_answers(catalog: Catalog) -> None:
    words = ["red", "green", "blue"] * 20
    expected = {word: list(catalog.search(word, limit=5).item_ids) for word in set(words)}
    with (
        serving(catalog, workers=4) as server,
        Client(server.address) as client,
        ThreadPoolExecutor(16) as pool,
    ):
        answers = list(pool.map(lambda word: client.search(word, limit=5), words))
        for word, hits in zip(words, answers, strict=True):
            assert hits.item_ids == expected[word]
        assert server.counters.snapshot() == {"/trichord.v1.SearchService/Search OK": 60}
