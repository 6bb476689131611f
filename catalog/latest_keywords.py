"""The keywords of a catalogue's views: opened when first asked for, then carried from view to
view, so that a catalogue that is never asked by words pays nothing."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path

from trichord.catalog.keywords import Keywords, folder
from trichord.catalog.view import View
from trichord.index import arrays
from trichord.store import Reader

OLDER_KEPT = 4
"""Keywords of older views, whose further pages are asked for, that stay at hand."""


class LatestKeywords:
    """Safe to use from many threads: a search waits for another thread only where that makes what
    it needs itself."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._opening = threading.Lock()
        self._loading = threading.Lock()
        self._building = threading.Lock()
        self._latest: tuple[Keywords, Reader] | None = None
        self._older: OrderedDict[int, Keywords] = OrderedDict()

    def at(self, view: View) -> Keywords:
        """As of the view. Raises NotFound if compaction removed its snapshot before it was asked
        for words."""
        latest = self._latest
        if latest is not None and latest[0].items is view.items:
            return latest[0]
        if latest is not None and view.snapshot.id < latest[0].snapshot:
            return self._of_older(view)
        with self._opening:
            latest = self._latest
            if latest is None:
                found = Keywords.open(self._store, view.reader, view.items)
            elif view.snapshot.id >= latest[0].snapshot:
                found = latest[0].refreshed(view.reader, view.items)
            else:  # another thread was here with a newer view
                return self._of_older(view)
            self._latest = found, view.reader
            return found

    def follow(self, view: View) -> None:
        """Brings the keywords up to the view ahead of the next search, if they are in use."""
        if self._latest is not None:
            self.at(view)

    def build_due(self, view: View, *, everything: bool = False) -> bool:
        """Builds a stale base anew (or with `everything` any that is in use or on disk); says
        whether it did. Searches go on meanwhile."""
        with self._building:
            if self._latest is None and not (everything and arrays.exists(folder(self._store))):
                return False
            if not (everything or self.at(view).stale):
                return False
            fresh = Keywords.rebuild(self._store, view.reader, view.items)
            with self._opening:
                latest = self._latest
                if latest is None or latest[0].snapshot <= fresh.snapshot:
                    self._latest = fresh, view.reader
                else:
                    newest, reader = latest
                    self._latest = fresh.refreshed(reader, newest.items), reader
            return True

    def _of_older(self, view: View) -> Keywords:
        with self._loading:
            found = self._older.get(view.snapshot.id)
            if found is None or found.items is not view.items:
                found = Keywords.open(self._store, view.reader, view.items)
            self._older[view.snapshot.id] = found
            self._older.move_to_end(view.snapshot.id)
            while len(self._older) > OLDER_KEPT:
                self._older.popitem(last=False)
            return found
