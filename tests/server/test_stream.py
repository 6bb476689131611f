"""Streams of searches: answers in turn, errors in their place, and how streams end."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator
from queue import SimpleQueue
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2

from tests.fakes import direction
from tests.server.serving import (
    SPACE,
    TEXTS,
    Gate,
    channel,
    detail,
    eventually,
    reason_of,
    serving,
    status_of,
)
from trichord.catalog import Catalog
from trichord.query import ItemRef, SearchOptions, Text, as_query
from trichord.server import app
from trichord.v1 import search_pb2
from trichord.wire.channel import Connection
from trichord.wire.options import write_options
from trichord.wire.plans import Stubs
from trichord.wire.queries import to_query
from trichord.wire.vectors import to_vector

WORDS = ["red", "green", "blue", "a low horn", "high"]


def search(asked: Any, **options: Any) -> search_pb2.SearchRequest:
    request = search_pb2.SearchRequest(queries=[to_query(as_query(asked))])
    write_options(SearchOptions(**options), request)
    return request


def numbered(
    requests: Iterable[search_pb2.SearchRequest],
) -> Iterator[search_pb2.StreamSearchRequest]:
    for number, request in enumerate(requests):
        yield search_pb2.StreamSearchRequest(request_id=f"q{number}", request=request)


class Talk:
    """A stream whose requests are sent when a test says so."""

    def __init__(self, stubs: Stubs, **how: Any) -> None:
        self._outgoing: SimpleQueue[search_pb2.StreamSearchRequest | None] = SimpleQueue()
        self.call = stubs.search.StreamSearch(iter(self._outgoing.get, None), **how)
        self._sent = 0

    def say(self, asked: Any) -> None:
        request = search(asked)
        self._outgoing.put(
            search_pb2.StreamSearchRequest(request_id=str(self._sent), request=request)
        )
        self._sent += 1

    def hear(self) -> search_pb2.StreamSearchResponse:
        response: search_pb2.StreamSearchResponse = next(self.call)
        return response

    def end(self) -> None:
        self._outgoing.put(None)

    def fails(self) -> grpc.RpcError:
        with pytest.raises(grpc.RpcError) as raised:
            next(self.call)
        self.end()
        return raised.value


def test_answers_are_those_of_single_calls_in_order(stubs: Stubs) -> None:
    requests = [search(word, limit=3, attributes=("*",)) for word in WORDS]
    requests.append(
        search_pb2.SearchRequest(
            vectors=to_vector(direction("red", SPACE.dim)[None].repeat(3, axis=0)), page_size=2
        )
    )
    answers = list(stubs.search.StreamSearch(numbered(requests)))
    assert [answer.request_id for answer in answers] == [f"q{n}" for n in range(len(requests))]
    for request, answer in zip(requests, answers, strict=True):
        assert answer.response == stubs.search.Search(request)
        assert len(answer.response.hits.item_ids)


def test_one_that_fails_does_not_end_the_stream(stubs: Stubs) -> None:
    requests = [
        search("red"),
        search("red", where="weight > 3"),
        search(ItemRef("nowhere")),
        search_pb2.SearchRequest(),
        search("blue"),
    ]
    answers = list(stubs.search.StreamSearch(numbered(requests)))
    assert [answer.WhichOneof("result") for answer in answers] == [
        "response",
        "error",
        "error",
        "error",
        "response",
    ]
    reasons = [detail(answer.error, error_details_pb2.ErrorInfo).reason for answer in answers[1:4]]
    assert reasons == ["FILTER", "NOT_FOUND", "INVALID_INPUT"]
    codes = [grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND]
    assert [answer.error.code for answer in answers[1:3]] == [code.value[0] for code in codes]
    with pytest.raises(grpc.RpcError) as raised:  # what a single call says
        stubs.search.Search(requests[1])
    assert status_of(raised.value) == answers[1].error


def test_a_bug_costs_one_answer_and_stands_in_the_log(
    catalog: Catalog, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing:
        def __getattr__(self, name: str) -> Any:
            return getattr(catalog, name)

        def search_many(self, queries: Any, *args: Any, **kwargs: Any) -> Any:
            if queries[0].terms[0].input == Text("boom"):
                raise RuntimeError("secret of the house")
            return catalog.search_many(queries, *args, **kwargs)

    with serving(Failing()) as server, channel(server) as opened:
        call = Stubs(opened).search.StreamSearch(
            numbered([search("boom"), search("red")]), metadata=(("x-request-id", "mine"),)
        )
        failed, fine = list(call)
    assert failed.error.code == grpc.StatusCode.INTERNAL.value[0]
    assert "mine" in failed.error.message and "secret" not in failed.error.message
    assert fine.response.answers[0].count == 9
    (line,) = [line for line in caplog.records if line.levelno >= logging.ERROR]
    assert "id=mine" in line.getMessage() and line.exc_info
    assert isinstance(line.exc_info[1], RuntimeError)


def test_a_caller_may_send_far_ahead(stubs: Stubs) -> None:
    words = WORDS * 60
    call = stubs.search.StreamSearch(numbered(search(word, limit=1) for word in words))
    time.sleep(0.2)  # nothing is taken meanwhile
    best = {word: stubs.search.Search(search(word, limit=1)).hits.item_ids[0] for word in WORDS}
    answers = list(call)
    assert [answer.request_id for answer in answers] == [f"q{n}" for n in range(len(words))]
    assert [a.response.hits.item_ids[0] for a in answers] == [best[word] for word in words]


def test_who_takes_no_answers_is_not_read_any_further(catalog: Catalog) -> None:
    gate = Gate(catalog)
    gate.open.set()
    # 1,000 queries: an answer is some hundred kilobytes.
    rows = direction("red", SPACE.dim)[None].repeat(1_000, axis=0)
    wide = search_pb2.SearchRequest(vectors=to_vector(rows))

    def endless() -> Iterator[search_pb2.StreamSearchRequest]:
        while True:
            yield search_pb2.StreamSearchRequest(request=wide)

    with serving(gate) as server, channel(server) as opened:
        call = Stubs(opened).search.StreamSearch(endless())
        before = -1
        while gate.searches != before:  # until it stands still
            before = gate.searches
            time.sleep(0.3)
        assert 0 < gate.searches < 1_000
        call.cancel()
        eventually(lambda: not server._pools.searches.unfinished)


def test_a_stop_ends_a_waiting_stream_at_once_and_a_working_one_after_its_answer(
    catalog: Catalog,
) -> None:
    gate = Gate(catalog)
    with serving(gate, grace_s=30.0) as server, channel(server) as opened:
        stubs = Stubs(opened)
        waiting, working, silent = Talk(stubs), Talk(stubs), Talk(stubs)
        gate.open.set()
        waiting.say("red")
        assert waiting.hear().response.answers[0].count == 9
        gate.open.clear()
        working.say("red")
        working.say("blue")
        assert gate.entered.acquire(timeout=10) and gate.entered.acquire(timeout=10)
        eventually(lambda: server._pools.searches.unfinished == 3)
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        for talk in (waiting, silent):
            error = talk.fails()
            assert error.code() is grpc.StatusCode.UNAVAILABLE
            assert reason_of(error) == "UNAVAILABLE"
            assert dict(error.trailing_metadata())["x-request-id"]
        assert stopping.is_alive()
        gate.open.set()
        answer = working.hear()
        assert (answer.request_id, answer.response.answers[0].count) == ("0", 9)
        assert reason_of(working.fails()) == "UNAVAILABLE"
        stopping.join(10)
        assert not stopping.is_alive()
        assert gate.searches == 2  # "blue" was never begun
        name = "/trichord.v1.SearchService/StreamSearch"
        assert server.counters.snapshot() == {f"{name} UNAVAILABLE": 3, f"{name} answers": 2}


def test_search_streams_have_room_of_their_own(catalog: Catalog) -> None:
    with serving(catalog, search_streams=1, streams=1) as server, channel(server) as opened:
        stubs = Stubs(opened)
        first = Talk(stubs)
        first.say("red")
        first.hear()
        second = Talk(stubs)
        error = second.fails()
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "1 open streams of searches" in str(error.details())
        retry = detail(status_of(error), error_details_pb2.RetryInfo)
        assert retry.retry_delay.ToMilliseconds() == 500
        # Others have their own: ingest streams, single calls, and the stream that is open.
        assert list(stubs.ingest.Ingest(iter(()))) == []
        assert stubs.search.Search(search("red")).answers[0].count == 9
        first.say("blue")
        assert first.hear().request_id == "1"
        first.end()
        assert list(first.call) == []
        eventually(lambda: not server._pools.searches.unfinished)
        third = Talk(stubs)
        third.say("red")
        assert third.hear().response.answers[0].count == 9
        third.end()


def test_a_stream_needs_a_token_and_asks_as_its_owner(catalog: Catalog) -> None:
    asked: list[str] = []

    class Noting:
        def __getattr__(self, name: str) -> Any:
            return getattr(catalog, name)

        def search_many(self, *args: Any, principal: Any, **kwargs: Any) -> Any:
            asked.append(principal.name)
            return catalog.search_many(*args, principal=principal, **kwargs)

    with serving(Noting(), tokens={"team": "right-token-1"}) as server, channel(server) as opened:
        stubs = Stubs(opened)
        error = Talk(stubs).fails()
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED
        assert reason_of(error) == "UNAUTHENTICATED"
        metadata = (("authorization", "Bearer right-token-1"),)
        call = stubs.search.StreamSearch(
            numbered([search("red"), search("blue")]), metadata=metadata
        )
        assert len(list(call)) == 2
    assert asked == ["team", "team"]


@pytest.mark.parametrize("how", ["deadline", "cancel"])
def test_a_stream_that_is_given_up_frees_its_thread(catalog: Catalog, how: str) -> None:
    gate = Gate(catalog)
    with serving(gate) as server, channel(server) as opened:
        talk = Talk(Stubs(opened), timeout=0.3 if how == "deadline" else None)
        talk.say("red")
        talk.say("blue")
        assert gate.entered.acquire(timeout=10)
        if how == "cancel":
            talk.call.cancel()
        expected = "DEADLINE_EXCEEDED" if how == "deadline" else "CANCELLED"
        assert talk.fails().code() is grpc.StatusCode[expected]
        gate.open.set()
        eventually(lambda: not server._pools.searches.unfinished)
        assert gate.searches == 1  # what nobody waits for any more is not begun
        idle = Talk(Stubs(opened))
        eventually(lambda: server._pools.searches.unfinished == 1)
        idle.call.cancel()
        eventually(lambda: not server._pools.searches.unfinished)
        idle.end()


def test_an_idle_stream_is_kept_alive_and_not_taken_for_an_attack(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server answers pings that come oftener than it allows by closing the connection."""
    assert dict(Connection("localhost:1").options)["grpc.keepalive_time_ms"] > (
        app.PINGS_ALLOWED_EVERY_MS
    )
    # The same in the hundredth part of the time.
    monkeypatch.setattr(app, "PINGS_ALLOWED_EVERY_MS", app.PINGS_ALLOWED_EVERY_MS // 100)
    options = [("grpc.keepalive_time_ms", 300), ("grpc.enable_http_proxy", 0)]
    with (
        serving(catalog) as server,
        grpc.insecure_channel(server.address, options=options) as opened,
    ):
        talk = Talk(Stubs(opened))
        talk.say("red")
        talk.hear()
        time.sleep(2.5)
        talk.say("blue")
        assert talk.hear().request_id == "1"
        talk.end()
        assert list(talk.call) == []


def test_who_is_let_in_learns_of_it_before_the_first_answer(catalog: Catalog) -> None:
    with (
        serving(catalog, search_streams=1) as server,
        channel(server) as opened,
    ):
        talk = Talk(Stubs(opened))
        assert talk.call.initial_metadata() == ()
        assert server._pools.searches.unfinished == 1
        talk.end()
        assert list(talk.call) == []


def test_many_streams_at_once_get_their_own_answers(stubs: Stubs) -> None:
    best = {text: item_id for item_id, text in TEXTS.items()}
    wrong: list[str] = []

    def ask(number: int) -> None:
        talk = Talk(stubs)
        for turn in range(20):
            text = list(best)[(number + turn) % len(best)]
            talk.say(text)
            response = talk.hear().response
            texts = [
                item
                for item, score in zip(response.hits.item_ids, response.hits.scores, strict=True)
                if score > 0.999
            ]
            if best[text] not in texts:
                wrong.append(text)
        talk.end()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong
