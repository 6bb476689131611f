"""Everything a search reads, as of one snapshot: the item table and the legs. Immutable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from trichord.catalog import aliases, calibration, migrating
from trichord.catalog.aliases import Alias
from trichord.catalog.calibration import Calibration
from trichord.catalog.excluding import Exclusion
from trichord.catalog.items import ItemTable
from trichord.catalog.legs import Leg, open_leg
from trichord.catalog.migrating import Record
from trichord.catalog.placing import Place, as_it_is
from trichord.errors import InvalidInput
from trichord.filters import Filter, written
from trichord.index.groups import Groups
from trichord.index.rowset import RowSet
from trichord.store import Reader, Snapshot
from trichord.store.schema import RECORDS, SPACES
from trichord.store.spaces import StoredSpace
from trichord.types import I64, Bool, Group, Modality, Space

LegKey = tuple[str, Modality]

MAX_EXCLUSIONS = 16
"""Masks of excluded ids kept per view: a user's list is used for some calls, then never again."""

MAX_DERIVED = 64
"""Row sets kept per view: each is a byte per row of its leg."""


@dataclass(frozen=True)
class View:
    """`stored`: the spaces by name. `place`: where the indexes answer. `derived` keeps what
    searches compute from the rest; two threads may both compute one."""

    snapshot: Snapshot
    reader: Reader
    items: ItemTable
    stored: Mapping[str, StoredSpace]
    legs: Mapping[LegKey, Leg]
    aliases: Mapping[str, Alias]
    migrations: Mapping[str, Record]
    place: Place = field(default=as_it_is, compare=False, repr=False)
    derived: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)
    exclusions: dict[Exclusion, Bool] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def open(cls, store: Path, reader: Reader, place: Place = as_it_is) -> View:
        """Everything read anew; raises NotFound if compaction removed the snapshot."""
        items, stored = ItemTable.load(reader), _stored(reader)
        legs = {
            (name, modality): open_leg(store, reader, one, modality, items, place=place)
            for name, one in stored.items()
            for modality in one.space.encoders
        }
        return cls(reader.snapshot, reader, items, stored, legs, *_records(reader), place)

    def refreshed(self, store: Path, reader: Reader) -> View:
        """The view at a later snapshot: by what changed if that is still known, else anew."""
        since, now = self.snapshot.revision, reader.snapshot
        if since < now.floor:
            return View.open(store, reader, self.place)
        stored = self.stored if self._same(SPACES, now) else _stored(reader)
        named = (self.aliases, self.migrations) if self._same(RECORDS, now) else _records(reader)
        # A space that was removed and added anew under its name begins anew here too.
        old = {name for name, one in stored.items() if _begun(self.stored.get(name)) == _begun(one)}
        try:
            items, touched = self.items.refreshed(reader, since)
            legs = {
                (name, modality): self.legs[name, modality].refreshed(items, touched, reader, since)
                if (name, modality) in self.legs and name in old
                else open_leg(store, reader, one, modality, items, place=self.place)
                for name, one in stored.items()
                for modality in one.space.encoders
            }
        except InvalidInput:  # compacted between the two looks
            return View.open(store, reader, self.place)
        return View(now, reader, items, stored, legs, *named, self.place)

    def with_leg(self, leg: Leg) -> View:
        legs = {**self.legs, (leg.space, leg.modality): leg}
        return replace(self, legs=legs, derived={})

    @property
    def spaces(self) -> Mapping[str, Space]:
        """In the order in which they were added."""
        return {name: one.space for name, one in self.stored.items()}

    def named(self, name: str | None, otherwise: str) -> str:
        """The space that a name or an alias stands for here; no name means the alias "default" if
        there is one, else `otherwise`."""
        return aliases.resolved(name, self.aliases, otherwise)

    def served(self) -> list[Space]:
        """The spaces that an alias names or that a migration goes between."""
        names = [alias.space for alias in self.aliases.values()]
        for record in self.migrations.values():
            if record.state.under_way:
                names += [record.source, record.space]
        return [self.stored[name].space for name in dict.fromkeys(names) if name in self.stored]

    def _same(self, table: str, now: Snapshot) -> bool:
        return now.versions.get(table) == self.snapshot.versions.get(table)

    def grouping(self, leg: Leg, group: Group) -> Groups:
        """What each row of the leg is grouped by: its item, or its entity."""

        def made() -> Groups:
            items = leg.rows.item
            if group is Group.ITEM:
                return Groups(items)
            return Groups(np.where(items < 0, items, self.items.entity_code[items]))

        groups: Groups = self._once((leg.space, leg.modality, group), made)
        return groups

    def ungrouped(self, leg: Leg, group: Group) -> bool:
        """Whether every row that can be found is a group of its own, so that there is nothing to
        group."""
        match group:
            case Group.SEGMENT:
                return True
            case Group.ITEM:
                return leg.single
            case Group.ENTITY:
                return leg.single and self.items.each_its_own_entity

    def allowed(
        self, leg: Leg, where: Filter | None = None, visible: Filter | None = None
    ) -> RowSet | None:
        """Rows of the leg that are not removed and whose items pass both filters; None: all.

        Raises FilterError for unknown fields and wrong types of `where`.
        """

        if where is None and visible is None:
            return None  # a live index knows by itself which of its rows are removed

        def rows() -> RowSet | None:
            passing = self.passing(where, visible)
            assert passing is not None
            # Rows of items that are gone point nowhere, and are not alive.
            rows = leg.index.alive & passing[leg.rows.item]
            return None if rows.all() else RowSet(rows)

        key = (leg.space, leg.modality, written(where), written(visible))
        found: RowSet | None = self._once(key, rows)
        return found

    def excluded(self, exclusion: Exclusion) -> Bool | None:
        """Which items are excluded by id, bool (items,); None: none."""
        if not exclusion:
            return None
        found: Bool | None = self.exclusions.get(exclusion)
        if found is None:
            if len(self.exclusions) >= MAX_EXCLUSIONS:
                self.exclusions.clear()
            found = self.exclusions[exclusion] = exclusion.mask(self.items)
        return found

    def texts(self, items: I64) -> list[str | None]:
        """The stored text of items (rows of the item table); None where there is none. Raises
        NotFound if the view's snapshot is no longer kept."""
        ids = self.items.ids.take(items)
        rows = self.reader.get_items(list(dict.fromkeys(ids))).select(["item_id", "text"])
        stored = {row["item_id"]: row["text"] for row in rows.to_pylist()}
        return [stored.get(item_id) for item_id in ids]

    def passing(self, where: Filter | None, visible: Filter | None) -> Bool | None:
        """Items that pass both filters, bool (items,); None without a filter."""
        if where is None:
            return self.shown(visible)
        asked, shown = self.items.passing(where), self.shown(visible)
        return asked if shown is None else asked & shown

    def shown(self, visible: Filter | None) -> Bool | None:
        """Items that a policy's filter shows, bool (items,); None: all. A field that no item has
        yet is a missing value there, not an error."""
        return None if visible is None else self.items.passing(visible, lenient=True)

    def calibration(self, space: Space) -> Calibration | None:
        """What the scores of the space mean; None until it is calibrated as it is now."""

        def read() -> Calibration | None:
            record = self.reader.records(calibration.KIND).get(space.name)
            made = None if record is None else Calibration.from_json(record)
            return made if made is not None and made.fits(space) else None

        found: Calibration | None = self._once((calibration.KIND, space.name), read)
        return found

    def _once(self, key: Any, make: Callable[[], Any]) -> Any:
        if key in self.derived:
            return self.derived[key]
        if len(self.derived) >= MAX_DERIVED:
            self.derived.clear()
        made = self.derived[key] = make()
        return made


def _stored(reader: Reader) -> dict[str, StoredSpace]:
    return {one.space.name: one for one in reader.spaces()}


def _records(reader: Reader) -> tuple[dict[str, Alias], dict[str, Record]]:
    return aliases.read(reader.records(aliases.KIND)), migrating.read(
        reader.records(migrating.KIND)
    )


def _begun(one: StoredSpace | None) -> datetime | None:
    return None if one is None else one.created_timestamp


def rows_of(wanted: Bool, leg: Leg) -> I64:
    """Rows of the leg whose items are `wanted` (bool over the item table), live ones only."""
    if not len(wanted):
        return np.zeros(0, np.int64)
    return np.flatnonzero(wanted[leg.rows.item] & leg.index.alive)
