"""What is asked: content, stored things and vectors, alone or as a weighted combination.

>>> query = Text("rain on a window") - 0.3 * ItemRef("track-17")
>>> [(type(term.input).__name__, term.weight) for term in query.terms]
[('Text', 1.0), ('ItemRef', -0.3)]
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, isfinite
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from trichord.errors import InvalidInput, MediaError, NotFound, VectorError
from trichord.types import F32, AttributeValue, Group, Modality

MAX_TERMS = 256
MAX_LIMIT = 10_000
MAX_QUERIES = 1_024
FUSIONS = ("rrf", "score", "significance", "quota")


class _Combinable:
    """Arithmetic that inputs and queries share: `picture + 0.5 * Text("calmer")`."""

    def _as_terms(self) -> tuple[Term, ...]:
        raise NotImplementedError  # pragma: no cover (both subclasses define it)

    def __mul__(self, weight: float) -> Query:
        return Query(tuple(Term(t.input, t.weight * float(weight)) for t in self._as_terms()))

    __rmul__ = __mul__

    def __neg__(self) -> Query:
        return self * -1.0

    def __add__(self, other: _Combinable) -> Query:
        return Query(self._as_terms() + other._as_terms())

    def __sub__(self, other: _Combinable) -> Query:
        return self + (-other)


class _Input(_Combinable):
    def _as_terms(self) -> tuple[Term, ...]:
        return (Term(self, 1.0),)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Text(_Input):
    """A text to be embedded by the space that is searched."""

    text: str

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise InvalidInput("the query text is empty: write what to look for")


class _Media(_Input):
    data: bytes

    def __post_init__(self) -> None:
        if not self.data:
            raise MediaError(f"the {type(self).__name__.lower()} of the query has no bytes")

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Reads the encoded file (JPEG, WAV …) as it is; raises NotFound if there is none."""
        try:
            return cls(Path(path).read_bytes())  # type: ignore[call-arg]
        except OSError as error:
            raise NotFound(f"cannot read {os.fspath(path)!r}: {error.strerror}") from None


@dataclass(frozen=True)
class Image(_Media):
    """A picture as encoded bytes (PNG, JPEG, WebP, GIF, AVIF, TIFF)."""

    data: bytes = field(repr=False)


@dataclass(frozen=True)
class Audio(_Media):
    """A sound as encoded bytes (WAV, FLAC, OGG, Opus, MP3)."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, eq=False)
class Vector(_Input):
    """A ready vector, float32 (dim,), of the searched space's frame; it is scaled to length 1.

    With `frame`, the id of the frame that it is of, a space of another frame refuses it
    (FrameMismatch); without, only its length can tell.
    """

    values: F32
    frame: str = ""

    def __init__(self, values: npt.ArrayLike, frame: str = "") -> None:
        array = np.ascontiguousarray(values, dtype=np.float32)
        if array.ndim != 1 or array.size == 0:
            raise VectorError(f"a query vector has one dimension, got shape {array.shape}")
        if not np.isfinite(array).all():
            raise VectorError("the query vector holds NaN or infinite values")
        object.__setattr__(self, "values", array)
        object.__setattr__(self, "frame", frame)


@dataclass(frozen=True)
class ItemRef(_Input):
    """A stored item: the mean direction of its segments; it is left out of its own results."""

    item_id: str


@dataclass(frozen=True)
class EntityRef(_Input):
    """A stored entity: the mean direction of its items; its items are left out of the results."""

    entity_id: str


@dataclass(frozen=True)
class SegmentRef(_Input):
    """One segment of a stored item; the item is left out of the results."""

    item_id: str
    ordinal: int


Input = Text | Image | Audio | Vector | ItemRef | EntityRef | SegmentRef


@dataclass(frozen=True)
class Term:
    input: Input
    weight: float = 1.0


@dataclass(frozen=True)
class Query(_Combinable):
    """The direction searched for: the weighted sum of its terms' unit vectors, scaled to 1."""

    terms: tuple[Term, ...]

    def __post_init__(self) -> None:
        if not 0 < len(self.terms) <= MAX_TERMS:
            raise InvalidInput(f"a query has 1 to {MAX_TERMS} terms, this one {len(self.terms)}")
        if not all(isfinite(term.weight) for term in self.terms):
            raise InvalidInput("the weights of a query must be finite numbers")
        if all(term.weight == 0 for term in self.terms):
            raise InvalidInput("all weights of the query are zero: it has no direction")

    def _as_terms(self) -> tuple[Term, ...]:
        return self.terms


Quotas = tuple[tuple[str, int], ...]

Askable = str | Input | Query | npt.NDArray[Any]


def as_query(asked: Askable) -> Query:
    """A text, an input, a vector or a query, as a query."""
    if isinstance(asked, Query):
        return asked
    if isinstance(asked, str):
        return Query((Term(Text(asked)),))
    if isinstance(asked, np.ndarray):
        return Query((Term(Vector(asked)),))
    if isinstance(asked, Text | Image | Audio | Vector | ItemRef | EntityRef | SegmentRef):
        return Query((Term(asked),))
    raise InvalidInput(
        f"cannot search by {type(asked).__name__}: give a text, Text, Image, Audio, Vector, "
        "ItemRef, EntityRef, SegmentRef, a numpy vector or a combination of these"
    )


@dataclass(frozen=True)
class SearchOptions:
    """Everything about a search but the queries; one spelling here, in the client, and in the CLI.

    `modality` empty means all that the space can search. `attributes` names the attribute columns
    to return (empty: none; `("*",)`: all). `segments` is how many of its best segments each hit
    shows. `fuse` says how lists of several modalities become one: by reciprocal rank ("rrf"), by
    raw cosine ("score"), by "significance", or by rank in the proportions of `quotas` ("quota";
    pairs of modality and share, those not named get none; empty: equal shares). `exact` searches
    without approximation. `min_significance` (-log10 of the probability by chance) and
    `min_probability` (of being relevant) leave out hits below; they need a calibrated space.
    """

    modality: tuple[str, ...] = ()
    where: Any = None
    limit: int = 10
    group: Group = Group.ITEM
    attributes: tuple[str, ...] = ()
    segments: int = 1
    fuse: str = "rrf"
    exact: bool = False
    page_token: str = ""
    quotas: Quotas = ()
    min_significance: float | None = None
    min_probability: float | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= MAX_LIMIT:
            raise InvalidInput(f"limit must be 1 to {MAX_LIMIT}, not {self.limit}")
        if not 1 <= self.segments <= 100:
            raise InvalidInput(f"segments must be 1 to 100, not {self.segments}")
        if self.fuse not in FUSIONS:
            raise InvalidInput(f"fuse must be one of {', '.join(FUSIONS)}, not {self.fuse!r}")
        if self.quotas and self.fuse != "quota":
            raise InvalidInput("quotas go with fuse='quota'")
        names = [name for name, _ in self.quotas]
        unknown = [name for name in names if name not in set(Modality)]
        if unknown:
            raise InvalidInput(f"quotas name modalities: {', '.join(Modality)}, not {unknown[0]!r}")
        if len(set(names)) < len(names) or any(not 0 < share <= 1_000 for _, share in self.quotas):
            raise InvalidInput("quotas name each modality once, with a share of 1 to 1000")
        if self.min_significance is not None and not 0 <= self.min_significance < inf:
            raise InvalidInput(f"min_significance must be 0 or more, not {self.min_significance}")
        if self.min_probability is not None and not 0 <= self.min_probability <= 1:
            raise InvalidInput(f"min_probability must be 0 to 1, not {self.min_probability}")


@dataclass(frozen=True)
class Record:
    """One input of an ingest: an item's content, an entity's attributes, or both.

    Exactly one of `data` (encoded bytes), `text`, `uri` (a path) and `vector` (float32 (dim,), with
    `modality`) carries content; with none of them the record only sets attributes of `entity_id`
    (or, if `item_id` is stored already, of that item). `item_id` defaults to the file's name below
    the folder given, `entity_id` to the item's id. `frame` is the id of the frame that a vector is
    of: a space of another one refuses it.
    """

    item_id: str | None = None
    entity_id: str | None = None
    modality: str | None = None
    data: bytes | None = field(default=None, repr=False)
    text: str | None = None
    uri: str | None = None
    vector: F32 | None = field(default=None, repr=False)
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    event_timestamp: Any = None
    source: str = ""
    frame: str = ""


def as_quotas(value: str | Mapping[str, int] | Iterable[tuple[str, int]]) -> Quotas:
    """`"audio=2,image=1"`, a mapping, or pairs, as pairs of modality and share.

    >>> as_quotas("audio=2, image=1")
    (('audio', 2), ('image', 1))
    """
    if isinstance(value, str):
        parts = [part.partition("=") for part in as_names(value)]
        if not all(share.strip().isdecimal() for _, _, share in parts):
            raise InvalidInput(f"quotas look like audio=2,image=1, not {value!r}")
        return tuple((name.strip(), int(share)) for name, _, share in parts)
    pairs = value.items() if isinstance(value, Mapping) else value
    try:
        return tuple((str(name), int(share)) for name, share in pairs)
    except (TypeError, ValueError):
        raise InvalidInput(f"quotas are pairs of modality and share, not {value!r}") from None


def as_names(value: str | Sequence[str] | None) -> tuple[str, ...]:
    """`"audio,image"`, `"audio"`, `["audio", "image"]` and None as a tuple of names."""
    if value is None:
        return ()
    if isinstance(value, str):
        return tuple(name.strip() for name in value.split(",") if name.strip())
    return tuple(str(name) for name in value)
