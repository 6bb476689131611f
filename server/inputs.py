"""Messages of a request -> inputs of queries; one that is wrong does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from trichord.embedders.media.sniff import HEAD_BYTES, sniff
from trichord.embedders.media.text import decode_text
from trichord.errors import InvalidInput, TrichordError
from trichord.query import MAX_QUERIES, Audio, Image, Input, Query, Text
from trichord.server.uris import MediaRoot
from trichord.types import Modality
from trichord.v1 import query_pb2
from trichord.wire.queries import from_input, from_query

S = TypeVar("S")
T = TypeVar("T")


class Inputs:
    """Reads queries and inputs. Whether a vector is of the frame of the space that is asked, the
    catalog checks: which space that is, is known only of the view that is searched."""

    def __init__(self, media: MediaRoot) -> None:
        self._media = media

    def queries(self, messages: Iterable[query_pb2.Query]) -> list[Query | TrichordError]:
        return attempted(lambda message: from_query(message, None, self.opened), messages)

    def inputs(self, messages: Iterable[query_pb2.QueryInput]) -> list[Input | TrichordError]:
        return attempted(lambda message: from_input(message, None, self.opened), messages)

    def opened(self, uri: str) -> Input:
        """The picture, sound or text in a file below the media root."""
        data, name = self._media.read(uri)
        match sniff(data[:HEAD_BYTES], name).modality:
            case Modality.IMAGE:
                return Image(data)
            case Modality.AUDIO:
                return Audio(data)
            case Modality.TEXT:
                return Text(decode_text(data))


def attempted(make: Callable[[S], T], given: Iterable[S]) -> list[T | TrichordError]:
    """What `make` makes of each, or the error that it raised."""
    made: list[T | TrichordError] = []
    for one in given:
        try:
            made.append(make(one))
        except TrichordError as error:
            made.append(error)
    return made


def checked_count(count: int, what: str) -> None:
    if count > MAX_QUERIES:
        raise InvalidInput(f"a call takes at most {MAX_QUERIES} {what}, this one has {count}")


def alone(results: Sequence[object]) -> None:
    """Where there is only one result and it is an error, the call fails with it; the detail
    `query` tells it from an error of the request."""
    if len(results) == 1 and isinstance(results[0], TrichordError):
        results[0].details["query"] = "0"
        raise results[0]
