"""The search that is asked most often, without what it does not need: one vector, one modality,
every item one segment, nothing that orders anew, leaves out or explains.

The way through `searching` costs some sixty microseconds more, as much as finding the hits; the
answer is the same, which a test holds against it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from trichord.answers import Answers
from trichord.catalog.legs import Leg
from trichord.catalog.view import View
from trichord.hits import Hits
from trichord.index.base import PADDING
from trichord.index.rowset import RowSet
from trichord.query import SearchOptions
from trichord.types import F32, Space

_UNKNOWN: dict[int, F32] = {}


def suits(view: View, leg: Leg | None, options: SearchOptions) -> bool:
    """Whether a search of this leg alone can be answered here."""
    return leg is not None and options.quick and view.ungrouped(leg, options.group)


def search(
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
    limit = options.limit
    available = leg.index.live if allowed is None else allowed.count
    depth = min(limit + 1, available)
    token = ""
    if depth:
        matrix = vector[None, :]
        found = (
            leg.index.search(matrix, depth, allowed=allowed)
            if options.recall is None
            else leg.index.search(matrix, depth, allowed=allowed, recall=options.recall)
        )
        rows, scores = found.rows[0], found.scores[0]
        if rows[-1] == PADDING:
            there = rows != PADDING
            rows, scores = rows[there], scores[there]
        if len(rows) > limit:
            rows, scores, token = rows[:limit], scores[:limit], following()
    else:
        rows, scores = np.zeros(0, np.int64), np.zeros(0, np.float32)
    table, of = view.items, leg.rows
    items, spans, count = of.item[rows], of.spans[rows], len(rows)
    unknown = _UNKNOWN.get(count)
    if unknown is None:
        unknown = _UNKNOWN[count] = np.full(count, np.nan, np.float32)
        unknown.flags.writeable = False
    values = table.values
    flat = Hits.of(
        item_ids=table.ids.take(items),
        entity_ids=table.entity_ids(items),
        modalities=[str(leg.modality)] * count,
        scores=scores,
        significances=unknown,  # a vector has no modality, and so no background
        segment_offsets=np.arange(count + 1),
        segment_ordinals=of.ordinal[rows],
        segment_scores=scores,
        start_ms=spans[:, 0],
        end_ms=spans[:, 1],
        start_char=spans[:, 2],
        end_char=spans[:, 3],
        attributes={name: values(name, items) for name in names},
        space=space.name,
        snapshot=view.snapshot.id,
        frame=space.frame.id,
        next_page_token=token,
    )
    return Answers(flat, (0, count))
