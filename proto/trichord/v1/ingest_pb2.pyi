import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.rpc import status_pb2 as _status_pb2
from trichord.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class IngestRequest(_message.Message):
    __slots__ = ("request_id", "record")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    record: Record
    def __init__(self, request_id: _Optional[int] = ..., record: _Optional[_Union[Record, _Mapping]] = ...) -> None: ...

class Record(_message.Message):
    __slots__ = ("item_id", "entity_id", "modality", "data", "text", "uri", "vector", "attributes", "event_timestamp")
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
    DATA_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    URI_FIELD_NUMBER: _ClassVar[int]
    VECTOR_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    item_id: str
    entity_id: str
    modality: _types_pb2.Modality
    data: bytes
    text: str
    uri: str
    vector: _types_pb2.Vector
    attributes: _containers.MessageMap[str, _types_pb2.Value]
    event_timestamp: _timestamp_pb2.Timestamp
    def __init__(self, item_id: _Optional[str] = ..., entity_id: _Optional[str] = ..., modality: _Optional[_Union[_types_pb2.Modality, str]] = ..., data: _Optional[bytes] = ..., text: _Optional[str] = ..., uri: _Optional[str] = ..., vector: _Optional[_Union[_types_pb2.Vector, _Mapping]] = ..., attributes: _Optional[_Mapping[str, _types_pb2.Value]] = ..., event_timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class IngestResponse(_message.Message):
    __slots__ = ("request_id", "item_id", "outcome", "error", "snapshot", "segments")
    class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OUTCOME_UNSPECIFIED: _ClassVar[IngestResponse.Outcome]
        OUTCOME_ADDED: _ClassVar[IngestResponse.Outcome]
        OUTCOME_CHANGED: _ClassVar[IngestResponse.Outcome]
        OUTCOME_UNCHANGED: _ClassVar[IngestResponse.Outcome]
    OUTCOME_UNSPECIFIED: IngestResponse.Outcome
    OUTCOME_ADDED: IngestResponse.Outcome
    OUTCOME_CHANGED: IngestResponse.Outcome
    OUTCOME_UNCHANGED: IngestResponse.Outcome
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    SEGMENTS_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    item_id: str
    outcome: IngestResponse.Outcome
    error: _status_pb2.Status
    snapshot: int
    segments: int
    def __init__(self, request_id: _Optional[int] = ..., item_id: _Optional[str] = ..., outcome: _Optional[_Union[IngestResponse.Outcome, str]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., snapshot: _Optional[int] = ..., segments: _Optional[int] = ...) -> None: ...

class DeleteRequest(_message.Message):
    __slots__ = ("item_ids", "entity_ids")
    ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    ENTITY_IDS_FIELD_NUMBER: _ClassVar[int]
    item_ids: _containers.RepeatedScalarFieldContainer[str]
    entity_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, item_ids: _Optional[_Iterable[str]] = ..., entity_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class DeleteResponse(_message.Message):
    __slots__ = ("deleted_items", "snapshot")
    DELETED_ITEMS_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    deleted_items: int
    snapshot: int
    def __init__(self, deleted_items: _Optional[int] = ..., snapshot: _Optional[int] = ...) -> None: ...
