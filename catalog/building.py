"""Which legs need a new base, and the building of it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from trichord.catalog.legs import Leg, folder, rebuild
from trichord.catalog.view import LegKey, View
from trichord.catalog.viewing import Views
from trichord.index.persist import exists
from trichord.store import Store
from trichord.types import F32

SAMPLE_ROWS = 200


def build_due(
    store: Store,
    views: Views,
    *,
    everything: bool,
    spaces: Collection[str] | None = None,
    **options: Any,
) -> list[Leg]:
    """Builds the bases that are missing or stale (or all), one after the other, and puts each
    under the newest view; with `spaces` only those of some. Options go to
    `trichord.index.build.build`."""
    with views.building:
        return _built(store, views, everything, spaces, options)


def _built(
    store: Store,
    views: Views,
    everything: bool,
    spaces: Collection[str] | None,
    options: dict[str, Any],
) -> list[Leg]:
    built = []
    for key in views.refresh().legs:
        view = views.newest
        leg = view.legs.get(key)
        if leg is None or not leg.index.live or (spaces is not None and key[0] not in spaces):
            continue
        if everything or leg.stale or not (leg.built or _kept(store, leg)):
            fresh = rebuild(
                store.path,
                view.reader,
                view.stored[leg.space],
                leg.modality,
                view.items,
                queries=_samples(view, key),
                **options,
            )
            built.append(views.adopt(view, fresh))
    return built


def _kept(store: Store, leg: Leg) -> bool:
    return exists(folder(store.path, leg.space, leg.modality))


def _samples(view: View, key: LegKey) -> F32 | None:
    """Vectors of the other modalities, to measure recall across the modality gap with."""
    generator = np.random.default_rng(0)
    samples = []
    for (space, modality), leg in view.legs.items():
        live = np.flatnonzero(leg.index.alive)
        if space == key[0] and modality is not key[1] and len(live):
            picked = generator.choice(live, min(SAMPLE_ROWS, len(live)), replace=False)
            samples.append(leg.index.take(picked))
    return np.concatenate(samples) if samples else None
