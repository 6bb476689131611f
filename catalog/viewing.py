"""The views of a catalogue: the newest, and older ones that pages of answers still need."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from pathlib import Path

from trichord.catalog.legs import Leg, folder, open_leg
from trichord.catalog.placing import Place, as_it_is
from trichord.catalog.view import LegKey, View
from trichord.errors import NotFound, PageTokenError, StoreDamaged
from trichord.index.manifest import MANIFEST, manifest_of
from trichord.store import Store

LOOK_EVERY_S = 0.25
"""How old the newest view may be before a read looks for a newer snapshot."""

VIEWS_KEPT = 4
"""Older views that stay at hand: so many whose further pages were asked for, and so many whose
first page was the last to be given out. Others are read from the store again."""


class Views:
    """Hands out immutable views; safe to use from many threads. Reads never wait for a refresh
    that another thread runs."""

    def __init__(self, store: Store, *, kept: bool = False, place: Place = as_it_is) -> None:
        """kept: somebody keeps the indexes up to date (see `building`); else bases that other
        processes build are taken over by whoever looks for a newer snapshot. place: where the
        indexes answer."""
        self._store = store
        self._kept = kept
        self._refreshing = threading.Lock()
        self._loading = threading.Lock()
        self._offering = threading.Lock()
        self.building = threading.Lock()
        """Held by who builds bases: two would build and keep the same one twice."""
        self._followed: OrderedDict[int, View] = OrderedDict()
        self._offered: OrderedDict[int, View] = OrderedDict()
        self._looked = time.monotonic()
        self._place = place
        self._tried: dict[LegKey, tuple[int, int]] = {}
        self._newest = View.open(store.path, store.reader(), place)

    @property
    def newest(self) -> View:
        """As of the last look."""
        return self._newest

    def current(self) -> View:
        """The newest view, after a look for a newer snapshot if the last one is long ago."""
        stale = time.monotonic() - self._looked > LOOK_EVERY_S
        if stale and self._refreshing.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._refreshing.release()
        return self._newest

    def refresh(self) -> View:
        """The view of the snapshot that is the latest now, or of a later one."""
        with self._refreshing:
            self._look()
            return self._newest

    def offer(self, view: View) -> None:
        """Keeps the view for a while, because a token for a further page of it is given out."""
        with self._offering:
            _keep(self._offered, view)

    def at(self, snapshot: int) -> View:
        """The view of one snapshot; raises PageTokenError if it is no longer kept."""
        with self._loading:
            newest = self._newest
            view = newest if newest.snapshot.id == snapshot else None
            view = view or self._followed.get(snapshot) or self._offered.get(snapshot)
            if view is None:
                try:
                    reader = self._store.reader(self._store.snapshot(snapshot))
                    view = View.open(self._store.path, reader, self._place)
                except NotFound:
                    raise PageTokenError(
                        f"snapshot {snapshot} of this page is no longer kept: start again from "
                        "the first page",
                        snapshot=snapshot,
                    ) from None
            _keep(self._followed, view)
            return view

    def adopt(self, built_at: View, leg: Leg) -> Leg:
        """Puts a leg with a new base, which was opened at an older view, under the newest one."""
        with self._refreshing:
            view = self._newest
            stored = view.stored.get(leg.space)
            begun = built_at.stored[leg.space].created_timestamp
            if stored is None or stored.created_timestamp != begun:
                return leg  # of a space that was removed meanwhile
            since = built_at.snapshot.revision
            if built_at.items.rows is view.items.rows and since >= view.snapshot.floor:
                # The same numbering of items, so only what changed since has to be made up.
                leg = leg.refreshed(view.items, None, view.reader, since)
            else:
                leg = open_leg(
                    self._store.path,
                    view.reader,
                    stored,
                    leg.modality,
                    view.items,
                    place=view.place,
                )
            self._newest = view.with_leg(leg)
            return leg

    def _look(self) -> None:
        self._looked = time.monotonic()
        latest, view = self._store.latest(), self._newest
        if latest.id != view.snapshot.id:
            view = view.refreshed(self._store.path, self._store.reader(latest))
        if not self._kept:
            for leg in list(view.legs.values()):
                view = self._with_newer(view, leg)
        self._newest = view

    def _with_newer(self, view: View, leg: Leg) -> View:
        """The view with the base that another process has built since, where the leg has none of
        its own or that has gone stale."""
        if leg.kept and not leg.stale:
            return view
        home, key = folder(self._store.path, leg.space, leg.modality), (leg.space, leg.modality)
        identity = _identity(home)
        if identity is None or identity == self._tried.get(key):
            return view  # one that would not do must not be read at every look
        try:
            snapshot = int(manifest_of(home).meta["snapshot"])
        except (StoreDamaged, KeyError):
            snapshot = -1
        if snapshot > view.snapshot.id:
            return view  # it will do for the next one
        self._tried[key] = identity
        if snapshot < 0 or (leg.kept and snapshot <= leg.built_from):
            return view
        stored = view.stored[leg.space]
        opened = open_leg(
            self._store.path, view.reader, stored, leg.modality, view.items, place=view.place
        )
        return view.with_leg(opened) if opened.kept and not opened.stale else view


def _identity(home: Path) -> tuple[int, int] | None:
    """What tells one manifest from the next; None: there is none."""
    try:
        facts = (home / MANIFEST).stat()
    except OSError:
        return None
    return facts.st_ino, facts.st_mtime_ns


def _keep(views: OrderedDict[int, View], view: View) -> None:
    views[view.snapshot.id] = view
    views.move_to_end(view.snapshot.id)
    while len(views) > VIEWS_KEPT:
        views.popitem(last=False)
