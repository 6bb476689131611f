"""Page tokens: which snapshot and where in the list, bound to the question that was asked."""

from __future__ import annotations

import base64
import binascii
import struct

import numpy as np
import xxhash

from trichord.errors import PageTokenError
from trichord.query import Audio, Image, Input, Query, SearchOptions, Vector
from trichord.types import F32

_LAYOUT = struct.Struct("<BqqqQ")
_VERSION = 1
_DAMAGED = "the page token is damaged: send it as it was returned"


def question(query: Query | F32, options: SearchOptions, space: str) -> int:
    """64 bits that tell one question from another; pages of one may differ in size. A query vector
    float32 (dim,) is the same question as the query that it alone makes."""
    digest = xxhash.xxh3_64()
    if isinstance(query, np.ndarray):  # asked most often: the same bytes with fewer objects
        digest.update(_ONE_VECTOR)
        digest.update(query.data)
    else:
        for term in query.terms:
            digest.update(_introduced(term.weight, term.input))
            match term.input:
                case Image(data) | Audio(data):
                    digest.update(xxhash.xxh3_128_digest(data))
                case Vector():
                    digest.update(term.input.values.tobytes())
                case stored:
                    digest.update(
                        repr(tuple(vars(stored).values())).encode("utf-8", "surrogatepass")
                    )
    digest.update(f"{options.question} {space!r}".encode("utf-8", "surrogatepass"))
    return digest.intdigest()


def _introduced(weight: float, asked: Input) -> bytes:
    return f"{weight!r} {type(asked).__name__} ".encode()


_ONE_VECTOR = _introduced(1.0, Vector(np.ones(1, np.float32)))


def token(snapshot: int, offset: int, first: int, asked: int) -> str:
    """What the page behind `offset` hits is asked with; the first page had `first` of them."""
    body = _LAYOUT.pack(_VERSION, snapshot, offset, first, asked)
    check = xxhash.xxh3_64_digest(body)[:4]
    return base64.urlsafe_b64encode(body + check).decode()


def snapshot_of(text: str) -> int:
    """The snapshot that the page is of, by which alone the space of its question is known; raises
    PageTokenError if damaged."""
    return _unpacked(text)[0]


def _unpacked(text: str) -> tuple[int, int, int, int]:
    try:
        data = base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
        body, check = data[:-4], data[-4:]
        version, snapshot, offset, first, of = _LAYOUT.unpack(body)
    except (binascii.Error, struct.error, ValueError):
        raise PageTokenError(_DAMAGED) from None
    if xxhash.xxh3_64_digest(body)[:4] != check or version != _VERSION or not 0 < first <= offset:
        raise PageTokenError(_DAMAGED)
    return int(snapshot), int(offset), int(first), int(of)


def read_token(text: str, asked: int) -> tuple[int, int, int]:
    """(snapshot, offset, first); raises PageTokenError if damaged or of another question."""
    snapshot, offset, first, of = _unpacked(text)
    if of != asked:
        raise PageTokenError(
            "the page token belongs to another question: keep query, filter and options as they "
            "were"
        )
    return snapshot, offset, first
