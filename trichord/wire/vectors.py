"""float32 arrays <-> packed little-endian bytes (`repeated float` costs a hundred times more)."""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np

from trichord.errors import FrameMismatch, VectorError
from trichord.types import F32, Frame
from trichord.v1 import types_pb2

_DTYPES: dict[int, np.dtype[Any]] = {0: np.dtype("<f4"), 1: np.dtype("<f4"), 2: np.dtype("<f2")}


def write_vector(
    array: F32, message: types_pb2.Vector, frame: str = "", *, half: bool = False
) -> None:
    """Fills an empty message with a vector (dim,) or rows (n, dim); `half` packs float16."""
    dtype = types_pb2.Vector.D_TYPE_FLOAT16 if half else types_pb2.Vector.D_TYPE_FLOAT32
    message.data = np.asarray(array, _DTYPES[dtype]).tobytes()
    message.dtype = dtype
    message.dim = np.shape(array)[-1]
    message.frame = frame


def to_vector(array: F32, frame: str = "", *, half: bool = False) -> types_pb2.Vector:
    message = types_pb2.Vector()
    write_vector(array, message, frame, half=half)
    return message


def from_vector(message: types_pb2.Vector, frame: Frame | None = None) -> F32:
    """The rows, float32 (n, dim), finite. With `frame`, dim and the named frame must agree.

    Raises VectorError (length, dtype, dim, NaN) and FrameMismatch.
    """
    if frame is not None and message.frame and message.frame != frame.id:
        raise FrameMismatch(
            f"the vector belongs to the frame {message.frame!r}, the space to {frame.id!r}: "
            "vectors of different frames cannot be compared",
            frame=message.frame,
            expected=frame.id,
        )
    kind = _DTYPES.get(message.dtype)
    if kind is None:
        raise VectorError(f"unknown dtype {message.dtype}: send float32 (1) or float16 (2)")
    dim, data = message.dim, message.data  # read once: every look makes a copy
    size = len(data)
    if dim == 0:
        raise VectorError("the vector has no dim: set it to the number of values per row")
    if frame is not None and dim != frame.dim:
        raise VectorError(
            f"the vector has {dim} values, the frame {frame.id!r} needs {frame.dim}",
            dim=dim,
            expected=frame.dim,
        )
    if size % (dim * kind.itemsize):
        raise VectorError(
            f"{size} bytes are not whole rows of {dim} values of {kind.itemsize} bytes",
            bytes=size,
            dim=dim,
        )
    # float32 stays where the message has it: nothing is copied, and nothing may be written.
    rows: F32 = np.frombuffer(data, kind).reshape(-1, dim).astype(np.float32, copy=False)
    # The product tells in a third of the time; of large numbers it may be infinite itself.
    if not isfinite(np.vdot(rows, rows)) and not np.isfinite(rows).all():
        raise VectorError("the vector holds NaN or infinite values")
    return rows


def one_vector(message: types_pb2.Vector, frame: Frame | None = None) -> F32:
    """As `from_vector` for exactly one row: float32 (dim,)."""
    rows = from_vector(message, frame)
    if len(rows) != 1:
        raise VectorError(f"one vector is needed, the message holds {len(rows)}")
    vector: F32 = rows[0]
    return vector
