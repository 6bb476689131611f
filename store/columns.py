"""Small steps on the columns of a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np
import pyarrow as pa

from trichord.errors import InvalidInput
from trichord.store.schema import TIME


def commit_columns(count: int, revision: int, now: datetime) -> dict[str, pa.Array]:
    return {
        "revision": pa.array(np.full(count, revision, np.int64)),
        "created_timestamp": pa.repeat(pa.scalar(now, TIME), count),
    }


def present(table: pa.Table, name: str, what: str) -> pa.ChunkedArray:
    if name not in table.column_names:
        raise InvalidInput(f"{what}: the column {name!r} is missing", column=name)
    return table[name]


def strings(table: pa.Table, name: str, what: str) -> pa.ChunkedArray:
    column = present(table, name, what)
    if column.type == pa.string():
        return column
    try:
        return column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InvalidInput(f"{what}: {name!r} is {column.type}, not strings") from error


def refuse(table: pa.Table, names: Sequence[str], what: str) -> None:
    given = [name for name in names if name in table.column_names]
    if given:
        raise InvalidInput(f"{what}: the store itself fills in {', '.join(given)}", columns=given)


def with_columns(table: pa.Table, columns: Mapping[str, pa.Array]) -> pa.Table:
    arrays = {name: table[name] for name in table.column_names} | dict(columns)
    return pa.table(arrays)
