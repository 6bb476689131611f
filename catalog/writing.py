"""The store's writer as all of one process share it, and deletion through it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from trichord.catalog.found import found, live_rows, members
from trichord.catalog.migrating import failure_source
from trichord.catalog.view import View
from trichord.errors import NotFound
from trichord.filters import Filter
from trichord.store import Store, Writer

OWNER = "trichord"


class SharedWriter:
    """One writer for all who write in this process: opened by the first, closed by the last.

    Who writes holds `lock` from looking at what is stored until the commit.
    """

    def __init__(self, store: Store) -> None:
        self.lock = threading.RLock()
        self._store = store
        self._writer: Writer | None = None
        self._users = 0

    @contextmanager
    def use(self) -> Iterator[Writer]:
        """Raises StoreLocked if another process writes."""
        with self.lock:
            if self._writer is None:
                self._writer = self._store.writer(owner=OWNER)
            writer = self._writer
            self._users += 1
        try:
            yield writer
        finally:
            with self.lock:
                self._users -= 1
                if not self._users:
                    self._writer = None
                    writer.close()


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
