"""Items and entities: from what a caller hands over to rows that may be written, column-wise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from trichord.errors import InvalidInput
from trichord.store.columns import commit_columns, present, refuse, strings, with_columns
from trichord.store.directory import (
    MODALITIES,
    EntityDirectory,
    ItemDirectory,
    ItemFacts,
    modality_codes,
    words,
)
from trichord.store.keys import Hashes, Scalar
from trichord.store.schema import conform
from trichord.store.segment_batches import Pieces, segment_rows, tie
from trichord.store.spaces import StoredSpace
from trichord.types import I64, Bool

_STORE_FILLS = ("generation", "revision", "created_timestamp", "deleted", "spaces")


@dataclass(frozen=True)
class ItemBatch:
    """Items to be written: rows of `items`, and what the directory will learn of them.

    positions  int64 (n,): the row's place in the directory, -1 for a new id
    before     facts that the rows replace, of those with a position, in order
    """

    rows: pa.Table
    hashes: Hashes
    positions: I64
    facts: ItemFacts
    before: ItemFacts

    @property
    def updated(self) -> int:
        return int((self.positions >= 0).sum())


@dataclass(frozen=True)
class EntityBatch:
    rows: pa.Table
    hashes: Hashes
    positions: I64
    live: Bool

    @property
    def updated(self) -> int:
        return int((self.positions >= 0).sum())


def prepare(
    items: pa.Table | None,
    segments: Mapping[str, pa.Table],
    *,
    schema: pa.Schema,
    spaces: Sequence[StoredSpace],
    directory: ItemDirectory,
    revision: int,
    now: datetime,
) -> tuple[ItemBatch | None, dict[str, pa.Table]]:
    """Rows of `items`, and per segments table its rows. Raises InvalidInput (VectorError for
    vectors, EncoderMismatch, NotFound for a space) and writes nothing."""
    segments = {name: table for name, table in segments.items() if table.num_rows}
    if items is None or not items.num_rows:
        if segments:
            raise InvalidInput("segments were given without their items")
        return None, {}
    refuse(items, _STORE_FILLS, "items")
    kept = _flags(items)
    if "attributes_only" in items.column_names:
        items = items.drop_columns(["attributes_only"])
    count = items.num_rows
    ids, hashes = _keys(items, "item_id", directory)
    positions = directory.locate(hashes)
    live = directory.live(positions)
    _must(live | ~kept, ids, "attributes_only is set for items that the store does not have")
    modality = modality_codes(present(items, "modality", "items"))
    _must(modality >= 0, ids, f"modality is none of {', '.join(MODALITIES)} for the items")

    known = positions >= 0
    before = directory.facts(positions[known])
    old_generation = _spread(before.generation, known)
    old_segments = _spread(before.segments, known)
    old_spaces = _spread(before.spaces, known)
    _must(
        ~kept | (_spread(before.modality, known) == modality),
        ids,
        "the modality differs from the stored one although attributes_only is set for the items",
    )

    pieces = [tie(name, table, spaces, ids) for name, table in segments.items()]
    number, mask = _numbers(pieces, count, ids, kept, old_segments, old_spaces)
    if "segments" in items.column_names:
        given = np.asarray(pc.fill_null(items["segments"], -1).cast(pa.int64()))
        _must(given == number, ids, "`segments` is not the number of given segments for the items")
        items = items.drop_columns(["segments"])
    generation = np.where(kept, old_generation, revision)

    filled = {
        "segments": pa.array(number.astype(np.int32)),
        "spaces": pa.array(mask.astype(np.int64)),
        "generation": pa.array(generation),
        **commit_columns(count, revision, now),
        "deleted": pa.array(np.zeros(count, np.bool_)),
    }
    for name in ("content_hash", "fingerprint", "attributes_fingerprint"):
        if present(items, name, "items").null_count:
            raise InvalidInput(f"items: {name!r} is null in some rows", column=name)
    rows = conform(with_columns(items, filled), schema, "items")
    facts = ItemFacts(
        fingerprint=words(rows["fingerprint"]),
        attributes_fingerprint=words(rows["attributes_fingerprint"]),
        generation=generation,
        segments=number.astype(np.int32),
        modality=modality,
        spaces=mask.astype(np.uint32),
        deleted=np.zeros(count, np.bool_),
    )
    written = {
        piece.stored.table: segment_rows(piece, ids, modality, generation, revision, now)
        for piece in pieces
    }
    return ItemBatch(rows, hashes, positions, facts, before), written


def prepare_entities(
    entities: pa.Table | None,
    *,
    schema: pa.Schema,
    directory: EntityDirectory,
    revision: int,
    now: datetime,
) -> EntityBatch | None:
    """Rows of `entities`; raises InvalidInput and writes nothing."""
    if entities is None or not entities.num_rows:
        return None
    refuse(entities, _STORE_FILLS, "entities")
    _, hashes = _keys(entities, "entity_id", directory)
    count = entities.num_rows
    filled = {
        **commit_columns(count, revision, now),
        "deleted": pa.array(np.zeros(count, np.bool_)),
    }
    rows = conform(with_columns(entities, filled), schema, "entities")
    return EntityBatch(rows, hashes, directory.locate(hashes), np.ones(count, np.bool_))


def _numbers(
    pieces: Sequence[Pieces],
    count: int,
    ids: pa.ChunkedArray,
    kept: Bool,
    old_number: npt.NDArray[np.int32],
    old_mask: npt.NDArray[np.uint32],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Number of segments and mask of spaces of every item after the commit, int64 (n,) each."""
    number = np.where(kept, old_number, 0).astype(np.int64)
    mask = np.where(kept, old_mask, 0).astype(np.int64)
    for piece in pieces:
        given = piece.counts > 0
        name = piece.stored.space.name
        _must(
            ~given | (mask & (1 << piece.bit) == 0),
            ids,
            f"attributes_only is set, yet space {name!r} has segments already for the items",
        )
        _must(
            ~given | (number == 0) | (number == piece.counts),
            ids,
            f"the number of segments in space {name!r} differs from other spaces for the items",
        )
        number = np.maximum(number, piece.counts)
        mask |= given.astype(np.int64) << piece.bit
    _must(number > 0, ids, "there is no segment in any space for the items")
    return number, mask


def _flags(items: pa.Table) -> Bool:
    if "attributes_only" not in items.column_names:
        return np.zeros(items.num_rows, np.bool_)
    column = items["attributes_only"]
    if column.type != pa.bool_():
        raise InvalidInput("items: `attributes_only` is not a bool column")
    return np.asarray(pc.fill_null(column, False).to_numpy(), np.bool_)


def _keys(
    table: pa.Table, key: str, directory: ItemDirectory | EntityDirectory
) -> tuple[pa.ChunkedArray, Hashes]:
    ids = strings(table, key, "rows")
    hashes = directory.hash(ids)
    twice = hashes.first_duplicate()
    if twice is not None:
        raise InvalidInput(f"{key} {ids[twice]} stands twice in one batch", **{key: ids[twice]})
    return ids, hashes


def _must(holds: Bool, ids: pa.ChunkedArray, complaint: str) -> None:
    bad = np.flatnonzero(~holds)
    if len(bad):
        some = ", ".join(str(ids[int(i)]) for i in bad[:5])
        more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
        raise InvalidInput(f"{complaint} {some}{more}", count=len(bad))


def _spread(values: npt.NDArray[Scalar], known: Bool) -> npt.NDArray[Scalar]:
    """Facts of the known rows at their places among all rows, 0 elsewhere."""
    spread = np.zeros(len(known), values.dtype)
    spread[known] = values
    return spread
