"""A space leaves a store: its rows, its indexes, and what the store keeps about it."""

from __future__ import annotations

import shutil

from trichord.catalog import aliases, calibration, migrating
from trichord.catalog.admitting import Recorded, forgotten
from trichord.errors import NotFound, StoreError
from trichord.store import Store


def users(stored: Recorded, space: str) -> list[str]:
    """What still needs a space: aliases that name it and migrations under way from or to it."""
    named = aliases.of_space(space, aliases.read(stored.records(aliases.KIND)))
    found = [f"the alias {name!r} names it" for name in named]
    found += [
        f"the migration from {one.source!r} to {one.space!r} is {one.state}"
        for one in migrating.read(stored.records(migrating.KIND)).values()
        if one.state.under_way and space in (one.space, one.source)
    ]
    return found


def remove_space(store: Store, space: str) -> int:
    """Removes a space with all its segments from a store; the items stay. Returns the snapshot.

    Raises NotFound, StoreError while an alias or a migration needs it, StoreLocked.
    """
    with store.writer(owner="space remove") as writer:
        there = [one.name for one in store.spaces()]
        if space not in there:
            raise NotFound(
                f"the store has no space {space!r}; it has {', '.join(there) or 'none'}",
                space=space,
            )
        reader = store.reader()
        needed = users(reader, space)
        if needed:
            raise StoreError(
                f"the space {space!r} is not removed: {'; '.join(needed)} (switch or abandon"
                " first: trichord migrate)",
                space=space,
            )
        calibrated = {space: None} if space in reader.records(calibration.KIND) else {}
        records = {**forgotten(reader, space), calibration.KIND: calibrated}
        snapshot = writer.remove_space(space, records=records, message=f"space {space} removed")
    shutil.rmtree(store.path / "indexes" / space, ignore_errors=True)
    return snapshot.id
