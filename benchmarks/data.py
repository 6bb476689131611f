"""The rows of the benchmarks: clustered unit vectors of three modalities, with two attributes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
import pyarrow as pa

from trichord.embedders.spaces import ReadySpace
from trichord.index.synthetic import Synthetic
from trichord.types import F32, Frame

DIM = 512
ROWS = 200_000
BATCH = 10_000
MODALITIES = ("audio", "image", "text")
MARKETS = ("SE", "DE", "FR", "US", "JP")


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
            "item_id": [f"item-{number:010d}" for number in numbers],
            "entity_id": [f"entity-{number // 3:010d}" for number in numbers],
            "modality": [MODALITIES[number % len(MODALITIES)] for number in numbers],
            "market": [MARKETS[number // 3 % len(MARKETS)] for number in numbers],
            "year": [1990 + number // 3 % 35 for number in numbers],
            "vector": pa.FixedSizeListArray.from_arrays(
                pa.array(matrix.reshape(-1)), matrix.shape[1]
            ),
        }
    )


def batches(rows: pa.Table, size: int = BATCH) -> Iterator[pa.Table]:
    for start in range(0, rows.num_rows, size):
        yield rows.slice(start, size)


def frame(rows: pa.Table) -> pl.DataFrame:
    """The same rows as `Ingestion.add_vectors` takes them; no copy of the vectors."""
    return pl.DataFrame(pl.from_arrow(rows))
