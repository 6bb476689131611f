"""Ready vectors in bulk: whole columns at a time, no object per row.

Only rows that need a closer look (known ids whose vector or facts differ, ids that a table repeats)
take the road of single records.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import xxhash

from trichord.catalog import attributes as attribute_columns
from trichord.catalog.filtering import TYPE_NAMES
from trichord.catalog.items import ATTRIBUTE_PREFIX
from trichord.catalog.preparing import MAX_ID, vector_seed
from trichord.catalog.written import Written
from trichord.errors import InvalidInput
from trichord.sources import Table
from trichord.types import F32, I64, Modality, Space

U8 = npt.NDArray[np.uint8]
_RESERVED = ("item_id", "entity_id", "modality", "vector", "event_timestamp")
_SEPARATOR = "\x1f"


def problem(frame: pl.DataFrame, space: Space) -> str | None:
    """Why the frame as a whole cannot go the columnar way; None if it can."""
    if not {"item_id", "modality", "vector"} <= set(frame.columns):
        return "it has no item_id, modality and vector"
    if {"uri", "text"} & set(frame.columns):
        return "it has other content too"
    dtype = frame.schema["vector"]
    if not isinstance(dtype, pl.Array | pl.List) or dtype.inner not in (pl.Float32, pl.Float64):
        return "its vectors are no lists of float32 or float64"
    for name, dtype in frame.schema.items():
        if name in ("item_id", "entity_id", "modality"):
            if dtype != pl.String:
                return f"its {name} is not text"
        elif name == "event_timestamp":
            if dtype not in (pl.String, pl.Date, pl.Null) and not isinstance(dtype, pl.Datetime):
                return "its event_timestamp is no time"
        elif name != "vector":
            try:
                attribute_columns.canonical({name: None})
            except InvalidInput as error:
                return str(error)
            if dtype != pl.Null and _attribute_dtype(dtype) is None:
                return f"column {name!r} is of type {dtype}"
    return None


@dataclass(frozen=True)
class Ready:
    """A table looked through, before anything is asked of the store.

    `frame` normalised, `matrix` float32 (n, dim) as given, `prints` and `said` uint8 (n, 16) are of
    the rows that can go by columns; `positions` int64 (n,) are their rows in the table, `apart`
    those of the others. `space` and `stored`, the attribute types, are what this rests on.
    """

    table: Table
    space: Space
    frame: pl.DataFrame
    matrix: F32
    prints: U8
    said: U8
    positions: I64
    apart: list[int]
    stored: Mapping[str, pa.DataType]

    def holds(self, stored: Mapping[str, pa.DataType], space: Space) -> bool:
        """Whether it would be the same with these attribute types and for this space: types that
        are new since are ours."""
        if space != self.space:
            return False
        mine = attribute_types(self.frame)
        return all(
            stored.get(name) in (self.stored.get(name), mine.get(name))
            for name in self.table.frame.columns
        )


def ready(table: Table, space: Space, stored: Mapping[str, pa.DataType]) -> Ready:
    """Checks and hashes a table of ready vectors."""
    frame, sound = normalised(table.frame, stored)
    matrix, usable = matrix_of(frame["vector"], space.frame.dim)
    known = frame["modality"].is_in([str(modality) for modality in space.encoders])
    picked = sound & usable & known.fill_null(False).to_numpy()
    picked &= ~frame["item_id"].is_duplicated().to_numpy()
    apart = [int(row) for row in np.flatnonzero(~picked)]
    if apart:
        matrix, frame = matrix[picked], frame.filter(picked)
    return Ready(
        table,
        space,
        frame,
        matrix,
        fingerprints(matrix, frame, space),
        facts(frame),
        np.flatnonzero(picked),
        apart,
        stored,
    )


def matrix_of(column: pl.Series, dim: int) -> tuple[F32, npt.NDArray[np.bool_]]:
    """The vectors as given, float32 (n, dim), and which of them are usable; rows that are missing,
    of another length, not finite or zero are not."""
    lengths = (
        column.list.len().fill_null(0).to_numpy()
        if isinstance(column.dtype, pl.List)
        else np.where(column.is_null().to_numpy(), 0, column.dtype.shape[0])  # type: ignore[attr-defined]
    )
    usable = lengths == dim
    with np.errstate(over="ignore", invalid="ignore"):
        if usable.all() and len(column):
            flat = column.explode(empty_as_null=True).to_numpy()
            matrix = np.ascontiguousarray(flat, np.float32).reshape(len(column), dim)
        else:
            matrix = np.zeros((len(column), dim), np.float32)
            kept = column.filter(usable)
            if len(kept):
                matrix[usable] = np.asarray(kept.explode().to_numpy(), np.float32).reshape(-1, dim)
        squares = np.einsum("ij,ij->i", matrix, matrix)
    return matrix, usable & np.isfinite(squares) & (squares > 1e-24)


def unit_rows(matrix: F32) -> F32:
    """Usable rows scaled to length 1; rows that have it stay what they are."""
    squares = np.einsum("ij,ij->i", matrix, matrix)
    off = np.abs(squares - 1.0) > 1e-6
    if not off.any():
        return matrix
    return (matrix / np.sqrt(np.where(off, squares, 1.0))[:, None]).astype(np.float32)


def fingerprints(vectors: F32, frame: pl.DataFrame, space: Space) -> U8:
    """uint8 (n, 16): what `preparing.vector_fingerprint` gives for each row."""
    seeds = {
        name: vector_seed(name, space.encoders[Modality(name)])
        for name in frame["modality"].unique().to_list()
    }
    data = np.ascontiguousarray(vectors).view(np.uint8).reshape(-1).data
    stride, digest = vectors.shape[1] * 4, xxhash.xxh3_128_digest
    # In the order in which they lie: modality by modality takes twice as long.
    of = frame["modality"].replace_strict(seeds, return_dtype=pl.UInt64).to_list()
    starts = range(0, len(data), stride)
    rows = [digest(data[at : at + stride], seed) for at, seed in zip(starts, of, strict=True)]
    return np.frombuffer(b"".join(rows), np.uint8).reshape(-1, 16)


def facts(frame: pl.DataFrame) -> U8:
    """uint8 (n, 16) over all that a row says besides its vector. Only ever compared with what the
    same code stored: a difference leads to a comparison by value, not to a rewrite."""
    names = sorted(name for name in frame.columns if name not in ("item_id", "modality", "vector"))
    typed = [f"{name}:{frame.schema[name]}" for name in names]
    seed = xxhash.xxh3_64_intdigest(_SEPARATOR.join(typed).encode())
    if not names or frame.is_empty():
        return np.tile(np.frombuffer(xxhash.xxh3_128_digest(b"", seed), np.uint8), (len(frame), 1))
    told: list[pl.Expr] = []
    for name in names:
        dtype = frame.schema[name]
        if isinstance(dtype, pl.List):
            text = pl.struct(name).struct.json_encode()
        else:
            text = pl.col(name).cast(pl.String)
        if dtype == pl.String:
            # A length before each text keeps ("a", "bc") and ("ab", "c") apart.
            told.append(text.str.len_bytes().cast(pl.String).fill_null("-"))
        told.append(text.fill_null("-" if dtype != pl.String else ""))
    joined = frame.select(pl.concat_str(told, separator=_SEPARATOR).alias("facts"))["facts"]
    texts = joined.cast(pl.Binary).to_list()
    rows = list(map(xxhash.xxh3_128_digest, texts, repeat(seed)))
    return np.frombuffer(b"".join(rows), np.uint8).reshape(-1, 16)


def attribute_types(frame: pl.DataFrame) -> dict[str, pa.DataType]:
    """Types of the attribute columns of a normalised frame."""
    return {
        name: attribute_columns.TYPES[TYPE_NAMES[dtype]]
        for name, dtype in frame.schema.items()
        if name not in _RESERVED
    }


def normalised(
    frame: pl.DataFrame, stored: Mapping[str, pa.DataType]
) -> tuple[pl.DataFrame, npt.NDArray[np.bool_]]:
    """The frame with its columns in the types that attributes have, and which rows are sound.

    Integers become int64, other numbers float64, dates and times UTC microseconds, categories
    text; columns without any value go. A row is not sound if its id cannot be one, or a cell does
    not fit its type or the type that is `stored`; such a column is left to the rows that are not.
    """
    changed: list[pl.Expr] = []
    doubts: list[pl.Expr] = [_no_identifier(pl.col("item_id")) | pl.col("item_id").is_null()]
    dropped: list[str] = []
    for name, dtype in frame.schema.items():
        column = pl.col(name)
        if name in ("vector", "item_id", "modality"):
            continue
        if name == "entity_id":
            doubts.append(_no_identifier(column).fill_null(False))
            blank = column.str.strip_chars() == ""
            changed.append(pl.when(blank).then(None).otherwise(column).alias(name))
            continue
        target = pl.Datetime("us", "UTC") if name == "event_timestamp" else _attribute_dtype(dtype)
        if target is None or dtype == pl.Null:
            dropped.append(name)
            continue
        there = stored.get(name)
        if name != "event_timestamp" and there is not None:
            wanted = attribute_columns.TYPES[TYPE_NAMES[target]]
            if there == pa.float64() and wanted == pa.int64():
                doubts.append(column.cast(pl.Float64).abs() > attribute_columns.EXACT_FLOATS)
            elif there != wanted:
                doubts.append(column.is_not_null())
                dropped.append(name)
                continue
        cast = _cast(column, dtype, target)
        doubts.append(cast.is_null() & column.is_not_null())
        if target == pl.Float64():
            doubts.append(~cast.is_finite())
        if isinstance(target, pl.List):
            doubts.append(cast.list.eval(pl.element().is_null()).list.any())
        if target != dtype:
            changed.append(cast)
    doubtful = frame.select(pl.any_horizontal(d.fill_null(False) for d in doubts).alias("doubt"))
    sound = ~doubtful["doubt"].to_numpy().astype(bool)
    return frame.with_columns(changed).drop(dropped), sound


def _no_identifier(column: pl.Expr) -> pl.Expr:
    return (
        (column.str.strip_chars() == "")
        | (column.str.len_chars() > MAX_ID)
        | column.str.contains(r"[\x00-\x1f]")
    )


def _attribute_dtype(dtype: pl.DataType) -> pl.DataType | None:
    """The type of attribute that a column becomes, None if it can be none."""
    if dtype.is_integer():
        return pl.Int64()
    if dtype.is_numeric():
        return pl.Float64()
    if dtype == pl.Boolean:
        return pl.Boolean()
    if isinstance(dtype, pl.Date | pl.Datetime):
        return pl.Datetime("us", "UTC")
    if isinstance(dtype, pl.String | pl.Categorical | pl.Enum):
        return pl.String()
    if isinstance(dtype, pl.List) and isinstance(
        dtype.inner, pl.String | pl.Categorical | pl.Enum | pl.Null
    ):
        return pl.List(pl.String())
    return None


def _cast(column: pl.Expr, dtype: pl.DataType, target: pl.DataType) -> pl.Expr:
    """The column as `target`, missing where a value does not fit."""
    if target != pl.Datetime("us", "UTC"):
        return column.cast(target, strict=False)
    if dtype == pl.String:
        return column.str.to_datetime("%+", time_unit="us", time_zone="UTC", strict=False)
    if isinstance(dtype, pl.Datetime):
        micro = column.dt.cast_time_unit("us")
        aware = dtype.time_zone is not None
        return micro.dt.convert_time_zone("UTC") if aware else micro.dt.replace_time_zone("UTC")
    return column.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


def items_table(
    frame: pl.DataFrame, prints: U8, said: U8, types: Mapping[str, pa.DataType]
) -> pa.Table:
    """Rows of `items` for new ready vectors, one segment each."""
    n = len(frame)
    ids = _strings(frame["item_id"])
    columns: dict[str, Any] = {
        "item_id": ids,
        "entity_id": _strings(frame["entity_id"].fill_null(frame["item_id"]))
        if "entity_id" in frame.columns
        else ids,
        "modality": _strings(frame["modality"]),
        "uri": pa.nulls(n, pa.string()),
        "text": pa.nulls(n, pa.string()),
        "media_type": pa.nulls(n, pa.string()),
        "content_hash": pa.repeat(pa.scalar("", pa.string()), n),
        "fingerprint": _fixed(prints),
        "attributes_fingerprint": _fixed(said),
        "segments": pa.array(np.ones(n, np.int32)),
        "event_timestamp": frame["event_timestamp"].to_arrow().cast(attribute_columns.TIME)
        if "event_timestamp" in frame.columns
        else pa.nulls(n, attribute_columns.TIME),
        "attributes_only": pa.array(np.zeros(n, bool)),
    }
    for name, dtype in types.items():
        columns[ATTRIBUTE_PREFIX + name] = (
            frame[name].to_arrow().cast(dtype) if name in frame.columns else pa.nulls(n, dtype)
        )
    return pa.table(columns)


def segments_tables(frame: pl.DataFrame, vectors: F32, plan: Written) -> dict[str, pa.Table]:
    """Rows of `segments_<space>` for the space that is written, and for those that have the same
    vectors."""
    tables = {plan.space.name: segments_table(frame, vectors, plan.space)}
    for other in plan.others:
        space = other.joint.space
        shared = [m for m in Modality if space.name in plan.sharing(m)]
        rows = frame["modality"].is_in([str(modality) for modality in shared]).to_numpy()
        if rows.any():
            tables[space.name] = segments_table(frame.filter(rows), vectors[rows], space)
    return tables


def segments_table(frame: pl.DataFrame, vectors: F32, space: Space) -> pa.Table:
    """Rows of `segments_<space>` for the same."""
    n = len(frame)
    nothing = pa.nulls(n, pa.int64())
    names = frame["modality"]
    encoders = names.replace_strict(
        {str(modality): encoder for modality, encoder in space.encoders.items()}
    )
    return pa.table(
        {
            "item_id": _strings(frame["item_id"]),
            "ordinal": pa.array(np.zeros(n, np.int32)),
            "modality": _strings(names),
            "start_ms": nothing,
            "end_ms": nothing,
            "start_char": nothing,
            "end_char": nothing,
            "encoder": _strings(encoders),
            "vector": pa.FixedSizeListArray.from_arrays(
                pa.array(vectors.reshape(-1)), vectors.shape[1]
            ),
        }
    )


def _strings(column: pl.Series) -> pa.Array:
    return column.to_arrow().cast(pa.string())


def _fixed(rows: U8) -> pa.Array:
    data = pa.py_buffer(np.ascontiguousarray(rows))
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(rows), [None, data])
