"""What a record changes in what is stored: the rules of merging."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import xxhash

from trichord.catalog.encoding import Segments
from trichord.catalog.items import ATTRIBUTE_PREFIX
from trichord.catalog.preparing import Prepared
from trichord.results import Outcome
from trichord.types import AttributeValue


@dataclass
class ItemChange:
    """A row of `items` to write: new content, or the same content with other facts, or in further
    spaces.

    `stored` is the row that is there, None for a new item. `segments`: by space, those to write;
    `text`: the text of new content. `same_facts`: the row says no more than the stored one.
    """

    prepared: Prepared
    entity_id: str
    attributes: dict[str, AttributeValue]
    stored: Mapping[str, Any] | None
    new_content: bool = False
    same_facts: bool = False
    segments: dict[str, Segments] = field(default_factory=dict)
    text: str | None = None

    @property
    def outcome(self) -> Outcome:
        if self.stored is None:
            return Outcome.ADDED
        same = self.same_facts and not self.new_content
        return Outcome.UNCHANGED if same else Outcome.CHANGED

    @property
    def written(self) -> int:
        """How many segments are written, in all spaces."""
        return sum(len(made.vectors) for made in self.segments.values())


@dataclass
class EntityChange:
    """A row of `entities` to write."""

    entity_id: str
    attributes: dict[str, AttributeValue]
    outcome: Outcome


def merged(one: Prepared, known: Mapping[str, Any] | None) -> ItemChange:
    """The record over the stored row: attributes that it names are set, the others stay."""
    if known is None:
        return ItemChange(one, one.entity_id or one.item_id, one.attributes, None)
    attributes = {**attributes_of(known), **one.attributes}
    return ItemChange(one, one.entity_id or known["entity_id"], attributes, known)


def entity_change(one: Prepared, known: Mapping[str, Any] | None) -> EntityChange | None:
    """The record over the stored entity; None if it says nothing new."""
    assert one.entity_id is not None
    if known is None:
        return EntityChange(one.entity_id, one.attributes, Outcome.ADDED)
    before = attributes_of(known)
    attributes = {**before, **one.attributes}
    if same_attributes(attributes, before):
        return None
    return EntityChange(one.entity_id, attributes, Outcome.CHANGED)


def same_facts(change: ItemChange, known: Mapping[str, Any]) -> bool:
    """Whether the stored row says all that the record says besides its content."""
    one = change.prepared
    return (
        change.entity_id == known["entity_id"]
        and (one.uri is None or one.uri == known["uri"])
        and (one.event_timestamp is None or one.event_timestamp == known["event_timestamp"])
        and same_attributes(change.attributes, attributes_of(known))
    )


def same_attributes(one: Mapping[str, AttributeValue], other: Mapping[str, AttributeValue]) -> bool:
    """Equal but for missing values; True is not the number 1."""
    return _comparable(one) == _comparable(other)


def _comparable(attributes: Mapping[str, AttributeValue]) -> dict[str, tuple[bool, Any]]:
    return {
        name: (isinstance(value, bool), value)
        for name, value in attributes.items()
        if value is not None
    }


def attributes_of(row: Mapping[str, Any]) -> dict[str, AttributeValue]:
    """Attributes of a stored row by name, missing ones as None."""
    return {
        name.removeprefix(ATTRIBUTE_PREFIX): value
        for name, value in row.items()
        if name.startswith(ATTRIBUTE_PREFIX)
    }


def facts(one: Prepared) -> bytes:
    """16 bytes over all that a record says of an item besides its content."""
    said = (one.entity_id, one.uri, one.event_timestamp, sorted(one.attributes.items()))
    return xxhash.xxh3_128_digest(repr(said).encode("utf-8", "surrogatepass"))
