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
from trichord.store.numbers import Numbers, bits_of, from_counts, packed
from trichord.store.schema import SPACE_SEGMENTS, conform
from trichord.store.segment_batches import Pieces, segment_rows, tie
from trichord.store.spaces import StoredSpace
from trichord.types import I64, Bool

_STORE_FILLS = (
    "generation",
    "revision",
    "created_timestamp",
    "deleted",
    "spaces",
    SPACE_SEGMENTS,
)


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
    _must(
        ~kept | (_spread(before.modality, known) == modality),
        ids,
        "the modality differs from the stored one although attributes_only is set for the items",
    )

    pieces = [tie(name, table, spaces, ids) for name, table in segments.items()]
    numbers = _numbers(pieces, count, ids, kept, known, before.numbers)
    if "segments" in items.column_names:
        given = np.asarray(pc.fill_null(items["segments"], -1).cast(pa.int64()))
        _must(
            given == numbers.segments,
            ids,
            "`segments` is not the number of given segments for the items",
        )
        items = items.drop_columns(["segments"])
    generation = np.where(kept, old_generation, revision)

    filled = {
        "segments": pa.array(numbers.segments),
        "spaces": pa.array(numbers.spaces.astype(np.int64)),
        SPACE_SEGMENTS: packed(numbers),
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
        modality=modality,
        deleted=np.zeros(count, np.bool_),
        numbers=numbers,
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
    known: Bool,
    before: Numbers,
) -> Numbers:
    """Of every item after the commit; `before` of those that are `known`."""
    counts = {
        bit: np.where(kept, _spread(before.of(bit), known), 0).astype(np.int64)
        for bit in bits_of(before.spaces[kept[known]])
    }
    # Items of a space that was removed stay without a vector until somebody gives them one.
    bare = kept & (_spread(before.spaces, known) == 0)
    for piece in pieces:
        given = piece.counts > 0
        name = piece.stored.space.name
        old = counts.get(piece.bit, np.zeros(count, np.int64))
        _must(
            ~given | (old == 0),
            ids,
            f"attributes_only is set, yet space {name!r} has segments already for the items",
        )
        counts[piece.bit] = old + piece.counts
    numbers = from_counts(counts, count)
    _must(bare | (numbers.spaces > 0), ids, "there is no segment in any space for the items")
    return numbers


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
