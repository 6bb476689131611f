"""Search by brute force over plain lists: what every answer of a catalogue is compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tests.fakes import embed_text
from trichord.catalog import Catalog
from trichord.hits import Hits
from trichord.query import Record
from trichord.types import F32, Modality

ORDER = [str(modality) for modality in Modality]


@dataclass(frozen=True)
class Segment:
    item: str
    entity: str
    modality: str
    ordinal: int
    vector: F32


@dataclass(frozen=True)
class Place:
    """One expected hit: (ordinal, score) of its best segments."""

    item: str
    entity: str
    modality: str
    score: float
    segments: tuple[tuple[int, float], ...]


def unit(vector: np.ndarray) -> F32:
    wide = np.asarray(vector, np.float64)
    return (wide / np.linalg.norm(wide)).astype(np.float32)


def segments_of(catalog: Catalog, records: Iterable[Record], dim: int = 32) -> list[Segment]:
    """What the records should be stored as, from their vectors and texts: only where the chunks of
    a long text lie is taken from the store."""
    found = []
    for record in records:
        assert record.item_id is not None
        entity = record.entity_id or record.item_id
        if record.vector is not None:
            vectors = [unit(record.vector)]
        else:
            assert record.text is not None
            reader = catalog._views.refresh().reader
            rows = reader.item_segments(catalog.space_name, [record.item_id]).to_pylist()
            vectors = [
                embed_text(record.text[row["start_char"] : row["end_char"]], dim) for row in rows
            ]
        modality = record.modality or "text"
        found += [Segment(record.item_id, entity, modality, i, v) for i, v in enumerate(vectors)]
    return found


def search(
    segments: Sequence[Segment],
    query: np.ndarray,
    *,
    modality: Sequence[str] = tuple(ORDER),
    group: str = "item",
    limit: int = 10,
    per_group: int = 1,
    fuse: str = "rrf",
    allowed: Callable[[str], bool] = lambda item: True,
    without: Iterable[str] = (),
) -> list[Place]:
    direction, left_out = unit(query).astype(np.float64), set(without)
    lists = []
    for name in ORDER:
        if name not in modality:
            continue
        groups: dict[object, list[tuple[float, Segment]]] = {}
        for segment in segments:
            if segment.modality == name and allowed(segment.item) and segment.item not in left_out:
                key: object = {
                    "segment": (segment.item, segment.ordinal),
                    "item": segment.item,
                    "entity": segment.entity,
                }[group]
                score = float(segment.vector.astype(np.float64) @ direction)
                groups.setdefault(key, []).append((score, segment))
        ranked = []
        for members in groups.values():
            members.sort(key=lambda pair: -pair[0])
            best = members[0][1]
            shown = tuple((one.ordinal, score) for score, one in members[:per_group])
            ranked.append(Place(best.item, best.entity, name, members[0][0], shown))
        ranked.sort(key=lambda place: -place.score)
        lists.append(ranked)
    entries = [
        (-place.score if fuse == "score" else 1 - 60 / (60 + rank + 1), number, rank, place)
        for number, ranked in enumerate(lists)
        for rank, place in enumerate(ranked)
    ]
    entries.sort(key=lambda entry: entry[:3])
    answer: list[Place] = []
    for *_, place in entries:
        if group == "entity" and place.entity in {one.entity for one in answer}:
            continue
        answer.append(place)
    return answer[:limit]


def agrees(hits: Hits, expected: Sequence[Place], *, segments: bool = True) -> None:
    """The hits are the expected places in their order, with scores and segments."""
    assert [hit.item_id for hit in hits] == [place.item for place in expected]
    assert list(hits.entity_ids) == [place.entity for place in expected]
    assert list(hits.modalities) == [place.modality for place in expected]
    np.testing.assert_allclose(hits.scores, [place.score for place in expected], atol=1e-5)
    if not segments:
        return
    for hit, place in zip(hits, expected, strict=True):
        assert [one.ordinal for one in hit.segments] == [ordinal for ordinal, _ in place.segments]
        np.testing.assert_allclose(
            [one.score for one in hit.segments], [score for _, score in place.segments], atol=1e-5
        )
