"""The truth of a catalogue: Lance tables, one writer, and snapshots that name consistent versions.

    Store      one directory; opens readers and the one writer
    Snapshot   a consistent version of all tables
    Reader     everything as of one snapshot, as Arrow
    Writer     the one process that may change the store (a context manager)
    Addition   what adding segments of a further space did
    verify     finds damage;  `stats` counts and weighs

The names are imported on first use, so that this package costs nothing until a store is opened.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trichord.store.additions import Addition
    from trichord.store.compaction import CompactionReport
    from trichord.store.keys import Lookup
    from trichord.store.problems import Problem
    from trichord.store.reader import Reader
    from trichord.store.snapshots import Snapshot
    from trichord.store.statistics import StoreStats, stats
    from trichord.store.store import Store
    from trichord.store.verification import VerifyReport, verify
    from trichord.store.writer import Writer

_HOMES = {
    "Addition": "additions",
    "CompactionReport": "compaction",
    "Lookup": "keys",
    "Problem": "problems",
    "Reader": "reader",
    "Snapshot": "snapshots",
    "Store": "store",
    "StoreStats": "statistics",
    "VerifyReport": "verification",
    "Writer": "writer",
    "stats": "statistics",
    "verify": "verification",
}

__all__ = [
    "Addition",
    "CompactionReport",
    "Lookup",
    "Problem",
    "Reader",
    "Snapshot",
    "Store",
    "StoreStats",
    "VerifyReport",
    "Writer",
    "stats",
    "verify",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
