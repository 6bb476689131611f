"""How much is in a store, and what it weighs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from trichord.store.schema import FAILURES, SNAPSHOTS
from trichord.store.snapshots import Snapshot
from trichord.store.store import Store
from trichord.store.tables import SUFFIX, lance_errors
from trichord.types import Modality, Space


@dataclass(frozen=True)
class StoreStats:
    """Counts are of live rows of `snapshot`; bytes are those on disk, old versions included.

    segments  {space: {modality: rows}}
    files     {table: data files of the snapshot}: many small ones make reading slow; compact
    """

    path: Path
    snapshot: Snapshot
    snapshots: int
    items: int
    items_by_modality: Mapping[Modality, int] = field(hash=False)
    entities: int
    segments: Mapping[str, Mapping[Modality, int]] = field(hash=False)
    spaces: tuple[Space, ...]
    failures: int
    files: Mapping[str, int] = field(hash=False)
    bytes_by_table: Mapping[str, int] = field(hash=False)

    @property
    def bytes(self) -> int:
        return sum(self.bytes_by_table.values())


def stats(store: Store) -> StoreStats:
    """Count and weigh the store's latest snapshot."""
    snapshot = store.latest()
    reader = store.reader(snapshot)
    counts = snapshot.counts
    spaces = tuple(store.spaces())
    with lance_errors("counting"):
        files = {name: len(reader.data(name).get_fragments()) for name in snapshot.versions}
        failures = int(reader.data(FAILURES).count_rows())
    return StoreStats(
        path=store.path,
        snapshot=snapshot,
        snapshots=len(store.snapshots()),
        items=counts.get("items", 0),
        items_by_modality={m: counts.get(f"items.{m}", 0) for m in Modality},
        entities=counts.get("entities", 0),
        segments={
            s.name: {m: counts.get(f"segments.{s.name}.{m}", 0) for m in Modality} for s in spaces
        },
        spaces=spaces,
        failures=failures,
        files=files,
        bytes_by_table={
            # Those of removed spaces too, until a compaction takes them away.
            name: _bytes(store.path / (name + SUFFIX))
            for name in sorted({*snapshot.versions, SNAPSHOTS} | store._tables.present())
        },
    )


def _bytes(directory: Path) -> int:
    total = 0
    for path in directory.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:  # a compaction next door
            continue
    return total
