"""Columns of the item table as answers read them: a few rows out of many, in microseconds.

A gather of a polars frame goes through polars' pool of threads, which costs milliseconds on a busy
machine, and one cell of an Arrow array costs about a microsecond. Here a column is numpy: numbers
as they are, texts with few different values as codes, ids as objects that the key table holds
anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from trichord.types import I64

Objects = npt.NDArray[np.object_]

FEW_VALUES = 65_536
"""Texts with up to so many different values are kept as codes, others stay in Arrow."""


class Column(Protocol):
    def take(self, rows: I64) -> list[Any]:
        """The values of some rows, None where there is none."""
        ...


class Names:
    """Texts by number, which only ever grow: successive tables share one, and what was put beyond
    the end of an older table does not concern it."""

    def __init__(self, names: Sequence[str] = ()) -> None:
        self.array: Objects = np.empty(max(16, len(names)), object)
        self.array[: len(names)] = names

    def put(self, start: int, names: Sequence[str]) -> None:
        end = start + len(names)
        if end > len(self.array):
            # Readers of the shorter array keep it.
            longer: Objects = np.empty(max(end, 2 * len(self.array)), object)
            longer[:start] = self.array[:start]
            longer[start:end] = names
            self.array = longer
        else:
            self.array[start:end] = names

    def take(self, rows: I64) -> list[Any]:
        found: list[Any] = self.array[rows].tolist()
        return found


class Coded:
    """Few different values: `codes` (n,) into `values`, whose last is None."""

    def __init__(self, codes: npt.NDArray[Any], values: Objects) -> None:
        self.codes = codes
        self.values = values

    def take(self, rows: I64) -> list[Any]:
        found: list[Any] = self.values[self.codes[rows]].tolist()
        return found


class Plain:
    """Numbers; `present` (None: all are)."""

    def __init__(self, numbers: npt.NDArray[Any], present: npt.NDArray[np.bool_] | None) -> None:
        self.numbers = numbers
        self.present = present

    def take(self, rows: I64) -> list[Any]:
        found: list[Any] = self.numbers[rows].tolist()
        if self.present is not None:
            there = self.present[rows].tolist()
            return [v if p else None for v, p in zip(found, there, strict=True)]
        return found


class Cells:
    """Everything else, cell by cell."""

    def __init__(self, values: pa.Array) -> None:
        self.values = values

    def take(self, rows: I64) -> list[Any]:
        found: list[Any] = self.values.take(pa.array(rows)).to_pylist()
        return found


def column_of(series: pl.Series) -> Column:
    """The column of a frame, at the cost of a pass over it (none for numbers)."""
    if series.dtype in (pl.Int64, pl.Float64, pl.Boolean):
        whole = series.rechunk()
        present = None if not whole.null_count() else whole.is_not_null().to_numpy()
        filled = whole if present is None else whole.fill_null(pl.lit(0).cast(series.dtype))
        return Plain(filled.to_numpy(), present)
    values = series.rechunk().to_arrow()
    if series.dtype == pl.String and len(series):
        coded = pc.dictionary_encode(values)
        if len(coded.dictionary) <= FEW_VALUES:
            listed: Objects = np.empty(len(coded.dictionary) + 1, object)
            listed[:-1] = coded.dictionary.to_pylist()
            codes = coded.indices.fill_null(len(coded.dictionary)).to_numpy(zero_copy_only=False)
            return Coded(codes, listed)
    return Cells(values)
