"""The vocabulary of Trichord: small immutable values that every layer shares (numpy only).

The meaning of the words is in docs/architecture.md; they have no second name anywhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from trichord.errors import TrichordError

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]

ABSENT = -1
"""In columns of spans: this segment has no milliseconds (an image) or no characters (a sound)."""


class Modality(StrEnum):
    AUDIO = "audio"
    IMAGE = "image"
    TEXT = "text"


class Group(StrEnum):
    """What one hit stands for: every segment by itself, the item's best, or the entity's best."""

    SEGMENT = "segment"
    ITEM = "item"
    ENTITY = "entity"


class Role(StrEnum):
    """Some text models embed a question otherwise than the document that answers it."""

    QUERY = "query"
    DOCUMENT = "document"


@dataclass(frozen=True)
class Span:
    """Where a segment lies in its item: milliseconds for audio, characters for text, both for
    timed text, neither for an image (the whole). Starts are inclusive, ends exclusive."""

    start_ms: int | None = None
    end_ms: int | None = None
    start_char: int | None = None
    end_char: int | None = None


@dataclass(frozen=True)
class Frame:
    """Identity of a geometry. Vectors are comparable if and only if their frames are equal."""

    anchor: str
    dim: int

    @property
    def id(self) -> str:
        return f"{self.anchor}/{self.dim}"

    @classmethod
    def from_id(cls, text: str) -> Frame:
        anchor, _, dim = text.rpartition("/")
        return cls(anchor, int(dim))


@dataclass(frozen=True)
class Encoder:
    """Identity of what makes the vectors of one modality.

    `facts` are all ingredients that change a vector (backend, weight hashes, preprocessing,
    tokenizer, windowing, prompts …) as JSON values; `id` is the sha256 of the canonical JSON of
    the modality and its facts. Device, dtype and library versions do not belong in it.
    """

    modality: Modality
    facts: Mapping[str, Any] = field(hash=False)

    @property
    def id(self) -> str:
        identity = {"modality": str(self.modality), "facts": self.facts}
        canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(canonical.encode()).hexdigest()


@dataclass(frozen=True)
class Space:
    """A joint space that people choose by name: its frame and, per modality, an encoder id."""

    name: str
    frame: Frame
    encoders: Mapping[Modality, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Waveform:
    """Mono sound: `samples` float32 (n,) in [-1, 1], `rate` in Hz."""

    samples: F32
    rate: int


Rgb = npt.NDArray[np.uint8]
"""A canonical picture: uint8 (height, width, 3), sRGB, upright, no alpha."""

Decoded = str | Rgb | Waveform


@dataclass(frozen=True)
class Piece:
    """One segment's decoded content and where it lies in its item."""

    content: Decoded
    span: Span


@dataclass(frozen=True)
class Embedded:
    """Vectors of a batch, float32 (n, dim), unit rows in input order; a row named in `errors`
    could not be embedded and is all zeros."""

    vectors: F32
    errors: Mapping[int, TrichordError] = field(default_factory=dict)


class Embedder(Protocol):
    """Decoded content of one modality -> unit vectors of one frame.

    Order is kept, an empty batch gives shape (0, dim), one bad item does not fail its batch, and
    a vector depends neither on chance nor on its batch mates (within 1e-5).
    """

    @property
    def modality(self) -> Modality: ...
    @property
    def frame(self) -> Frame: ...
    @property
    def encoder(self) -> Encoder: ...

    def embed(self, batch: Sequence[Any], *, role: Role = Role.DOCUMENT) -> Embedded: ...


AttributeValue = str | int | float | bool | datetime | list[str] | None


@dataclass(frozen=True)
class Item:
    """One stored piece of content, as `get` returns it (never its vectors)."""

    item_id: str
    entity_id: str
    modality: Modality
    uri: str | None
    text: str | None
    media_type: str | None
    content_hash: str
    segments: int
    event_timestamp: datetime | None
    created_timestamp: datetime
    attributes: Mapping[str, AttributeValue]


@dataclass(frozen=True)
class Entity:
    """One thing of the catalogue with its own attributes and the ids of its items."""

    entity_id: str
    item_ids: tuple[str, ...]
    attributes: Mapping[str, AttributeValue]


@dataclass(frozen=True)
class IngestFailure:
    """Why one input could not be taken; kept in the store until a later run takes it."""

    source: str
    item_id: str | None
    reason: str
    message: str
    failed_at: datetime


@dataclass(frozen=True)
class IngestReport:
    """What an ingest did, counted in items (and entities that only got attributes)."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    failed: int = 0
    segments: int = 0
    snapshot: int = 0
    errors: tuple[IngestFailure, ...] = ()
