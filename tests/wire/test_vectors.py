from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from trichord.errors import FrameMismatch, VectorError
from trichord.types import Frame
from trichord.v1 import types_pb2
from trichord.wire.vectors import from_vector, one_vector, to_vector

FRAME = Frame("anchor", 4)


@settings(deadline=None, max_examples=60)
@given(
    arrays.arrays(
        np.float32,
        st.tuples(st.integers(0, 5), st.integers(1, 9)),
        elements=st.floats(-(2.0**99), 2.0**99, width=32),
    )
)
def test_rows_come_back_bit_for_bit(rows: np.ndarray) -> None:
    message = types_pb2.Vector.FromString(to_vector(rows, "f/9").SerializeToString())
    assert message.frame == "f/9"
    back = from_vector(message)
    assert back.dtype == np.float32 and back.shape == rows.shape
    assert back.tobytes() == rows.tobytes()


def test_bytes_are_little_endian_float32() -> None:
    message = to_vector(np.array([1.5, -2.0], np.float32))
    assert (message.data, message.dim) == (struct.pack("<2f", 1.5, -2.0), 2)
    big = np.array([1.5, -2.0], ">f4")
    assert to_vector(big).data == message.data


def test_float16_rounds_to_its_precision() -> None:
    row = np.array([0.1, 0.2, 0.3, -0.4], np.float32)
    message = to_vector(row, half=True)
    assert message.data == struct.pack("<4e", *row)
    assert np.allclose(one_vector(message, FRAME), row, atol=5e-4)


def message(data: bytes, dim: int = 4, dtype: int = 1, frame: str = "") -> types_pb2.Vector:
    return types_pb2.Vector(data=data, dim=dim, dtype=dtype, frame=frame)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (message(b"\0" * 16, dim=0), "no dim"),
        (message(b"\0" * 15), "15 bytes are not whole rows of 4"),
        (message(b"\0" * 12, dim=3), "has 3 values, the frame 'anchor/4' needs 4"),
        (message(b"\0" * 16, dtype=7), "unknown dtype 7"),
        (message(struct.pack("<4f", 1, float("nan"), 0, 0)), "NaN"),
        (message(struct.pack("<4f", 1, float("inf"), 0, 0)), "infinite"),
        (message(b""), "holds 0"),
        (message(b"\0" * 32), "holds 2"),
    ],
)
def test_what_is_wrong_is_said(wrong: types_pb2.Vector, says: str) -> None:
    with pytest.raises(VectorError, match=says):
        one_vector(wrong, FRAME)


def test_a_foreign_frame_is_refused_and_the_own_taken() -> None:
    data = struct.pack("<4f", 1, 0, 0, 0)
    with pytest.raises(FrameMismatch, match="'other/4'.*'anchor/4'"):
        one_vector(message(data, frame="other/4"), FRAME)
    assert one_vector(message(data, frame="anchor/4"), FRAME).tolist() == [1, 0, 0, 0]
