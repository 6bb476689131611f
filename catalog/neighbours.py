"""The k nearest neighbours of a whole catalogue, written to a folder by a job that can be resumed.

The job works on one snapshot, which its manifest names. What is done in one go is a shard, a fixed
range of the things that ask, in the order of their ids. `neighbour_plan` says who asks whom,
`neighbour_lists` what a list is, `neighbour_files` what a kill leaves. Nothing is written to the
store.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trichord.catalog.neighbour_files import JobFolder
from trichord.catalog.neighbour_manifest import ANEW, Manifest, Shard, is_job
from trichord.catalog.neighbour_options import NeighbourOptions
from trichord.catalog.neighbour_plan import Plan
from trichord.catalog.view import View
from trichord.catalog.viewing import Views
from trichord.errors import InvalidInput, NotFound, StoreDamaged
from trichord.filters import Filter
from trichord.store import Store
from trichord.types import Space


@dataclass(frozen=True)
class NeighboursReport:
    """What a job has written. `asked`: things that asked; `rows`: places of all lists; `shards`:
    its files, of which this call `computed` so many. `repaired`: files that had been done and were
    missing or damaged, and that are among the computed."""

    folder: Path
    space: str
    frame: str
    snapshot: int
    asked: int
    rows: int
    shards: int
    computed: int
    repaired: tuple[str, ...] = ()


def run(
    store: Store,
    views: Views,
    folder: Path,
    options: NeighbourOptions,
    *,
    space: str | None,
    resolve: Callable[[View, str | None], Space],
    visible: Filter | None,
    restart: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> NeighboursReport:
    """Begins the job in `folder`, or goes on where it stopped; see `Catalog.neighbours`.
    `resolve(view, space)`: what the name means in a view. `visible`: which items the policy shows.
    """

    def fresh() -> Plan:
        view = views.refresh()
        return Plan(view, resolve(view, space), options, visible)

    # What is wrong with the request leaves no folder.
    plan = fresh() if restart or not is_job(folder) else None
    with JobFolder.opened(folder) as there:
        manifest = None if restart else there.manifest()
        broken: list[Shard] = []
        if manifest is None:
            plan = plan or fresh()
            manifest = plan.manifest(space)
            there.begin(manifest)
        else:
            asked = options.to_json(visible)
            _check_same(folder, manifest, asked, space, lambda: resolve(views.newest, space).name)
            broken = there.damaged(manifest)
            if manifest.done and not broken:
                return _report(folder, manifest, 0, ())
            view = _pinned(store, views, folder, manifest)
            plan = Plan(view, view.spaces[manifest.space], options, visible)
            if plan.asked != manifest.asked:
                raise StoreDamaged(
                    f"snapshot {manifest.snapshot} is not what it was when the job in {folder} "
                    f"began: {ANEW}"
                )
        for shard in broken:
            undone = Shard(shard.file, shard.modality, shard.first, shard.stop)
            manifest = manifest.with_shard(undone)
        there.tidy(manifest)
        progress = _Progress(manifest, on_progress)
        open_ = [shard for shard in manifest.shards if not shard.done]
        for shard in open_:
            made = there.write(shard, plan.schema(), plan.tables(shard, progress.advance))
            manifest = manifest.with_shard(plan.answered(made))
            there.record(manifest)
        return _report(folder, manifest, len(open_), tuple(shard.file for shard in broken))


class _Progress:
    """Counts the things that are done, those of earlier calls included."""

    def __init__(self, manifest: Manifest, told: Callable[[int, int], None] | None) -> None:
        self._done = sum(one.stop - one.first for one in manifest.shards if one.done)
        self._total = sum(manifest.asked.values())
        self._told = told
        self.advance(0)

    def advance(self, more: int) -> None:
        self._done += more
        if self._told is not None:
            self._told(self._done, self._total)


def _check_same(
    folder: Path,
    manifest: Manifest,
    asked: dict[str, Any],
    space: str | None,
    meant: Callable[[], str],
) -> None:
    """Raises InvalidInput if the job was begun with other options."""
    begun = dict(manifest.options)
    differing = [name for name in asked if asked[name] != begun.get(name)]
    # The same name is the same job, wherever an alias has gone meanwhile.
    same_space = space == manifest.asked_space or meant() == manifest.space
    if not differing and same_space:
        return
    if "visible" in differing:
        what = "for somebody to whom other items are shown"
    elif differing and "where" in differing[0]:
        what = f"with another filter in {differing[0]}"
    elif differing:
        what = f"with {differing[0]} {begun.get(differing[0])!r}, not {asked[differing[0]]!r}"
    else:
        what = f"for the space {manifest.space!r}, not {space!r}"
    raise InvalidInput(
        f"the job in {folder} was begun {what}: repeat it as it was, name another folder, or {ANEW}"
    )


def _pinned(store: Store, views: Views, folder: Path, manifest: Manifest) -> View:
    """The view that the job was begun with, as it was committed."""

    def same(view: View) -> bool:
        snapshot = view.snapshot
        return (snapshot.id, snapshot.created_timestamp.isoformat()) == (
            manifest.snapshot,
            manifest.snapshot_time,
        )

    if same(views.newest):
        return views.newest
    try:
        if manifest.snapshot <= store.latest().id:
            view = View.open(store.path, store.reader(store.snapshot(manifest.snapshot)))
            if same(view):
                return view
    except NotFound:
        raise NotFound(
            f"the job in {folder} reads snapshot {manifest.snapshot}, which compaction has removed "
            f"from the store: {ANEW}; compact keeps snapshots of the last hours (--retain-hours)",
            snapshot=manifest.snapshot,
        ) from None
    raise InvalidInput(
        f"the job in {folder} reads another store than {store.path}: name that one or another "
        f"folder, or {ANEW}"
    )


def _report(
    folder: Path, manifest: Manifest, computed: int, repaired: tuple[str, ...]
) -> NeighboursReport:
    return NeighboursReport(
        folder=folder,
        space=manifest.space,
        frame=manifest.frame,
        snapshot=manifest.snapshot,
        asked=sum(manifest.asked.values()),
        rows=sum(shard.rows for shard in manifest.shards),
        shards=len(manifest.shards),
        computed=computed,
        repaired=repaired,
    )
