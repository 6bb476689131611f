"""The nearest things of many things of one view: who asks, in which order, and whom they find.

A thing is an item, an entity or a segment, whichever a list is of. The score of two things is that
of their best pair of segments. Every segment of the asking thing asks for the k best things; what
is among the k best by its best pair is among the k best of that pair's segment, because whatever is
nearer to that segment has a better pair too. So the best of all these answers are the k nearest,
exactly where the index is exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np

from trichord.catalog.legs import Leg
from trichord.catalog.view import View
from trichord.index.base import PADDING
from trichord.index.groups import Groups, search_groups
from trichord.index.live import LiveIndex
from trichord.index.rowset import RowSet
from trichord.types import F32, I64, Bool, Group

TIES = 256
"""Things that have exactly the k-th score are all looked at, up to so many, to list those with the
first ids. A catalogue with more copies of one vector gets some of them."""

FIRST_OWN = 16
"""So many segments of the asking item are expected among the nearest segments; a search that met
more goes deeper."""


@dataclass(frozen=True)
class Ranks:
    """The places of items and entities in the order of their ids, by row of the item table: int64
    (items + 1,), where the last is for rows that are no item's any more. Items of one entity share
    a place of `entity`."""

    item: I64
    entity: I64

    @classmethod
    def of(cls, view: View) -> Ranks:
        frame = view.items.frame
        item, entity = (
            frame.get_column(name).rank("dense").to_numpy().astype(np.int64)
            for name in ("item_id", "entity_id")
        )
        return cls(np.append(item, 0), np.append(entity, 0))


class Side:
    """A leg as one side of pairs. Per row, int64 (rows,): `order`, the place of the segment in the
    order of (item id, ordinal); `thing`, the number of its thing, in the order of ids; `own`, what
    a thing shares with those that it must not find: its item, or its entity."""

    def __init__(self, leg: Leg, ranks: Ranks, group: Group) -> None:
        self.leg = leg
        item = ranks.item[leg.rows.item]
        self.order = np.empty(len(item), np.int64)
        self.order[np.lexsort((leg.rows.ordinal, item))] = np.arange(len(item))
        match group:
            case Group.SEGMENT:
                self.thing, self.own = self.order, item
            case Group.ITEM:
                self.thing = self.own = item
            case Group.ENTITY:
                self.thing = self.own = ranks.entity[leg.rows.item]


class Askers:
    """The things of a side that ask, in the order of their ids: the segments of thing i are
    `rows[offsets[i] : offsets[i + 1]]`, rows of the leg."""

    def __init__(self, side: Side, wanted: Bool) -> None:
        """`wanted`: bool (rows,), which rows of the leg ask."""
        rows = np.flatnonzero(wanted)
        self.side = side
        self.rows = rows[np.lexsort((side.order[rows], side.thing[rows]))]
        things = side.thing[self.rows]
        starts = np.flatnonzero(np.diff(things, prepend=-1))
        self.offsets = np.append(starts, len(rows)).astype(np.int64)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def parts(self, first: int, stop: int, size: int) -> Iterator[tuple[int, int]]:
        """Ranges of the things first to stop that have up to `size` segments together, or are one
        thing."""
        while first < stop:
            full = int(np.searchsorted(self.offsets, self.offsets[first] + size, side="right")) - 1
            upto = min(stop, max(full, first + 1))
            yield first, upto
            first = upto


class Target:
    """A side whose things are found. `allowed`: rows that may be; None: all that are alive."""

    def __init__(self, side: Side, allowed: RowSet | None, exact: bool) -> None:
        self.side = side
        self.index: LiveIndex = side.leg.exact if exact else side.leg.index
        self.allowed = allowed
        self.available = self.index.live if allowed is None else allowed.count
        alive = self.index.alive if allowed is None else allowed.mask
        self._own_rows = np.bincount(side.own[alive]).astype(np.int64)
        several = len(things := side.thing[alive]) and np.bincount(things).max() > 1
        self._groups = Groups(side.thing) if several else None

    @property
    def told(self) -> str:
        """What answers, for the record."""
        kind = self.index.info.kind
        return kind if kind == "exact" else f"{kind} of snapshot {self.side.leg.built_from}"

    def search(self, matrix: F32, depth: int) -> tuple[I64, F32]:
        """Rows int64 and scores float32 (n, depth): the best segments, or each thing's best."""
        if self._groups is None:
            flat = self.index.search(matrix, depth, allowed=self.allowed)
            return flat.rows, flat.scores
        found = search_groups(self.index, matrix, depth, self._groups, allowed=self.allowed)
        return found.rows[:, :, 0], found.scores

    def own_of(self, own: I64) -> I64:
        """How many places of an answer things of these numbers of `own` can take up, each."""
        if self._groups is not None:
            return np.ones(len(own), np.int64)
        known = own < len(self._own_rows)
        return np.where(known, self._own_rows[np.where(known, own, 0)], 0)


@dataclass(frozen=True)
class Pairs:
    """One pair of segments a row: `asker`, a number of an asking thing; rows of both legs; the
    score."""

    asker: I64
    asking: I64
    answering: I64
    score: F32

    def __getitem__(self, chosen: I64 | Bool) -> Pairs:
        return Pairs(*(getattr(self, one.name)[chosen] for one in fields(self)))

    @classmethod
    def none(cls) -> Pairs:
        nothing = np.zeros(0, np.int64)
        return cls(nothing, nothing, nothing, np.zeros(0, np.float32))

    @classmethod
    def joined(cls, parts: Sequence[Pairs]) -> Pairs:
        columns = ([getattr(part, one.name) for part in parts] for one in fields(cls))
        return cls(*(np.concatenate(column) for column in columns))


def lists(
    askers: Askers, first: int, stop: int, target: Target, limit: int, floor: float, batch: int
) -> tuple[Pairs, I64]:
    """The `limit` nearest things in the target of each of the asking things first to stop, by
    asker, then rank; and their ranks, from 1.

    Equal scores are ordered by id. Scores below `floor` are left out. At most `batch` segments ask
    at a time, and no more than their answers and one list per thing are held.
    """
    begin, end = int(askers.offsets[first]), int(askers.offsets[stop])
    things = np.repeat(np.arange(first, stop), np.diff(askers.offsets[first : stop + 1]))
    best = Pairs.none()
    for start in range(begin, end, batch):
        rows = askers.rows[start : min(end, start + batch)]
        asker = things[start - begin :][: len(rows)]
        found = _nearest(askers.side, target, rows, asker, limit, floor)
        best = _best(Pairs.joined([best, found]), askers.side, target.side, limit)
    return best, _ranks(best)


def _nearest(side: Side, target: Target, rows: I64, asker: I64, limit: int, floor: float) -> Pairs:
    """Enough pairs of each row to hold its `limit` nearest things, ties with the last included."""
    parts: list[Pairs] = []
    if target.available:
        matrix, own = side.leg.index.take(rows), side.own[rows]
        taken = target.own_of(own)
        deepest = limit + taken + TIES
        depth = limit + 1 + min(FIRST_OWN, int(taken.max()))
        pending = np.arange(len(rows))
        while len(pending):
            depth = min(depth, int(deepest[pending].max()), target.available)
            found, scores = target.search(matrix[pending], depth)
            there = found != PADDING
            others = there & (target.side.own[found] != own[pending, None])
            full = others.sum(axis=1) >= limit
            at = (np.cumsum(others, axis=1) == limit).argmax(axis=1)
            bar = np.where(full, scores[np.arange(len(pending)), at], np.float32(-np.inf))
            last = scores[:, -1]
            done = (bar > last) | ~there[:, -1] | (last < floor)
            done |= (depth >= target.available) | (depth >= deepest[pending])
            kept = others & (scores >= np.maximum(bar, np.float32(floor))[:, None])
            kept &= done[:, None]
            of, place = np.nonzero(kept)
            mine = pending[of]
            parts.append(Pairs(asker[mine], rows[mine], found[of, place], scores[of, place]))
            pending = pending[~done]
            depth *= 2
    return Pairs.joined(parts or [Pairs.none()])


def _best(pairs: Pairs, asking: Side, answering: Side, limit: int) -> Pairs:
    """The best pair of any two things, and of these the `limit` best per asker."""
    thing = answering.thing[pairs.answering]
    by_pair = np.lexsort(
        (
            answering.order[pairs.answering],
            asking.order[pairs.asking],
            -pairs.score,
            thing,
            pairs.asker,
        )
    )
    pairs, thing = pairs[by_pair], thing[by_pair]
    new = np.ones(len(thing), bool)
    new[1:] = (np.diff(pairs.asker) != 0) | (np.diff(thing) != 0)
    pairs, thing = pairs[new], thing[new]
    pairs = pairs[np.lexsort((thing, -pairs.score, pairs.asker))]
    return pairs[_ranks(pairs) <= limit]


def _ranks(pairs: Pairs) -> I64:
    """From 1 within each asker; pairs of one asker stand together."""
    places = np.arange(len(pairs.asker))
    starts = np.flatnonzero(np.diff(pairs.asker, prepend=-1))
    counts = np.diff(np.append(starts, len(places)))
    return places - np.repeat(starts, counts) + 1
