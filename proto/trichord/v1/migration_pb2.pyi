import datetime

from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from trichord.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Migration(_message.Message):
    __slots__ = ("space", "source", "alias", "state", "registered_at", "changed_at", "require", "coverage", "evaluation", "completed_snapshot", "forced", "at_hand", "backfill")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Migration.State]
        STATE_REGISTERED: _ClassVar[Migration.State]
        STATE_BACKFILLING: _ClassVar[Migration.State]
        STATE_READY: _ClassVar[Migration.State]
        STATE_LIVE: _ClassVar[Migration.State]
        STATE_ROLLED_BACK: _ClassVar[Migration.State]
        STATE_FINISHED: _ClassVar[Migration.State]
        STATE_ABANDONED: _ClassVar[Migration.State]
    STATE_UNSPECIFIED: Migration.State
    STATE_REGISTERED: Migration.State
    STATE_BACKFILLING: Migration.State
    STATE_READY: Migration.State
    STATE_LIVE: Migration.State
    STATE_ROLLED_BACK: Migration.State
    STATE_FINISHED: Migration.State
    STATE_ABANDONED: Migration.State
    SPACE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REGISTERED_AT_FIELD_NUMBER: _ClassVar[int]
    CHANGED_AT_FIELD_NUMBER: _ClassVar[int]
    REQUIRE_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    EVALUATION_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    FORCED_FIELD_NUMBER: _ClassVar[int]
    AT_HAND_FIELD_NUMBER: _ClassVar[int]
    BACKFILL_FIELD_NUMBER: _ClassVar[int]
    space: str
    source: str
    alias: str
    state: Migration.State
    registered_at: _timestamp_pb2.Timestamp
    changed_at: _timestamp_pb2.Timestamp
    require: _containers.RepeatedScalarFieldContainer[str]
    coverage: _containers.RepeatedCompositeFieldContainer[MigrationCoverage]
    evaluation: ShadowEvaluation
    completed_snapshot: int
    forced: str
    at_hand: bool
    backfill: BackfillProgress
    def __init__(self, space: _Optional[str] = ..., source: _Optional[str] = ..., alias: _Optional[str] = ..., state: _Optional[_Union[Migration.State, str]] = ..., registered_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., changed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., require: _Optional[_Iterable[str]] = ..., coverage: _Optional[_Iterable[_Union[MigrationCoverage, _Mapping]]] = ..., evaluation: _Optional[_Union[ShadowEvaluation, _Mapping]] = ..., completed_snapshot: _Optional[int] = ..., forced: _Optional[str] = ..., at_hand: bool = ..., backfill: _Optional[_Union[BackfillProgress, _Mapping]] = ...) -> None: ...

class MigrationCoverage(_message.Message):
    __slots__ = ("modality", "items", "covered", "failed")
    MODALITY_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    COVERED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    modality: _types_pb2.Modality
    items: int
    covered: int
    failed: int
    def __init__(self, modality: _Optional[_Union[_types_pb2.Modality, str]] = ..., items: _Optional[int] = ..., covered: _Optional[int] = ..., failed: _Optional[int] = ...) -> None: ...

class ShadowEvaluation(_message.Message):
    __slots__ = ("summary", "passed", "snapshot", "recorded_at")
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    PASSED_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    RECORDED_AT_FIELD_NUMBER: _ClassVar[int]
    summary: _struct_pb2.Struct
    passed: bool
    snapshot: int
    recorded_at: _timestamp_pb2.Timestamp
    def __init__(self, summary: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., passed: bool = ..., snapshot: _Optional[int] = ..., recorded_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class BackfillProgress(_message.Message):
    __slots__ = ("space", "phase", "total", "done", "embedded", "copied", "failed", "items_per_second", "remaining_seconds", "snapshot")
    class Phase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        PHASE_UNSPECIFIED: _ClassVar[BackfillProgress.Phase]
        PHASE_RUNNING: _ClassVar[BackfillProgress.Phase]
        PHASE_DONE: _ClassVar[BackfillProgress.Phase]
        PHASE_CANCELLED: _ClassVar[BackfillProgress.Phase]
    PHASE_UNSPECIFIED: BackfillProgress.Phase
    PHASE_RUNNING: BackfillProgress.Phase
    PHASE_DONE: BackfillProgress.Phase
    PHASE_CANCELLED: BackfillProgress.Phase
    SPACE_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    EMBEDDED_FIELD_NUMBER: _ClassVar[int]
    COPIED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    ITEMS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    REMAINING_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    space: str
    phase: BackfillProgress.Phase
    total: int
    done: int
    embedded: int
    copied: int
    failed: int
    items_per_second: float
    remaining_seconds: float
    snapshot: int
    def __init__(self, space: _Optional[str] = ..., phase: _Optional[_Union[BackfillProgress.Phase, str]] = ..., total: _Optional[int] = ..., done: _Optional[int] = ..., embedded: _Optional[int] = ..., copied: _Optional[int] = ..., failed: _Optional[int] = ..., items_per_second: _Optional[float] = ..., remaining_seconds: _Optional[float] = ..., snapshot: _Optional[int] = ...) -> None: ...

class RegisterMigrationRequest(_message.Message):
    __slots__ = ("space", "alias", "require")
    SPACE_FIELD_NUMBER: _ClassVar[int]
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    REQUIRE_FIELD_NUMBER: _ClassVar[int]
    space: str
    alias: str
    require: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, space: _Optional[str] = ..., alias: _Optional[str] = ..., require: _Optional[_Iterable[str]] = ...) -> None: ...

class RegisterMigrationResponse(_message.Message):
    __slots__ = ("migration",)
    MIGRATION_FIELD_NUMBER: _ClassVar[int]
    migration: Migration
    def __init__(self, migration: _Optional[_Union[Migration, _Mapping]] = ...) -> None: ...

class GetMigrationRequest(_message.Message):
    __slots__ = ("space",)
    SPACE_FIELD_NUMBER: _ClassVar[int]
    space: str
    def __init__(self, space: _Optional[str] = ...) -> None: ...

class GetMigrationResponse(_message.Message):
    __slots__ = ("migration",)
    MIGRATION_FIELD_NUMBER: _ClassVar[int]
    migration: Migration
    def __init__(self, migration: _Optional[_Union[Migration, _Mapping]] = ...) -> None: ...

class ListMigrationsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListMigrationsResponse(_message.Message):
    __slots__ = ("migrations", "aliases")
    MIGRATIONS_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    migrations: _containers.RepeatedCompositeFieldContainer[Migration]
    aliases: _containers.RepeatedCompositeFieldContainer[SpaceAlias]
    def __init__(self, migrations: _Optional[_Iterable[_Union[Migration, _Mapping]]] = ..., aliases: _Optional[_Iterable[_Union[SpaceAlias, _Mapping]]] = ...) -> None: ...

class SpaceAlias(_message.Message):
    __slots__ = ("name", "space", "previous", "since")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    name: str
    space: str
    previous: str
    since: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., space: _Optional[str] = ..., previous: _Optional[str] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class BackfillRequest(_message.Message):
    __slots__ = ("space", "rate", "limit")
    SPACE_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    space: str
    rate: float
    limit: int
    def __init__(self, space: _Optional[str] = ..., rate: _Optional[float] = ..., limit: _Optional[int] = ...) -> None: ...

class BackfillResponse(_message.Message):
    __slots__ = ("progress",)
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    progress: BackfillProgress
    def __init__(self, progress: _Optional[_Union[BackfillProgress, _Mapping]] = ...) -> None: ...

class WatchBackfillRequest(_message.Message):
    __slots__ = ("space",)
    SPACE_FIELD_NUMBER: _ClassVar[int]
    space: str
    def __init__(self, space: _Optional[str] = ...) -> None: ...

class WatchBackfillResponse(_message.Message):
    __slots__ = ("progress",)
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    progress: BackfillProgress
    def __init__(self, progress: _Optional[_Union[BackfillProgress, _Mapping]] = ...) -> None: ...

class CancelBackfillRequest(_message.Message):
    __slots__ = ("space",)
    SPACE_FIELD_NUMBER: _ClassVar[int]
    space: str
    def __init__(self, space: _Optional[str] = ...) -> None: ...

class CancelBackfillResponse(_message.Message):
    __slots__ = ("cancelled",)
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    cancelled: bool
    def __init__(self, cancelled: bool = ...) -> None: ...

class RecordEvaluationRequest(_message.Message):
    __slots__ = ("space", "summary", "passed", "snapshot", "require")
    SPACE_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    PASSED_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    REQUIRE_FIELD_NUMBER: _ClassVar[int]
    space: str
    summary: _struct_pb2.Struct
    passed: bool
    snapshot: int
    require: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, space: _Optional[str] = ..., summary: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., passed: bool = ..., snapshot: _Optional[int] = ..., require: _Optional[_Iterable[str]] = ...) -> None: ...

class RecordEvaluationResponse(_message.Message):
    __slots__ = ("migration",)
    MIGRATION_FIELD_NUMBER: _ClassVar[int]
    migration: Migration
    def __init__(self, migration: _Optional[_Union[Migration, _Mapping]] = ...) -> None: ...

class SwitchSpaceRequest(_message.Message):
    __slots__ = ("space", "allow_missing", "force")
    SPACE_FIELD_NUMBER: _ClassVar[int]
    ALLOW_MISSING_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    space: str
    allow_missing: str
    force: str
    def __init__(self, space: _Optional[str] = ..., allow_missing: _Optional[str] = ..., force: _Optional[str] = ...) -> None: ...

class SwitchSpaceResponse(_message.Message):
    __slots__ = ("migration",)
    MIGRATION_FIELD_NUMBER: _ClassVar[int]
    migration: Migration
    def __init__(self, migration: _Optional[_Union[Migration, _Mapping]] = ...) -> None: ...

class RollbackSwitchRequest(_message.Message):
    __slots__ = ("space",)
    SPACE_FIELD_NUMBER: _ClassVar[int]
    space: str
    def __init__(self, space: _Optional[str] = ...) -> None: ...

class RollbackSwitchResponse(_message.Message):
    __slots__ = ("migration",)
    MIGRATION_FIELD_NUMBER: _ClassVar[int]
    migration: Migration
    def __init__(self, migration: _Optional[_Union[Migration, _Mapping]] = ...) -> None: ...

class FinishMigrationRequest(_message.Message):
    __slots__ = ("space", "remove")
    SPACE_FIELD_NUMBER: _ClassVar[int]
    REMOVE_FIELD_NUMBER: _ClassVar[int]
    space: str
    remove: bool
    def __init__(self, space: _Optional[str] = ..., remove: bool = ...) -> None: ...

class FinishMigrationResponse(_message.Message):
    __slots__ = ("migration",)
    MIGRATION_FIELD_NUMBER: _ClassVar[int]
    migration: Migration
    def __init__(self, migration: _Optional[_Union[Migration, _Mapping]] = ...) -> None: ...

class AbandonMigrationRequest(_message.Message):
    __slots__ = ("space", "remove")
    SPACE_FIELD_NUMBER: _ClassVar[int]
    REMOVE_FIELD_NUMBER: _ClassVar[int]
    space: str
    remove: bool
    def __init__(self, space: _Optional[str] = ..., remove: bool = ...) -> None: ...

class AbandonMigrationResponse(_message.Message):
    __slots__ = ("migration",)
    MIGRATION_FIELD_NUMBER: _ClassVar[int]
    migration: Migration
    def __init__(self, migration: _Optional[_Union[Migration, _Mapping]] = ...) -> None: ...
