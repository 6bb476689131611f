"""Calibrates a space of a catalogue and keeps the result in the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from trichord.catalog import backgrounds, calibration, judging, searching
from trichord.catalog.asking import Asker
from trichord.catalog.calibration import Calibration
from trichord.catalog.encoding import ContentEncoder
from trichord.catalog.view import View
from trichord.catalog.writing import SharedWriter
from trichord.errors import InvalidInput, TrichordError
from trichord.hits import Hits
from trichord.query import Audio, Image, ItemRef, Query, SearchOptions, SegmentRef, Text
from trichord.types import Modality, Space


def calibrate(
    view: View,
    space: Space,
    encoder: ContentEncoder | None,
    writer: SharedWriter,
    *,
    texts: Sequence[str] | None,
    judged: judging.Judged,
    **options: Any,
) -> Calibration:
    """Measures the backgrounds, fits P(relevant) where there are judgements, and commits both as
    the space's record. Nothing is written when something of it fails."""
    made = backgrounds.measure(view, space, encoder, texts=texts, **options)
    if not made.tails:
        reasons = "; ".join(f"{q} -> {i}: {why}" for (q, i), why in made.skipped.items())
        raise InvalidInput(f"nothing of space {space.name!r} could be calibrated ({reasons})")
    if judged:
        asker = Asker(view, space, encoder, None)

        def search(queries: Sequence[Query], asked: SearchOptions) -> list[Hits | TrichordError]:
            return list(searching.search(view, space, asker, queries, asked))

        def modality_of(query: Query) -> Modality | None:
            return query_modality(query, view)

        made = replace(made, curves=judging.curves(judged, made, search, modality_of))
    with writer.use() as opened, writer.lock:
        opened.put_records(
            calibration.KIND, {space.name: made.to_json()}, message=f"calibrated {space.name}"
        )
    return made


def query_modality(query: Query, view: View) -> Modality | None:
    """What a query asks with, where it is one thing."""
    if len(query.terms) != 1 or query.terms[0].weight <= 0:
        return None
    match query.terms[0].input:
        case Text():
            return Modality.TEXT
        case Image():
            return Modality.IMAGE
        case Audio():
            return Modality.AUDIO
        case ItemRef(item_id) | SegmentRef(item_id, _):
            row = view.items.row(item_id)
            return None if row is None else view.items.modality_of(row)
        case _:
            return None
