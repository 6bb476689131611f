"""Retries, splitting, unreachable servers, imports."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from google.protobuf.message import Message

import trichord
from tests.fakes import png
from tests.server.serving import SPACE, serving
from trichord.aio import AsyncClient
from trichord.catalog import Catalog
from trichord.client import Client
from trichord.errors import InvalidInput, ResourceExhausted, TrichordError, Unavailable
from trichord.query import Image, Record
from trichord.server.app import Server
from trichord.v1 import feature_pb2, search_pb2
from trichord.wire.plans import packed

SEARCH = "/trichord.v1.SearchService/Search"
GET = "/trichord.v1.FeatureService/Get"


def test_many_queries_are_asked_in_several_calls(server: Server, client: Client) -> None:
    before = server.counters.snapshot().get(f"{SEARCH} OK", 0)
    words = ["red", "green", "blue"] * 800
    answers = client.search_many(words, limit=1, modality="image")
    assert [hits[0].item_id for hits in answers] == [f"covers/{word}.png" for word in words]
    assert server.counters.snapshot()[f"{SEARCH} OK"] == before + 3  # 1,024 a call


def test_long_lists_split_earlier(server: Server, client: Client) -> None:
    before = server.counters.snapshot()[f"{SEARCH} OK"]
    assert [len(hits) for hits in client.search_many(["red"] * 12, limit=10_000)] == [9] * 12
    assert server.counters.snapshot()[f"{SEARCH} OK"] == before + 3  # five queries of 10,000 a call


def test_large_queries_split_by_bytes(catalog: Catalog) -> None:
    pictures = [Image(png("green", size=16, seed=n) + b"\0" * 100_000) for n in range(12)]
    with serving(catalog, max_message_bytes=500_000) as server:
        with Client(server.address, max_message_bytes=500_000) as client:
            answers = client.search_many(pictures, modality="image", limit=1)
            assert [hits[0].item_id for hits in answers] == ["covers/green.png"] * 12
            assert server.counters.snapshot() == {f"{SEARCH} OK": 3}  # four pictures a call
            assert client.embed(pictures).shape == (12, SPACE.dim)
            with pytest.raises(InvalidInput, match="more than one message may hold"):
                client.search(Image(b"x" * 500_000))
        # A client that thinks the limit is higher is told.
        with Client(server.address) as client, pytest.raises(ResourceExhausted, match="limit"):
            client.search_many(pictures)


def test_answers_that_are_too_large_are_fetched_in_halves(tmp_path: Path) -> None:
    ids = [f"t{n}" for n in range(16)]
    with Catalog.open(tmp_path / "store", space=SPACE) as catalog:
        with catalog.ingestion() as ingestion:
            ingestion.add(
                [Record(one, text=one, attributes={"notes": one * 20_000}) for one in ids]
            )
        limit = 200_000
        with serving(catalog, max_message_bytes=limit) as server:
            with Client(server.address, max_message_bytes=limit) as client:
                found = client.get(ids)
                assert [item.item_id for item in found.items] == ids
                assert found == catalog.get(ids)

            async def later() -> None:
                async with AsyncClient(server.address, max_message_bytes=limit) as client:
                    assert await client.get(ids) == found

            asyncio.run(later())
            small = Client(server.address, max_message_bytes=30_000)
            with small as client, pytest.raises(ResourceExhausted, match="max_message_bytes"):
                client.get("t0")


def test_many_ids_are_fetched_in_runs(server: Server, client: Client) -> None:
    before = server.counters.snapshot().get(f"{GET} OK", 0)
    ids = [f"ghost-{n}" for n in range(2_500)]
    found = client.get([*ids, "notes/sea"], entity_ids=["track-1"])
    assert found.missing_item_ids == tuple(ids)
    assert (found.items[0].item_id, found.entities[0].entity_id) == ("notes/sea", "track-1")
    assert server.counters.snapshot()[f"{GET} OK"] == before + 4


def test_packing_keeps_order_and_limits() -> None:
    messages = [feature_pb2.GetRequest(item_ids=["x" * n]) for n in (10, 20, 3_000, 5, 5, 5)]
    room = 64 * 1024 + 3_020
    groups = list(packed(messages, 2, room))
    assert [len(group) for group in groups] == [2, 1, 2, 1]
    assert [message for group in groups for message in group] == messages
    with pytest.raises(InvalidInput):
        list(packed(messages, 2, 64 * 1024 + 3_000))


@contextmanager
def flaky(failures: int, code: grpc.StatusCode, answer: Message) -> Iterator[tuple[str, list]]:
    """A server of its own that fails so often before it answers."""
    calls: list[str] = []

    class Anything(grpc.GenericRpcHandler):
        def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
            def reply(request: bytes, context: grpc.ServicerContext) -> bytes:
                calls.append(details.method)
                if len(calls) <= failures:
                    context.abort(code, "try again")
                return answer.SerializeToString()

            return grpc.unary_unary_rpc_method_handler(reply)

    server = grpc.server(ThreadPoolExecutor(2), handlers=[Anything()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}", calls
    finally:
        server.stop(None).wait()


def test_reads_are_repeated_while_unavailable() -> None:
    with flaky(2, grpc.StatusCode.UNAVAILABLE, search_pb2.SearchResponse(answers=[{}])) as (
        at,
        calls,
    ):
        with Client(at) as client:
            assert len(client.search("red")) == 0
        assert calls == [SEARCH] * 3


def test_asynchronous_reads_too() -> None:
    with flaky(1, grpc.StatusCode.UNAVAILABLE, feature_pb2.GetResponse()) as (at, calls):

        async def run() -> None:
            async with AsyncClient(at) as client:
                await client.get("a")

        asyncio.run(run())
        assert calls == [GET] * 2


@pytest.mark.parametrize("code", ["RESOURCE_EXHAUSTED", "INTERNAL", "DEADLINE_EXCEEDED"])
def test_nothing_else_is_repeated(code: str) -> None:
    with flaky(1, grpc.StatusCode[code], feature_pb2.GetResponse()) as (at, calls):
        with Client(at) as client, pytest.raises(TrichordError):
            client.get("a")
        assert len(calls) == 1


def test_writes_are_never_repeated() -> None:
    with flaky(1, grpc.StatusCode.UNAVAILABLE, feature_pb2.GetResponse()) as (at, calls):
        with Client(at) as client, pytest.raises(Unavailable):
            client.delete("a")
        assert len(calls) == 1


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_server_that_is_not_there() -> None:
    address = f"127.0.0.1:{free_port()}"
    says = f"no answer from {address}.*trichord serve"
    with Client(address) as client:
        for call in (lambda: client.search("red"), lambda: client.ingest({"item_id": "a"})):
            with pytest.raises(Unavailable, match=says):
                call()

    async def run() -> None:
        async with AsyncClient(address) as client:
            with pytest.raises(Unavailable, match=says):
                await client.stats()

    asyncio.run(run())


def test_a_server_of_another_kind() -> None:
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        says = "does not offer this call"
        with Client(f"127.0.0.1:{port}") as client, pytest.raises(TrichordError, match=says):
            client.search("red")
    finally:
        server.stop(None).wait()


def test_no_proxy_stands_before_a_loopback_address(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("grpc_proxy", f"http://127.0.0.1:{free_port()}")
    with Client(server.address) as client:
        assert client.health()


LIGHT = """
import sys
from trichord import AsyncClient, Client, Image, Text
from trichord.aio import AsyncClient as _
with Client("localhost:1") as client:
    pass
heavy = ("torch", "faiss", "lancedb", "lance", "pyarrow", "polars", "pandas", "lark", "PIL",
         "soundfile", "sentence_transformers", "trichord.catalog", "trichord.server",
         "trichord.embedders", "trichord.store", "trichord.index")
print([name for name in heavy if name in sys.modules])
"""


def test_a_client_is_light() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIGHT],
        cwd=Path(trichord.__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")
