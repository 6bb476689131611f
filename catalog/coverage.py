"""How far the items of a catalogue are in a space."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from trichord.catalog.view import View
from trichord.results import Coverage
from trichord.types import Bool, Modality


def inside(view: View, space: str, modality: Modality) -> Bool:
    """Rows of the item table that have segments in the space, bool (items,)."""
    found = np.zeros(len(view.items), bool)
    leg = view.legs.get((space, modality))
    if leg is not None and leg.index.live:
        found[leg.rows.item[leg.index.alive]] = True
    return found


def coverage(
    view: View,
    space: str,
    modalities: Iterable[Modality],
    *,
    shown: Bool | None = None,
    failed: Iterable[str] = (),
) -> tuple[Coverage, ...]:
    """How far the live items of each modality are in the space, as of the view; `shown` is what
    a policy shows of them, `failed` the items that were tried in vain."""
    items = view.items
    there = items.alive if shown is None else items.alive & shown
    tried = np.zeros(len(items), bool)
    tried[[row for item_id in failed if (row := items.row(item_id)) is not None]] = True
    order = list(Modality)
    found = []
    for modality in modalities:
        mine = there & (items.modality == order.index(modality))
        has = inside(view, space, modality)
        found.append(
            Coverage(
                modality,
                int(mine.sum()),
                int((mine & has).sum()),
                int((mine & ~has & tried).sum()),
            )
        )
    return tuple(found)
