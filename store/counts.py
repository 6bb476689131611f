"""Live rows per kind, carried from snapshot to snapshot by what a commit changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from trichord.store.batches import EntityBatch, ItemBatch
from trichord.store.directory import MODALITIES, EntityDirectory, ItemFacts


def changed_counts(
    counts: Mapping[str, int],
    spaces: Sequence[str],
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


def _count(counts: Counter[str], spaces: Sequence[str], facts: ItemFacts, sign: int) -> None:
    live = ~facts.deleted
    counts["items"] += sign * int(live.sum())
    for code, modality in enumerate(MODALITIES):
        mine = live & (facts.modality == code)
        number = int(mine.sum())
        if not number:
            continue
        counts[f"items.{modality}"] += sign * number
        for bit, space in enumerate(spaces):
            inside = mine & (facts.spaces >> np.uint32(bit) & np.uint32(1)).astype(np.bool_)
            segments = sign * int(facts.segments[inside].sum(dtype=np.int64))
            counts[f"segments.{space}"] += segments
            counts[f"segments.{space}.{modality}"] += segments
