"""Indexes of a catalogue that answer from a copy on a device, here FAISS's own on the CPU."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.index.stand_in import StandIn
from trichord.catalog import Catalog
from trichord.embedders.spaces import ReadySpace
from trichord.errors import InvalidInput
from trichord.hits import Hits
from trichord.index import placement
from trichord.index.ann import AnnIndex
from trichord.index.gpu import NoGpu
from trichord.index.gpu_engine import GpuEngine
from trichord.index.gpu_flat import GpuFlat
from trichord.index.synthetic import Synthetic
from trichord.sources import Table
from trichord.types import F32, Frame, Modality

DIM, ROWS = 24, 1500
SPACE = ReadySpace("ready", Frame("ready", DIM))
SOURCE = Synthetic(DIM, clusters=40, intrinsic=10)


def rows_of(first: int, rows: F32) -> Table:
    numbers = range(first, first + len(rows))
    frame = pl.DataFrame(
        {
            "item_id": [f"p{number}" for number in numbers],
            "modality": ["image"] * len(rows),
            "even": [number % 2 == 0 for number in numbers],
            "vector": pl.Series(list(rows), dtype=pl.Array(pl.Float32, DIM)),
        }
    )
    return Table(frame, "rows", Path())


@pytest.fixture
def store(tmp_path: Path) -> Path:
    with Catalog.open(tmp_path / "store", space=SPACE) as catalog:
        with catalog.ingestion() as ingestion:
            ingestion.add_vectors(rows_of(0, SOURCE.draw(ROWS, seed=1)[0]))
        catalog.build_indexes(everything=True, kind="hnsw", fitted=False, threads=1)
    return tmp_path / "store"


def answers(catalog: Catalog, queries: F32, **options: Any) -> list[Hits]:
    return [catalog.search(query, modality="image", limit=5, **options) for query in queries]


@pytest.mark.parametrize("kind", ["hnsw", "exact"])
def test_a_copy_on_a_device_answers_like_the_index(
    store: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = StandIn()
    monkeypatch.setattr(placement, "open_gpu", lambda number: device)
    queries = SOURCE.draw(20, seed=2)[0]
    more = SOURCE.draw(30, seed=3)[0]
    with Catalog.open(store, space=SPACE, create=False) as plain:
        plain.build_indexes(everything=True, kind=kind, fitted=False, threads=1)
    with (
        Catalog.open(store, space=SPACE, create=False) as plain,
        Catalog.open(store, space=SPACE, create=False, index_device="gpu") as placed,
    ):
        leg = placed._views.newest.legs["ready", Modality.IMAGE]
        if kind == "exact":
            assert isinstance(leg.index.base, GpuFlat)
        else:
            assert isinstance(leg.index.base, AnnIndex)
            assert isinstance(leg.index.base.engine, GpuEngine)

        def same(**options: Any) -> None:
            mine = answers(placed, queries, **options)
            theirs = answers(plain, queries, exact=True, **options)
            found = sum(
                len(set(a.item_ids) & set(b.item_ids)) for a, b in zip(mine, theirs, strict=True)
            )
            assert found >= 0.93 * sum(map(len, theirs))
            for a in mine:
                assert (np.diff(a.scores) <= 0).all() and len(a) == 5

        same()
        same(where="even = true")
        with plain.ingestion() as ingestion:
            ingestion.add_vectors(rows_of(ROWS, more))
        plain.delete([f"p{number}" for number in range(0, 40)])
        placed.refresh()
        same()
        assert all(int(item[1:]) >= 40 for a in answers(placed, queries) for item in a.item_ids)
        assert placed.search(more[3], modality="image", limit=1).item_ids == [f"p{ROWS + 3}"]
        # A base that is built later is copied as well.
        placed.build_indexes(everything=True, kind=kind, fitted=False, threads=1)
        rebuilt = placed._views.newest.legs["ready", Modality.IMAGE].index
        assert type(rebuilt.base) is type(leg.index.base) and not len(rebuilt.fresh)
        same()


def test_without_a_device_the_cpu_answers_and_the_log_says_why(
    store: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def none(number: int) -> None:
        raise NoGpu("there is no GPU here")

    monkeypatch.setattr(placement, "open_gpu", none)
    queries = SOURCE.draw(5, seed=2)[0]
    with (
        caplog.at_level(logging.INFO, "trichord.catalog"),
        Catalog.open(store, space=SPACE, create=False, index_device="auto") as catalog,
        Catalog.open(store, space=SPACE, create=False, index_device="gpu"),
    ):
        told = [one for one in caplog.records if "1500 rows answers on cpu" in one.getMessage()]
        assert [one.levelno for one in told] == [logging.INFO, logging.WARNING]
        assert all("there is no GPU here" in one.getMessage() for one in told)
        with Catalog.open(store, space=SPACE, create=False) as plain:
            for a, b in zip(answers(catalog, queries), answers(plain, queries), strict=True):
                assert a.item_ids == b.item_ids


def test_a_device_that_there_is_not(store: Path) -> None:
    with pytest.raises(InvalidInput, match="no device 'tpu' for indexes: auto, cpu, gpu"):
        Catalog.open(store, space=SPACE, create=False, index_device="tpu")  # type: ignore[arg-type]
