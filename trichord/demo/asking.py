"""Asks a server the demo's questions and judges what comes back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trichord.client import Client
from trichord.demo.questions import SHOWN_HITS, Answer, Question, Right, Row
from trichord.hits import Hit, Hits
from trichord.query import ItemRef

SHOWN_ATTRIBUTES = ("title", "market", "genre", "year")

PER_CALL = 24
"""Questions with pictures and sounds are embedded by the server: so many take seconds at most."""


def ask(client: Client, questions: Sequence[Question]) -> list[Answer]:
    """One answer per question, in order. Questions with equal options travel in one call, those by
    a stored item as `similar`."""
    known = client.stats().attributes
    names = tuple(name for name in SHOWN_ATTRIBUTES if name in known)
    batches: dict[tuple[Any, ...], list[int]] = {}
    for place, question in enumerate(questions):
        key = (question.modality, question.where, question.group, _extra(question))
        batches.setdefault(key, []).append(place)
    answered: dict[int, Hits] = {}
    for (modality, where, group, extra), places in batches.items():
        options: Any = {
            "modality": None if modality is None else str(modality),
            "where": where or None,
            "group": group,
            "limit": SHOWN_HITS + extra,
            "attributes": sorted({*names, *questions[places[0]].obeys}),
        }
        contents = []
        for place in places:
            asked = questions[place].asked
            if isinstance(asked, ItemRef):
                answered[place] = client.similar(asked.item_id, **options)
            else:
                contents.append(place)
        for start in range(0, len(contents), PER_CALL):
            part = contents[start : start + PER_CALL]
            found = client.search_many([questions[place].asked for place in part], **options)
            answered.update(zip(part, found, strict=True))
    return [judged(question, answered[place]) for place, question in enumerate(questions)]


def judged(question: Question, hits: Hits) -> Answer:
    """The answer with every hit judged; what the question leaves out does not appear."""
    rows = [_row(hit, question.right) for hit in hits if hit.item_id != question.leave_out]
    shown = tuple(rows[:SHOWN_HITS])
    return Answer(question, shown, all(_obeys(row.attributes, question.obeys) for row in shown))


def _extra(question: Question) -> int:
    return 1 if question.leave_out else 0


def _row(hit: Hit, right: Right | None) -> Row:
    span = hit.segments[0].span
    verdict: bool | None = None
    if right is not None:
        allowed = right.entities.union(*right.each)
        verdict = hit.entity_id in allowed and _covers(span.start_ms, span.end_ms, right)
    return Row(
        hit.item_id,
        hit.entity_id,
        hit.modality,
        hit.score,
        span.start_ms,
        span.end_ms,
        span.start_char,
        span.end_char,
        {name: value for name, value in hit.attributes.items() if value is not None},
        verdict,
    )


def _covers(start_ms: int | None, end_ms: int | None, right: Right) -> bool:
    if right.span_ms is None:
        return True
    if start_ms is None or end_ms is None:
        return False
    middle = sum(right.span_ms) / 2
    return start_ms <= middle < end_ms


def _obeys(attributes: Mapping[str, Any], bounds: Mapping[str, tuple[Any, Any]]) -> bool:
    for name, (low, high) in bounds.items():
        value = attributes.get(name)
        if value is None or not low <= value <= high:
            return False
    return True
