"""Answers other than hits; the same in process, in the client and on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from trichord.errors import TrichordError
from trichord.types import Entity, Item, Modality, Space


class Outcome(StrEnum):
    ADDED = "added"
    CHANGED = "changed"
    UNCHANGED = "unchanged"


@dataclass(frozen=True)
class Acknowledgement:
    """What became of one record: an outcome once it is committed, or the error that refused it."""

    item_id: str
    outcome: Outcome | None
    error: TrichordError | None = None
    snapshot: int = 0
    segments: int = 0


@dataclass(frozen=True)
class Found:
    """What `get` found, in the order asked for, and the ids that are not stored."""

    items: tuple[Item, ...] = ()
    entities: tuple[Entity, ...] = ()
    missing_item_ids: tuple[str, ...] = ()
    missing_entity_ids: tuple[str, ...] = ()
    snapshot: int = 0


@dataclass(frozen=True)
class IndexInfo:
    """One index: `kind` is exact, hnsw or ivf; `measured_recall` is recall@10 against exact."""

    space: str
    modality: Modality
    kind: str
    rows: int
    fresh_rows: int
    measured_recall: float
    built_from_snapshot: int


@dataclass(frozen=True)
class Stats:
    """Counts as of one snapshot. `items` by modality name; `attributes` name -> type; `calls` by
    "/service/method CODE" since the server process started, empty in process."""

    path: str
    snapshot: int
    snapshot_time: datetime
    entities: int
    items: Mapping[str, int]
    segments: int = 0
    bytes_on_disk: int = 0
    failures: int = 0
    indexes: tuple[IndexInfo, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    calls: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Coverage:
    """How far the items of one modality are in a space: `items` live ones in the store, `covered`
    of them with segments in the space, `failed` of the others that were tried in vain."""

    modality: Modality
    items: int
    covered: int
    failed: int = 0

    @property
    def lacking(self) -> int:
        return self.items - self.covered

    @property
    def share(self) -> float:
        """1.0 where there is nothing to cover."""
        return self.covered / self.items if self.items else 1.0


@dataclass(frozen=True)
class SpaceInfo:
    """A space of the store; `at_hand[m]`: this process can embed content of modality m for it.
    `default`: searches that name no space ask it. `aliases` name it now."""

    space: Space
    default: bool
    at_hand: Mapping[Modality, bool]
    aliases: tuple[str, ...] = ()
    coverage: tuple[Coverage, ...] = ()


@dataclass(frozen=True)
class AliasInfo:
    """A name that stands for a space: since when, and for which one before (None: none)."""

    name: str
    space: str
    previous: str | None
    since: datetime


class MigrationState(StrEnum):
    """Where a migration stands; docs/migration.md draws the transitions."""

    REGISTERED = "registered"
    BACKFILLING = "backfilling"
    READY = "ready"
    LIVE = "live"
    ROLLED_BACK = "rolled-back"
    FINISHED = "finished"
    ABANDONED = "abandoned"

    @property
    def under_way(self) -> bool:
        """New items are written to both spaces."""
        return self not in (MigrationState.FINISHED, MigrationState.ABANDONED)


class BackfillPhase(StrEnum):
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class BackfillProgress:
    """How a backfill goes, or how it ended: of `total` items that were lacking when it began,
    `done` were dealt with: `embedded`, `copied` from a space with the same encoder, or `failed`;
    the rest of `done` were deleted or written by others meanwhile.

    `rate` in items per second of this run, `eta_s` None while unknown.
    """

    space: str
    phase: BackfillPhase
    total: int = 0
    done: int = 0
    embedded: int = 0
    copied: int = 0
    failed: int = 0
    rate: float = 0.0
    eta_s: float | None = None
    snapshot: int = 0


@dataclass(frozen=True)
class ShadowEvaluation:
    """What an evaluation of the new space against the old one found, as it was recorded:
    `summary` as JSON values, `passed` its verdict, `snapshot` what it was measured on."""

    summary: Mapping[str, Any]
    passed: bool
    snapshot: int
    recorded_at: datetime


@dataclass(frozen=True)
class Migration:
    """The way of an alias from the space `source` to `space`, after which it is named.

    `require`: conditions that an evaluation must meet before the switch. `completed_snapshot`: the
    one that the last backfill ended with, 0 before. `forced`: why gates were passed by force.
    `at_hand`: this process can embed content of every modality for the new space. `backfill`: the
    one that runs in this process now.
    """

    space: str
    source: str
    alias: str
    state: MigrationState
    registered_at: datetime
    changed_at: datetime
    require: tuple[str, ...] = ()
    coverage: tuple[Coverage, ...] = ()
    evaluation: ShadowEvaluation | None = None
    completed_snapshot: int = 0
    forced: str = ""
    at_hand: bool = False
    backfill: BackfillProgress | None = None
