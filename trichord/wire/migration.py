"""Migrations and how their backfills go <-> messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf import json_format, struct_pb2

from trichord.errors import InvalidInput
from trichord.results import (
    AliasInfo,
    BackfillPhase,
    BackfillProgress,
    Coverage,
    Migration,
    MigrationState,
    ShadowEvaluation,
)
from trichord.v1 import migration_pb2
from trichord.wire.enums import MODALITY_NUMBERS, member, modality_of
from trichord.wire.values import from_timestamp, to_timestamp

_STATES = (None, *MigrationState)
_PHASES = (None, *BackfillPhase)


def to_migration(one: Migration) -> migration_pb2.Migration:
    message = migration_pb2.Migration(
        space=one.space,
        source=one.source,
        alias=one.alias,
        state=_STATES.index(one.state),  # type: ignore[arg-type]  # its number
        registered_at=to_timestamp(one.registered_at),
        changed_at=to_timestamp(one.changed_at),
        require=one.require,
        coverage=[
            migration_pb2.MigrationCoverage(
                modality=MODALITY_NUMBERS[part.modality],
                items=part.items,
                covered=part.covered,
                failed=part.failed,
            )
            for part in one.coverage
        ],
        completed_snapshot=one.completed_snapshot,
        forced=one.forced,
        at_hand=one.at_hand,
    )
    if one.evaluation is not None:
        evaluation = message.evaluation
        evaluation.summary.CopyFrom(to_struct(one.evaluation.summary))
        evaluation.passed = one.evaluation.passed
        evaluation.snapshot = one.evaluation.snapshot
        evaluation.recorded_at.CopyFrom(to_timestamp(one.evaluation.recorded_at))
    if one.backfill is not None:
        message.backfill.CopyFrom(to_progress(one.backfill))
    return message


def from_migration(message: migration_pb2.Migration) -> Migration:
    evaluation = message.evaluation
    state = member(_STATES, message.state, "state")
    return Migration(
        space=message.space,
        source=message.source,
        alias=message.alias,
        state=MigrationState.REGISTERED if state is None else state,
        registered_at=from_timestamp(message.registered_at),
        changed_at=from_timestamp(message.changed_at),
        require=tuple(message.require),
        coverage=tuple(
            Coverage(modality_of(part.modality), part.items, part.covered, part.failed)
            for part in message.coverage
        ),
        evaluation=(
            ShadowEvaluation(
                json_format.MessageToDict(evaluation.summary),
                evaluation.passed,
                evaluation.snapshot,
                from_timestamp(evaluation.recorded_at),
            )
            if message.HasField("evaluation")
            else None
        ),
        completed_snapshot=message.completed_snapshot,
        forced=message.forced,
        at_hand=message.at_hand,
        backfill=from_progress(message.backfill) if message.HasField("backfill") else None,
    )


def to_progress(one: BackfillProgress) -> migration_pb2.BackfillProgress:
    return migration_pb2.BackfillProgress(
        space=one.space,
        phase=_PHASES.index(one.phase),  # type: ignore[arg-type]  # its number
        total=one.total,
        done=one.done,
        embedded=one.embedded,
        copied=one.copied,
        failed=one.failed,
        items_per_second=one.rate,
        remaining_seconds=one.eta_s,
        snapshot=one.snapshot,
    )


def from_progress(message: migration_pb2.BackfillProgress) -> BackfillProgress:
    phase = member(_PHASES, message.phase, "phase")
    return BackfillProgress(
        space=message.space,
        phase=BackfillPhase.RUNNING if phase is None else phase,
        total=message.total,
        done=message.done,
        embedded=message.embedded,
        copied=message.copied,
        failed=message.failed,
        rate=message.items_per_second,
        eta_s=message.remaining_seconds if message.HasField("remaining_seconds") else None,
        snapshot=message.snapshot,
    )


def to_aliases(aliases: Iterable[AliasInfo]) -> list[migration_pb2.SpaceAlias]:
    return [
        migration_pb2.SpaceAlias(
            name=one.name,
            space=one.space,
            previous=one.previous or "",
            since=to_timestamp(one.since),
        )
        for one in aliases
    ]


def from_aliases(messages: Iterable[migration_pb2.SpaceAlias]) -> list[AliasInfo]:
    return [
        AliasInfo(one.name, one.space, one.previous or None, from_timestamp(one.since))
        for one in messages
    ]


def to_struct(values: Mapping[str, Any]) -> struct_pb2.Struct:
    """Raises InvalidInput for what is no JSON."""
    try:
        return json_format.ParseDict(dict(values), struct_pb2.Struct())
    except (json_format.ParseError, TypeError, ValueError) as error:
        raise InvalidInput(f"the summary is no JSON object: {error}", field="summary") from None


def from_struct(message: struct_pb2.Struct) -> dict[str, Any]:
    """Numbers come back as float. Raises InvalidInput for NaN and infinities."""
    try:
        found: dict[str, Any] = json_format.MessageToDict(message)
    except (json_format.SerializeToJsonError, ValueError) as error:
        raise InvalidInput(f"the summary is no JSON object: {error}", field="summary") from None
    return found
