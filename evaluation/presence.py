"""Whether a store has what a golden set speaks of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from trichord.evaluation.golden import GoldenSet
from trichord.results import Found

AT_ONCE = 1_000


class Gets(Protocol):
    """A `Catalog` or a `Client`."""

    @property
    def get(self) -> Callable[..., Found]: ...


def absent(there: Gets, golden: GoldenSet) -> dict[str, list[str]]:
    """Ids that are judged relevant, or that a query asks with, and are not stored -> the queries
    that name them. Such an answer can never be found, and lowers recall for no fault of a space."""
    items: dict[str, list[str]] = {}
    entities: dict[str, list[str]] = {}
    judged = items if golden.judges == "item" else entities
    for query in golden.queries:
        for target in golden.relevant(query.query_id):
            judged.setdefault(target, []).append(query.query_id)
        if query.item_id is not None:
            items.setdefault(query.item_id, []).append(query.query_id)
        if query.entity_id is not None:
            entities.setdefault(query.entity_id, []).append(query.query_id)
    missing: dict[str, list[str]] = {}
    for start in range(0, len(items), AT_ONCE):
        found = there.get(list(items)[start : start + AT_ONCE])
        missing |= {one: items[one] for one in found.missing_item_ids}
    for start in range(0, len(entities), AT_ONCE):
        found = there.get(entity_ids=list(entities)[start : start + AT_ONCE])
        missing |= {one: entities[one] for one in found.missing_entity_ids}
    return missing
