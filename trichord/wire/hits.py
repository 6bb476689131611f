"""Answers <-> one SearchResponse: the columns of all answers, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, chain
from math import nan
from operator import sub
from typing import Any

import numpy as np

from trichord.errors import TrichordError
from trichord.hits import Hits
from trichord.types import ABSENT, F32, I64
from trichord.v1 import search_pb2, types_pb2
from trichord.wire.columns import from_column, to_column
from trichord.wire.enums import MODALITIES, MODALITY_NUMBERS
from trichord.wire.status import from_status, to_status

_SPANS = ("start_ms", "end_ms", "start_char", "end_char")


def to_response(
    answers: Sequence[Hits | TrichordError], *, space: str, frame: str = ""
) -> search_pb2.SearchResponse:
    """Coverage is that of the worst answer, notes are those of all. The answers of a call rest on
    one space; `space` and `frame` are said where there are none."""
    response = search_pb2.SearchResponse()
    basis = response.basis
    said = next((answer for answer in answers if isinstance(answer, Hits)), None)
    basis.space = said.space if said is not None and said.space else space
    basis.frame = said.frame if said is not None and said.frame else frame
    good: list[Hits] = []
    first = 0
    for answer in answers:
        entry = response.answers.add(first=first)
        if isinstance(answer, TrichordError):
            entry.error.CopyFrom(to_status(answer))
            continue
        entry.count = len(answer)
        entry.next_page_token = answer.next_page_token
        first += len(answer)
        good.append(answer)
    basis.snapshot = max((answer.snapshot for answer in good), default=0)
    basis.coverage = min((answer.coverage for answer in good), default=1.0)
    basis.partial = any(answer.partial for answer in good)
    basis.notes.extend(dict.fromkeys(note for answer in good for note in answer.notes))
    _write_columns(good, response.hits)
    return response


# Most answers are short: there Python's lists are several times faster than small numpy calls.


def _write_columns(answers: Sequence[Hits], columns: search_pb2.Hits) -> None:
    segments = columns.segments
    for answer in answers:
        columns.item_ids.extend(answer.item_ids)
        columns.entity_ids.extend(answer.entity_ids)
        columns.modalities.extend([MODALITY_NUMBERS[name] for name in answer.modalities])
        columns.scores.extend(answer.scores.tolist())
        offsets = answer.segment_offsets.tolist()
        segments.counts.extend(map(sub, offsets[1:], offsets))
        segments.ordinals.extend(answer.segment_ordinals.tolist())
        segments.scores.extend(answer.segment_scores.tolist())
    significances = [answer.significances.tolist() for answer in answers]
    if any(value == value for values in significances for value in values):  # not all NaN
        columns.significances.extend(chain.from_iterable(significances))
    if any(answer.probabilities is not None for answer in answers):
        for answer in answers:
            known = answer.probabilities
            columns.probabilities.extend([nan] * len(answer) if known is None else known.tolist())
    for name in _SPANS:
        spans = [getattr(answer, name).tolist() for answer in answers]
        if any(max(values, default=ABSENT) != ABSENT for values in spans):
            getattr(segments, name).extend(chain.from_iterable(spans))
    columns.attributes.extend(_attribute_columns(answers))


def _attribute_columns(answers: Sequence[Hits]) -> list[types_pb2.Column]:
    if len(answers) == 1:
        return [to_column(name, values) for name, values in answers[0].attributes.items()]
    names = dict.fromkeys(name for answer in answers for name in answer.attributes)
    return [
        to_column(
            name,
            [
                value
                for answer in answers
                for value in answer.attributes.get(name, [None] * len(answer))
            ],
        )
        for name in names
    ]


def from_response(response: search_pb2.SearchResponse) -> list[Hits | TrichordError]:
    """One answer or error per query, in order."""
    columns, basis = response.hits, response.basis
    items, entities = list(columns.item_ids), list(columns.entity_ids)
    modalities = [MODALITIES[number] for number in columns.modalities]
    scores = _floats(columns.scores)
    significances = (
        _floats(columns.significances)
        if len(columns.significances)
        else np.full(len(items), np.nan, np.float32)
    )
    probabilities = _floats(columns.probabilities) if len(columns.probabilities) else None
    segments = columns.segments
    offsets: I64 = np.array([0, *accumulate(segments.counts)], np.int64)
    ordinals, segment_scores = _integers(segments.ordinals), _floats(segments.scores)
    spans = {name: _span(getattr(segments, name), len(ordinals)) for name in _SPANS}
    attributes = {column.name: from_column(column) for column in columns.attributes}
    notes = tuple(basis.notes)
    answers: list[Hits | TrichordError] = []
    for answer in response.answers:
        if answer.HasField("error"):
            answers.append(from_status(answer.error))
            continue
        rows = slice(answer.first, answer.first + answer.count)
        start, end = offsets[rows.start], offsets[rows.stop]
        answers.append(
            Hits(
                items[rows],
                entities[rows],
                modalities[rows],  # type: ignore[arg-type]  # a server sends no unspecified one
                scores[rows],
                significances[rows],
                offsets[rows.start : rows.stop + 1] - start,
                ordinals[start:end],
                segment_scores[start:end],
                spans["start_ms"][start:end],
                spans["end_ms"][start:end],
                spans["start_char"][start:end],
                spans["end_char"][start:end],
                attributes={name: values[rows] for name, values in attributes.items()},
                probabilities=None if probabilities is None else probabilities[rows],
                space=basis.space,
                snapshot=basis.snapshot,
                coverage=basis.coverage,
                partial=basis.partial,
                notes=notes,
                next_page_token=answer.next_page_token,
                frame=basis.frame,
            )
        )
    return answers


def _floats(values: Any) -> F32:
    return np.array(values[:], np.float32)


def _integers(values: Any) -> I64:
    return np.array(values[:], np.int64)


def _span(values: Any, rows: int) -> I64:
    return _integers(values) if len(values) else np.full(rows, ABSENT, np.int64)
