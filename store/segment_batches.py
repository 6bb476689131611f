"""Segments: from what a caller hands over to rows that may be written, by whole columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from trichord.errors import EncoderMismatch, InvalidInput
from trichord.store.columns import commit_columns, present, refuse, strings, with_columns
from trichord.store.directory import MODALITIES, modality_codes
from trichord.store.schema import conform, segments_schema
from trichord.store.spaces import StoredSpace, named
from trichord.store.vectors import checksums, column_of, matrix
from trichord.types import I64

_SPANS = ("start_ms", "end_ms", "start_char", "end_char")


@dataclass(frozen=True)
class Pieces:
    """Segments of one space, tied to the items of the batch: `owner` is the item's row."""

    stored: StoredSpace
    bit: int
    table: pa.Table
    owner: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]


def tie(name: str, table: pa.Table, spaces: Sequence[StoredSpace], ids: pa.ChunkedArray) -> Pieces:
    """Find every segment's item in the batch, and check that ordinals run 0, 1, 2, … in each."""
    stored = named(spaces, name)
    what = f"segments of space {name!r}"
    owned = strings(table, "item_id", what)
    owner = pc.index_in(owned, value_set=ids)
    if owner.null_count:
        stray = owned.filter(pc.is_null(owner))[0]
        raise InvalidInput(f"{what}: the item {stray} is not in the batch", item_id=stray)
    row = np.asarray(owner).astype(np.int64)
    counts = np.bincount(row, minlength=len(ids))
    ordinals = np.asarray(pc.fill_null(present(table, "ordinal", what).cast(pa.int64()), -1))
    fits = (ordinals >= 0) & (ordinals < counts[row])
    if fits.all():
        place = (np.cumsum(counts) - counts)[row] + ordinals
        fits = np.bincount(place, minlength=len(row))[place] == 1
    if not fits.all():
        bad = ids[int(row[np.flatnonzero(~fits)[0]])]
        raise InvalidInput(f"{what}: ordinals of the item {bad} are not 0, 1, 2, …", item_id=bad)
    return Pieces(stored, stored.bit, table, row, counts)


def segment_rows(
    piece: Pieces,
    ids: pa.ChunkedArray,
    modality: npt.NDArray[np.int8],
    generation: I64,
    revision: int,
    now: datetime,
) -> pa.Table:
    space, table = piece.stored.space, piece.table
    what = f"segments of space {space.name!r}"
    refuse(table, ("generation", "revision", "created_timestamp", "checksum"), what)
    count = table.num_rows
    own = modality[piece.owner]
    used = np.unique(own)
    missing = [MODALITIES[code] for code in used if MODALITIES[code] not in space.encoders]
    if missing:
        raise InvalidInput(
            f"space {space.name!r} has no encoder for {', '.join(missing)}", space=space.name
        )
    names = pa.array([str(m) for m in MODALITIES])
    encoders = pa.array([space.encoders.get(m, "") for m in MODALITIES])
    if "modality" in table.column_names and not np.array_equal(
        modality_codes(table["modality"]), own
    ):
        raise InvalidInput(f"{what}: the modality of some rows is not that of their item")
    if "encoder" in table.column_names:
        given = pc.unique(table["encoder"]).to_pylist()
        if len(used) != len(given) or {encoders[int(code)].as_py() for code in used} != set(given):
            raise EncoderMismatch(
                f"{what}: vectors were made by {given}, the space has other encoders for them",
                space=space.name,
            )
    vectors = column_of(present(table, "vector", what), space.frame.dim, what)
    filled = {
        **commit_columns(count, revision, now),
        "generation": pa.array(generation[piece.owner]),
        "modality": _constant_or_taken(names, own, used),
        "encoder": _constant_or_taken(encoders, own, used),
        "checksum": pa.array(checksums(matrix(vectors))),
        "vector": vectors,
    }
    for name in _SPANS:
        if name in table.column_names:
            filled[name] = _without_absent(table[name], f"{what}: {name}")
    rest = [n for n in table.column_names if n not in filled]
    return conform(with_columns(table.select(rest), filled), segments_schema(space.frame.dim), what)


def _constant_or_taken(
    values: pa.Array, codes: npt.NDArray[np.int8], used: npt.NDArray[np.int8]
) -> pa.Array:
    if len(used) == 1:
        return pa.repeat(values[int(used[0])], len(codes))
    return values.take(pa.array(codes))


def _without_absent(column: pa.ChunkedArray, what: str) -> pa.ChunkedArray:
    """A span's bound as int64; -1, which says "absent" in columns without nulls, becomes null."""
    if not (pa.types.is_integer(column.type) or pa.types.is_null(column.type)):
        raise InvalidInput(f"{what} is {column.type}, not an integer")
    column = column.cast(pa.int64())
    if column.null_count < len(column) and pc.min(column).as_py() < 0:
        column = pc.if_else(pc.less(column, 0), pa.scalar(None, pa.int64()), column)
    return column
