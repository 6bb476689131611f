import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from trichord.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetRequest(_message.Message):
    __slots__ = ("item_ids", "entity_ids", "attributes")
    ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    ENTITY_IDS_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    item_ids: _containers.RepeatedScalarFieldContainer[str]
    entity_ids: _containers.RepeatedScalarFieldContainer[str]
    attributes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, item_ids: _Optional[_Iterable[str]] = ..., entity_ids: _Optional[_Iterable[str]] = ..., attributes: _Optional[_Iterable[str]] = ...) -> None: ...

class GetResponse(_message.Message):
    __slots__ = ("items", "entities", "missing_item_ids", "missing_entity_ids", "snapshot")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    ENTITIES_FIELD_NUMBER: _ClassVar[int]
    MISSING_ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    MISSING_ENTITY_IDS_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[Item]
    entities: _containers.RepeatedCompositeFieldContainer[Entity]
    missing_item_ids: _containers.RepeatedScalarFieldContainer[str]
    missing_entity_ids: _containers.RepeatedScalarFieldContainer[str]
    snapshot: int
    def __init__(self, items: _Optional[_Iterable[_Union[Item, _Mapping]]] = ..., entities: _Optional[_Iterable[_Union[Entity, _Mapping]]] = ..., missing_item_ids: _Optional[_Iterable[str]] = ..., missing_entity_ids: _Optional[_Iterable[str]] = ..., snapshot: _Optional[int] = ...) -> None: ...

class Item(_message.Message):
    __slots__ = ("item_id", "entity_id", "modality", "uri", "text", "media_type", "content_hash", "segments", "event_timestamp", "created_timestamp", "attributes")
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _types_pb2.Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_types_pb2.Value, _Mapping]] = ...) -> None: ...
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    ENTITY_ID_FIELD_NUMBER: _ClassVar[int]
    MODALITY_FIELD_NUMBER: _ClassVar[int]
    URI_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_HASH_FIELD_NUMBER: _ClassVar[int]
    SEGMENTS_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    CREATED_TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    item_id: str
    entity_id: str
    modality: _types_pb2.Modality
    uri: str
    text: str
    media_type: str
    content_hash: str
    segments: int
    event_timestamp: _timestamp_pb2.Timestamp
    created_timestamp: _timestamp_pb2.Timestamp
    attributes: _containers.MessageMap[str, _types_pb2.Value]
    def __init__(self, item_id: _Optional[str] = ..., entity_id: _Optional[str] = ..., modality: _Optional[_Union[_types_pb2.Modality, str]] = ..., uri: _Optional[str] = ..., text: _Optional[str] = ..., media_type: _Optional[str] = ..., content_hash: _Optional[str] = ..., segments: _Optional[int] = ..., event_timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., created_timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., attributes: _Optional[_Mapping[str, _types_pb2.Value]] = ...) -> None: ...

class Entity(_message.Message):
    __slots__ = ("entity_id", "item_ids", "attributes")
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _types_pb2.Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_types_pb2.Value, _Mapping]] = ...) -> None: ...
    ENTITY_ID_FIELD_NUMBER: _ClassVar[int]
    ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    entity_id: str
    item_ids: _containers.RepeatedScalarFieldContainer[str]
    attributes: _containers.MessageMap[str, _types_pb2.Value]
    def __init__(self, entity_id: _Optional[str] = ..., item_ids: _Optional[_Iterable[str]] = ..., attributes: _Optional[_Mapping[str, _types_pb2.Value]] = ...) -> None: ...
