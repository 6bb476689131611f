"""The store's writer as all of one process share it, and deletion through it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

from trichord.catalog.found import found, live_rows, members
from trichord.catalog.migrating import failure_source
from trichord.catalog.turns import Line, writer_in_turn
from trichord.catalog.view import View
from trichord.errors import NotFound, StoreError
from trichord.filters import Filter
from trichord.store import Store, Writer

OWNER = "trichord"


PATIENCE_S = 10.0
"""How long a serving catalogue waits while another process writes."""

KEPT_S = 0.5
"""Who writes keeps the lease for this long at least: opening a writer reads all keys."""

LOOK_EVERY_S = 0.1
"""How often a writer that is idle looks whether another process waits."""


class SharedWriter:
    """One writer for all who write in this process: opened by the first, closed by the last.

    Who writes holds `lock` from looking at what is stored until the commit. Between two such
    spells another process that waits gets the store, and the next spell begins with a writer opened
    anew. `patience_s`: how long the first waits for other processes.
    """

    def __init__(self, store: Store, patience_s: float = 0.0) -> None:
        self.lock: Any = _Spell(self)
        self._store = store
        self._line = Line(store.path)
        self._patience_s = patience_s
        self._writer: Writer | None = None
        self._opened = 0.0
        self._users = self._times = 0

    @contextmanager
    def use(self) -> Iterator[Writer]:
        """Raises StoreLocked if another process writes."""
        with self.lock.plain:
            if self._writer is None:
                self._open(PATIENCE_S if self._users else self._patience_s)
            self._users += 1
            if self._users == 1:
                self._times += 1
                threading.Thread(
                    target=self._look, args=(self._times,), name="trichord-lease", daemon=True
                ).start()
        try:
            yield cast(Writer, _Lent(self))
        finally:
            with self.lock.plain:
                self._users -= 1
                if not self._users:
                    self._close()

    def begin(self) -> None:
        """A spell begins: there is a writer, if anybody writes at all."""
        if self._users and self._writer is None:
            self._open(PATIENCE_S)

    def end(self) -> None:
        """A spell ends: whoever waits may be let in."""
        kept = time.monotonic() - self._opened
        if self._writer is not None and kept >= KEPT_S and self._line.waiting():
            self._close()

    @property
    def current(self) -> Writer:
        if self._writer is None:
            raise StoreError("the writer is closed: open another one")
        return self._writer

    def _open(self, patience_s: float) -> None:
        self._writer = writer_in_turn(self._store, self._line, OWNER, patience_s)
        self._opened = time.monotonic()

    def _close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def _look(self, times: int) -> None:
        while True:
            time.sleep(LOOK_EVERY_S)
            with self.lock.plain:
                if not self._users or times != self._times:
                    return  # all are done, and whoever came since has a thread of its own
                self.end()


class _Spell:
    """A lock that may be taken again by who holds it; `plain` takes it without a spell."""

    def __init__(self, shared: SharedWriter) -> None:
        self.plain = threading.RLock()
        self._shared = shared
        self._depth = 0

    def __enter__(self) -> None:
        self.plain.acquire()
        try:
            if not self._depth:
                self._shared.begin()
        except BaseException:
            self.plain.release()
            raise
        self._depth += 1

    def __exit__(self, *raised: object) -> None:
        self._depth -= 1
        try:
            if not self._depth:
                self._shared.end()
        finally:
            self.plain.release()


class _Lent:
    """The writer of the moment, for one who uses it."""

    def __init__(self, shared: SharedWriter) -> None:
        self._shared = shared

    def __getattr__(self, name: str) -> Any:
        with self._shared.lock:
            found = getattr(self._shared.current, name)
        if not callable(found):
            return found

        def called(*args: Any, **kwargs: Any) -> Any:
            with self._shared.lock:
                return getattr(self._shared.current, name)(*args, **kwargs)

        return called


def delete(
    writer: Writer,
    view: View,
    item_ids: Sequence[str],
    entity_ids: Sequence[str],
    visible: Filter | None,
) -> int:
    """Deletes items, and entities with all their items, in one commit; returns how many items.

    `view` is of the writer's snapshot. What `visible` hides counts as not stored and stays, and
    with it the attributes of its entity. Raises NotFound naming unknown ids; then nothing is
    deleted.
    """
    shown = view.shown(visible)
    rows = set(live_rows(view, item_ids, shown).values())
    there = found(view, [], entity_ids, (), visible=visible)
    unknown = [
        item_id for item_id in dict.fromkeys(item_ids) if view.items.row(item_id) not in rows
    ]
    unknown += there.missing_entity_ids
    if unknown:
        more = f" and {len(unknown) - 20} more" if len(unknown) > 20 else ""
        raise NotFound(
            f"nothing was deleted, because these are not stored: {', '.join(unknown[:20])}{more}",
            ids=",".join(unknown[:100]),
        )
    of_entity = members(view, entity_ids, shown)
    rows.update(int(row) for part in of_entity.values() for row in part)
    everything = members(view, entity_ids, None)
    own = set(view.items.entities["entity_id"].to_list())
    emptied = [
        entity.entity_id
        for entity in there.entities
        if entity.entity_id in own
        and len(of_entity.get(entity.entity_id, ())) == len(everything.get(entity.entity_id, ()))
    ]
    ids = view.items.frame["item_id"][sorted(rows)].to_list()
    spaces = [name for one in view.migrations.values() for name in (one.space, one.source)]
    writer.commit(
        deleted_items=ids,
        deleted_entities=emptied,
        resolved_sources=[failure_source(name, one) for name in set(spaces) for one in ids],
    )
    return len(ids)
