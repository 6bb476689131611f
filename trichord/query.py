"""What is asked: content, stored things and vectors, alone or as a weighted combination.

>>> query = Text("rain on a window") - 0.3 * ItemRef("track-17")
>>> [(type(term.input).__name__, term.weight) for term in query.terms]
[('Text', 1.0), ('ItemRef', -0.3)]
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
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
MAX_EXCLUDED = 10_000
MAX_BOOSTS = 16
MAX_RERANKED = 1_000
MAX_FACETS = 32
RERANK_MS = 300
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
        # The product tells in a third of the time; of large numbers it may be infinite itself.
        if not isfinite(np.vdot(array, array)) and not np.isfinite(array).all():
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


@dataclass(frozen=True, eq=False)
class Vectors:
    """Many queries by vector at once: float32 (n, dim), each row as a `Vector`, without an object
    for each. What has a zero, NaN or infinite row is refused as a whole (VectorError)."""

    values: F32
    frame: str = ""

    def __init__(self, values: npt.ArrayLike, frame: str = "") -> None:
        array = np.ascontiguousarray(values, dtype=np.float32)
        if array.ndim != 2 or array.shape[1] == 0:
            raise VectorError(f"query vectors have the shape (n, dim), not {array.shape}")
        object.__setattr__(self, "values", array)
        object.__setattr__(self, "frame", frame)

    def __len__(self) -> int:
        return len(self.values)


def history(
    events: Iterable[tuple[Input | str, datetime] | tuple[Input | str, datetime, float]],
    *,
    half_life_days: float = 30.0,
    now: datetime | None = None,
) -> Query:
    """What somebody liked as one query: each thing counts half as much for every `half_life_days`
    since its time, times the weight that may come third (negative: disliked).

    A text stands for the stored item of that id. Stored items are left out of the answer. Of more
    than `MAX_TERMS` events those that count most are taken. Times without a zone are UTC.

    >>> from datetime import datetime
    >>> liked = [("track-1", datetime(2026, 3, 1)), ("track-2", datetime(2026, 1, 30), 2.0)]
    >>> asked = history(liked, half_life_days=30, now=datetime(2026, 3, 1))
    >>> [(term.input.item_id, term.weight) for term in asked.terms]
    [('track-1', 1.0), ('track-2', 1.0)]
    """
    if not 0 < half_life_days < inf:
        raise InvalidInput(f"half_life_days must be positive, not {half_life_days}")
    moment = _aware(now or datetime.now(UTC))
    terms = []
    for what, when, *given in events:
        age_days = max(0.0, (moment - _aware(when)).total_seconds() / 86_400)
        weight = (given[0] if given else 1.0) * 0.5 ** (age_days / half_life_days)
        terms.append(Term(ItemRef(what) if isinstance(what, str) else what, weight))
    if not terms:
        raise InvalidInput("the history is empty: there is nothing to search by")
    if len(terms) > MAX_TERMS:
        terms = sorted(terms, key=lambda term: -abs(term.weight))[:MAX_TERMS]
    return Query(tuple(terms))


def _aware(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


@dataclass(frozen=True)
class Boost:
    """What is added to the score by which hits are ordered: `weight` for items that pass `where`,
    or `weight` times the value of a numeric `attribute`. Scores of the answer stay cosines."""

    weight: float
    where: Any = None
    attribute: str = ""

    def __post_init__(self) -> None:
        if not isfinite(self.weight):
            raise InvalidInput("the weight of a boost must be a finite number")
        if (self.where is None or self.where == "") == (self.attribute == ""):
            raise InvalidInput("a boost has either a filter (where) or an attribute")


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


def as_vectors(asked: object) -> Vectors | None:
    """Many queries given as a matrix (n, dim) or as `Vectors`; None for anything else."""
    if isinstance(asked, Vectors):
        return asked
    if isinstance(asked, np.ndarray) and asked.ndim == 2:
        return Vectors(asked)
    return None


def as_queries(asked: Iterable[Askable] | Vectors) -> list[Query]:
    """Each as a query, the rows of a matrix too."""
    if isinstance(asked, Vectors):
        return [as_query(Vector(row, asked.frame)) for row in asked.values]
    return [as_query(one) for one in asked]


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

    `recall`: approximate to at least this measured recall (None: what the indexes were tuned for,
    0.99 at least under a filter). `exclude_items` and `exclude_entities` are left out of the
    answer; unknown ids are no error. `boosts` add to the score that orders. `diversity` (0 to 1)
    lets a hit count less the nearer it is to a better one. `keywords` are looked for in texts and
    attributes too (BM25), merged by reciprocal rank. The first `rerank` hits are ordered anew by a
    cross-encoder that has `rerank_ms` for it. `facets` names attributes whose values are counted
    over all that the search could find. `explain` says how the search went.
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
    recall: float | None = None
    exclude_items: frozenset[str] = frozenset()
    exclude_entities: frozenset[str] = frozenset()
    boosts: tuple[Boost, ...] = ()
    diversity: float = 0.0
    keywords: str = ""
    rerank: int = 0
    rerank_ms: int = RERANK_MS
    facets: tuple[str, ...] = ()
    explain: bool = False

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
        if self.recall is not None and not 0 < self.recall <= 1:
            raise InvalidInput(f"recall must be above 0 and at most 1, not {self.recall}")
        excluded = len(self.exclude_items) + len(self.exclude_entities)
        if excluded > MAX_EXCLUDED:
            raise InvalidInput(f"at most {MAX_EXCLUDED} ids can be excluded, these are {excluded}")
        if len(self.boosts) > MAX_BOOSTS:
            raise InvalidInput(f"a search takes at most {MAX_BOOSTS} boosts")
        if not 0 <= self.diversity <= 1:
            raise InvalidInput(f"diversity must be 0 to 1, not {self.diversity}")
        if not 0 <= self.rerank <= MAX_RERANKED or not 1 <= self.rerank_ms <= 60_000:
            raise InvalidInput(
                f"rerank takes 0 to {MAX_RERANKED} hits and rerank_ms 1 to 60000, not "
                f"{self.rerank} and {self.rerank_ms}"
            )
        if len(self.facets) > MAX_FACETS:
            raise InvalidInput(f"a search counts at most {MAX_FACETS} facets")

    @cached_property
    def question(self) -> str:
        """What pages of one list have in common: all but the page and its size."""
        facts = {name: getattr(self, name) for name in self.__dataclass_fields__}
        del facts["page_token"], facts["limit"], facts["explain"], facts["facets"]
        for name in ("exclude_items", "exclude_entities"):
            facts[name] = sorted(facts[name])  # a set has another order in every process
        return repr(facts)

    @cached_property
    def quick(self) -> bool:
        """Whether nothing is asked but the nearest of one modality, less what is excluded."""
        return len(self.modality) == 1 and not (
            self.exact
            or self.page_token
            or self.explain
            or self.facets
            or self.fuse == "significance"
            or self.has_thresholds
            or self.reorders
        )

    @property
    def excludes(self) -> bool:
        return bool(self.exclude_items or self.exclude_entities)

    @property
    def has_thresholds(self) -> bool:
        return self.min_significance is not None or self.min_probability is not None

    @property
    def reorders(self) -> bool:
        """Whether the order is not that of the indexes alone."""
        return bool(self.boosts or self.diversity or self.keywords or self.rerank)


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


def as_excluded(ids: str | Iterable[str]) -> frozenset[str]:
    """One id or several as a set; a frozenset, which is quickest where it is used again, as it
    is."""
    if isinstance(ids, frozenset):
        return ids
    given = (ids,) if isinstance(ids, str) else tuple(ids)
    wrong = next((one for one in given if not isinstance(one, str)), None)
    if wrong is not None:
        raise InvalidInput(f"ids are text, not {type(wrong).__name__}: {wrong!r}")
    return frozenset(given)


def as_names(value: str | Sequence[str] | None) -> tuple[str, ...]:
    """`"audio,image"`, `"audio"`, `["audio", "image"]` and None as a tuple of names."""
    if value is None:
        return ()
    if isinstance(value, str):
        return tuple(name.strip() for name in value.split(",") if name.strip())
    return tuple(str(name) for name in value)


def as_boosts(value: Boost | Iterable[Boost]) -> tuple[Boost, ...]:
    """One boost or several."""
    given = (value,) if isinstance(value, Boost) else tuple(value)
    if not all(isinstance(one, Boost) for one in given):
        raise InvalidInput("boosts are trichord.query.Boost values")
    return given
