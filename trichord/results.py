"""Answers other than hits; the same in process, in the client and on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

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
class SpaceInfo:
    """A space of the store; `at_hand[m]`: this process can embed content of modality m for it."""

    space: Space
    default: bool
    at_hand: Mapping[Modality, bool]
