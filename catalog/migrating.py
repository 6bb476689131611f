"""The record of a migration, its states, and the gates before the switch. Nothing is written here.

registered → backfilling → ready → live → finished
                             ↑       ↓
                             └ rolled-back        every state before live, and rolled-back
                                                  → abandoned
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from trichord.errors import InvalidInput
from trichord.results import Coverage, Migration, MigrationState, ShadowEvaluation
from trichord.types import IngestFailure, Space

KIND = "migrations"
"""Under which the store keeps them, by the name of the new space."""


@dataclass(frozen=True)
class Record:
    """See `trichord.results.Migration`."""

    space: str
    source: str
    alias: str
    state: MigrationState
    registered_at: datetime
    changed_at: datetime
    require: tuple[str, ...] = ()
    evaluation: ShadowEvaluation | None = None
    completed_snapshot: int = 0
    forced: str = ""

    def changed(self, **fields: Any) -> Record:
        return replace(self, changed_at=datetime.now(UTC), **fields)

    def to_json(self) -> dict[str, Any]:
        evaluation = self.evaluation
        return {
            "space": self.space,
            "source": self.source,
            "alias": self.alias,
            "state": str(self.state),
            "registered_at": self.registered_at.isoformat(),
            "changed_at": self.changed_at.isoformat(),
            "require": list(self.require),
            "evaluation": None
            if evaluation is None
            else {
                "summary": dict(evaluation.summary),
                "passed": evaluation.passed,
                "snapshot": evaluation.snapshot,
                "recorded_at": evaluation.recorded_at.isoformat(),
            },
            "completed_snapshot": self.completed_snapshot,
            "forced": self.forced,
        }

    def described(self, **fields: Any) -> Migration:
        return Migration(**vars(self), **fields)


def read(records: Mapping[str, Any]) -> dict[str, Record]:
    """Records by the name of the new space, the oldest first."""
    found = [_record(record) for record in records.values()]
    return {one.space: one for one in sorted(found, key=lambda one: one.registered_at)}


def _record(record: Mapping[str, Any]) -> Record:
    evaluation = record.get("evaluation")
    return Record(
        record["space"],
        record["source"],
        record["alias"],
        MigrationState(record["state"]),
        datetime.fromisoformat(record["registered_at"]),
        datetime.fromisoformat(record["changed_at"]),
        tuple(record.get("require", ())),
        None
        if evaluation is None
        else ShadowEvaluation(
            evaluation["summary"],
            evaluation["passed"],
            evaluation["snapshot"],
            datetime.fromisoformat(evaluation["recorded_at"]),
        ),
        record.get("completed_snapshot", 0),
        record.get("forced", ""),
    )


def as_json(summary: Mapping[str, Any]) -> dict[str, Any]:
    """A copy that the store can keep; raises InvalidInput for what is no JSON object."""
    try:
        copied = json.loads(json.dumps(summary, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"the summary of an evaluation is no JSON object: {error}") from None
    if not isinstance(copied, dict):
        raise InvalidInput("the summary of an evaluation is no JSON object")
    return copied


# Which items could not be embedded


def failure_source(space: str, item_id: str) -> str:
    """What a failure to embed a stored item for a space is called."""
    return f"backfill:{space}:{item_id}"


def failed_items(space: str, failures: Iterable[IngestFailure]) -> dict[str, IngestFailure]:
    """Those failures by item."""
    return {
        one.item_id: one
        for one in failures
        if one.item_id is not None and one.source == failure_source(space, one.item_id)
    }


# The gates


def allowance(allow_missing: int | str, items: int) -> int:
    """How many of the items may be missing: a number ("5") or a share ("2%").

    >>> allowance("2%", 150), allowance(5, 150), allowance("", 150)
    (3, 5, 0)
    """
    text = str(allow_missing).strip() or "0"
    try:
        if text.endswith("%"):
            share = float(text[:-1])
            if not 0 <= share <= 100:
                raise ValueError
            return int(items * share / 100)
        number = int(text)
        if number < 0:
            raise ValueError
        return number
    except ValueError:
        raise InvalidInput(
            f"what may be missing is a number of items (5) or a share (2%), not {allow_missing!r}",
            field="allow_missing",
        ) from None


def shut(
    record: Record, parts: Sequence[Coverage], new: Space, allow_missing: int | str
) -> list[str]:
    """Why the switch must wait; empty if it need not."""
    reasons = []
    items = sum(part.items for part in parts)
    lacking = sum(part.lacking for part in parts)
    allowed = allowance(allow_missing, items)
    without = [part for part in parts if part.modality not in new.encoders and part.lacking]
    untried = sum(part.lacking - part.failed for part in parts if part not in without)
    for part in without:
        if part.lacking > allowed:
            reasons.append(f"the new space has no {part.modality}, of which there are {part.items}")
    if untried:
        reasons.append(
            f"{untried} of {items} items were not embedded for it yet: run the backfill "
            f"(trichord migrate run {record.space})"
        )
    elif lacking > allowed and not reasons:
        reasons.append(
            f"{lacking} of {items} items could not be embedded for it (trichord errors lists "
            f"them) and {allowed} may be missing: repair them and run the backfill again, or "
            f"allow it (--allow-missing {lacking})"
        )
    evaluation = record.evaluation
    if evaluation is None:
        if record.require:
            reasons.append(f"no evaluation showed {', '.join(record.require)} yet")
    elif not evaluation.passed:
        reasons.append("the evaluation did not pass")
    elif evaluation.snapshot < record.completed_snapshot:
        reasons.append(
            f"the evaluation is of snapshot {evaluation.snapshot}, before the backfill ended "
            f"({record.completed_snapshot}): evaluate again"
        )
    return reasons
