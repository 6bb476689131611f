"""Which legs need a new base, and the building of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np

from trichord.catalog.base_process import write_base_apart
from trichord.catalog.bases import only_builder, write_base
from trichord.catalog.legs import Leg, folder, open_leg, read
from trichord.catalog.view import LegKey, View
from trichord.catalog.viewing import Views
from trichord.errors import StorageFull, StoreDamaged
from trichord.index.build import build
from trichord.index.live import LiveIndex
from trichord.index.manifest import manifest_of
from trichord.index.progress import OnProgress
from trichord.store import Store
from trichord.types import F32

SAMPLE_ROWS = 200
APART_ROWS = 20_000
"""From so many rows on a build in the background has a process of its own: that takes a second or
two to start, and a smaller build not much longer."""

OnLegProgress = Callable[[LegKey, str, int, int], None]
"""(leg, stage, done, total). What it raises ends the build."""

log = logging.getLogger("trichord.catalog")


def build_due(
    store: Store,
    views: Views,
    *,
    everything: bool,
    spaces: Collection[str] | None = None,
    apart: bool = False,
    on_progress: OnLegProgress | None = None,
    **options: Any,
) -> list[Leg]:
    """Builds the bases that are missing or stale (or all), one after the other, and puts each
    under the newest view; with `spaces` only those of some. A base that another process has built
    meanwhile is taken over instead.

    apart: in the background: large bases in a niced process, and none that another process is
    building just now. Options go to `trichord.index.build.build`.
    """
    built = []
    with views.building:
        for key in views.refresh().legs:
            leg = views.newest.legs.get(key)
            if leg is None or not leg.index.live or (spaces is not None and key[0] not in spaces):
                continue
            if not (everything or _due(leg)):
                continue
            with only_builder(store.path, *key, wait=not apart) as mine:
                if not mine:
                    continue
                made = None if everything else _taken_over(store, views, key)
                made = made or _built(store, views, key, apart, on_progress, options)
                built.append(made)
    return built


def _due(leg: Leg) -> bool:
    return leg.stale or not leg.kept


def _taken_over(store: Store, views: Views, key: LegKey) -> Leg | None:
    """The leg with a base that lies on disk and is newer than its own, if that will do."""
    view = views.newest
    leg = view.legs[key]
    try:
        there = manifest_of(folder(store.path, *key))
        if leg.kept and int(there.meta["snapshot"]) <= leg.built_from:
            return None
    except (StoreDamaged, KeyError):
        return None
    opened = _opened(store.path, view, key, verify=True)
    return None if _due(opened) else views.adopt(view, opened)


def _built(
    store: Store,
    views: Views,
    key: LegKey,
    apart: bool,
    on_progress: OnLegProgress | None,
    options: dict[str, Any],
) -> Leg:
    view = views.newest
    leg, queries = view.legs[key], _samples(view, key)

    def told(stage: str, done: int, total: int) -> None:
        if on_progress is not None:
            on_progress(key, stage, done, total)

    try:
        if apart and leg.index.live >= APART_ROWS:
            write_base_apart(
                store.path, view.snapshot.id, *key, queries=queries, on_progress=told, **options
            )
            made = _opened(store.path, view, key)
        else:
            made = _built_here(store.path, view, key, queries, told, options)
    except StorageFull as why:
        log.warning("%s/%s: %s; the index is in memory only", *key, why)
        made = _built_in_memory(view, key, queries, told, options)
    return views.adopt(view, made)


def _opened(store: Path, view: View, key: LegKey, *, verify: bool = False) -> Leg:
    stored = view.stored[key[0]]
    return open_leg(store, view.reader, stored, key[1], view.items, place=view.place, verify=verify)


def _built_here(
    store: Path,
    view: View,
    key: LegKey,
    queries: F32 | None,
    on_progress: OnProgress,
    options: dict[str, Any],
) -> Leg:
    stored = view.stored[key[0]]
    built = write_base(
        store, view.reader, stored, key[1], queries=queries, on_progress=on_progress, **options
    )
    if built.saved:
        return _opened(store, view, key)
    rows = built.segments.rows(view.items)
    moment = view.snapshot
    return Leg(*key, LiveIndex(built.base), rows, moment.id, moment.revision, kept=True)


def _built_in_memory(
    view: View,
    key: LegKey,
    queries: F32 | None,
    on_progress: OnProgress,
    options: dict[str, Any],
) -> Leg:
    """Where the disk has no room for the file."""
    dim = view.stored[key[0]].space.frame.dim
    vectors, rows = read(view.reader, *key, view.items, dim)
    base = build(vectors, queries=queries, on_progress=on_progress, **options)
    moment = view.snapshot
    return Leg(*key, LiveIndex(base), rows, moment.id, moment.revision, kept=True)


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
