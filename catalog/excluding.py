"""What a search leaves out: stored things that ask, and ids that the caller excludes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np

from trichord.catalog.items import ItemTable
from trichord.types import I64, Bool

SPARE = 8
"""Places that are asked for beyond those wanted when ids are excluded; most of a long list of ids
is far from the query."""
FEW_LEFT_OUT = 64
"""Up to so many items of its own a query leaves out by asking for as many more, beyond by a
mask."""


@dataclass(frozen=True)
class Exclusion:
    """Ids are compared with those of the few hits, rather than looked up one by one: of ten
    thousand excluded ids hardly any is among them."""

    item_ids: frozenset[str] = frozenset()
    entity_ids: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.item_ids or self.entity_ids)

    def hits(self, table: ItemTable, items: I64) -> Bool:
        """Which of some rows of the item table (-1: none) are excluded, bool like `items`."""
        flat = items.reshape(-1)
        out = np.zeros(len(flat), bool)
        if self.item_ids:
            out |= _within(table.ids.take(flat), self.item_ids)
        if self.entity_ids:
            out |= _within(table.entity_ids(flat), self.entity_ids)
        return out.reshape(items.shape) & (items >= 0)

    def mask(self, table: ItemTable) -> Bool:
        """Which items are excluded, bool (items,)."""
        out = np.zeros(len(table), bool)
        out[_known(table.rows, self.item_ids, len(table))] = True
        if self.entity_ids:
            codes = _known(table.entity_codes_of, self.entity_ids, len(table.entity_codes_of))
            wanted = np.zeros(len(table.entity_codes_of), bool)
            wanted[codes] = True
            out |= wanted[table.entity_code]
        return out


def left_out(items: I64, own: Sequence[Sequence[int]]) -> Bool:
    """Which places show an item that its query leaves out: items int64 (n, m), `own` per query."""
    out = np.zeros(items.shape, bool)
    for query, rows in enumerate(own):
        if len(rows) == 1:
            out[query] = items[query] == rows[0]
        elif len(rows):
            out[query] = np.isin(items[query], rows)
    return out


def _within(ids: Sequence[str], excluded: frozenset[str]) -> Bool:
    return np.fromiter(map(excluded.__contains__, ids), bool, len(ids))


def _known(rows: dict[str, int], ids: frozenset[str], size: int) -> I64:
    found = np.fromiter(map(rows.get, ids, repeat(-1)), np.int64, len(ids))
    return found[(found >= 0) & (found < size)]
