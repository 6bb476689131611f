"""What lies on disk of the indexes of a store, without opening any of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from trichord.catalog.legs import folder
from trichord.errors import StoreDamaged
from trichord.index.manifest import manifest_of
from trichord.index.persist import ENGINE, VECTORS
from trichord.store import Store
from trichord.types import Modality


@dataclass(frozen=True)
class IndexFacts:
    """`segments`: vectors of the leg now; `rows`: those in the index, which was built from
    `snapshot`. `recall`: target -> kind of sample query -> measured recall. `problem`: why there is
    no index (then the rest is empty), or ""."""

    space: str
    modality: Modality
    segments: int
    problem: str = ""
    kind: str = "exact"
    requested: str = ""
    rows: int = 0
    snapshot: int = 0
    created: datetime | None = None
    recall_target: float = 1.0
    recall: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    index_bytes: int = 0
    vector_bytes: int = 0
    build_seconds: float = 0.0
    reason: str = ""


def index_facts(store: Store) -> list[IndexFacts]:
    """Of every space and modality, in the order of the spaces."""
    reader = store.reader()
    return [
        _of(store, stored.space.name, modality, reader.snapshot.counts)
        for stored in reader.spaces()
        for modality in stored.space.encoders
    ]


def _of(store: Store, space: str, modality: Modality, counts: Mapping[str, int]) -> IndexFacts:
    segments = counts.get(f"segments.{space}.{modality}", 0)
    try:
        there = manifest_of(folder(store.path, space, modality))
    except StoreDamaged as error:
        return IndexFacts(space, modality, segments, problem=str(error))
    info = there.info
    return IndexFacts(
        space,
        modality,
        segments,
        "",
        info.kind,
        info.requested,
        there.size,
        int(there.meta.get("snapshot", 0)),
        there.created,
        info.recall_target,
        info.targets or {str(info.recall_target): info.recall},
        int(there.files.get(ENGINE, {}).get("bytes", 0)),
        int(there.files[VECTORS]["bytes"]),
        info.build_seconds,
        info.reason,
    )
