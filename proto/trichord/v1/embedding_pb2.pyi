from google.rpc import status_pb2 as _status_pb2
from trichord.v1 import query_pb2 as _query_pb2
from trichord.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROLE_UNSPECIFIED: _ClassVar[Role]
    ROLE_QUERY: _ClassVar[Role]
    ROLE_DOCUMENT: _ClassVar[Role]
ROLE_UNSPECIFIED: Role
ROLE_QUERY: Role
ROLE_DOCUMENT: Role

class EmbedRequest(_message.Message):
    __slots__ = ("space", "inputs", "role")
    SPACE_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    space: str
    inputs: _containers.RepeatedCompositeFieldContainer[_query_pb2.QueryInput]
    role: Role
    def __init__(self, space: _Optional[str] = ..., inputs: _Optional[_Iterable[_Union[_query_pb2.QueryInput, _Mapping]]] = ..., role: _Optional[_Union[Role, str]] = ...) -> None: ...

class EmbedResponse(_message.Message):
    __slots__ = ("vectors", "results")
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    vectors: _types_pb2.Vector
    results: _containers.RepeatedCompositeFieldContainer[EmbedResult]
    def __init__(self, vectors: _Optional[_Union[_types_pb2.Vector, _Mapping]] = ..., results: _Optional[_Iterable[_Union[EmbedResult, _Mapping]]] = ...) -> None: ...

class EmbedResult(_message.Message):
    __slots__ = ("encoder", "error")
    ENCODER_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    encoder: str
    error: _status_pb2.Status
    def __init__(self, encoder: _Optional[str] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...
