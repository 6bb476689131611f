"""The verbs of a client's migrations as plans; see `trichord.wire.requests`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from google.protobuf.message import Message

from trichord.query import as_names
from trichord.results import AliasInfo, BackfillProgress, Migration
from trichord.v1 import migration_pb2 as messages
from trichord.wire.migration import from_aliases, from_migration, from_progress, to_struct
from trichord.wire.plans import Plan, Stubs, sendable


def _one(method: Callable[[Stubs], Any], request: Message) -> Plan[Migration]:
    return Plan(method, [request], lambda got: from_migration(got[0].migration))


@sendable
def register(space: str, alias: str, require: str | Sequence[str]) -> Plan[Migration]:
    request = messages.RegisterMigrationRequest(
        space=space, alias=alias, require=conditions(require)
    )
    return _one(lambda stubs: stubs.migration.RegisterMigration, request)


@sendable
def get(space: str) -> Plan[Migration]:
    request = messages.GetMigrationRequest(space=space)
    return _one(lambda stubs: stubs.migration.GetMigration, request)


def listed() -> Plan[list[Migration]]:
    return Plan(
        lambda stubs: stubs.migration.ListMigrations,
        [messages.ListMigrationsRequest()],
        lambda got: [from_migration(one) for one in got[0].migrations],
    )


def aliases() -> Plan[list[AliasInfo]]:
    return Plan(
        lambda stubs: stubs.migration.ListMigrations,
        [messages.ListMigrationsRequest()],
        lambda got: from_aliases(got[0].aliases),
    )


@sendable
def record_evaluation(
    space: str,
    summary: Mapping[str, Any],
    passed: bool,
    snapshot: int | None,
    require: str | Sequence[str],
) -> Plan[Migration]:
    request = messages.RecordEvaluationRequest(
        space=space,
        summary=to_struct(summary),
        passed=passed,
        snapshot=snapshot or 0,
        require=conditions(require),
    )
    return _one(lambda stubs: stubs.migration.RecordEvaluation, request)


@sendable
def switch(space: str, allow_missing: int | str, force: str) -> Plan[Migration]:
    request = messages.SwitchSpaceRequest(
        space=space, allow_missing=str(allow_missing), force=force
    )
    return _one(lambda stubs: stubs.migration.SwitchSpace, request)


@sendable
def rollback(space: str) -> Plan[Migration]:
    request = messages.RollbackSwitchRequest(space=space)
    return _one(lambda stubs: stubs.migration.RollbackSwitch, request)


@sendable
def finish(space: str, remove: bool) -> Plan[Migration]:
    request = messages.FinishMigrationRequest(space=space, remove=remove)
    return _one(lambda stubs: stubs.migration.FinishMigration, request)


@sendable
def abandon(space: str, remove: bool) -> Plan[Migration]:
    request = messages.AbandonMigrationRequest(space=space, remove=remove)
    return _one(lambda stubs: stubs.migration.AbandonMigration, request)


@sendable
def cancel(space: str) -> Plan[bool]:
    return Plan(
        lambda stubs: stubs.migration.CancelBackfill,
        [messages.CancelBackfillRequest(space=space)],
        lambda got: bool(got[0].cancelled),
    )


@sendable
def backfill(space: str, rate: float | None, limit: int | None) -> messages.BackfillRequest:
    return messages.BackfillRequest(space=space, rate=rate or 0.0, limit=limit or 0)


@sendable
def watch(space: str) -> messages.WatchBackfillRequest:
    return messages.WatchBackfillRequest(space=space)


def progress(response: Any) -> BackfillProgress:
    """Of a BackfillResponse or a WatchBackfillResponse."""
    return from_progress(response.progress)


def conditions(given: str | Sequence[str]) -> tuple[str, ...]:
    """`"ndcg@10>=0.6, recall@10>=0.8"` or a sequence, as a tuple."""
    return as_names(given)
