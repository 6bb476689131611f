"""The rows of the benchmarks: clustered unit vectors of three modalities, with two attributes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl
import pyarrow as pa

from trichord.embedders.spaces import ReadySpace
from trichord.index.synthetic import Synthetic
from trichord.types import F32, I64, Frame

DIM = 512
ROWS = 200_000
BATCH = 10_000
MODALITIES = ("audio", "image", "text")
MARKETS = ("SE", "DE", "FR", "US", "JP")
BUCKETS = 1_000
"""Values of the attribute `bucket`: `bucket < 500` passes half of the rows, `< 1` one in 1000."""


def space(dim: int = DIM) -> ReadySpace:
    return ReadySpace("bench", Frame("bench", dim))


def vectors(count: int, dim: int = DIM, *, seed: int = 1) -> F32:
    """Unit rows float32 (count, dim), row i of modality i % 3; other seeds, other rows."""
    source = Synthetic(dim, modalities=len(MODALITIES))
    rows = np.empty((count, dim), np.float32)
    for number in range(len(MODALITIES)):
        mine = rows[number :: len(MODALITIES)]
        mine[:] = source.draw(len(mine), modality=number, seed=seed)[0]
    return rows


def one_modality(count: int, dim: int = DIM, *, seed: int = 1) -> F32:
    """Unit rows float32 (count, dim) of one modality; other seeds, other rows."""
    return Synthetic(dim).draw(count, seed=seed)[0]


def buckets(numbers: Sequence[int] | I64) -> I64:
    """0 to BUCKETS - 1, evenly spread and independent of everything else about a row: splitmix64
    (Steele, Lea, Flood, OOPSLA 2014) of its number."""
    state = (np.asarray(numbers).astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    spread = (state ^ (state >> np.uint64(31))) % np.uint64(BUCKETS)
    return spread.astype(np.int64)


def item_id(number: int) -> str:
    return f"item-{number:010d}"


def number_of(item: str) -> int:
    """The row that an item id was made from."""
    return int(item[5:])


def filler(count: int, dim: int, seed: int) -> F32:
    """Random unit rows, quickly made: to fill a store that is not searched for quality."""
    rows = np.random.default_rng(seed).standard_normal((count, dim), np.float32)
    rows /= np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]
    return rows


def table(matrix: F32, first: int = 0) -> pa.Table:
    """A table as a user has it: three items to an entity, market a string, year an integer."""
    numbers = range(first, first + len(matrix))
    return pa.table(
        {
            "item_id": [item_id(number) for number in numbers],
            "entity_id": [f"entity-{number // 3:010d}" for number in numbers],
            "modality": [MODALITIES[number % len(MODALITIES)] for number in numbers],
            "market": [MARKETS[number // 3 % len(MARKETS)] for number in numbers],
            "year": [1990 + number // 3 % 35 for number in numbers],
            "vector": pa.FixedSizeListArray.from_arrays(
                pa.array(matrix.reshape(-1)), matrix.shape[1]
            ),
        }
    )


def engine_table(matrix: F32, first: int = 0, *, modality: str | None = None) -> pa.Table:
    """Rows of the benchmarks of the search engine, with the attribute `bucket` besides.

    With `modality` all are of one, each an entity of its own; without, as in `table`.
    """
    numbers = range(first, first + len(matrix))
    rows = table(matrix, first).append_column("bucket", pa.array(buckets(numbers)))
    if modality is None:
        return rows
    place = rows.schema.get_field_index("modality")
    kind = pa.array([modality] * len(matrix), pa.string())
    return rows.set_column(place, "modality", kind).drop_columns(["entity_id"])


def batches(rows: pa.Table, size: int = BATCH) -> Iterator[pa.Table]:
    for start in range(0, rows.num_rows, size):
        yield rows.slice(start, size)


def frame(rows: pa.Table) -> pl.DataFrame:
    """The same rows as `Ingestion.add_vectors` takes them; no copy of the vectors."""
    return pl.DataFrame(pl.from_arrow(rows))
