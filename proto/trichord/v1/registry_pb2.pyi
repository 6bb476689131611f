import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from trichord.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListSpacesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListSpacesResponse(_message.Message):
    __slots__ = ("spaces",)
    SPACES_FIELD_NUMBER: _ClassVar[int]
    spaces: _containers.RepeatedCompositeFieldContainer[Space]
    def __init__(self, spaces: _Optional[_Iterable[_Union[Space, _Mapping]]] = ...) -> None: ...

class Space(_message.Message):
    __slots__ = ("name", "frame", "dim", "encoders", "default", "aliases", "coverage")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FRAME_FIELD_NUMBER: _ClassVar[int]
    DIM_FIELD_NUMBER: _ClassVar[int]
    ENCODERS_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    name: str
    frame: str
    dim: int
    encoders: _containers.RepeatedCompositeFieldContainer[Encoder]
    default: bool
    aliases: _containers.RepeatedScalarFieldContainer[str]
    coverage: _containers.RepeatedCompositeFieldContainer[SpaceCoverage]
    def __init__(self, name: _Optional[str] = ..., frame: _Optional[str] = ..., dim: _Optional[int] = ..., encoders: _Optional[_Iterable[_Union[Encoder, _Mapping]]] = ..., default: bool = ..., aliases: _Optional[_Iterable[str]] = ..., coverage: _Optional[_Iterable[_Union[SpaceCoverage, _Mapping]]] = ...) -> None: ...

class SpaceCoverage(_message.Message):
    __slots__ = ("modality", "items", "covered")
    MODALITY_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    COVERED_FIELD_NUMBER: _ClassVar[int]
    modality: _types_pb2.Modality
    items: int
    covered: int
    def __init__(self, modality: _Optional[_Union[_types_pb2.Modality, str]] = ..., items: _Optional[int] = ..., covered: _Optional[int] = ...) -> None: ...

class Encoder(_message.Message):
    __slots__ = ("modality", "id", "at_hand")
    MODALITY_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    AT_HAND_FIELD_NUMBER: _ClassVar[int]
    modality: _types_pb2.Modality
    id: str
    at_hand: bool
    def __init__(self, modality: _Optional[_Union[_types_pb2.Modality, str]] = ..., id: _Optional[str] = ..., at_hand: bool = ...) -> None: ...

class GetStatsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetStatsResponse(_message.Message):
    __slots__ = ("snapshot", "snapshot_time", "entities", "items", "indexes", "attributes", "calls", "segments", "bytes_on_disk", "failures")
    class ItemsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class CallsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_TIME_FIELD_NUMBER: _ClassVar[int]
    ENTITIES_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    INDEXES_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    SEGMENTS_FIELD_NUMBER: _ClassVar[int]
    BYTES_ON_DISK_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    snapshot: int
    snapshot_time: _timestamp_pb2.Timestamp
    entities: int
    items: _containers.ScalarMap[str, int]
    indexes: _containers.RepeatedCompositeFieldContainer[IndexStats]
    attributes: _containers.RepeatedCompositeFieldContainer[AttributeType]
    calls: _containers.ScalarMap[str, int]
    segments: int
    bytes_on_disk: int
    failures: int
    def __init__(self, snapshot: _Optional[int] = ..., snapshot_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., entities: _Optional[int] = ..., items: _Optional[_Mapping[str, int]] = ..., indexes: _Optional[_Iterable[_Union[IndexStats, _Mapping]]] = ..., attributes: _Optional[_Iterable[_Union[AttributeType, _Mapping]]] = ..., calls: _Optional[_Mapping[str, int]] = ..., segments: _Optional[int] = ..., bytes_on_disk: _Optional[int] = ..., failures: _Optional[int] = ...) -> None: ...

class IndexStats(_message.Message):
    __slots__ = ("space", "modality", "kind", "rows", "fresh_rows", "measured_recall", "built_from_snapshot")
    SPACE_FIELD_NUMBER: _ClassVar[int]
    MODALITY_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    FRESH_ROWS_FIELD_NUMBER: _ClassVar[int]
    MEASURED_RECALL_FIELD_NUMBER: _ClassVar[int]
    BUILT_FROM_SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    space: str
    modality: _types_pb2.Modality
    kind: str
    rows: int
    fresh_rows: int
    measured_recall: float
    built_from_snapshot: int
    def __init__(self, space: _Optional[str] = ..., modality: _Optional[_Union[_types_pb2.Modality, str]] = ..., kind: _Optional[str] = ..., rows: _Optional[int] = ..., fresh_rows: _Optional[int] = ..., measured_recall: _Optional[float] = ..., built_from_snapshot: _Optional[int] = ...) -> None: ...

class AttributeType(_message.Message):
    __slots__ = ("name", "type")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: str
    def __init__(self, name: _Optional[str] = ..., type: _Optional[str] = ...) -> None: ...
