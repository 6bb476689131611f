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

class Group(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    GROUP_UNSPECIFIED: _ClassVar[Group]
    GROUP_SEGMENT: _ClassVar[Group]
    GROUP_ITEM: _ClassVar[Group]
    GROUP_ENTITY: _ClassVar[Group]

class Fusion(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FUSION_UNSPECIFIED: _ClassVar[Fusion]
    FUSION_RRF: _ClassVar[Fusion]
    FUSION_SCORE: _ClassVar[Fusion]
    FUSION_SIGNIFICANCE: _ClassVar[Fusion]
    FUSION_QUOTA: _ClassVar[Fusion]
GROUP_UNSPECIFIED: Group
GROUP_SEGMENT: Group
GROUP_ITEM: Group
GROUP_ENTITY: Group
FUSION_UNSPECIFIED: Fusion
FUSION_RRF: Fusion
FUSION_SCORE: Fusion
FUSION_SIGNIFICANCE: Fusion
FUSION_QUOTA: Fusion

class Quota(_message.Message):
    __slots__ = ("modality", "share")
    MODALITY_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    modality: _types_pb2.Modality
    share: int
    def __init__(self, modality: _Optional[_Union[_types_pb2.Modality, str]] = ..., share: _Optional[int] = ...) -> None: ...

class Boost(_message.Message):
    __slots__ = ("weight", "filter", "attribute")
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTE_FIELD_NUMBER: _ClassVar[int]
    weight: float
    filter: _query_pb2.Filter
    attribute: str
    def __init__(self, weight: _Optional[float] = ..., filter: _Optional[_Union[_query_pb2.Filter, _Mapping]] = ..., attribute: _Optional[str] = ...) -> None: ...

class SearchRequest(_message.Message):
    __slots__ = ("queries", "space", "modalities", "filter", "page_size", "group", "attributes", "segments_per_hit", "fusion", "exact", "page_token", "quotas", "min_significance", "min_probability", "vectors", "recall", "exclude_item_ids", "exclude_entity_ids", "boosts", "diversity", "keywords", "rerank", "rerank_ms", "facets", "explain")
    QUERIES_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    MODALITIES_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    SEGMENTS_PER_HIT_FIELD_NUMBER: _ClassVar[int]
    FUSION_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    QUOTAS_FIELD_NUMBER: _ClassVar[int]
    MIN_SIGNIFICANCE_FIELD_NUMBER: _ClassVar[int]
    MIN_PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    RECALL_FIELD_NUMBER: _ClassVar[int]
    EXCLUDE_ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    EXCLUDE_ENTITY_IDS_FIELD_NUMBER: _ClassVar[int]
    BOOSTS_FIELD_NUMBER: _ClassVar[int]
    DIVERSITY_FIELD_NUMBER: _ClassVar[int]
    KEYWORDS_FIELD_NUMBER: _ClassVar[int]
    RERANK_FIELD_NUMBER: _ClassVar[int]
    RERANK_MS_FIELD_NUMBER: _ClassVar[int]
    FACETS_FIELD_NUMBER: _ClassVar[int]
    EXPLAIN_FIELD_NUMBER: _ClassVar[int]
    queries: _containers.RepeatedCompositeFieldContainer[_query_pb2.Query]
    space: str
    modalities: _containers.RepeatedScalarFieldContainer[_types_pb2.Modality]
    filter: _query_pb2.Filter
    page_size: int
    group: Group
    attributes: _containers.RepeatedScalarFieldContainer[str]
    segments_per_hit: int
    fusion: Fusion
    exact: bool
    page_token: str
    quotas: _containers.RepeatedCompositeFieldContainer[Quota]
    min_significance: float
    min_probability: float
    vectors: _types_pb2.Vector
    recall: float
    exclude_item_ids: _containers.RepeatedScalarFieldContainer[str]
    exclude_entity_ids: _containers.RepeatedScalarFieldContainer[str]
    boosts: _containers.RepeatedCompositeFieldContainer[Boost]
    diversity: float
    keywords: str
    rerank: int
    rerank_ms: int
    facets: _containers.RepeatedScalarFieldContainer[str]
    explain: bool
    def __init__(self, queries: _Optional[_Iterable[_Union[_query_pb2.Query, _Mapping]]] = ..., space: _Optional[str] = ..., modalities: _Optional[_Iterable[_Union[_types_pb2.Modality, str]]] = ..., filter: _Optional[_Union[_query_pb2.Filter, _Mapping]] = ..., page_size: _Optional[int] = ..., group: _Optional[_Union[Group, str]] = ..., attributes: _Optional[_Iterable[str]] = ..., segments_per_hit: _Optional[int] = ..., fusion: _Optional[_Union[Fusion, str]] = ..., exact: bool = ..., page_token: _Optional[str] = ..., quotas: _Optional[_Iterable[_Union[Quota, _Mapping]]] = ..., min_significance: _Optional[float] = ..., min_probability: _Optional[float] = ..., vectors: _Optional[_Union[_types_pb2.Vector, _Mapping]] = ..., recall: _Optional[float] = ..., exclude_item_ids: _Optional[_Iterable[str]] = ..., exclude_entity_ids: _Optional[_Iterable[str]] = ..., boosts: _Optional[_Iterable[_Union[Boost, _Mapping]]] = ..., diversity: _Optional[float] = ..., keywords: _Optional[str] = ..., rerank: _Optional[int] = ..., rerank_ms: _Optional[int] = ..., facets: _Optional[_Iterable[str]] = ..., explain: bool = ...) -> None: ...

class SearchResponse(_message.Message):
    __slots__ = ("answers", "hits", "basis", "facets", "explanation")
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    HITS_FIELD_NUMBER: _ClassVar[int]
    BASIS_FIELD_NUMBER: _ClassVar[int]
    FACETS_FIELD_NUMBER: _ClassVar[int]
    EXPLANATION_FIELD_NUMBER: _ClassVar[int]
    answers: _containers.RepeatedCompositeFieldContainer[Answer]
    hits: Hits
    basis: Basis
    facets: _containers.RepeatedCompositeFieldContainer[Facet]
    explanation: Explanation
    def __init__(self, answers: _Optional[_Iterable[_Union[Answer, _Mapping]]] = ..., hits: _Optional[_Union[Hits, _Mapping]] = ..., basis: _Optional[_Union[Basis, _Mapping]] = ..., facets: _Optional[_Iterable[_Union[Facet, _Mapping]]] = ..., explanation: _Optional[_Union[Explanation, _Mapping]] = ...) -> None: ...

class StreamSearchRequest(_message.Message):
    __slots__ = ("request_id", "request")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    request: SearchRequest
    def __init__(self, request_id: _Optional[str] = ..., request: _Optional[_Union[SearchRequest, _Mapping]] = ...) -> None: ...

class StreamSearchResponse(_message.Message):
    __slots__ = ("request_id", "response", "error")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    response: SearchResponse
    error: _status_pb2.Status
    def __init__(self, request_id: _Optional[str] = ..., response: _Optional[_Union[SearchResponse, _Mapping]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class Facet(_message.Message):
    __slots__ = ("name", "values", "missing", "others")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    OTHERS_FIELD_NUMBER: _ClassVar[int]
    name: str
    values: _containers.RepeatedCompositeFieldContainer[FacetValue]
    missing: int
    others: int
    def __init__(self, name: _Optional[str] = ..., values: _Optional[_Iterable[_Union[FacetValue, _Mapping]]] = ..., missing: _Optional[int] = ..., others: _Optional[int] = ...) -> None: ...

class FacetValue(_message.Message):
    __slots__ = ("value", "count")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    value: _types_pb2.Value
    count: int
    def __init__(self, value: _Optional[_Union[_types_pb2.Value, _Mapping]] = ..., count: _Optional[int] = ...) -> None: ...

class Explanation(_message.Message):
    __slots__ = ("legs", "stages")
    LEGS_FIELD_NUMBER: _ClassVar[int]
    STAGES_FIELD_NUMBER: _ClassVar[int]
    legs: _containers.RepeatedCompositeFieldContainer[LegExplanation]
    stages: _containers.RepeatedCompositeFieldContainer[SearchStage]
    def __init__(self, legs: _Optional[_Iterable[_Union[LegExplanation, _Mapping]]] = ..., stages: _Optional[_Iterable[_Union[SearchStage, _Mapping]]] = ...) -> None: ...

class LegExplanation(_message.Message):
    __slots__ = ("modality", "index", "rows", "fresh_rows", "allowed_rows", "steps")
    MODALITY_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    FRESH_ROWS_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_ROWS_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    modality: _types_pb2.Modality
    index: str
    rows: int
    fresh_rows: int
    allowed_rows: int
    steps: _containers.RepeatedCompositeFieldContainer[SearchStep]
    def __init__(self, modality: _Optional[_Union[_types_pb2.Modality, str]] = ..., index: _Optional[str] = ..., rows: _Optional[int] = ..., fresh_rows: _Optional[int] = ..., allowed_rows: _Optional[int] = ..., steps: _Optional[_Iterable[_Union[SearchStep, _Mapping]]] = ...) -> None: ...

class SearchStep(_message.Message):
    __slots__ = ("way", "rows_scanned", "microseconds", "effort", "widened")
    WAY_FIELD_NUMBER: _ClassVar[int]
    ROWS_SCANNED_FIELD_NUMBER: _ClassVar[int]
    MICROSECONDS_FIELD_NUMBER: _ClassVar[int]
    EFFORT_FIELD_NUMBER: _ClassVar[int]
    WIDENED_FIELD_NUMBER: _ClassVar[int]
    way: str
    rows_scanned: int
    microseconds: float
    effort: int
    widened: int
    def __init__(self, way: _Optional[str] = ..., rows_scanned: _Optional[int] = ..., microseconds: _Optional[float] = ..., effort: _Optional[int] = ..., widened: _Optional[int] = ...) -> None: ...

class SearchStage(_message.Message):
    __slots__ = ("name", "microseconds")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MICROSECONDS_FIELD_NUMBER: _ClassVar[int]
    name: str
    microseconds: float
    def __init__(self, name: _Optional[str] = ..., microseconds: _Optional[float] = ...) -> None: ...

class Answer(_message.Message):
    __slots__ = ("first", "count", "error", "next_page_token")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    first: int
    count: int
    error: _status_pb2.Status
    next_page_token: str
    def __init__(self, first: _Optional[int] = ..., count: _Optional[int] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class Basis(_message.Message):
    __slots__ = ("space", "frame", "snapshot", "coverage", "partial", "notes")
    SPACE_FIELD_NUMBER: _ClassVar[int]
    FRAME_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    PARTIAL_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    space: str
    frame: str
    snapshot: int
    coverage: float
    partial: bool
    notes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, space: _Optional[str] = ..., frame: _Optional[str] = ..., snapshot: _Optional[int] = ..., coverage: _Optional[float] = ..., partial: bool = ..., notes: _Optional[_Iterable[str]] = ...) -> None: ...

class Hits(_message.Message):
    __slots__ = ("item_ids", "entity_ids", "modalities", "scores", "significances", "attributes", "segments", "probabilities")
    ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    ENTITY_IDS_FIELD_NUMBER: _ClassVar[int]
    MODALITIES_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    SIGNIFICANCES_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    SEGMENTS_FIELD_NUMBER: _ClassVar[int]
    PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    item_ids: _containers.RepeatedScalarFieldContainer[str]
    entity_ids: _containers.RepeatedScalarFieldContainer[str]
    modalities: _containers.RepeatedScalarFieldContainer[_types_pb2.Modality]
    scores: _containers.RepeatedScalarFieldContainer[float]
    significances: _containers.RepeatedScalarFieldContainer[float]
    attributes: _containers.RepeatedCompositeFieldContainer[_types_pb2.Column]
    segments: SegmentHits
    probabilities: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, item_ids: _Optional[_Iterable[str]] = ..., entity_ids: _Optional[_Iterable[str]] = ..., modalities: _Optional[_Iterable[_Union[_types_pb2.Modality, str]]] = ..., scores: _Optional[_Iterable[float]] = ..., significances: _Optional[_Iterable[float]] = ..., attributes: _Optional[_Iterable[_Union[_types_pb2.Column, _Mapping]]] = ..., segments: _Optional[_Union[SegmentHits, _Mapping]] = ..., probabilities: _Optional[_Iterable[float]] = ...) -> None: ...

class SegmentHits(_message.Message):
    __slots__ = ("counts", "ordinals", "scores", "start_ms", "end_ms", "start_char", "end_char")
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    ORDINALS_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    START_MS_FIELD_NUMBER: _ClassVar[int]
    END_MS_FIELD_NUMBER: _ClassVar[int]
    START_CHAR_FIELD_NUMBER: _ClassVar[int]
    END_CHAR_FIELD_NUMBER: _ClassVar[int]
    counts: _containers.RepeatedScalarFieldContainer[int]
    ordinals: _containers.RepeatedScalarFieldContainer[int]
    scores: _containers.RepeatedScalarFieldContainer[float]
    start_ms: _containers.RepeatedScalarFieldContainer[int]
    end_ms: _containers.RepeatedScalarFieldContainer[int]
    start_char: _containers.RepeatedScalarFieldContainer[int]
    end_char: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, counts: _Optional[_Iterable[int]] = ..., ordinals: _Optional[_Iterable[int]] = ..., scores: _Optional[_Iterable[float]] = ..., start_ms: _Optional[_Iterable[int]] = ..., end_ms: _Optional[_Iterable[int]] = ..., start_char: _Optional[_Iterable[int]] = ..., end_char: _Optional[_Iterable[int]] = ...) -> None: ...
