"""Everything a search reads, as of one snapshot: the item table and the legs. Immutable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from trichord.catalog.items import ItemTable
from trichord.catalog.legs import Leg, open_leg
from trichord.errors import InvalidInput
from trichord.filters import Filter
from trichord.index.rowset import RowSet
from trichord.store import Reader, Snapshot
from trichord.store.schema import SPACES
from trichord.store.spaces import read_spaces
from trichord.store.tables import lance_errors
from trichord.types import I64, Bool, Group, Modality, Space

LegKey = tuple[str, Modality]

MAX_DERIVED = 64
"""Row sets kept per view: each is a byte per row of its leg."""


@dataclass(frozen=True)
class View:
    """`derived` keeps what searches compute from the rest; two threads may both compute one."""

    snapshot: Snapshot
    reader: Reader
    items: ItemTable
    spaces: Mapping[str, Space]
    legs: Mapping[LegKey, Leg]
    derived: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def open(cls, store: Path, reader: Reader) -> View:
        """Everything read anew; raises NotFound if compaction removed the snapshot."""
        items = ItemTable.load(reader)
        spaces = _spaces(reader)
        legs = {
            (name, modality): open_leg(store, reader, space, modality, items)
            for name, space in spaces.items()
            for modality in space.encoders
        }
        return cls(reader.snapshot, reader, items, spaces, legs)

    def refreshed(self, store: Path, reader: Reader) -> View:
        """The view at a later snapshot: by what changed if that is still known, else anew."""
        since = self.snapshot.revision
        if since < reader.snapshot.floor:
            return View.open(store, reader)
        same_spaces = reader.snapshot.versions[SPACES] == self.snapshot.versions[SPACES]
        spaces = self.spaces if same_spaces else _spaces(reader)
        try:
            items, touched = self.items.refreshed(reader, since)
            legs = {
                (name, modality): self.legs[name, modality].refreshed(items, touched, reader, since)
                if (name, modality) in self.legs
                else open_leg(store, reader, space, modality, items)
                for name, space in spaces.items()
                for modality in space.encoders
            }
        except InvalidInput:  # compacted between the two looks
            return View.open(store, reader)
        return View(reader.snapshot, reader, items, spaces, legs)

    def with_leg(self, leg: Leg) -> View:
        legs = {**self.legs, (leg.space, leg.modality): leg}
        return View(self.snapshot, self.reader, self.items, self.spaces, legs)

    def groups(self, leg: Leg, group: Group) -> I64:
        """What each row of the leg is grouped by: its item, or its entity; int64 (rows,)."""
        if group is Group.ITEM:
            return leg.rows.item

        def entities() -> I64:
            return self.items.entity_code[leg.rows.item]

        groups: I64 = self._once((leg.space, leg.modality, group), entities)
        return groups

    def allowed(
        self, leg: Leg, where: Filter | None = None, visible: Filter | None = None
    ) -> RowSet | None:
        """Rows of the leg that are not removed and whose items pass both filters; None: all.

        Raises FilterError for unknown fields and wrong types of `where`.
        """

        def rows() -> RowSet | None:
            alive = leg.index.alive
            passing = self.passing(where, visible)
            if passing is not None:
                # Rows of items that are gone point nowhere, and are not alive.
                alive = alive & passing[leg.rows.item]
            return None if alive.all() else RowSet(alive)

        found: RowSet | None = self._once(
            (leg.space, leg.modality, repr(where), repr(visible)), rows
        )
        return found

    def passing(self, where: Filter | None, visible: Filter | None) -> Bool | None:
        """Items that pass both filters, bool (items,); None without a filter."""
        asked = None if where is None else self.items.passing(where)
        shown = self.shown(visible)
        if asked is None or shown is None:
            return shown if asked is None else asked
        return asked & shown

    def shown(self, visible: Filter | None) -> Bool | None:
        """Items that a policy's filter shows, bool (items,); None: all. A field that no item has
        yet is a missing value there, not an error."""
        return None if visible is None else self.items.passing(visible, lenient=True)

    def _once(self, key: Any, make: Callable[[], Any]) -> Any:
        if key in self.derived:
            return self.derived[key]
        if len(self.derived) >= MAX_DERIVED:
            self.derived.clear()
        made = self.derived[key] = make()
        return made


def _spaces(reader: Reader) -> dict[str, Space]:
    with lance_errors("reading the spaces"):
        rows = reader.data(SPACES).to_table()
    return {stored.space.name: stored.space for stored in read_spaces(rows)}


def rows_of(wanted: Bool, leg: Leg) -> I64:
    """Rows of the leg whose items are `wanted` (bool over the item table), live ones only."""
    if not len(wanted):
        return np.zeros(0, np.int64)
    return np.flatnonzero(wanted[leg.rows.item] & leg.index.alive)
