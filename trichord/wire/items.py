"""Stored items and entities <-> messages."""

from __future__ import annotations

from trichord.results import Found
from trichord.types import Entity, Item
from trichord.v1 import feature_pb2
from trichord.wire.enums import MODALITY_NUMBERS, modality_of
from trichord.wire.values import from_timestamp, read_attributes, to_timestamp, write_attributes


def to_item(item: Item) -> feature_pb2.Item:
    message = feature_pb2.Item(
        item_id=item.item_id,
        entity_id=item.entity_id,
        modality=MODALITY_NUMBERS[item.modality],
        uri=item.uri or "",
        text=item.text or "",
        media_type=item.media_type or "",
        content_hash=item.content_hash,
        segments=item.segments,
        created_timestamp=to_timestamp(item.created_timestamp),
    )
    if item.event_timestamp is not None:
        message.event_timestamp.CopyFrom(to_timestamp(item.event_timestamp))
    write_attributes(item.attributes, message.attributes)
    return message


def from_item(message: feature_pb2.Item) -> Item:
    return Item(
        item_id=message.item_id,
        entity_id=message.entity_id,
        modality=modality_of(message.modality),
        uri=message.uri or None,
        text=message.text or None,
        media_type=message.media_type or None,
        content_hash=message.content_hash,
        segments=message.segments,
        event_timestamp=(
            from_timestamp(message.event_timestamp) if message.HasField("event_timestamp") else None
        ),
        created_timestamp=from_timestamp(message.created_timestamp),
        attributes=read_attributes(message.attributes),
    )


def to_entity(entity: Entity) -> feature_pb2.Entity:
    message = feature_pb2.Entity(entity_id=entity.entity_id, item_ids=entity.item_ids)
    write_attributes(entity.attributes, message.attributes)
    return message


def from_entity(message: feature_pb2.Entity) -> Entity:
    return Entity(message.entity_id, tuple(message.item_ids), read_attributes(message.attributes))


def to_found(found: Found) -> feature_pb2.GetResponse:
    return feature_pb2.GetResponse(
        items=map(to_item, found.items),
        entities=map(to_entity, found.entities),
        missing_item_ids=found.missing_item_ids,
        missing_entity_ids=found.missing_entity_ids,
        snapshot=found.snapshot,
    )


def from_found(message: feature_pb2.GetResponse) -> Found:
    return Found(
        items=tuple(map(from_item, message.items)),
        entities=tuple(map(from_entity, message.entities)),
        missing_item_ids=tuple(message.missing_item_ids),
        missing_entity_ids=tuple(message.missing_entity_ids),
        snapshot=message.snapshot,
    )
