"""Answers <-> one SearchResponse: the columns of all answers, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

import numpy as np

from trichord.answers import Answers, gathered
from trichord.errors import TrichordError
from trichord.hits import Hits
from trichord.types import ABSENT, F32, I64
from trichord.v1 import search_pb2
from trichord.wire.columns import from_column, to_column
from trichord.wire.enums import MODALITIES, MODALITY_NUMBERS
from trichord.wire.explanations import (
    from_explanation,
    from_facet,
    write_explanation,
    write_facet,
)
from trichord.wire.status import from_status, to_status

_SPANS = ("start_ms", "end_ms", "start_char", "end_char")


def to_response(
    answers: Sequence[Hits | TrichordError], *, space: str, frame: str = ""
) -> search_pb2.SearchResponse:
    """The answers of a call rest on one space; `space` and `frame` are said where they do not say
    it themselves."""
    given = gathered(answers)
    hits, bounds = given.flat, given.bounds
    response = search_pb2.SearchResponse()
    basis = response.basis
    basis.space = hits.space or space
    basis.frame = hits.frame or frame
    basis.snapshot = hits.snapshot
    basis.coverage = hits.coverage
    basis.partial = hits.partial
    basis.notes.extend(hits.notes)
    add, first = response.answers.add, bounds[0]
    for last in bounds[1:]:
        add(first=first, count=last - first)
        first = last
    if len(given) == 1 and hits.next_page_token:
        response.answers[0].next_page_token = hits.next_page_token
    for number, token in given.tokens.items():
        response.answers[number].next_page_token = token
    for number, error in given.errors.items():
        response.answers[number].error.CopyFrom(to_status(error))
    _write_columns(hits, response.hits)
    for facet in hits.facets:
        write_facet(facet, response.facets.add())
    if hits.explanation is not None:
        write_explanation(hits.explanation, response.explanation)
    return response


# Most answers are short: there Python's lists are several times faster than small numpy calls.


def _write_columns(hits: Hits, columns: search_pb2.Hits) -> None:
    items, entities, modalities = hits.item_ids, hits.entity_ids, hits.modalities
    columns.item_ids.extend(items)
    if entities != items:
        columns.entity_ids.extend(entities)
    if len(items):
        same = list(modalities).count(modalities[0]) == len(items)
        told = modalities[:1] if same else modalities
        columns.modalities.extend([MODALITY_NUMBERS[name] for name in told])
    columns.scores.extend(hits.scores.tolist())
    if not hits.bare:
        _write_evidence(hits, columns)
    for name, values in hits.attributes.items():
        columns.attributes.append(to_column(name, values))


def _write_evidence(hits: Hits, columns: search_pb2.Hits) -> None:
    if not np.isnan(hits.significances).all():
        columns.significances.extend(hits.significances.tolist())
    if hits.probabilities is not None:
        columns.probabilities.extend(hits.probabilities.tolist())
    spans = [(name, getattr(hits, name)) for name in _SPANS]
    spans = [(name, of) for name, of in spans if len(of) and of.max() != ABSENT]
    if spans or not _one_segment_each(hits):
        segments, offsets = columns.segments, hits.segment_offsets
        segments.counts.extend((offsets[1:] - offsets[:-1]).tolist())
        segments.ordinals.extend(hits.segment_ordinals.tolist())
        segments.scores.extend(hits.segment_scores.tolist())
        for name, of in spans:
            getattr(segments, name).extend(of.tolist())


def _one_segment_each(hits: Hits) -> bool:
    """Each hit shows the first segment of its item, and its score."""
    return (
        len(hits.segment_ordinals) == len(hits.item_ids)
        and not hits.segment_ordinals.any()
        and np.array_equal(hits.segment_scores, hits.scores)
    )


def from_response(response: search_pb2.SearchResponse) -> Answers:
    """One answer or error per query, in order."""
    columns, basis = response.hits, response.basis
    items = list(columns.item_ids)
    scores = _floats(columns.scores)
    if columns.HasField("segments"):
        segments = columns.segments
        offsets: I64 = np.array([0, *accumulate(segments.counts)], np.int64)
        ordinals, segment_scores = _integers(segments.ordinals), _floats(segments.scores)
        start_ms, end_ms, start_char, end_char = [
            _span(getattr(segments, name), len(ordinals)) for name in _SPANS
        ]
    else:
        offsets, segment_scores = np.arange(len(items) + 1), scores
        ordinals = np.zeros(len(items), np.int64)
        start_ms = end_ms = start_char = end_char = np.full(len(items), ABSENT, np.int64)
    modalities = [MODALITIES[number] for number in columns.modalities]
    if len(modalities) == 1:
        modalities *= len(items)
    flat = Hits(
        items,
        list(columns.entity_ids) or items,
        modalities,  # type: ignore[arg-type]  # a server sends no unspecified one
        scores,
        _floats(columns.significances)
        if len(columns.significances)
        else np.full(len(items), np.nan, np.float32),
        offsets,
        ordinals,
        segment_scores,
        start_ms,
        end_ms,
        start_char,
        end_char,
        attributes={column.name: from_column(column) for column in columns.attributes},
        probabilities=_floats(columns.probabilities) if len(columns.probabilities) else None,
        space=basis.space,
        snapshot=basis.snapshot,
        coverage=basis.coverage,
        partial=basis.partial,
        notes=tuple(basis.notes),
        frame=basis.frame,
        facets=tuple([from_facet(message) for message in response.facets]),
        explanation=(
            from_explanation(response.explanation) if response.HasField("explanation") else None
        ),
    )
    bounds, errors, tokens = [0], {}, {}
    for number, answer in enumerate(response.answers):
        bounds.append(bounds[-1] + answer.count)
        if answer.next_page_token:
            tokens[number] = answer.next_page_token
        if answer.HasField("error"):
            errors[number] = from_status(answer.error)
    if len(bounds) == 2 and tokens:
        flat = replace(flat, next_page_token=tokens[0])
    return Answers(flat, bounds, errors, tokens)


def _floats(values: Any) -> F32:
    return np.array(values[:], np.float32)


def _integers(values: Any) -> I64:
    return np.array(values[:], np.int64)


def _span(values: Any, rows: int) -> I64:
    return _integers(values) if len(values) else np.full(rows, ABSENT, np.int64)
