"""The items of one snapshot as columns in memory, and what filters and answers read from them.

An item keeps its row for life: a changed attribute or new content overwrites the row, a deleted
item's row goes dark, new items are appended. Segments can therefore point to rows, and a change of
an attribute never touches an index.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from trichord.catalog import filtering
from trichord.filters import Filter
from trichord.store import Reader
from trichord.types import I64, Bool, Modality

ATTRIBUTE_PREFIX = "attr_"
MAX_CACHED_MASKS = 64
GATHERED_FROM = 200
_KEYS = ("item_id", "entity_id", "modality", "media_type", "event_timestamp", "generation")
_INTERNAL = {"generation": "#generation", "deleted": "#deleted"}
"""No attribute can have these names, and no filter can ask for them."""


@dataclass(frozen=True, eq=False)
class ItemTable:
    """`frame`: one row per item ever seen by this table, with its effective attributes (its own,
    else its entity's). `alive`: bool (n,). `rows` and `entity_codes_of` only ever grow and are
    shared by successive tables: a row number beyond `len(frame)` is of a later table."""

    own: pl.DataFrame
    entities: pl.DataFrame
    frame: pl.DataFrame
    alive: Bool
    generation: I64
    modality: np.ndarray[Any, np.dtype[np.int8]]
    entity_code: I64
    rows: dict[str, int]
    entity_codes_of: dict[str, int]
    attributes: dict[str, str]
    masks: dict[tuple[str, bool], Bool] = field(default_factory=dict)

    @classmethod
    def load(cls, reader: Reader) -> ItemTable:
        own = _columns(reader.items(columns=_wanted(reader)), _KEYS)
        entities = _columns(reader.entities(), ("entity_id",))
        rows = {item_id: row for row, item_id in enumerate(own["item_id"].to_list())}
        return _assemble(own, entities, np.ones(len(own), bool), rows, {}, reader)

    def refreshed(self, reader: Reader, since: int) -> tuple[ItemTable, I64]:
        """The table at the reader's snapshot, and the rows that changed, given that this one is of
        revision `since`."""
        changed = _columns(
            reader.items(columns=[*_wanted(reader), "deleted"], since=since), (*_KEYS, "deleted")
        )
        entities = _columns(reader.entities(since=since), ("entity_id", "deleted"))
        touched = np.zeros(0, np.int64)
        own, alive = self.own, self.alive
        if len(changed):
            ids = changed["item_id"].to_list()
            known = np.array([self.rows.get(item_id, -1) for item_id in ids], np.int64)
            known[known >= len(own)] = -1  # numbered by a look that failed afterwards
            # A row deleted before this table was made is news of nothing.
            news = (known >= 0) | ~changed["#deleted"].to_numpy()
            changed, known = changed.filter(pl.Series(news)), known[news]
            fresh = np.flatnonzero(known < 0)
            known[fresh] = len(own) + np.arange(len(fresh))
            take = np.arange(len(own) + len(fresh), dtype=np.int64)
            take[known] = len(own) + np.arange(len(changed))
            dead = changed["#deleted"].to_numpy()
            own = pl.concat([own, changed.drop("#deleted")], how="diagonal_relaxed")[take]
            alive = np.concatenate([alive, np.ones(len(fresh), bool)])
            alive[known] = ~dead
            changed_ids = changed["item_id"].to_list()
            self.rows.update((changed_ids[i], int(known[i])) for i in fresh)
            touched = known
        if len(entities):
            gone = entities.filter(pl.col("#deleted"))["entity_id"]
            kept = self.entities.filter(~pl.col("entity_id").is_in(entities["entity_id"].implode()))
            fresh_entities = entities.filter(~pl.col("entity_id").is_in(gone.implode()))
            merged = pl.concat([kept, fresh_entities.drop("#deleted")], how="diagonal_relaxed")
        else:
            merged = self.entities
        table = _assemble(own, merged, alive, self.rows, self.entity_codes_of, reader)
        return table, touched

    def __len__(self) -> int:
        return len(self.frame)

    def row(self, item_id: str) -> int | None:
        """The row of a live item, or None."""
        row = self.rows.get(item_id)
        return None if row is None or row >= len(self.frame) or not self.alive[row] else row

    def rows_of_entity(self, entity_id: str) -> I64:
        """Rows of the entity's live items."""
        code = self.entity_codes_of.get(entity_id)
        if code is None:
            return np.zeros(0, np.int64)
        return np.flatnonzero((self.entity_code == code) & self.alive)

    def passing(self, tree: Filter, *, lenient: bool = False) -> Bool:
        """Live items that pass the filter, bool (n,); kept for the next time.

        Raises FilterError for wrong types and, unless `lenient`, for unknown fields; otherwise an
        unknown field is one that no item has a value of.
        """
        key = (repr(tree), lenient)  # equal trees may differ: 1 == True
        known = self.masks.get(key)
        if known is None:
            if len(self.masks) >= MAX_CACHED_MASKS:
                self.masks.clear()
            known = filtering.mask(tree, self.frame, lenient=lenient) & self.alive
            self.masks[key] = known
        return known

    def values(self, name: str, rows: I64) -> list[Any]:
        """A column of `frame` in some rows."""
        column = self.frame.get_column(name)
        # A gather goes through polars' pool of threads: milliseconds on a busy machine, many times
        # what a short answer costs otherwise.
        if len(rows) > GATHERED_FROM:
            return column.gather(rows).to_list()
        cells = (column[row] for row in rows.tolist())
        # A cell of a list column comes as a Series.
        return [cell.to_list() if isinstance(cell, pl.Series) else cell for cell in cells]

    def counts(self) -> dict[str, int]:
        names = list(Modality)
        counted = np.bincount(self.modality[self.alive], minlength=len(names))
        return {str(name): int(counted[i]) for i, name in enumerate(names)}


MODALITY_CODES = {str(modality): code for code, modality in enumerate(Modality)}


def _wanted(reader: Reader) -> list[str]:
    return [*_KEYS, *(f"{ATTRIBUTE_PREFIX}{name}" for name in reader.item_attributes())]


def _columns(table: pa.Table, keys: tuple[str, ...]) -> pl.DataFrame:
    frame = pl.DataFrame(pl.from_arrow(table))
    names = [name for name in frame.columns if name.startswith(ATTRIBUTE_PREFIX)]
    frame = frame.select([*keys, *names])
    shown = {name: name.removeprefix(ATTRIBUTE_PREFIX) for name in names}
    return frame.rename({**{key: _INTERNAL[key] for key in keys if key in _INTERNAL}, **shown})


def _assemble(
    own: pl.DataFrame,
    entities: pl.DataFrame,
    alive: Bool,
    rows: dict[str, int],
    entity_codes_of: dict[str, int],
    reader: Reader,
) -> ItemTable:
    types = {name: pl.Series(pa.array([], type_)).dtype for name, type_ in _types(reader)}
    missing = [pl.lit(None, dtype).alias(n) for n, dtype in types.items() if n not in own.columns]
    own = own.with_columns(missing)
    shared = [name for name in entities.columns if name in types]
    frame = own
    if len(entities) and shared:
        joined = own.select("entity_id").join(
            entities, on="entity_id", how="left", maintain_order="left"
        )
        frame = own.with_columns(
            [pl.coalesce(own[name], joined[name]).cast(types[name]).alias(name) for name in shared]
        )
    frame = frame.with_columns([pl.col(name).cast(dtype) for name, dtype in types.items()])
    for entity_id in frame["entity_id"].unique(maintain_order=True).to_list():
        entity_codes_of.setdefault(entity_id, len(entity_codes_of))
    codes = frame["entity_id"].replace_strict(entity_codes_of, return_dtype=pl.Int64)
    modality = (
        frame["modality"].cast(pl.String).replace_strict(MODALITY_CODES, return_dtype=pl.Int8)
    )
    return ItemTable(
        own,
        entities,
        frame,
        alive,
        own["#generation"].to_numpy().astype(np.int64),
        modality.to_numpy(),
        codes.to_numpy(),
        rows,
        entity_codes_of,
        {name: filtering.type_name(dtype) for name, dtype in types.items()},
    )


def _types(reader: Reader) -> list[tuple[str, pa.DataType]]:
    return sorted(reader.attribute_types().items())
