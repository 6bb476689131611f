"""Named points of a write at which a test may kill the process or raise.

Every step that leaves something on disk calls `reach(name)` right after it. In production the hook
does nothing; a test replaces it with `set_hook` in a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable

NAMES = (
    "create-tables-written",
    "space-table-created",
    "space-written",
    "attributes-added",
    "segments-written",
    "entities-written",
    "items-written",
    "failures-written",
    "records-written",
    "space-removed",
    "snapshot-written",
    "rollback-tables-restored",
    "upgrade-items-widened",
    "upgrade-tables-written",
    "compaction-started",
    "compaction-rows-purged",
    "compaction-tables-rewritten",
    "compaction-committed",
    "compaction-snapshots-expired",
    "compaction-tables-dropped",
    "compaction-cleanup",
)
"""All points, in the order in which a store's life meets them."""


def _nothing(name: str) -> None:
    pass


_hook: Callable[[str], None] = _nothing


def reach(name: str) -> None:
    """Tell the hook that the write has come to the point `name` (one of `NAMES`)."""
    _hook(name)


def set_hook(hook: Callable[[str], None] | None) -> None:
    """Call `hook(name)` at every point from now on; None puts the no-op back."""
    global _hook
    _hook = _nothing if hook is None else hook
