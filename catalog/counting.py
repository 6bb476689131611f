"""What a catalogue holds, in numbers."""

from __future__ import annotations

import numpy as np

from trichord.catalog.legs import Leg
from trichord.catalog.view import View, rows_of
from trichord.filters import Filter
from trichord.results import IndexInfo, Stats
from trichord.store import Store
from trichord.store import stats as store_stats
from trichord.types import Modality


def count(store: Store, view: View, visible: Filter | None) -> Stats:
    """Counts as of the view. With a policy's filter: of what it shows, and nothing about indexes,
    bytes and failures, which would tell how much is hidden."""
    items = view.items
    shown = view.shown(visible)
    there = items.alive if shown is None else shown
    codes = np.unique(items.entity_code[there])
    names = list(Modality)
    counted = np.bincount(items.modality[there], minlength=len(names))
    path, snapshot = str(store.path), view.snapshot
    of_items = {str(name): int(counted[number]) for number, name in enumerate(names)}
    if shown is not None:
        segments = sum(len(rows_of(shown, leg)) for leg in view.legs.values())
        return Stats(
            path, snapshot.id, snapshot.created_timestamp, len(codes), of_items, segments,
            attributes=dict(items.attributes),
        )  # fmt: skip
    weighed = store_stats(store)
    own = items.entities["entity_id"].to_list()
    own_codes = [items.entity_codes_of.get(entity_id, -1) for entity_id in own]
    lone = np.count_nonzero(~np.isin(own_codes, codes)) if own else 0
    return Stats(
        path,
        snapshot.id,
        snapshot.created_timestamp,
        len(codes) + int(lone),
        of_items,
        sum(leg.index.live for leg in view.legs.values()),
        weighed.bytes,
        weighed.failures,
        tuple(_index(leg) for leg in view.legs.values()),
        dict(items.attributes),
    )


def _index(leg: Leg) -> IndexInfo:
    info = leg.index.info
    return IndexInfo(
        leg.space,
        leg.modality,
        info.kind,
        leg.index.live,
        len(leg.index.fresh),
        min(info.recall.values(), default=1.0),
        leg.built_from,
    )
