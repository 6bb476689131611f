"""Vectors that go straight to disk: a matrix is written as its rows come, and mapped."""

from __future__ import annotations

import mmap
import os
import uuid
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np

from trichord.types import F32

_FLOAT = np.dtype("<f4")


class MatrixFile:
    """A .npy file of float32 (rows, dim) that grows by whole rows; a context manager.

    temporary: the file has no name from the beginning, and its space is free when the last map of
    it is gone. Raises OSError where there is no room.
    """

    def __init__(self, path: Path, dim: int, *, temporary: bool = False) -> None:
        self._dim = dim
        self._rows = 0
        self._file: IO[bytes] = path.open("x+b")
        if temporary:
            path.unlink()
        self._start = self._write_header()

    @classmethod
    def temporary(cls, folder: Path, dim: int) -> MatrixFile:
        """One that lies in `folder` without a name."""
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder / f".rows-{uuid.uuid4().hex}", dim, temporary=True)

    def __enter__(self) -> MatrixFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    @property
    def rows(self) -> int:
        return self._rows

    def append(self, rows: F32) -> None:
        """rows: float32 (n, dim)."""
        block = np.ascontiguousarray(rows, dtype=_FLOAT)
        if block.ndim != 2 or block.shape[1] != self._dim:
            raise ValueError(f"rows have the shape {block.shape}, not (n, {self._dim})")
        self._file.write(block.data)
        self._rows += len(block)

    def mapped(self) -> F32:
        """What was written, as a read-only map; nothing can be appended afterwards."""
        self._file.seek(0)
        if self._write_header() != self._start:
            raise OSError("the header of a matrix grew beyond the room that was left for it")
        self._file.flush()
        length = self._start + self._rows * self._dim * _FLOAT.itemsize
        if os.fstat(self._file.fileno()).st_size < length:
            raise OSError("the matrix is shorter than what was written")
        memory = mmap.mmap(self._file.fileno(), length, access=mmap.ACCESS_READ)
        flat = np.frombuffer(memory, dtype=_FLOAT, offset=self._start)
        matrix: F32 = flat.reshape(self._rows, self._dim)
        return matrix

    def _write_header(self) -> int:
        """numpy leaves room in a header for the first dimension to grow."""
        facts = {"descr": _FLOAT.str, "fortran_order": False, "shape": (self._rows, self._dim)}
        np.lib.format.write_array_header_1_0(self._file, facts)
        return self._file.tell()
