"""Which items have no segments in a space yet: what is left to embed for it.

Lance filters the items' masks and keeps the first ids; only their rows are read whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from trichord.errors import InvalidInput
from trichord.store.tables import lance_errors
from trichord.types import Modality

COLUMNS = [
    "item_id",
    "entity_id",
    "modality",
    "uri",
    "text",
    "media_type",
    "content_hash",
    "spaces",
    "generation",
]


def lacking_rows(
    data: Any, bit: int, live: int, modalities: Sequence[Modality], limit: int, after: str
) -> pa.Table:
    """The first `limit` rows of the dataset `items`, by item_id, after the id `after`; their masks
    have the bits of `live` only."""
    if limit < 1:
        raise InvalidInput(f"limit is at least 1, not {limit}", limit=limit)
    schema = pa.schema([data.schema.field(name) for name in COLUMNS])
    if not modalities:
        return schema.empty_table()
    condition = _condition(bit, modalities)
    if after:
        condition += " AND item_id > '" + after.replace("'", "''") + "'"
    with lance_errors("reading table 'items'"):
        first = data.scanner(
            columns=["item_id"],
            filter=condition,
            order_by=["item_id"],
            limit=limit,
            with_row_id=True,
        ).to_table()
        if not first.num_rows:
            return schema.empty_table()
        rows = ",".join(map(str, first["_rowid"].to_pylist()))
        found = data.to_table(columns=COLUMNS, filter=f"_rowid IN ({rows})")
    found = found.sort_by("item_id")
    at = found.schema.get_field_index("spaces")
    mask = pa.array(found["spaces"].to_numpy() & live)
    return found.set_column(at, found.schema.field(at), mask)


def lacking_counts(data: Any, bit: int, modalities: Sequence[Modality]) -> dict[Modality, int]:
    """How many live items of each modality have no segments in the space of the bit."""
    with lance_errors("counting rows of table 'items'"):
        return {
            modality: int(data.count_rows(filter=_condition(bit, [modality])))
            for modality in modalities
        }


def _condition(bit: int, modalities: Sequence[Modality]) -> str:
    unknown = [modality for modality in modalities if modality not in set(Modality)]
    if unknown:
        raise InvalidInput(f"there is no modality {unknown[0]!r}", modality=unknown[0])
    kinds = ",".join(f"'{modality}'" for modality in modalities)
    # Lance's filters know no bitwise operators; masks are not negative.
    return f"NOT deleted AND modality IN ({kinds}) AND (spaces / {1 << bit}) % 2 = 0"
