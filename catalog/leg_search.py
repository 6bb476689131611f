"""One leg is asked: segments, items or entities, less what a query leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from trichord.catalog.excluding import FEW_LEFT_OUT, SPARE, Exclusion, left_out
from trichord.catalog.legs import Leg
from trichord.catalog.places import Places, stacked
from trichord.catalog.view import View
from trichord.index.groups import search_groups
from trichord.index.rowset import RowSet
from trichord.query import SearchOptions
from trichord.types import F32, Bool, Group

NOTHING: tuple[int, ...] = ()

DEEPER, DEEPEST = 4, 400
"""What is left out may be just what is nearest: a search that came out short asks for four times as
many places, up to so many; behind that a mask of the rows is cheaper."""


@dataclass(slots=True)
class Question:
    """What a leg is asked: `matrix` float32 (n, dim); per query the items that it leaves out (rows
    of the item table); ids that all leave out; `how` goes to the index (recall, trace)."""

    matrix: F32
    own: Sequence[Sequence[int]]
    excluded: Exclusion
    options: SearchOptions
    how: dict[str, Any] = field(default_factory=dict)

    @property
    def leaves_out(self) -> bool:
        return bool(self.excluded) or any(self.own)

    def of(self, queries: Sequence[int]) -> Question:
        return Question(
            np.ascontiguousarray(self.matrix[list(queries)]),
            [self.own[query] for query in queries],
            self.excluded,
            self.options,
            self.how,
        )


def ask(view: View, leg: Leg, question: Question, depth: int, allowed: RowSet | None) -> Places:
    """The best `depth` places per query. `allowed`: rows of the leg that may be found; None:
    all."""
    if not question.leaves_out:
        return _search(view, leg, question, depth, allowed)
    extra = max(map(len, question.own), default=0)
    # An entity whose best item is left out may still stand there by another one, so the items must
    # be gone before entities are formed.
    by_mask = question.options.group is Group.ENTITY or extra > FEW_LEFT_OUT
    if by_mask:
        return _masked(view, leg, question, depth, allowed)
    spare = SPARE if question.excluded else 0
    return _dropped(view, leg, question, depth, allowed, depth + extra + spare)


def _dropped(
    view: View, leg: Leg, question: Question, depth: int, allowed: RowSet | None, asked: int
) -> Places:
    """`asked` places per query, less what is left out; for queries that are short of `depth` then,
    more of them, and in the end only what may be found."""
    found = _search(view, leg, question, asked, allowed)
    items = found.items()
    out = left_out(items, question.own)
    if question.excluded:
        out |= question.excluded.hits(view.items, items)
    full = found.counts >= min(asked, _available(leg, allowed))
    kept = found.kept(~out)
    short = np.flatnonzero(full & (kept.counts < depth) & (_available(leg, allowed) > asked))
    if not len(short):
        return kept.cut(0, depth)
    rest_of = question.of(short.tolist())
    deeper = asked * DEEPER
    again = (
        _dropped(view, leg, rest_of, depth, allowed, deeper)
        if deeper <= DEEPEST
        else _masked(view, leg, rest_of, depth, allowed)
    )
    rest = [query for query in range(len(question.own)) if query not in set(short.tolist())]
    order = np.argsort(np.concatenate([np.array(rest, np.int64), short]))
    parts = [_rows(kept.cut(0, depth), rest)] if rest else []
    return _rows(stacked([*parts, again]), order.tolist())


def _masked(view: View, leg: Leg, question: Question, depth: int, allowed: RowSet | None) -> Places:
    """Each query over the rows that it may find. Queries that leave out the same go together."""
    gone = view.excluded(question.excluded)
    together: dict[tuple[int, ...], list[int]] = {}
    for query, own in enumerate(question.own):
        together.setdefault(tuple(own), []).append(query)
    parts: list[Places] = []
    numbers: list[int] = []
    for own, queries in together.items():
        wanted: Bool = np.ones(len(view.items), bool) if gone is None else ~gone
        wanted[list(own)] = False
        rows = wanted[leg.rows.item] & (leg.index.alive if allowed is None else allowed.mask)
        rowset = RowSet(rows)
        parts.append(_search(view, leg, question.of(queries), depth, rowset))
        numbers += queries
    return _rows(stacked(parts), np.argsort(numbers).tolist())


def _search(view: View, leg: Leg, question: Question, depth: int, allowed: RowSet | None) -> Places:
    options, matrix = question.options, question.matrix
    index = leg.exact if options.exact else leg.index
    depth = min(depth, _available(leg, allowed))  # a token's offset may be any number
    if depth < 1:
        return Places.none([leg], len(matrix))
    if view.ungrouped(leg, options.group):
        found = index.search(matrix, depth, allowed=allowed, **question.how)
        return Places((leg,), found.rows[:, :, None], found.scores[:, :, None])
    grouped = search_groups(
        index,
        matrix,
        depth,
        view.grouping(leg, options.group),
        allowed=allowed,
        per_group=options.segments,
        **question.how,
    )
    return Places((leg,), grouped.rows, grouped.row_scores)


def _available(leg: Leg, allowed: RowSet | None) -> int:
    return leg.index.live if allowed is None else allowed.count


def _rows(places: Places, queries: Sequence[int]) -> Places:
    at = np.asarray(queries, np.int64)
    return Places(
        places.legs,
        places.rows[at],
        places.scores[at],
        None if places.leg is None else places.leg[at],
        None if places.order is None else places.order[at],
    )
