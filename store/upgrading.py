"""Stores that an older Trichord wrote get today's tables from their first writer, in one snapshot.

Readers do without: an absent column means what it meant then.

version 1 -> 2   `items` gets the nullable column `space_segments`; rows of `spaces`, whose order
                 was that of the bits until then, name their bit and table. Older programs refuse
                 the two tables from then on, because they would take a removed space's bit again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from trichord.store.failpoints import reach
from trichord.store.schema import (
    ITEMS,
    METADATA,
    SPACE_SEGMENTS,
    SPACE_SEGMENTS_TYPE,
    SPACES,
)
from trichord.store.spaces import read_spaces, space_rows
from trichord.store.tables import lance_errors, replace

if TYPE_CHECKING:
    from trichord.store.state import WriterState


def upgrade(state: WriterState) -> None:
    """Bring the tables of a recovered store to today's schema; nothing happens if they are."""
    touched = []
    items, spaces = state.data[ITEMS], state.data[SPACES]
    if SPACE_SEGMENTS not in items.schema.names:
        with lance_errors(f"upgrading table {ITEMS!r}"):
            items.add_columns(pa.schema([pa.field(SPACE_SEGMENTS, SPACE_SEGMENTS_TYPE)]))
        reach("upgrade-items-widened")
        with lance_errors(f"upgrading table {ITEMS!r}"):
            items.update_schema_metadata(METADATA)
        touched.append(ITEMS)
    if "bit" not in spaces.schema.names:
        with lance_errors(f"reading table {SPACES!r}"):
            known = read_spaces(spaces.to_table())
        state.data[SPACES] = replace(spaces, space_rows(known))
        touched.append(SPACES)
    if touched:
        reach("upgrade-tables-written")
        state.publish(touched, message="upgraded the tables")
