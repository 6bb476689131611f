"""A record -> what it would store, checked and hashed, before anything is embedded."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from io import BufferedReader
from pathlib import Path
from typing import cast

import numpy as np
import xxhash

from trichord.catalog import attributes as attribute_columns
from trichord.catalog.encoding import PLAIN_TEXT, Content, ContentEncoder, unit
from trichord.embedders.media.source import open_source
from trichord.errors import (
    FrameMismatch,
    InvalidInput,
    MediaError,
    PermissionDenied,
    VectorError,
)
from trichord.query import Record
from trichord.types import F32, AttributeValue, Modality, Space

MAX_ID = 1_024

KnownEncoders = Mapping[Modality, frozenset[str]]
"""Encoder ids by modality; every modality is there."""


@dataclass
class Prepared:
    """One record, ready: `content` or `vector` is what its segments come from; neither sets only
    the entity's attributes (`item_id` empty) or the stored item's. `former`: fingerprints that
    earlier versions gave to the same content."""

    source: str
    item_id: str
    entity_id: str | None
    modality: Modality | None
    content: Content | None
    vector: F32 | None
    content_hash: str | None
    uri: str | None
    media_type: str | None
    attributes: dict[str, AttributeValue]
    event_timestamp: datetime | None
    fingerprint: bytes
    former: frozenset[bytes] = frozenset()

    def is_content_of(self, fingerprint: bytes) -> bool:
        """Whether an item with this stored fingerprint has the content of the record."""
        return fingerprint == self.fingerprint or fingerprint in self.former

    @property
    def only_attributes(self) -> bool:
        return self.content is None and self.vector is None


def prepare(record: Record, encoder: ContentEncoder, known: KnownEncoders) -> Prepared:
    """Checks a record and hashes its content; raises InvalidInput (MediaError, VectorError …), and
    FrameMismatch for a vector that says it is of another frame. `known`: the encoders of all
    spaces of the store."""
    _check_types(record)
    given = [
        name for name in ("data", "text", "uri", "vector") if getattr(record, name) is not None
    ]
    if len(given) > 1:
        raise InvalidInput(f"a record has one content, this one has {' and '.join(given)}")
    item_id = _identifier(record.item_id, "item_id")
    entity_id = _identifier(record.entity_id, "entity_id")
    modality = _modality(record.modality)
    attributes = attribute_columns.canonical(record.attributes)
    event_timestamp = attribute_columns.moment(record.event_timestamp, "event_timestamp")
    if not given:
        if item_id is None and entity_id is None:
            raise InvalidInput("a record without content needs an item_id or an entity_id")
        if not attributes:
            raise InvalidInput("a record without content needs attributes to set")
        return Prepared(
            record.source, item_id or "", entity_id, modality, None, None, None, None, None,
            attributes, event_timestamp, b"",
        )  # fmt: skip
    if item_id is None:
        raise InvalidInput("a record with content needs an item_id")
    content, raw, vector, uri, media_type = None, np.zeros(0, np.float32), None, None, None
    content_hash: str | None
    if record.vector is not None:
        if modality is None:
            raise InvalidInput("a record with a vector must say its modality")
        raw = _finite(record.vector)
        _check_frame(record.frame, encoder.joint.space)
        vector = unit(raw, encoder.joint.space.frame.dim, encoder.joint.space.frame.id)
        content_hash = ""
    else:
        content, content_hash, uri = _content(record, encoder, item_id)
        if modality not in (None, content.media.modality):
            raise MediaError(
                f"this is {content.media.mime}, so {content.media.modality}, not {modality}"
            )
        modality, media_type = content.media.modality, content.media.mime
    if modality not in encoder.joint.encoders:
        raise InvalidInput(f"the space {encoder.joint.name!r} has no encoder for {modality}")
    former: frozenset[bytes] = frozenset()
    if vector is not None:
        encoded_by = encoder.joint.space.encoders[modality]
        fingerprint = vector_fingerprint(raw, vector_seed(modality, encoded_by))
    else:
        fingerprint = content_fingerprint(content_hash or "", modality)
        former = frozenset(
            _former_fingerprint(content_hash or "", modality, one) for one in known[modality]
        )
    return Prepared(
        record.source, item_id, entity_id, modality, content, vector, content_hash, uri,
        media_type, attributes, event_timestamp, fingerprint, former,
    )  # fmt: skip


def content_fingerprint(content_hash: str, modality: str) -> bytes:
    """16 bytes that change when the content changes. What embeds it is no part of it: in which
    spaces an item is, the store knows."""
    return xxhash.xxh3_128_digest(f"{content_hash}\0{modality}".encode())


def _former_fingerprint(content_hash: str, modality: str, encoder_id: str) -> bytes:
    """What it was in stores that knew one space: with the encoder in it."""
    return xxhash.xxh3_128_digest(f"{content_hash}\0{modality}\0{encoder_id}".encode())


def vector_seed(modality: str, encoder_id: str) -> int:
    """What a ready vector's fingerprint is seeded with: whose vector it says it is."""
    return xxhash.xxh3_64_intdigest(f"{modality}\0{encoder_id}".encode())


def vector_fingerprint(vector: F32, seed: int) -> bytes:
    """16 bytes that change with the vector as it was given, its modality or its encoder."""
    return xxhash.xxh3_128_digest(vector.tobytes(), seed=seed)


def _check_frame(named: str, space: Space) -> None:
    if named and named != space.frame.id:
        raise FrameMismatch(
            f"the vector belongs to the frame {named!r}, the space {space.name!r} to "
            f"{space.frame.id!r}: vectors of different frames cannot be compared",
            frame=named,
            expected=space.frame.id,
        )


def _finite(values: object) -> F32:
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            vector: F32 = np.asarray(values, dtype=np.float32)
    except (TypeError, ValueError, OverflowError):
        raise VectorError("the vector is not a list of numbers") from None
    if vector.ndim != 1:
        raise VectorError(f"a vector has one dimension, this one has the shape {vector.shape}")
    if not np.isfinite(vector).all():
        raise VectorError("the vector holds NaN or infinite values")
    return vector


def _check_types(record: Record) -> None:
    for name in ("item_id", "entity_id", "modality", "text", "uri"):
        value = getattr(record, name)
        if value is None:
            continue
        if not isinstance(value, str):
            raise InvalidInput(f"{name} must be text, not {type(value).__name__}", field=name)
        if name == "uri" and not _is_unicode(value):
            raise InvalidInput("uri is not valid Unicode text", field=name)
    if record.data is not None and not isinstance(record.data, bytes):
        raise InvalidInput(f"data must be bytes, not {type(record.data).__name__}", field="data")
    if not isinstance(record.attributes, Mapping):
        raise InvalidInput("attributes must be a mapping of names to values", field="attributes")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _content(
    record: Record, encoder: ContentEncoder, item_id: str
) -> tuple[Content, str, str | None]:
    if record.text is not None:
        if not record.text.strip():
            raise InvalidInput("the text is empty")
        digest = hashlib.sha256(record.text.encode("utf-8", "surrogatepass")).hexdigest()
        return Content(PLAIN_TEXT, record.text), digest, record.uri
    if record.data is not None:
        content = encoder.content(record.data, name=item_id)
        return content, hashlib.sha256(record.data).hexdigest(), None
    assert record.uri is not None
    uri = record.uri.removeprefix("file://")
    if "://" in uri:
        raise PermissionDenied(
            f"{record.uri!r} is not a file of this machine; nothing is fetched from elsewhere: "
            "give a path or the bytes",
            uri=record.uri,
        )
    path = Path(uri)
    with open_source(path, encoder.limits) as file:
        try:
            digest = hashlib.file_digest(cast(BufferedReader, file), "sha256").hexdigest()
        except OSError as error:
            raise MediaError(f"reading {path.name!r} failed ({error.strerror})") from error
    return encoder.content(path), digest, record.uri


def _identifier(value: str | None, name: str) -> str | None:
    if value is None or value == "":
        return None
    if len(value) > MAX_ID or any(ord(character) < 32 for character in value):
        raise InvalidInput(f"{name} may have at most {MAX_ID} characters and no control characters")
    if not _is_unicode(value):
        raise InvalidInput(f"{name} is not valid Unicode text")
    return value


def _modality(name: str | None) -> Modality | None:
    if name is None or name == "":
        return None
    try:
        return Modality(name)
    except ValueError:
        raise InvalidInput(
            f"there is no modality {name!r}; there are {', '.join(Modality)}", modality=name
        ) from None
