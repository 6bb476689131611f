"""How a client runs a verb: messages to send, in order, and how to read what comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Generic, ParamSpec, TypeVar

from google.protobuf.message import Message
from grpc_health.v1 import health_pb2_grpc

from trichord.errors import InvalidInput, ResourceExhausted, TrichordError
from trichord.v1 import (
    embedding_pb2_grpc,
    feature_pb2_grpc,
    ingest_pb2_grpc,
    migration_pb2_grpc,
    registry_pb2_grpc,
    search_pb2_grpc,
)

T = TypeVar("T")
P = ParamSpec("P")

ENVELOPE_BYTES = 64 * 1024


class Stubs:
    """The services of one channel, of `grpc` or `grpc.aio`."""

    def __init__(self, channel: Any) -> None:
        self.search = _made(search_pb2_grpc.SearchServiceStub, channel)
        self.embedding = _made(embedding_pb2_grpc.EmbeddingServiceStub, channel)
        self.feature = _made(feature_pb2_grpc.FeatureServiceStub, channel)
        self.ingest = _made(ingest_pb2_grpc.IngestServiceStub, channel)
        self.migration = _made(migration_pb2_grpc.MigrationServiceStub, channel)
        self.registry = _made(registry_pb2_grpc.RegistryServiceStub, channel)
        self.health = _made(health_pb2_grpc.HealthStub, channel)


def _made(stub: Callable[[Any], Any], channel: Any) -> Any:
    return stub(channel)  # generated code has no types


@dataclass(frozen=True)
class Plan(Generic[T]):
    """Calls of one method, in order. A request that is answered by "too large" is sent again in
    the parts that `halves` makes of it; `rescue` may turn a failed call into an answer."""

    method: Callable[[Stubs], Any]
    requests: Sequence[Message]
    read: Callable[[list[Any]], T]
    halves: Callable[[Any], list[Message]] = field(default=lambda request: [])
    rescue: Callable[[Any, TrichordError], Any] = field(default=lambda request, error: None)

    def smaller(self, request: Message, error: TrichordError) -> list[Message]:
        """Parts to send in place of the request; raises the error where there are none."""
        if isinstance(error, ResourceExhausted) and error.retry_after_s is None:
            parts = self.halves(request)
            if parts:
                return parts
        raise error


def sendable(build: Callable[P, T]) -> Callable[P, T]:
    """Turns protobuf's refusal of broken text into InvalidInput."""

    @wraps(build)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return build(*args, **kwargs)
        except UnicodeEncodeError as error:
            raise InvalidInput(
                f"text cannot be sent: character {error.start} is half of a surrogate pair"
            ) from None

    return checked


def raised(answers: list[Any]) -> list[Any]:
    """The answers; raises the first that is an error and says which it was."""
    for number, answer in enumerate(answers):
        if isinstance(answer, TrichordError):
            if len(answers) > 1:
                answer.details["query"] = str(number)
            raise answer
    return answers


def packed(messages: Sequence[Any], most: int, max_bytes: int) -> Iterator[list[Any]]:
    """Consecutive messages in groups of at most `most` that fit into one message.

    Raises InvalidInput for a message that does not fit by itself.
    """
    room = max_bytes - ENVELOPE_BYTES
    group: list[Any] = []
    size = 0
    for message in messages:
        bytes_of = message.ByteSize() + 8
        if bytes_of > room:
            raise InvalidInput(
                f"an input has {bytes_of} bytes, more than one message may hold "
                f"(max_message_bytes is {max_bytes})"
            )
        if group and (len(group) == most or size + bytes_of > room):
            yield group
            group, size = [], 0
        group.append(message)
        size += bytes_of
    if group:
        yield group
