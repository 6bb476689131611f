"""Places of an answer -> the columns that people get."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from trichord.answers import Answers
from trichord.catalog.meaning import Meaning
from trichord.catalog.places import I8, Places
from trichord.catalog.view import View
from trichord.hits import Hits
from trichord.index.base import PADDING
from trichord.types import ABSENT, F32, I64, Space


def answers_of(
    view: View,
    space: Space,
    places: Places,
    names: Sequence[str],
    meanings: Sequence[Meaning],
    **said: Any,
) -> Answers:
    """The places of all queries as columns, with the attributes `names`; `said` are further fields
    of the answer."""
    queries, width, deep = places.rows.shape
    there = places.there
    if there.all():  # the usual case: every query found as many as it asked for
        counts = [width] * queries
        rows, scores = places.rows.reshape(-1, deep), places.scores.reshape(-1, deep)
        numbers = None if places.leg is None else places.leg.reshape(-1)
    else:
        counts = there.sum(axis=1).tolist()
        rows, scores = places.rows[there], places.scores[there]
        numbers = None if places.leg is None else places.leg[there]
    bounds = [0, *accumulate(counts)]
    leading, best = rows[:, 0], scores[:, 0]
    if deep == 1:
        offsets, of_place = np.arange(len(rows) + 1), None
        segments, segment_scores = leading, best
    else:
        inside = rows != PADDING
        offsets = np.zeros(len(rows) + 1, np.int64)
        np.cumsum(inside.sum(axis=1), out=offsets[1:])
        segments, segment_scores = rows[inside], scores[inside]
        of_place = np.nonzero(inside)[0]
    items, ordinals, spans = _located(places, numbers, leading, segments, of_place)
    table = view.items
    if places.leg is None and places.legs:
        modalities = [str(places.legs[0].modality)] * len(items)
    else:
        modalities = table.modality_names.take(items)
    item_ids = table.ids.take(items)
    significances, probabilities = _meaning(meanings, bounds, modalities, best)
    values = table.values
    flat = Hits.of(
        item_ids=item_ids,
        entity_ids=table.entity_ids(items),
        modalities=modalities,
        scores=best,
        significances=significances,
        probabilities=probabilities,
        segment_offsets=offsets,
        segment_ordinals=ordinals,
        segment_scores=segment_scores,
        start_ms=spans[:, 0],
        end_ms=spans[:, 1],
        start_char=spans[:, 2],
        end_char=spans[:, 3],
        attributes={name: values(name, items) for name in names},
        space=space.name,
        snapshot=view.snapshot.id,
        frame=space.frame.id,
        **said,
    )
    return Answers(flat, bounds)


def _located(
    places: Places,
    numbers: I8 | None,
    leading: I64,
    segments: I64,
    of_place: I64 | None,
) -> tuple[I64, I64, I64]:
    """The item of every place, and ordinal and spans of every segment shown."""
    if numbers is None:
        if not places.legs:
            nothing = np.zeros(0, np.int64)
            return nothing, nothing, np.zeros((0, 4), np.int64)
        rows = places.legs[0].rows
        return rows.item[leading], rows.ordinal[segments], rows.spans[segments]
    items = np.empty(len(leading), np.int64)
    ordinals = np.empty(len(segments), np.int64)
    spans = np.full((len(segments), 4), ABSENT, np.int64)
    per_segment = numbers if of_place is None else numbers[of_place]
    for number, leg in enumerate(places.legs):
        mine, shown = numbers == number, per_segment == number
        items[mine] = leg.rows.item[leading[mine]]
        ordinals[shown] = leg.rows.ordinal[segments[shown]]
        spans[shown] = leg.rows.spans[segments[shown]]
    return items, ordinals, spans


def _meaning(
    meanings: Sequence[Meaning], bounds: Sequence[int], modalities: Sequence[str], scores: F32
) -> tuple[F32, F32 | None]:
    if all(meaning.calibration is None or meaning.query is None for meaning in meanings):
        return np.full(len(scores), np.nan, np.float32), None
    significances = np.full(len(scores), np.nan, np.float32)
    probabilities = significances.copy()
    known = False
    for number, meaning in enumerate(meanings):
        rows = slice(bounds[number], bounds[number + 1])
        found, likely = meaning.columns(modalities[rows], scores[rows])
        significances[rows] = found
        if likely is not None:
            probabilities[rows] = likely
            known = True
    return significances, probabilities if known else None
