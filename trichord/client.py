"""Trichord from another process: the verbs of a catalog over gRPC, without any model.

with Client("localhost:50051") as trichord:
    hits = trichord.search("rain on a window", modality="audio", limit=5)
    hits.to_polars()
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from typing import Any, Self, TypeVar, Unpack

import grpc
from google.protobuf.message import Message

from trichord.answers import Answers
from trichord.errors import InvalidInput, TrichordError
from trichord.hits import Hits
from trichord.migrations import ClientMigrations
from trichord.options import SearchKeywords
from trichord.query import Askable, Vectors
from trichord.results import Acknowledgement, Found, SpaceInfo, Stats
from trichord.streams import AHEAD, Ask, search_stream
from trichord.types import F32, IngestReport, Role
from trichord.v1 import ingest_pb2
from trichord.wire import requests
from trichord.wire.channel import DEFAULT_TIMEOUT_S, MAX_MESSAGE_BYTES, Connection
from trichord.wire.outbox import Outbox, Sources, Tally, Uris, recordlike
from trichord.wire.plans import Plan, Stubs
from trichord.wire.requests import OnError
from trichord.wire.streams import Questions, StreamRequest

T = TypeVar("T")


class Client:
    """A connection to a Trichord server; thread-safe, to be closed or used in a `with`.

    `address` is host:port, [::1]:port or unix:path. `space` is the space meant when a call names
    none (None: the server's default). `timeout` in seconds holds for each call but a stream.
    TLS is used for every address but a loopback one, or when `tls_ca` (a PEM file) is given.
    Reads are repeated while the server is unavailable; large ones are split into several calls.

    Every error is a TrichordError of the class that the server raised; Unavailable and
    DeadlineExceeded where there was no answer. `error.details["request_id"]` names the call in the
    server's log.
    """

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
        self._channel: grpc.Channel = self._connection.open()
        self._stubs = Stubs(self._channel)
        self.migrations = ClientMigrations(self._run, lambda: self._stubs, self._connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        self._channel.close()

    def search(
        self, asked: Askable, *, space: str | None = None, **options: Unpack[SearchKeywords]
    ) -> Hits:
        """The nearest stored content, best first; the options are those of `Catalog.search`."""
        plan = requests.search([asked], options, self._named(space), self._max_bytes, "raise")
        hits: Hits = self._run(plan)[0]
        return hits

    def search_many(
        self,
        asked: Sequence[Askable] | F32 | Vectors,
        *,
        space: str | None = None,
        errors: OnError = "raise",
        **options: Unpack[SearchKeywords],
    ) -> Sequence[Any]:
        """One `Hits` per query, in order; with `errors="return"` a failed query's TrichordError
        stands in its place, else the first is raised. Many vectors are best given as a matrix,
        float32 (n, dim): it travels as it is."""
        plan = requests.search(asked, options, self._named(space), self._max_bytes, errors)
        return self._run(plan)

    def search_stream(
        self,
        requests: Iterable[StreamRequest],
        *,
        space: str | None = None,
        ahead: int = AHEAD,
        **options: Unpack[SearchKeywords],
    ) -> Iterator[tuple[str, Hits | Answers | TrichordError]]:
        """Searches over one open stream: (id, answer) for each request, in order, at half the cost
        of a call each or less. A request is a question, or (id, question), or (id, question,
        options) where options differ; a question is what `search` takes, or a matrix of vectors,
        which is answered by `Answers`.

        A request that fails has its error in its place and does not end the stream. At most
        `ahead` requests are sent before their answers are taken, and `requests` is iterated in
        another thread. `timeout` holds for each answer. Raises what ends the stream:
        Unauthenticated, ResourceExhausted (no room for another stream), Unavailable,
        DeadlineExceeded; what has no answer by then may be asked again.
        """
        if ahead < 1:
            raise InvalidInput(f"ahead must be at least 1, not {ahead}")
        questions = Questions(options, self._named(space), self._max_bytes)
        method = self._stubs.search.StreamSearch
        return search_stream(method, self._connection, questions, requests, ahead)

    @contextmanager
    def searching(
        self, *, space: str | None = None, **options: Unpack[SearchKeywords]
    ) -> Iterator[Ask]:
        """For one question after the other over one open stream, each when the last is answered:

        with client.searching(modality="audio", limit=5) as ask:
            hits = ask("rain on a window")
        """
        named = self._named(space)
        Questions(options, named, self._max_bytes)  # wrong options are told at once
        ask = Ask(
            self._stubs.search.StreamSearch,
            self._connection,
            lambda: Questions(options, named, self._max_bytes),
        )
        try:
            yield ask
        finally:
            ask.close()

    def similar(
        self, item_id: str, *, space: str | None = None, **options: Unpack[SearchKeywords]
    ) -> Hits:
        """What is nearest to a stored item; the item itself is left out."""
        plan = requests.similar(item_id, options, self._named(space), self._max_bytes)
        hits: Hits = self._run(plan)[0]
        return hits

    def embed(
        self, inputs: Sequence[Askable], *, role: Role | str = Role.QUERY, space: str | None = None
    ) -> F32:
        """Unit vectors, float32 (n, dim); raises the error of the first input that has one."""
        return self._run(requests.embed(inputs, role, self._named(space), self._max_bytes))

    def get(
        self,
        item_ids: str | Sequence[str] = (),
        *,
        entity_ids: str | Sequence[str] = (),
        attributes: str | Sequence[str] = (),
    ) -> Found:
        """Items and entities by id, with the named attributes (empty: all)."""
        return self._run(requests.get(item_ids, entity_ids, attributes))

    def ingest(
        self,
        records: Sources,
        *,
        uris: Uris = "read",
    ) -> IngestReport:
        """Stores records, files, folders and tables; see `ingest_stream`."""
        tally = Tally()
        for source, acknowledgement in self._acknowledged(records, uris):
            tally.add(source, acknowledgement)
        return tally.report()

    def ingest_stream(
        self,
        records: Sources,
        *,
        uris: Uris = "read",
    ) -> Iterator[Acknowledgement]:
        """Sends records as they come and yields what became of each, in order, once it is stored.

        A refused record does not stop the others. Files that a record names (`uri`) are read here
        and sent as bytes; `uris="send"` leaves it to the server to open them below its media root.
        If the stream breaks, what was acknowledged is stored; sending all again changes nothing.
        """
        for _, acknowledgement in self._acknowledged(records, uris):
            yield acknowledgement

    def delete(
        self, item_ids: str | Sequence[str] = (), *, entity_ids: str | Sequence[str] = ()
    ) -> int:
        """Deletes items, and entities with all their items; returns how many items went. NotFound
        lists unknown ids, and nothing is deleted."""
        return self._run(requests.delete(item_ids, entity_ids))

    def stats(self) -> Stats:
        """Counts of the store and of the server's calls; `path` is the address."""
        return self._run(requests.stats(self._connection.address))

    def spaces(self) -> list[SpaceInfo]:
        return self._run(requests.spaces())

    def health(self) -> bool:
        """Whether the server takes calls; raises Unavailable if nothing answers at all."""
        return self._run(requests.health())

    def _named(self, space: str | None) -> str:
        return self._space if space is None else space

    def _run(self, plan: Plan[T]) -> T:
        method = plan.method(self._stubs)
        responses: list[Any] = []
        waiting: list[Message] = list(reversed(plan.requests))
        while waiting:
            request = waiting.pop()
            try:
                responses.append(
                    method(
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

    def _acknowledged(self, records: Any, uris: Uris) -> Iterator[tuple[str, Acknowledgement]]:
        outbox = Outbox(self._max_bytes, send_uris=uris == "send")
        broken: list[BaseException] = []

        def outgoing() -> Iterator[ingest_pb2.IngestRequest]:
            try:
                for record in recordlike(records):
                    request = outbox.request(record)
                    if request is not None:
                        yield request
            except Exception as error:  # gRPC would only say that iterating failed
                broken.append(error)
                raise

        call = self._stubs.ingest.Ingest(outgoing(), metadata=self._connection.metadata)
        try:
            for response in call:
                yield from outbox.acknowledge(response)
            yield from outbox.refused()
        except grpc.RpcError as failed:
            if broken:
                raise broken[0] from None
            raise self._connection.error(failed) from None
        finally:
            call.cancel()
