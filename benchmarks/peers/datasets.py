"""Makes the rows, the queries and the exact answers, by the project's own generator."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.peers import truth
from benchmarks.peers.rows import (
    F32,
    I64,
    LIMIT,
    MARKETS,
    MODALITIES,
    PARTS,
    Mask,
    Rows,
    Where,
)
from benchmarks.peers.workloads import MIXED
from trichord.index.synthetic import Synthetic

STORED, MEASURED, TUNING, FRESH = 1, 2, 3, 4
"""Seeds: other rows of the same clusters."""


@dataclass(frozen=True)
class Sizes:
    rows: int
    dim: int
    measured: int = 500
    tuning: int = 300
    fresh: int = 6_000
    deleted: int = 20_000


class DataSet:
    """Files below `folder`: `stored` and `fresh` rows; queries of each modality, measured and for
    tuning; exact answers, made when they are first asked for."""

    def __init__(self, name: str, folder: Path, sizes: Sizes) -> None:
        self.name, self.folder, self.sizes = name, folder, sizes
        self._modalities = len(MODALITIES) if name == MIXED else 1
        self._source = Synthetic(sizes.dim, modalities=self._modalities)

    def make(self) -> None:
        rows = self._rows(self.sizes.rows, 0, STORED)
        rows.save(self.folder / "stored")
        self._rows(self.sizes.fresh, len(rows), FRESH).save(self.folder / "fresh")
        for number, modality in enumerate(MODALITIES):
            of = number if self._modalities > 1 else 0
            for kind, count, seed in (
                ("measured", self.sizes.measured, MEASURED),
                ("tuning", self.sizes.tuning, TUNING),
            ):
                drawn = self._source.draw(count, modality=of, seed=seed)[0]
                np.save(self.queries_file(modality, kind), drawn)
        picks = np.random.default_rng(5).permutation(len(rows))[: self.sizes.deleted]
        np.save(self.deleted_file, np.sort(picks).astype(np.int64))
        np.save(self.queries_file("deleted", "measured"), rows.vectors[np.sort(picks[:200])])

    def _rows(self, count: int, first: int, seed: int) -> Rows:
        kinds = np.full(count, MODALITIES.index("image"), np.int8)
        vectors = np.empty((count, self.sizes.dim), np.float32)
        if self._modalities > 1:
            kinds = (np.arange(count) % self._modalities).astype(np.int8)
            for number in range(self._modalities):
                mine = kinds == number
                vectors[mine] = self._source.draw(int(mine.sum()), modality=number, seed=seed)[0]
        else:
            vectors[:] = self._source.draw(count, seed=seed)[0]
        generator = np.random.default_rng((seed, 1))
        return Rows(
            first,
            vectors,
            generator.integers(0, len(MARKETS), count).astype(np.int8),
            generator.integers(1990, 2025, count),
            generator.integers(0, PARTS, count),
            kinds,
        )

    @property
    def stored(self) -> Path:
        return self.folder / "stored"

    @property
    def fresh(self) -> Path:
        return self.folder / "fresh"

    @property
    def deleted_file(self) -> Path:
        return self.folder / "deleted.npy"

    def queries_file(self, asked: str, kind: str) -> Path:
        return self.folder / f"{asked}-{kind}.npy"

    def truth_file(
        self,
        asked: str,
        kind: str,
        where: Where | None = None,
        *,
        fresh: int = 0,
        deleted: bool = False,
    ) -> Path:
        """The exact answers to a file of queries: over what passes the filter, with the first
        `fresh` of the fresh rows, and without those that are deleted."""
        said = "" if where is None else f"-{where.column}-{where.value}"
        name = f"truth-{asked}-{kind}{said}-{fresh}-{int(deleted)}.npy"
        path = self.folder / name
        if not path.exists():
            rows = Rows.load(self.stored)
            vectors: F32 = rows.vectors
            passing: Mask = np.ones(len(rows), bool) if where is None else where.mask(rows)
            if deleted:
                passing[np.load(self.deleted_file)] = False
            if fresh:
                more = Rows.load(self.fresh)[:fresh]
                vectors = np.concatenate([vectors, more.vectors])
                also = np.ones(fresh, bool) if where is None else where.mask(more)
                passing = np.concatenate([passing, also])
            answers: I64 = truth.nearest(
                vectors, np.load(self.queries_file(asked, kind)), LIMIT, passing
            )
            np.save(path, answers)
        return path
