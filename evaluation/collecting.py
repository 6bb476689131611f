"""All items of a catalogue that have an attribute, read through searches alone, so that it works
with a server too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from trichord.errors import InvalidInput, NotFound, TrichordError
from trichord.evaluation.running import Searcher, ask, space_info
from trichord.filters import BUILTIN_FIELDS, And, Exists, Filter, parse
from trichord.hits import Hits
from trichord.query import MAX_LIMIT, SearchOptions, Vector
from trichord.types import F32


@dataclass(frozen=True)
class Collected:
    """One stored item with the attributes asked for."""

    item_id: str
    entity_id: str
    attributes: dict[str, Any] = field(hash=False)


def having(attribute: str, where: str | None) -> Filter:
    """Items with a value of the attribute that pass the filter; raises FilterError, and
    InvalidInput for what every item has."""
    if attribute in BUILTIN_FIELDS:
        raise InvalidInput(f"{attribute!r} is of every item: choose an attribute of your own")
    exists = Exists(attribute)
    return exists if where is None else And((exists, parse(where)))


def collect(
    searcher: Searcher,
    attribute: str,
    modality: str,
    *,
    space: str | None = None,
    where: str | None = None,
    attributes: Sequence[str] = (),
) -> list[Collected]:
    """Items of one modality with a value of `attribute`, ordered by id; the values of `attribute`
    and of further `attributes` come along. Raises NotFound for an unknown space, FilterError."""
    info = space_info(searcher, space)
    if info is None:
        known = ", ".join(one.space.name for one in searcher.spaces())
        raise NotFound(f"there is no space {space!r} here; there is {known}", space=space)
    probe = np.zeros(info.space.frame.dim, np.float32)
    probe[0] = 1.0
    names = tuple(dict.fromkeys((attribute, *attributes)))
    found: dict[str, Collected] = {}
    for hits in pages(searcher, probe, modality, having(attribute, where), names, space):
        for row, item_id in enumerate(hits.item_ids):
            values = {name: column[row] for name, column in hits.attributes.items()}
            found[item_id] = Collected(item_id, hits.entity_ids[row], values)
    return [found[item_id] for item_id in sorted(found)]


def pages(
    searcher: Searcher,
    vector: F32,
    modality: str,
    where: Filter,
    attributes: Sequence[str],
    space: str | None,
) -> Iterator[Hits]:
    """All that passes the filter, nearest first, page by page, of one snapshot."""
    token = ""
    while True:
        options = SearchOptions(
            modality=(modality,),
            where=where,
            limit=MAX_LIMIT,
            attributes=tuple(attributes),
            exact=True,
            page_token=token,
        )
        answer = ask(searcher, [Vector(vector)], options, space)[0]
        if isinstance(answer, TrichordError):
            raise answer
        yield answer
        token = answer.next_page_token
        if not token:
            return


def labels_of(value: Any) -> list[str]:
    """An attribute's value as labels: every entry of a list, else the value as text."""
    if value is None:
        return []
    if isinstance(value, list | tuple):
        return [str(one) for one in value]
    if isinstance(value, float) and not value.is_integer():
        raise InvalidInput("an attribute of fractions holds no labels: choose another")
    return [str(value)]
