"""The client of `trichord.client` for asyncio: the same verbs, awaited.

async with AsyncClient("localhost:50051") as trichord:
    hits = await trichord.search("rain on a window", modality="audio", limit=5)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from os import PathLike
from typing import Any, Self, TypeVar, Unpack

import grpc
import grpc.aio
from google.protobuf.message import Message

from trichord.aio_streams import AsyncAsk, search_stream
from trichord.answers import Answers
from trichord.errors import InvalidInput, TrichordError
from trichord.hits import Hits
from trichord.migrations import AsyncClientMigrations
from trichord.options import SearchKeywords
from trichord.query import Askable, Vectors
from trichord.results import Acknowledgement, Found, SpaceInfo, Stats
from trichord.streams import AHEAD
from trichord.types import F32, IngestReport, Role
from trichord.v1 import ingest_pb2
from trichord.wire import requests
from trichord.wire.channel import DEFAULT_TIMEOUT_S, MAX_MESSAGE_BYTES, Connection
from trichord.wire.outbox import Outbox, Recordlike, Sources, Tally, Uris, recordlike
from trichord.wire.plans import Plan, Stubs
from trichord.wire.requests import OnError
from trichord.wire.streams import Questions, StreamRequest

T = TypeVar("T")
AsyncSources = Sources | AsyncIterable[Recordlike]


class AsyncClient:
    """As `trichord.Client`; it belongs to the event loop that it is first used in."""

    def __init__(
        self,
        address: str = "localhost:50051",
        *,
        token: str | None = None,
        tls: bool | None = None,
        tls_ca: str | PathLike[str] | None = None,
        timeout: float | None = DEFAULT_TIMEOUT_S,
        space: str | None = None,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
    ) -> None:
        self._connection = Connection(address, token, tls, tls_ca, timeout, max_message_bytes)
        self._space = space or ""
        self._max_bytes = max_message_bytes
        # gRPC binds a channel to the loop that runs when it is made.
        self._opened: tuple[Any, Stubs] | None = None
        self.migrations = AsyncClientMigrations(self._run, self._stubs, self._connection)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.close()

    async def close(self) -> None:
        if self._opened is not None:
            channel, _ = self._opened
            self._opened = None
            await channel.close()

    async def search(
        self, asked: Askable, *, space: str | None = None, **options: Unpack[SearchKeywords]
    ) -> Hits:
        plan = requests.search([asked], options, self._named(space), self._max_bytes, "raise")
        hits: Hits = (await self._run(plan))[0]
        return hits

    async def search_many(
        self,
        asked: Sequence[Askable] | F32 | Vectors,
        *,
        space: str | None = None,
        errors: OnError = "raise",
        **options: Unpack[SearchKeywords],
    ) -> Sequence[Any]:
        plan = requests.search(asked, options, self._named(space), self._max_bytes, errors)
        return await self._run(plan)

    def search_stream(
        self,
        requests: Iterable[StreamRequest] | AsyncIterable[StreamRequest],
        *,
        space: str | None = None,
        ahead: int = AHEAD,
        **options: Unpack[SearchKeywords],
    ) -> AsyncIterator[tuple[str, Hits | Answers | TrichordError]]:
        """As `Client.search_stream`; `requests` may be an asynchronous iterable. Others are
        iterated in a thread, lists and tuples here."""
        if ahead < 1:
            raise InvalidInput(f"ahead must be at least 1, not {ahead}")
        questions = Questions(options, self._named(space), self._max_bytes)
        method = self._stubs().search.StreamSearch
        return search_stream(method, self._connection, questions, requests, ahead)

    @asynccontextmanager
    async def searching(
        self, *, space: str | None = None, **options: Unpack[SearchKeywords]
    ) -> AsyncIterator[AsyncAsk]:
        """As `Client.searching`; the questions are awaited."""
        named = self._named(space)
        Questions(options, named, self._max_bytes)  # wrong options are told at once
        ask = AsyncAsk(
            self._stubs().search.StreamSearch,
            self._connection,
            lambda: Questions(options, named, self._max_bytes),
        )
        try:
            yield ask
        finally:
            await ask.close()

    async def similar(
        self, item_id: str, *, space: str | None = None, **options: Unpack[SearchKeywords]
    ) -> Hits:
        plan = requests.similar(item_id, options, self._named(space), self._max_bytes)
        hits: Hits = (await self._run(plan))[0]
        return hits

    async def embed(
        self, inputs: Sequence[Askable], *, role: Role | str = Role.QUERY, space: str | None = None
    ) -> F32:
        return await self._run(requests.embed(inputs, role, self._named(space), self._max_bytes))

    async def get(
        self,
        item_ids: str | Sequence[str] = (),
        *,
        entity_ids: str | Sequence[str] = (),
        attributes: str | Sequence[str] = (),
    ) -> Found:
        return await self._run(requests.get(item_ids, entity_ids, attributes))

    async def ingest(self, records: AsyncSources, *, uris: Uris = "read") -> IngestReport:
        tally = Tally()
        async for source, acknowledgement in self._acknowledged(records, uris):
            tally.add(source, acknowledgement)
        return tally.report()

    async def ingest_stream(
        self, records: AsyncSources, *, uris: Uris = "read"
    ) -> AsyncIterator[Acknowledgement]:
        """As `Client.ingest_stream`; `records` may be an asynchronous iterable. What is iterated
        or read from files runs in a thread."""
        async for _, acknowledgement in self._acknowledged(records, uris):
            yield acknowledgement

    async def delete(
        self, item_ids: str | Sequence[str] = (), *, entity_ids: str | Sequence[str] = ()
    ) -> int:
        return await self._run(requests.delete(item_ids, entity_ids))

    async def stats(self) -> Stats:
        return await self._run(requests.stats(self._connection.address))

    async def spaces(self) -> list[SpaceInfo]:
        return await self._run(requests.spaces())

    async def health(self) -> bool:
        return await self._run(requests.health())

    def _named(self, space: str | None) -> str:
        return self._space if space is None else space

    def _stubs(self) -> Stubs:
        if self._opened is None:
            channel = self._connection.open(grpc.aio)
            self._opened = channel, Stubs(channel)
        return self._opened[1]

    async def _run(self, plan: Plan[T]) -> T:
        method = plan.method(self._stubs())
        responses: list[Any] = []
        waiting: list[Message] = list(reversed(plan.requests))
        while waiting:
            request = waiting.pop()
            try:
                responses.append(
                    await method(
                        request,
                        timeout=self._connection.timeout_s,
                        metadata=self._connection.metadata,
                    )
                )
            except grpc.RpcError as failed:
                error = self._connection.error(failed)
                rescued = plan.rescue(request, error)
                if rescued is None:
                    waiting += reversed(plan.smaller(request, error))
                else:
                    responses.append(rescued)
        return plan.read(responses)

    async def _acknowledged(
        self, records: AsyncSources, uris: Uris
    ) -> AsyncIterator[tuple[str, Acknowledgement]]:
        outbox = Outbox(self._max_bytes, send_uris=uris == "send")
        broken: list[BaseException] = []

        async def outgoing() -> AsyncIterator[ingest_pb2.IngestRequest]:
            try:
                async for record in _arriving(records):
                    request = await asyncio.to_thread(outbox.request, record)
                    if request is not None:
                        yield request
            except Exception as error:  # gRPC would only say that iterating failed
                broken.append(error)
                raise

        call = self._stubs().ingest.Ingest(outgoing(), metadata=self._connection.metadata)
        try:
            async for response in call:
                for one in outbox.acknowledge(response):
                    yield one
            for one in outbox.refused():
                yield one
        except (grpc.RpcError, asyncio.CancelledError) as failed:
            if broken:
                raise broken[0] from None
            if isinstance(failed, asyncio.CancelledError):
                raise
            raise self._connection.error(failed) from None
        finally:
            call.cancel()


async def _arriving(records: AsyncSources) -> AsyncIterator[Recordlike]:
    if isinstance(records, AsyncIterable):
        async for record in records:
            yield record
        return
    iterator = recordlike(records)
    while (following := await asyncio.to_thread(next, iterator, None)) is not None:
        yield following
