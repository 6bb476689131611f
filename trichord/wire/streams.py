"""Searches over a stream: questions out, answers back in the same order; both clients share it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from typing import TypeAlias

from trichord.answers import Answers
from trichord.errors import InvalidInput, TrichordError, Unavailable
from trichord.hits import Hits
from trichord.options import SearchKeywords, options_of
from trichord.query import Askable, Vector, Vectors, as_query, as_vectors
from trichord.types import F32
from trichord.v1 import search_pb2
from trichord.wire.hits import from_response
from trichord.wire.options import write_options
from trichord.wire.plans import ENVELOPE_BYTES, sendable
from trichord.wire.queries import to_query
from trichord.wire.status import from_status, to_status
from trichord.wire.vectors import write_vector

Asked: TypeAlias = Askable | F32 | Vectors
"""One query, or many by vector: float32 (n, dim)."""

StreamRequest: TypeAlias = Asked | tuple[str, Asked] | tuple[str, Asked, SearchKeywords]
"""A question, one with its id, or one with its id and what differs from the options of the stream;
without an id it gets its number, counted from 0."""

Answer: TypeAlias = Hits | Answers | TrichordError
"""`Answers` where many queries were asked at once."""


def to_streamed(
    request_id: str, found: search_pb2.SearchResponse | TrichordError
) -> search_pb2.StreamSearchResponse:
    if isinstance(found, TrichordError):
        return search_pb2.StreamSearchResponse(request_id=request_id, error=to_status(found))
    return search_pb2.StreamSearchResponse(request_id=request_id, response=found)


@dataclass(frozen=True)
class _Waiting:
    request_id: str
    many: bool
    refusal: TrichordError | None
    since: float


class Questions:
    """Makes the messages of one stream and reads its answers. One thread may send while another
    receives."""

    def __init__(self, keywords: SearchKeywords, space: str, max_bytes: int) -> None:
        self._keywords = keywords
        self._space = space
        self._room = max_bytes - ENVELOPE_BYTES
        self._common = _request(keywords, space)
        self._sent = 0
        self._waiting: deque[_Waiting] = deque()

    @property
    def since(self) -> float | None:
        """Since when (`time.monotonic`) the next answer is waited for; None: none is."""
        try:
            return self._waiting[0].since
        except IndexError:
            return None

    def message(self, given: StreamRequest) -> search_pb2.StreamSearchRequest:
        """What to send. A question that cannot be sent is replaced by an empty one, which the
        server answers in its turn, so that the error comes in its place."""
        request_id = str(self._sent)
        asked: object = given
        keywords: SearchKeywords | None = None
        refusal: TrichordError | None = None
        message = search_pb2.StreamSearchRequest()
        many = False
        try:
            if isinstance(given, tuple):
                request_id, asked, keywords = _parts(given)
            many = as_vectors(asked) is not None
            self._write(message, request_id, asked, keywords)
        except TrichordError as error:
            refusal = error
            message = search_pb2.StreamSearchRequest()
        self._sent += 1
        self._waiting.append(_Waiting(request_id, many, refusal, monotonic()))
        return message

    @sendable
    def _write(
        self,
        message: search_pb2.StreamSearchRequest,
        request_id: str,
        asked: object,
        keywords: SearchKeywords | None,
    ) -> None:
        message.request_id = request_id
        request = message.request
        if keywords:
            request.MergeFrom(_request({**self._keywords, **keywords}, self._space))
        else:
            request.MergeFrom(self._common)
        vectors = as_vectors(asked)
        if vectors is not None:
            write_vector(vectors.values, request.vectors, vectors.frame)
        else:
            query = as_query(asked)  # type: ignore[arg-type]  # it refuses what it does not know
            alone = query.terms[0].input if len(query.terms) == 1 else None
            if isinstance(alone, Vector) and query.terms[0].weight > 0:
                write_vector(alone.values[None], request.vectors, alone.frame)
            else:
                request.queries.append(to_query(query))
        if message.ByteSize() > self._room:
            raise InvalidInput(
                f"the request has {message.ByteSize()} bytes, more than one message may hold: "
                "ask for less at once, or raise max_message_bytes on both sides"
            )

    def answer(self, response: search_pb2.StreamSearchResponse) -> tuple[str, Answer]:
        """The id of the question that was next, and its answer or why there is none."""
        waiting = self._waiting.popleft()
        if waiting.refusal is not None:
            return waiting.request_id, waiting.refusal
        if response.request_id != waiting.request_id:
            raise Unavailable(
                f"the server answered {response.request_id!r} where {waiting.request_id!r} was "
                "next: is it a Trichord server of this version?"
            )
        if response.HasField("error"):
            return waiting.request_id, from_status(response.error)
        answers = from_response(response.response)
        return waiting.request_id, answers if waiting.many else answers[0]


def _request(keywords: SearchKeywords, space: str) -> search_pb2.SearchRequest:
    request = search_pb2.SearchRequest(space=space)
    write_options(options_of(keywords), request)
    return request


def _parts(given: tuple[object, ...]) -> tuple[str, object, SearchKeywords | None]:
    if not 2 <= len(given) <= 3 or not isinstance(given[0], str):
        raise InvalidInput(
            "a request of a stream is a question, (id, question) or (id, question, options); ids "
            "are text"
        )
    keywords = given[2] if len(given) == 3 else None
    if keywords is not None and not isinstance(keywords, Mapping):
        raise InvalidInput(f"options are a mapping, not {type(keywords).__name__}")
    return given[0], given[1], keywords  # type: ignore[return-value]  # options_of checks the keys
