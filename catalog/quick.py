"""The searches that are asked most often, without what they do not need: vectors, one modality,
every item one segment, nothing that orders anew, leaves out or explains.

The way through `searching` costs some sixty microseconds more for one query, as much as finding the
hits, and three per query of a batch; the answers are the same, which a test holds against it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import accumulate

import numpy as np

from trichord.answers import Answers
from trichord.catalog.legs import Leg
from trichord.catalog.view import View
from trichord.hits import Hits
from trichord.index.base import PADDING, Neighbours
from trichord.index.rowset import RowSet
from trichord.later import Later
from trichord.query import SearchOptions
from trichord.types import ABSENT, F32, I64, Space


def one(
    view: View,
    space: Space,
    leg: Leg,
    vector: F32,
    options: SearchOptions,
    names: Sequence[str],
    allowed: RowSet | None,
    following: Callable[[], str],
) -> Answers:
    """The answer to one query, whose vector float32 (dim,) is a unit one; `allowed`: rows of the
    leg that may be found (None: all)."""
    limit, token = options.limit, ""
    found = _found(leg, vector[None, :], options, allowed, limit + 1)
    rows, scores = found.rows[0], found.scores[0]
    if len(rows) and rows[-1] == PADDING:
        there = rows != PADDING
        rows, scores = rows[there], scores[there]
    if len(rows) > limit:
        rows, scores, token = rows[:limit], scores[:limit], following()
    flat = _columns(view, space, leg, rows, scores, names)
    flat.__dict__["next_page_token"] = token
    return Answers(flat, (0, len(rows)))


def many(
    view: View,
    space: Space,
    leg: Leg,
    matrix: F32,
    options: SearchOptions,
    names: Sequence[str],
    allowed: RowSet | None,
) -> Answers:
    """The answers to many queries, unit rows float32 (n, dim), in columns that they share."""
    found = _found(leg, matrix, options, allowed, options.limit)
    queries, width = found.rows.shape
    there = found.rows != PADDING
    if there.all():
        bounds: Sequence[int] = [width * query for query in range(queries + 1)]
        rows, scores = found.rows.reshape(-1), found.scores.reshape(-1)
    else:
        bounds = [0, *accumulate(there.sum(axis=1).tolist())]
        rows, scores = found.rows[there], found.scores[there]
    return Answers(_columns(view, space, leg, rows, scores, names), bounds)


def _found(
    leg: Leg, matrix: F32, options: SearchOptions, allowed: RowSet | None, depth: int
) -> Neighbours:
    available = leg.index.live if allowed is None else allowed.count
    depth = min(depth, available)
    if not depth:
        return Neighbours.none(len(matrix), 0)
    if options.recall is None:
        return leg.index.search_unit(matrix, depth, allowed)
    return leg.index.search_unit(matrix, depth, allowed, options.recall)


def _columns(
    view: View, space: Space, leg: Leg, rows: I64, scores: F32, names: Sequence[str]
) -> Hits:
    # Rows lie anywhere in tables of many megabytes, so a look into one costs as much as a memory
    # access takes: what is the same for all rows, or may never be asked for, is not looked up.
    table, of, count = view.items, leg.rows, len(rows)
    items, values = of.item[rows], table.values
    unknown, absent, zeros = _constants(count)
    if leg.spanless:
        start_ms = end_ms = start_char = end_char = absent
    else:
        start_ms, end_ms, start_char, end_char = of.spans[rows].T
    return Hits.of(
        item_ids=table.ids.take(items),
        entity_ids=Later(lambda: table.entity_ids(items)),
        modalities=[str(leg.modality)] * count,
        scores=scores,
        significances=unknown,  # a vector has no modality, and so no background
        segment_offsets=np.arange(count + 1),
        segment_ordinals=zeros if leg.single else of.ordinal[rows],
        segment_scores=scores,
        start_ms=start_ms,
        end_ms=end_ms,
        start_char=start_char,
        end_char=end_char,
        attributes={name: values(name, items) for name in names},
        space=space.name,
        snapshot=view.snapshot.id,
        frame=space.frame.id,
    )


@lru_cache(maxsize=64)
def _constants(count: int) -> tuple[F32, I64, I64]:
    """So many times NaN, ABSENT and 0, which nobody can write to."""
    nan, absent = np.full(count, np.nan, np.float32), np.full(count, ABSENT, np.int64)
    zeros = np.zeros(count, np.int64)
    for column in (nan, absent, zeros):
        column.flags.writeable = False
    return nan, absent, zeros
