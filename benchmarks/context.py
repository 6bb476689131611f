"""What the benchmarks share: where they may write, how often they repeat, and one indexed store."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from benchmarks import data
from trichord.catalog import Catalog
from trichord.sources import Table
from trichord.types import F32


@dataclass
class Context:
    """`work` is emptied by whoever made it; `results` is where the JSON goes."""

    work: Path
    results: Path
    rounds: int = 7
    rows: int = data.ROWS
    dim: int = data.DIM
    batch: int = data.BATCH
    large: int = 2_000_000
    sizes: tuple[int, ...] = (50_000, 200_000, 500_000, 1_000_000, 2_000_000)
    resume: bool = False
    _made: dict[str, Path] = field(default_factory=dict)

    @cached_property
    def matrix_file(self) -> Path:
        """The vectors as `np.save` writes them, float32 (rows, dim)."""
        path = self.work / "matrix.npy"
        if not path.exists():
            np.save(path, data.vectors(self.rows, self.dim))
        return path

    def matrix(self) -> F32:
        loaded: F32 = np.load(self.matrix_file, mmap_mode="r")
        return loaded

    @cached_property
    def queries(self) -> F32:
        """Rows that are not stored, of the same distribution."""
        return data.vectors(999, self.dim, seed=2)

    @cached_property
    def indexed_store(self) -> Path:
        """A store of all rows whose indexes are built and kept."""
        path = self.work / "indexed"
        if path.exists():
            return path
        print(f"  making a store of {self.rows} rows with indexes …", flush=True)
        with Catalog.open(path, space=data.space(self.dim)) as catalog:
            ingest(catalog, np.asarray(self.matrix()))
            for leg in catalog.build_indexes():
                info = leg.index.info
                recall = min(info.recall.values())
                print(
                    f"  {leg.modality}: {info.kind}, {leg.index.live} rows, "
                    f"recall {recall:.3f}, {info.build_seconds:.1f} s",
                    flush=True,
                )
        return path

    def cleared(self, name: str) -> Path:
        """A path below `work` where nothing is."""
        path = self.work / name
        shutil.rmtree(path, ignore_errors=True)
        return path


def ingest(catalog: Catalog, matrix: F32, *, first: int = 0, batch: int = data.BATCH) -> None:
    """Rows `first`, `first` + 1, … in commits of `batch` rows."""
    with catalog.ingestion() as ingestion:
        for start in range(0, len(matrix), batch):
            rows = data.table(matrix[start : start + batch], first + start)
            ingestion.add_vectors(table_of(rows))


def table_of(rows: object) -> Table:
    return Table(data.frame(rows), "benchmark", Path())
