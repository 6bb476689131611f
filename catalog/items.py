"""The items of one snapshot as columns in memory, and what filters and answers read from them.

An item keeps its row for life: a changed attribute or new content overwrites the row, a deleted
item's row goes dark, new items are appended. Segments can therefore point to rows, and a change of
an attribute never touches an index.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import repeat
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from trichord.catalog import filtering
from trichord.catalog.columns import Coded, Column, Names, Objects, column_of
from trichord.filters import Filter, written
from trichord.store import Reader
from trichord.types import I64, Bool, Modality

I8 = npt.NDArray[np.int8]
Scalar = TypeVar("Scalar", bound=np.generic)

ATTRIBUTE_PREFIX = "attr_"
MAX_CACHED_MASKS = 64
MAX_CHUNKS = 16
FEW_OF_ALL = 8
_KEYS = ("item_id", "entity_id", "modality", "media_type", "event_timestamp", "generation")
_INTERNAL = {"generation": "#generation", "deleted": "#deleted"}
"""No attribute can have these names, and no filter can ask for them."""


@dataclass(frozen=True, eq=False)
class ItemTable:
    """`frame`: one row per item ever seen by this table, with its effective attributes (its own,
    else its entity's). `alive`: bool (n,). `ids` and `entity_names` are the texts by row and by
    code. They, `rows` and `entity_codes_of` only ever grow and are shared by successive tables: a
    row number beyond `len(frame)` is of a later table."""

    own: pl.DataFrame
    entities: pl.DataFrame
    frame: pl.DataFrame
    alive: Bool
    generation: I64
    modality: I8
    entity_code: I64
    rows: dict[str, int]
    entity_codes_of: dict[str, int]
    ids: Names
    entity_names: Names
    attributes: dict[str, str]
    masks: dict[tuple[str, bool], Bool] = field(default_factory=dict)
    columns: dict[str, Column] = field(default_factory=dict)

    @classmethod
    def load(cls, reader: Reader) -> ItemTable:
        own = _columns(reader.items(columns=_wanted(reader)), _KEYS)
        entities = _columns(reader.entities(), ("entity_id",))
        names = own["item_id"].to_list()
        rows = dict(zip(names, range(len(own)), strict=True))
        codes_of: dict[str, int] = {}
        entity_names = Names()
        codes = _entity_codes(own["entity_id"], codes_of, entity_names)
        shared = rows, codes_of, Names(names), entity_names
        alive = np.ones(len(own), bool)
        return _assemble(own, entities, alive, _modality(own), codes, shared, reader)

    def refreshed(self, reader: Reader, since: int) -> tuple[ItemTable, I64]:
        """The table at the reader's snapshot, and the rows that changed, given that this one is of
        revision `since`."""
        changed = _columns(
            reader.items(columns=[*_wanted(reader), "deleted"], since=since), (*_KEYS, "deleted")
        )
        entities = _columns(reader.entities(since=since), ("entity_id", "deleted"))
        touched = np.zeros(0, np.int64)
        own, alive, modality, codes = self.own, self.alive, self.modality, self.entity_code
        if len(changed):
            ids = changed["item_id"].to_list()
            known = np.fromiter(map(self.rows.get, ids, repeat(-1)), np.int64, len(ids))
            known[known >= len(own)] = -1  # numbered by a look that failed afterwards
            # A row deleted before this table was made is news of nothing.
            news = (known >= 0) | ~changed["#deleted"].to_numpy()
            changed, known = changed.filter(pl.Series(news)), known[news]
            fresh = np.flatnonzero(known < 0)
            known[fresh] = len(own) + np.arange(len(fresh))
            before, dead = len(own), changed["#deleted"].to_numpy()
            own = pl.concat([own, changed.drop("#deleted")], how="diagonal_relaxed", rechunk=False)
            if len(fresh) < len(changed):
                take = np.arange(before + len(fresh), dtype=np.int64)
                take[known] = before + np.arange(len(changed))
                own = own[take]
            elif own.n_chunks() > MAX_CHUNKS:
                own = own.rechunk()
            alive = _put(alive, len(fresh), known, ~dead)
            modality = _put(modality, len(fresh), known, _modality(changed))
            fresh_codes = _entity_codes(
                changed["entity_id"], self.entity_codes_of, self.entity_names
            )
            codes = _put(codes, len(fresh), known, fresh_codes)
            named = changed["item_id"].gather(fresh).to_list()
            self.ids.put(before, named)
            self.rows.update(zip(named, known[fresh].tolist(), strict=True))
            touched = known
        if len(entities):
            gone = entities.filter(pl.col("#deleted"))["entity_id"]
            kept = self.entities.filter(~pl.col("entity_id").is_in(entities["entity_id"].implode()))
            fresh_entities = entities.filter(~pl.col("entity_id").is_in(gone.implode()))
            merged = pl.concat([kept, fresh_entities.drop("#deleted")], how="diagonal_relaxed")
        else:
            merged = self.entities
        shared = self.rows, self.entity_codes_of, self.ids, self.entity_names
        table = _assemble(own, merged, alive, modality, codes, shared, reader)
        return table, touched

    def __len__(self) -> int:
        return len(self.frame)

    def row(self, item_id: str) -> int | None:
        """The row of a live item, or None."""
        row = self.rows.get(item_id)
        return None if row is None or row >= len(self.frame) or not self.alive[row] else row

    def rows_of(self, ids: pa.Array | pa.ChunkedArray) -> I64:
        """The row of each id, int64 (n,), -1 where there is none."""
        rows: I64
        if len(ids) * FEW_OF_ALL < len(self):
            rows = np.fromiter(map(self.rows.get, ids.to_pylist(), repeat(-1)), np.int64, len(ids))
            rows[rows >= len(self)] = -1
            return rows
        mine = self.frame.get_column("item_id").to_arrow()
        if ids.type != mine.type:
            ids = ids.cast(mine.type)
        rows = pc.fill_null(pc.index_in(ids, value_set=mine), -1).to_numpy().astype(np.int64)
        return rows

    def passing(self, tree: Filter, *, lenient: bool = False) -> Bool:
        """Live items that pass the filter, bool (n,); kept for the next time.

        Raises FilterError for wrong types and, unless `lenient`, for unknown fields; otherwise an
        unknown field is one that no item has a value of.
        """
        key = (written(tree), lenient)
        known = self.masks.get(key)
        if known is None:
            if len(self.masks) >= MAX_CACHED_MASKS:
                self.masks.clear()
            known = filtering.mask(tree, self.frame, lenient=lenient) & self.alive
            self.masks[key] = known
        return known

    def values(self, name: str, rows: I64) -> list[Any]:
        """An attribute, or another column of `frame`, in some rows."""
        column = self.columns.get(name)
        if column is None:
            column = self.columns[name] = column_of(self.frame.get_column(name))
        return column.take(rows)

    def entity_ids(self, rows: I64) -> list[str]:
        return self.entity_names.take(self.entity_code[rows])

    @cached_property
    def each_its_own_entity(self) -> bool:
        """No two live items share an entity."""
        codes = self.entity_code[self.alive]
        return len(codes) == 0 or int(np.bincount(codes).max()) <= 1

    @cached_property
    def modality_names(self) -> Coded:
        return Coded(self.modality, _MODALITY_NAMES)

    def modality_of(self, row: int) -> Modality:
        return _MODALITIES[int(self.modality[row])]

    def counts(self) -> dict[str, int]:
        names = list(Modality)
        counted = np.bincount(self.modality[self.alive], minlength=len(names))
        return {str(name): int(counted[i]) for i, name in enumerate(names)}


_MODALITIES = tuple(Modality)
_MODALITY_NAMES: Objects = np.array([str(modality) for modality in Modality], object)
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
    modality: I8,
    codes: I64,
    shared_names: tuple[dict[str, int], dict[str, int], Names, Names],
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
    return ItemTable(
        own,
        entities,
        frame,
        alive,
        own["#generation"].to_numpy().astype(np.int64),
        modality,
        codes,
        *shared_names,
        {name: filtering.type_name(dtype) for name, dtype in types.items()},
    )


def _modality(own: pl.DataFrame) -> I8:
    """Index in Modality of every row, int8 (n,)."""
    names = own["modality"].cast(pl.String).to_arrow()
    known = pa.array(list(MODALITY_CODES), names.type)
    codes: I8 = pc.index_in(names, value_set=known).to_numpy(zero_copy_only=False).astype(np.int8)
    return codes


def _entity_codes(ids: pl.Series, codes_of: dict[str, int], names_of: Names) -> I64:
    """The code of every id, int64 (n,); those that have none yet get the next ones in
    `codes_of` and `names_of`."""
    distinct = ids.unique(maintain_order=True)
    names = distinct.to_list()
    fresh = [name for name in names if name not in codes_of] if codes_of else names
    names_of.put(len(codes_of), fresh)
    codes_of.update(zip(fresh, range(len(codes_of), len(codes_of) + len(fresh)), strict=True))
    codes = np.fromiter(map(codes_of.__getitem__, names), np.int64, len(names))
    place = pc.index_in(ids.to_arrow(), value_set=distinct.to_arrow()).to_numpy()
    every: I64 = codes[place]
    return every


def _put(
    column: npt.NDArray[Scalar], more: int, at: I64, values: npt.NDArray[Scalar]
) -> npt.NDArray[Scalar]:
    """A copy of the column, longer by `more`, with `values` in rows `at`."""
    longer = np.empty(len(column) + more, column.dtype)
    longer[: len(column)] = column
    longer[at] = values
    return longer


def _types(reader: Reader) -> list[tuple[str, pa.DataType]]:
    return sorted(reader.attribute_types().items())
