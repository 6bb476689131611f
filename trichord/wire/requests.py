"""The verbs of a client as plans; the two clients differ only in how they run them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, Literal, TypeVar

import numpy as np
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2

from trichord.errors import InvalidInput, TrichordError
from trichord.options import SearchKeywords, options_of
from trichord.query import (
    MAX_QUERIES,
    Askable,
    Input,
    ItemRef,
    Vectors,
    as_names,
    as_queries,
    as_query,
    as_vectors,
)
from trichord.results import Found, SpaceInfo, Stats
from trichord.types import F32, Role
from trichord.v1 import (
    embedding_pb2,
    feature_pb2,
    ingest_pb2,
    registry_pb2,
    search_pb2,
)
from trichord.wire.enums import ROLE_NUMBERS
from trichord.wire.hits import from_response
from trichord.wire.items import from_found
from trichord.wire.options import write_options
from trichord.wire.plans import ENVELOPE_BYTES, Plan, packed, raised, sendable
from trichord.wire.queries import to_input, to_query
from trichord.wire.registry import from_spaces, from_stats
from trichord.wire.status import from_status, to_status
from trichord.wire.vectors import from_vector, write_vector

MAX_HITS_PER_CALL = 50_000
"""Many queries with long lists are asked in several calls: an answer has a limit too."""
MAX_IDS_PER_CALL = 1_000

OnError = Literal["raise", "return"]
S = TypeVar("S", bound=Any)


@sendable
def search(
    asked: Sequence[Askable] | F32 | Vectors,
    keywords: SearchKeywords,
    space: str,
    max_bytes: int,
    errors: OnError,
) -> Plan[Sequence[Any]]:
    """One `Hits` per query; with `errors="return"` a TrichordError in its place."""
    options = options_of(keywords)
    most = max(1, min(MAX_QUERIES, MAX_HITS_PER_CALL // options.limit))
    empty = search_pb2.SearchRequest(space=space)
    write_options(options, empty)
    requests = []
    vectors = as_vectors(asked)
    count = len(asked)
    if vectors is not None:
        row_bytes = max(1, vectors.values.shape[1] * 4)
        fit = max(1, (max_bytes - empty.ByteSize() - ENVELOPE_BYTES) // row_bytes)
        for part in _runs(vectors.values, min(most, fit)):
            request = search_pb2.SearchRequest()
            request.MergeFrom(empty)
            write_vector(part, request.vectors, vectors.frame)
            requests.append(request)
    else:
        messages = [to_query(query) for query in as_queries(asked)]
        for queries in packed(messages, most, max_bytes - empty.ByteSize()):
            request = search_pb2.SearchRequest()
            request.MergeFrom(empty)
            request.queries.extend(queries)
            requests.append(request)

    def read(responses: list[search_pb2.SearchResponse]) -> Sequence[Any]:
        parts = [from_response(response) for response in responses]
        answers: Sequence[Any] = parts[0] if len(parts) == 1 else list(chain.from_iterable(parts))
        if errors == "raise" and any(part.errors for part in parts):
            return raised(list(answers))
        return answers

    def rescue(request: search_pb2.SearchRequest, error: TrichordError) -> Any:
        # A call with one query fails with that query's error.
        if "query" not in error.details:
            return None
        if errors == "raise":
            error.details["query"] = str(count - 1)
            return None
        return search_pb2.SearchResponse(answers=[{"error": to_status(error)}])

    return Plan(lambda stubs: stubs.search.Search, requests, read, rescue=rescue)


def similar(
    item_id: str, keywords: SearchKeywords, space: str, max_bytes: int
) -> Plan[Sequence[Any]]:
    return search([ItemRef(item_id)], keywords, space, max_bytes, "raise")


@sendable
def embed(inputs: Sequence[Askable], role: Role | str, space: str, max_bytes: int) -> Plan[F32]:
    """float32 (n, dim), unit rows; raises the first input's error."""
    messages = [to_input(_single(one)) for one in inputs]
    number = ROLE_NUMBERS.get(Role(role)) if role in tuple(Role) else None
    if number is None:
        raise InvalidInput(f"unknown role {role!r}: choose from {', '.join(Role)}", field="role")
    requests = [
        embedding_pb2.EmbedRequest(space=space, inputs=part, role=number)
        for part in packed(messages, MAX_QUERIES, max_bytes)
    ] or [embedding_pb2.EmbedRequest(space=space, role=number)]

    def read(responses: list[embedding_pb2.EmbedResponse]) -> F32:
        results = [result for response in responses for result in response.results]
        raised([from_status(r.error) if r.HasField("error") else r for r in results])
        return np.concatenate([from_vector(response.vectors) for response in responses])

    return Plan(lambda stubs: stubs.embedding.Embed, requests, read)


@sendable
def get(
    item_ids: Sequence[str], entity_ids: Sequence[str], attributes: str | Sequence[str]
) -> Plan[Found]:
    """In the order asked for; the snapshot is the newest that a part was read from."""
    names = as_names(attributes)
    parts: list[tuple[list[str], list[str]]] = [
        (list(part), []) for part in _runs(_ids(item_ids), MAX_IDS_PER_CALL)
    ]
    parts += [([], list(part)) for part in _runs(_ids(entity_ids), MAX_IDS_PER_CALL)]
    requests = [
        feature_pb2.GetRequest(item_ids=items, entity_ids=entities, attributes=names)
        for items, entities in parts or [([], [])]
    ]

    def halves(request: feature_pb2.GetRequest) -> list[Message]:
        ids = list(request.item_ids) or list(request.entity_ids)
        kind = "item_ids" if request.item_ids else "entity_ids"
        if len(ids) < 2:
            return []
        middle = len(ids) // 2
        return [
            feature_pb2.GetRequest(attributes=names, **{kind: part})
            for part in (ids[:middle], ids[middle:])
        ]

    def read(responses: list[feature_pb2.GetResponse]) -> Found:
        found = [from_found(response) for response in responses]
        return Found(
            items=tuple(item for part in found for item in part.items),
            entities=tuple(entity for part in found for entity in part.entities),
            missing_item_ids=tuple(i for part in found for i in part.missing_item_ids),
            missing_entity_ids=tuple(i for part in found for i in part.missing_entity_ids),
            snapshot=max(part.snapshot for part in found),
        )

    return Plan(lambda stubs: stubs.feature.Get, requests, read, halves)


@sendable
def delete(item_ids: Sequence[str], entity_ids: Sequence[str]) -> Plan[int]:
    """In one call, because all or nothing is deleted."""
    request = ingest_pb2.DeleteRequest(item_ids=_ids(item_ids), entity_ids=_ids(entity_ids))
    return Plan(lambda stubs: stubs.ingest.Delete, [request], lambda got: int(got[0].deleted_items))


def stats(address: str) -> Plan[Stats]:
    return Plan(
        lambda stubs: stubs.registry.GetStats,
        [registry_pb2.GetStatsRequest()],
        lambda got: from_stats(got[0], address),
    )


def spaces() -> Plan[list[SpaceInfo]]:
    return Plan(
        lambda stubs: stubs.registry.ListSpaces,
        [registry_pb2.ListSpacesRequest()],
        lambda got: from_spaces(got[0]),
    )


def health() -> Plan[bool]:
    serving = health_pb2.HealthCheckResponse.SERVING
    return Plan(
        lambda stubs: stubs.health.Check,
        [health_pb2.HealthCheckRequest()],
        lambda got: bool(got[0].status == serving),
    )


def _runs(rows: S, most: int) -> Iterator[S]:
    return (rows[first : first + most] for first in range(0, len(rows), most))


def _ids(ids: str | Sequence[str]) -> list[str]:
    listed = [ids] if isinstance(ids, str) else list(ids)
    for one in listed:
        if not isinstance(one, str):
            raise InvalidInput(f"ids are text, not {type(one).__name__}: {one!r}")
    return listed


def _single(asked: Askable) -> Input:
    terms = as_query(asked).terms
    if len(terms) > 1 or terms[0].weight != 1:
        raise InvalidInput("embed takes single inputs; a combination is for search")
    return terms[0].input
