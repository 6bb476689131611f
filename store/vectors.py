"""Vectors as FixedSizeList<float32>: what may be stored, and a checksum for each."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from trichord.errors import VectorError
from trichord.types import F32

UNIT_TOLERANCE = 1e-3
"""How far the squared length of a stored vector may be from 1."""


def matrix(column: pa.ChunkedArray | pa.Array) -> F32:
    """The vectors as one float32 (n, dim) array, without a copy if they lie in one chunk."""
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    dim = column.type.list_size
    values = column.values.slice(column.offset * dim, len(column) * dim)
    flat: F32 = np.asarray(values.to_numpy(zero_copy_only=values.null_count == 0))
    return flat.reshape(-1, dim)


def column_of(column: pa.ChunkedArray | pa.Array, dim: int, what: str) -> pa.Array:
    """A column of vectors as FixedSizeList<float32>[dim]. Raises VectorError for another length
    or type, a null, a value that is not finite, and a vector that has not length 1."""
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    kind = column.type
    if not pa.types.is_fixed_size_list(kind) or kind.value_type != pa.float32():
        raise VectorError(f"{what}: vectors are {kind}, not fixed-size lists of float32")
    if kind.list_size != dim:
        raise VectorError(
            f"{what}: vectors have {kind.list_size} numbers, the space has {dim}",
            got=kind.list_size,
            expected=dim,
        )
    values = column.values.slice(column.offset * dim, len(column) * dim)
    if column.null_count or values.null_count:
        raise VectorError(f"{what}: some vectors are null")
    rows = matrix(column)
    bad = not_unit(rows)
    if len(bad):
        length = float(np.sqrt(np.square(rows[bad[0]].astype(np.float64)).sum()))
        raise VectorError(
            f"{what}: {len(bad)} vectors are not finite or not of length 1 (the first at row "
            f"{bad[0]}, its length is {length:.6g})",
            row=int(bad[0]),
        )
    return column.cast(pa.list_(pa.float32(), dim))


def not_unit(rows: F32) -> npt.NDArray[np.intp]:
    """Rows of float32 (n, dim) that are not finite or not of length 1."""
    with np.errstate(over="ignore", invalid="ignore"):
        squared = np.einsum("ij,ij->i", rows, rows)
        return np.flatnonzero(~(np.abs(squared - 1.0) <= UNIT_TOLERANCE))


def checksums(rows: F32) -> npt.NDArray[np.uint64]:
    """xxh3_64 of each vector's little-endian bytes, uint64 (n,)."""
    rows = np.ascontiguousarray(rows, dtype="<f4")
    return np.fromiter(map(xxhash.xxh3_64_intdigest, rows), np.uint64, len(rows))
