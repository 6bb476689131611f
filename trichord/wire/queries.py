"""Inputs and weighted queries <-> messages."""

from __future__ import annotations

from collections.abc import Callable

from trichord.errors import InvalidInput
from trichord.query import (
    Audio,
    EntityRef,
    Image,
    Input,
    ItemRef,
    Query,
    SegmentRef,
    Term,
    Text,
    Vector,
)
from trichord.types import Frame
from trichord.v1 import query_pb2
from trichord.wire.vectors import one_vector, write_vector


def write_input(asked: Input, message: query_pb2.QueryInput) -> None:
    """Fills an empty message; raises InvalidInput for ids that are no text and ordinals out of
    range."""
    match asked:
        case Text(text):
            message.text = text
        case Vector(values=values, frame=frame):
            write_vector(values, message.vector, frame)
        case Image(data):
            message.image = data
        case Audio(data):
            message.audio = data
        case ItemRef(item_id):
            message.item_id = _id(item_id)
        case EntityRef(entity_id):
            message.entity_id = _id(entity_id)
        case SegmentRef(item_id, ordinal):
            if not 0 <= ordinal < 2**32:
                raise InvalidInput(f"segments are numbered from 0, there is no {ordinal}")
            message.segment.item_id = _id(item_id)
            message.segment.ordinal = ordinal
        case _:
            raise InvalidInput(f"cannot send a {type(asked).__name__} as a query")


def _id(name: object) -> str:
    if not isinstance(name, str):
        raise InvalidInput(f"ids are text, not {type(name).__name__}: {name!r}")
    return name


def to_input(asked: Input) -> query_pb2.QueryInput:
    message = query_pb2.QueryInput()
    write_input(asked, message)
    return message


def from_input(
    message: query_pb2.QueryInput, frame: Frame | None, open_uri: Callable[[str], Input]
) -> Input:
    """The input; vectors are checked against `frame`, uris are opened by `open_uri`.

    Raises InvalidInput and its kinds, FrameMismatch, and what `open_uri` raises.
    """
    match message.WhichOneof("input"):
        case "text":
            return Text(message.text)
        case "image":
            return Image(message.image)
        case "audio":
            return Audio(message.audio)
        case "vector":
            return Vector(one_vector(message.vector, frame), message.vector.frame)
        case "item_id":
            return ItemRef(message.item_id)
        case "entity_id":
            return EntityRef(message.entity_id)
        case "segment":
            return SegmentRef(message.segment.item_id, message.segment.ordinal)
        case "uri":
            return open_uri(message.uri)
    raise InvalidInput("an input of the query is empty: set its text, image, audio, vector or id")


def to_query(query: Query) -> query_pb2.Query:
    message = query_pb2.Query()
    for term in query.terms:
        written = message.terms.add()
        write_input(term.input, written.input)
        if term.weight != 1:
            written.weight = term.weight
    return message


def from_query(
    message: query_pb2.Query, frame: Frame | None, open_uri: Callable[[str], Input]
) -> Query:
    """As `from_input`, for every term."""
    return Query(
        tuple(
            Term(
                from_input(term.input, frame, open_uri),
                term.weight if term.HasField("weight") else 1.0,
            )
            for term in message.terms
        )
    )
