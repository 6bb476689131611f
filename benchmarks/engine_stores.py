"""The two data sets of the benchmarks of the search engine, and stores of them.

A  rows of one modality: one leg. Queries are held out of the same distribution.
B  the same number of rows in three modalities, as `data.vectors` makes them: three legs.

A store is made aside and renamed when it is whole, so that a run that was ended leaves none in
parts; with `--work` it is used again.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from benchmarks import data
from benchmarks.context import Context, table_of
from benchmarks.truth import Truth, nearest
from trichord.catalog import Catalog
from trichord.catalog.legs import Leg, folder
from trichord.index.persist import ENGINE
from trichord.types import F32, I64, Bool, Modality

MODALITY = "image"
"""The one modality of data set A."""
QUERIES, TUNING = 1_000, 500
ROWS_SEED, QUERY_SEED, TUNING_SEED, FRESH_SEED = 1, 2, 3, 4
FRESH_SHARE = 4
"""A quarter as many fresh rows as there are: 50,000 on 200,000."""
FRESH_COMMIT = 1_000


@dataclass
class OneLeg:
    """Data set A."""

    context: Context

    @cached_property
    def vectors(self) -> F32:
        path = self.context.work / f"engine-a-{self.rows}.npy"
        if not path.exists():
            _save(path, data.one_modality(self.rows, self.context.dim, seed=ROWS_SEED))
        loaded: F32 = np.load(path, mmap_mode="r")
        return loaded

    @property
    def rows(self) -> int:
        return self.context.rows

    @cached_property
    def queries(self) -> F32:
        return data.one_modality(QUERIES, self.context.dim, seed=QUERY_SEED)

    @cached_property
    def tuning(self) -> F32:
        return data.one_modality(TUNING, self.context.dim, seed=TUNING_SEED)

    @cached_property
    def fresh(self) -> F32:
        """Rows that come after the index was built."""
        return data.one_modality(self.rows // FRESH_SHARE, self.context.dim, seed=FRESH_SEED)

    @cached_property
    def buckets(self) -> I64:
        return data.buckets(range(self.rows))

    @cached_property
    def truth(self) -> Truth:
        return nearest(self.vectors, self.queries)

    @cached_property
    def tuning_truth(self) -> Truth:
        return nearest(self.vectors, self.tuning)

    def store(self, kind: str) -> Path:
        """A store whose one index is of the kind: hnsw or ivf."""
        path = self.context.work / f"engine-a-{self.rows}-{kind}"
        if path.exists():
            return path
        with Aside(path) as aside, self._opened(aside) as catalog:
            add(catalog, self.vectors, modality=MODALITY)
            told(catalog.build_indexes(everything=True, kind=kind))
        return path

    def store_with_fresh(self, kind: str) -> Path:
        """The same with a quarter more rows, committed after its index was built."""
        path = self.context.work / f"engine-a-{self.rows}-{kind}-fresh"
        if path.exists():
            return path
        with Aside(path) as aside:
            shutil.copytree(self.store(kind), aside, dirs_exist_ok=True)
            with self._opened(aside) as catalog:
                add(catalog, self.fresh, first=self.rows, modality=MODALITY, batch=FRESH_COMMIT)
        return path

    def _opened(self, path: Path) -> Catalog:
        return Catalog.open(path, space=data.space(self.context.dim))

    def copy(self, kind: str, name: str) -> Path:
        """A store of its own, to be written to."""
        path = self.context.cleared(name)
        shutil.copytree(self.store(kind), path)
        return path


@dataclass
class ThreeLegs:
    """Data set B; its HNSW indexes are tuned across the gap between the modalities."""

    context: Context

    @cached_property
    def vectors(self) -> F32:
        path = self.context.work / f"engine-b-{self.context.rows}.npy"
        if not path.exists():
            _save(path, data.vectors(self.context.rows, self.context.dim, seed=ROWS_SEED))
        loaded: F32 = np.load(path, mmap_mode="r")
        return loaded

    @cached_property
    def queries(self) -> F32:
        """Row i is of modality i % 3."""
        return data.vectors(3 * QUERIES, self.context.dim, seed=QUERY_SEED)

    @cached_property
    def tuning(self) -> F32:
        return data.vectors(TUNING, self.context.dim, seed=TUNING_SEED)

    def of(self, modality: str, rows: int) -> Bool:
        """Which of the first `rows` rows are of the modality: bool (rows,)."""
        place = data.MODALITIES.index(modality)
        of: Bool = np.arange(rows) % len(data.MODALITIES) == place
        return of

    def store(self) -> Path:
        path = self.context.work / f"engine-b-{self.context.rows}-hnsw"
        if path.exists():
            return path
        space = data.space(self.context.dim)
        with Aside(path) as aside, Catalog.open(aside, space=space) as catalog:
            add(catalog, self.vectors)
            told(catalog.build_indexes(everything=True, kind="hnsw"))
        return path


def add(
    catalog: Catalog,
    vectors: F32,
    *,
    first: int = 0,
    modality: str | None = None,
    batch: int = data.BATCH,
) -> None:
    """Rows `first`, `first` + 1, … in commits of `batch` rows."""
    with catalog.ingestion() as ingestion:
        for start in range(0, len(vectors), batch):
            part = np.asarray(vectors[start : start + batch])
            rows = data.engine_table(part, first + start, modality=modality)
            ingestion.add_vectors(table_of(rows))


def told(legs: Iterable[Leg]) -> None:
    for leg in legs:
        info = leg.index.info
        recall = min(info.recall.values())
        print(
            f"  {leg.modality}: {info.kind}, {leg.index.live} rows, measured recall "
            f"{recall:.3f}, {info.build_seconds:.1f} s",
            flush=True,
        )


def home(store: Path, modality: str = MODALITY) -> Path:
    """The folder of a leg's base."""
    return folder(store, "bench", Modality(modality))


def index_files(store: Path, modality: str = MODALITY) -> dict[str, int]:
    """Name -> bytes of the files of a leg's base."""
    return {path.name: path.stat().st_size for path in sorted(home(store, modality).iterdir())}


def engine_file(store: Path, modality: str = MODALITY) -> Path:
    """The FAISS index of a leg."""
    return home(store, modality) / ENGINE


class Aside:
    """A path beside the one wanted, renamed to it when the block ends well."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._aside = path.with_name(path.name + ".part")

    def __enter__(self) -> Path:
        shutil.rmtree(self._aside, ignore_errors=True)
        return self._aside

    def __exit__(self, kind: type[BaseException] | None, *raised: object) -> None:
        if kind is None:
            self._aside.rename(self._path)
        else:
            shutil.rmtree(self._aside, ignore_errors=True)


def _save(path: Path, matrix: F32) -> None:
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.save(file, matrix)
    part.rename(path)
