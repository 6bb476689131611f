"""The searches that are asked most often, without what they do not need: vectors, one modality,
every item one segment, nothing that orders anew or explains.

The way through `searching` costs some sixty microseconds more for one query, as much as finding the
hits, and three per query of a batch; the answers are the same, which a test holds against it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import numpy as np

from trichord.answers import Answers
from trichord.catalog.excluding import SPARE, Exclusion
from trichord.catalog.legs import Leg
from trichord.catalog.view import View
from trichord.hits import Hits
from trichord.index.base import PADDING, Neighbours
from trichord.index.batching import Batcher
from trichord.index.rowset import RowSet
from trichord.later import Later
from trichord.query import SearchOptions
from trichord.types import ABSENT, F32, I64, Space

Page = tuple[Hits, bool]
"""Hits, and whether there are more behind them."""

AT_ONCE = 64
"""Queries that meet, of one batch."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One query, whose vector float32 (dim,) is a unit one, by `options` that suit; `names`: the
    attributes it wants; `allowed`: rows of the leg that may be found (None: all)."""

    view: View
    space: Space
    leg: Leg
    vector: F32
    options: SearchOptions
    names: Sequence[str]
    allowed: RowSet | None


Meeting = Batcher[Asked, Page]
"""Where queries of several threads meet."""


def meeting() -> Meeting:
    """Queries that come while another one is answered are answered as one batch, if all but their
    vectors is the same. Most of the time of a query goes into its own way through Python, which one
    thread at a time can go."""
    # What a job holds is told apart by where it is: no other object is there as long as it waits.
    return Batcher(
        _answered,
        key=lambda job: (id(job.view), id(job.leg), id(job.options), id(job.allowed)),
        most=AT_ONCE,
    )


def one(
    asked: Asked, following: Callable[[], str], meeting: Meeting | None = None
) -> Answers | None:
    """The answer to one query. `following` makes the token of the next page; `meeting`: where
    others ask at the same time. None: so many of the nearest are excluded that one has to look
    deeper."""
    page: Page | None
    if asked.options.excludes:
        page = _less_excluded(asked)
        if page is None:
            return None
    else:
        page = _alone(asked) if meeting is None else meeting(asked)
    hits, more = page
    if more:
        hits.__dict__["next_page_token"] = following()  # nobody has seen these hits yet
    return Answers(hits, (0, len(hits)))


def _answered(jobs: Sequence[Asked]) -> Sequence[Page]:
    if len(jobs) == 1:
        return [_alone(jobs[0])]
    return _pages(jobs[0], np.stack([job.vector for job in jobs]))


def _alone(asked: Asked) -> Page:
    limit = asked.options.limit
    found = _found(asked.leg, asked.vector[None, :], asked.options, asked.allowed, limit + 1)
    rows, scores = found.rows[0], found.scores[0]
    if len(rows) and rows[-1] == PADDING:
        there = rows != PADDING
        rows, scores = rows[there], scores[there]
    more = len(rows) > limit
    if more:
        rows, scores = rows[:limit], scores[:limit]
    return _columns(asked.view, asked.space, asked.leg, rows, scores, asked.names), more


def _less_excluded(asked: Asked) -> Page | None:
    view, leg, options = asked.view, asked.leg, asked.options
    limit = options.limit
    depth = limit + 1 + SPARE
    found = _found(leg, asked.vector[None, :], options, asked.allowed, depth)
    rows, scores = found.rows[0], found.scores[0]
    complete = len(rows) < depth or rows[-1] == PADDING  # there are no more
    exclusion = Exclusion(options.exclude_items, options.exclude_entities)
    kept = (rows != PADDING) & ~exclusion.hits(view.items, leg.rows.item[rows])
    rows, scores = rows[kept], scores[kept]
    if len(rows) <= limit and not complete:
        return None
    hits = _columns(view, asked.space, leg, rows[:limit], scores[:limit], asked.names)
    return hits, len(rows) > limit


def _pages(asked: Asked, matrix: F32) -> list[Page]:
    """First pages of many queries that ask like this one, each what it would be alone: further
    pages rest on that."""
    limit = asked.options.limit
    found = _found(asked.leg, matrix, asked.options, asked.allowed, limit + 1, singly=True)
    there = found.rows != PADDING
    more = there[:, limit].tolist() if there.shape[1] > limit else [False] * len(matrix)
    there = there[:, :limit]
    bounds = [0, *accumulate(there.sum(axis=1).tolist())]
    rows, scores = found.rows[:, :limit][there], found.scores[:, :limit][there]
    flat = _columns(asked.view, asked.space, asked.leg, rows, scores, asked.names)
    entities = flat.entity_ids[:]
    pages = []
    for number, further in enumerate(more):
        part = slice(bounds[number], bounds[number + 1])
        offsets = flat.segment_offsets[: part.stop - part.start + 1]
        hits = Hits.of(
            item_ids=flat.item_ids[part],
            entity_ids=entities[part],
            modalities=flat.modalities[part],
            scores=flat.scores[part],
            significances=flat.significances[part],
            segment_offsets=offsets,
            segment_ordinals=flat.segment_ordinals[part],
            segment_scores=flat.segment_scores[part],
            start_ms=flat.start_ms[part],
            end_ms=flat.end_ms[part],
            start_char=flat.start_char[part],
            end_char=flat.end_char[part],
            attributes={name: values[part] for name, values in flat.attributes.items()},
            space=flat.space,
            snapshot=flat.snapshot,
            frame=flat.frame,
            bare=flat.bare,
        )
        pages.append((hits, further))
    return pages


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
    leg: Leg,
    matrix: F32,
    options: SearchOptions,
    allowed: RowSet | None,
    depth: int,
    *,
    singly: bool = False,
) -> Neighbours:
    available = leg.index.live if allowed is None else allowed.count
    depth = min(depth, available)
    if not depth:
        return Neighbours.none(len(matrix), 0)
    return leg.index.search_unit(matrix, depth, allowed, options.recall, singly=singly)


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
        bare=leg.single and leg.spanless,
    )


@lru_cache(maxsize=64)
def _constants(count: int) -> tuple[F32, I64, I64]:
    """So many times NaN, ABSENT and 0, which nobody can write to."""
    nan, absent = np.full(count, np.nan, np.float32), np.full(count, ABSENT, np.int64)
    zeros = np.zeros(count, np.int64)
    for column in (nan, absent, zeros):
        column.flags.writeable = False
    return nan, absent, zeros
