"""Ranked places of several queries as tables: what the stages of a search hand to each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trichord.catalog.legs import Leg
from trichord.catalog.view import View
from trichord.index.base import PADDING
from trichord.types import F32, I64, Bool, Group

I8 = npt.NDArray[np.int8]
F64 = npt.NDArray[np.float64]


@dataclass(slots=True)
class Places:
    """Per query a row of places, best first; padding stands at the end.

    `rows` int64 (n, m, s): the best segments of each place as rows of its leg, best first, -1 pads.
    `scores` float32 (n, m, s): their cosines, -inf pads. `leg` int8 (n, m) numbers `legs`; None:
    all places are of `legs[0]`. `order` float64 (n, m): what the places are ordered by where that
    is not the cosine of the best segment (higher first); None: that cosine.
    """

    legs: Sequence[Leg]
    rows: I64
    scores: F32
    leg: I8 | None = None
    order: F64 | None = None

    @classmethod
    def none(cls, legs: Sequence[Leg], queries: int, segments: int = 1) -> Places:
        shape = (queries, 0, segments)
        return cls(legs, np.zeros(shape, np.int64), np.zeros(shape, np.float32))

    @property
    def there(self) -> Bool:
        """Which places are no padding, bool (n, m)."""
        there: Bool = self.rows[:, :, 0] != PADDING
        return there

    @property
    def counts(self) -> I64:
        """Places per query, int64 (n,)."""
        counts: I64 = self.there.sum(axis=1)
        return counts

    @property
    def ordered_by(self) -> F64 | F32:
        """(n, m), -inf for padding."""
        if self.order is None:
            return self.scores[:, :, 0]
        return np.where(self.there, self.order, -np.inf)

    def cut(self, first: int, last: int) -> Places:
        part = slice(first, last)
        return Places(
            self.legs,
            self.rows[:, part],
            self.scores[:, part],
            None if self.leg is None else self.leg[:, part],
            None if self.order is None else self.order[:, part],
        )

    def picked(self, at: I64) -> Places:
        """The places of columns `at`, int64 (n, m'), in that order."""
        deep = at[:, :, None]
        return Places(
            self.legs,
            np.take_along_axis(self.rows, deep, axis=1),
            np.take_along_axis(self.scores, deep, axis=1),
            None if self.leg is None else np.take_along_axis(self.leg, at, axis=1),
            None if self.order is None else np.take_along_axis(self.order, at, axis=1),
        )

    def kept(self, keep: Bool) -> Places:
        """Only the places that are kept, bool (n, m), in their order; others become padding at the
        end."""
        keep = keep & self.there
        if keep.all():
            return self
        at = np.argsort(~keep, axis=1, kind="stable")
        width = int(keep.sum(axis=1).max(initial=0))
        moved = self.picked(at[:, :width])
        gone = ~np.take_along_axis(keep, at[:, :width], axis=1)
        moved.rows[gone] = PADDING
        moved.scores[gone] = -np.inf
        return moved

    def of(self, query: int) -> Places:
        """The places of one query, without padding."""
        count = int((self.rows[query, :, 0] != PADDING).sum())
        return Places(
            self.legs,
            self.rows[query : query + 1, :count],
            self.scores[query : query + 1, :count],
            None if self.leg is None else self.leg[query : query + 1, :count],
            None if self.order is None else self.order[query : query + 1, :count],
        )

    def leg_numbers(self) -> I8:
        """`leg` where it is None too, int8 (n, m)."""
        if self.leg is not None:
            return self.leg
        return np.zeros(self.rows.shape[:2], np.int8)

    def items(self) -> I64:
        """The item of every place as a row of the item table, int64 (n, m), -1 for padding."""
        rows = self.rows[:, :, 0]
        if self.leg is None:
            items = self.legs[0].rows.item[rows]
        else:
            items = np.empty(rows.shape, np.int64)
            for number, leg in enumerate(self.legs):
                mine = self.leg == number
                items[mine] = leg.rows.item[rows[mine]]
        items[rows == PADDING] = PADDING
        return items


def keys_of(view: View, places: Places, group: Group) -> I64:
    """What tells the places of one search apart, int64 (n, m), -1 for padding: the segment (with
    its leg), the item or the entity."""
    items = places.items()
    match group:
        case Group.ITEM:
            return items
        case Group.ENTITY:
            keys = view.items.entity_code[items]
        case Group.SEGMENT:
            size = max((leg.index.size for leg in places.legs), default=1)
            keys = places.leg_numbers().astype(np.int64) * size + places.rows[:, :, 0]
    return np.where(items >= 0, keys, PADDING)


def deepened(table: Any, deep: int, fill: float) -> Any:
    """A table (n, m, s) with room for `deep` segments per place."""
    return _padded(table, table.shape[1], deep, fill)


def stacked(parts: Sequence[Places]) -> Places:
    """Places of other queries below each other; all are of the same legs."""
    if len(parts) == 1:
        return parts[0]
    width = max(part.rows.shape[1] for part in parts)
    deep = max(part.rows.shape[2] for part in parts)
    return Places(
        parts[0].legs,
        np.concatenate([_padded(p.rows, width, deep, PADDING) for p in parts]),
        np.concatenate([_padded(p.scores, width, deep, -np.inf) for p in parts]),
        None
        if all(part.leg is None for part in parts)
        else np.concatenate([_wide(part.leg_numbers(), width) for part in parts]),
        None
        if all(part.order is None for part in parts)
        else np.concatenate([_wide(np.asarray(p.ordered_by, np.float64), width) for p in parts]),
    )


def beside(parts: Sequence[Places]) -> Places:
    """Places of the same queries, each part of one leg, side by side: the legs are numbered by the
    part, and padding stands in between."""
    deep = max(part.rows.shape[2] for part in parts)
    ordered = any(part.order is not None for part in parts)
    return Places(
        [part.legs[0] for part in parts],
        np.concatenate([_padded(p.rows, p.rows.shape[1], deep, PADDING) for p in parts], axis=1),
        np.concatenate([_padded(p.scores, p.rows.shape[1], deep, -np.inf) for p in parts], axis=1),
        np.concatenate(
            [np.full(p.rows.shape[:2], number, np.int8) for number, p in enumerate(parts)], axis=1
        ),
        np.concatenate([np.asarray(p.ordered_by, np.float64) for p in parts], axis=1)
        if ordered
        else None,
    )


def _padded(table: Any, width: int, deep: int, fill: float) -> Any:
    n, m, s = table.shape
    if (m, s) == (width, deep):
        return table
    wide = np.full((n, width, deep), fill, table.dtype)
    wide[:, :m, :s] = table
    return wide


def _wide(table: Any, width: int) -> Any:
    if table.shape[1] == width:
        return table
    wide = np.zeros((len(table), width), table.dtype)
    wide[:, : table.shape[1]] = table
    return wide
