"""Live rows per kind, carried from snapshot to snapshot by what a commit changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from trichord.store.batches import EntityBatch, ItemBatch
from trichord.store.directory import MODALITIES, EntityDirectory, ItemFacts
from trichord.store.spaces import StoredSpace


def changed_counts(
    counts: Mapping[str, int],
    spaces: Sequence[StoredSpace],
    items: Sequence[ItemBatch],
    entities: Sequence[EntityBatch],
    directory: EntityDirectory,
) -> dict[str, int]:
    """`counts` of a snapshot after these batches; `directory` as it was before them."""
    after = Counter(dict(counts))
    for batch in items:
        _count(after, spaces, batch.before, -1)
        _count(after, spaces, batch.facts, +1)
    for thing in entities:
        after["entities"] += int(thing.live.sum()) - int(directory.live(thing.positions).sum())
    return {name: int(value) for name, value in sorted(after.items()) if value}


def without_space(counts: Mapping[str, int], name: str) -> dict[str, int]:
    """`counts` without the segments of a space."""
    gone = {f"segments.{name}", *(f"segments.{name}.{m}" for m in MODALITIES)}
    return {key: number for key, number in counts.items() if key not in gone}


def _count(
    counts: Counter[str], spaces: Sequence[StoredSpace], facts: ItemFacts, sign: int
) -> None:
    live = ~facts.deleted
    counts["items"] += sign * int(live.sum())
    for code, modality in enumerate(MODALITIES):
        mine = live & (facts.modality == code)
        number = int(mine.sum())
        if not number:
            continue
        counts[f"items.{modality}"] += sign * number
        for stored in spaces:
            name = stored.space.name
            segments = sign * int(facts.numbers.of(stored.bit)[mine].sum(dtype="int64"))
            counts[f"segments.{name}"] += segments
            counts[f"segments.{name}.{modality}"] += segments
