"""Small data that is hard in the ways real data is, and the indexes built over it once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.index.gpu_makers import GPU_MAKERS, STAND_IN_MAKERS
from trichord.index.ann import AnnIndex
from trichord.index.base import VectorIndex
from trichord.index.build import build
from trichord.index.exact import ExactIndex
from trichord.index.live import LiveIndex
from trichord.index.persist import load, save
from trichord.index.reference import ReferenceIndex
from trichord.index.synthetic import Synthetic
from trichord.index.tail import Tiers
from trichord.types import F32, I64

ROWS, DIM, TWINS = 6000, 32, 40


@dataclass(frozen=True)
class World:
    """rows of modality 0 with some exact duplicates; queries of the same and of another modality,
    none of which is a row or was used for tuning."""

    rows: F32
    clusters: I64
    own: F32
    cross: F32
    tuning: F32
    reference: ReferenceIndex


@pytest.fixture(scope="session")
def world() -> World:
    source = Synthetic(DIM, seed=7, modalities=2, clusters=150, intrinsic=12)
    rows, clusters = source.draw(ROWS, seed=1)
    rows[-TWINS:] = rows[:TWINS]  # the same vectors again, far away in the numbering
    clusters[-TWINS:] = clusters[:TWINS]
    return World(
        rows=rows,
        clusters=clusters,
        own=source.draw(64, seed=2)[0],
        cross=source.draw(64, modality=1, seed=3)[0],
        tuning=source.draw(200, modality=1, seed=4)[0],
        reference=ReferenceIndex(rows),
    )


Maker = Callable[[World, Path], VectorIndex]


def _exact(world: World, _: Path) -> VectorIndex:
    return ExactIndex(world.rows)


def _ann(kind: str) -> Maker:
    def make(world: World, _: Path) -> VectorIndex:
        index = build(world.rows, kind=kind, queries=world.tuning, threads=1, fitted=False)  # type: ignore[arg-type]
        assert isinstance(index, AnnIndex), index.info.reason
        return index

    return make


def _loaded(inner: Maker) -> Maker:
    def make(world: World, folder: Path) -> VectorIndex:
        save(folder, index=inner(world, folder), vectors=world.rows, meta={})  # type: ignore[arg-type]
        return load(folder)[0]

    return make


def _live(kind: str) -> Maker:
    """The same rows in the same order, as a base and two fresh batches."""

    def make(world: World, _: Path) -> VectorIndex:
        base = build(world.rows[:5000], kind=kind, queries=world.tuning, threads=1, fitted=False)  # type: ignore[arg-type]
        return LiveIndex(base).with_changes(world.rows[5000:5010]).with_changes(world.rows[5010:])

    return make


def _tiers(kind: str) -> Maker:
    """The same rows, half of them fresh: most in the graph that follows, some behind it."""

    def make(world: World, _: Path) -> VectorIndex:
        base = build(world.rows[:3000], kind=kind, queries=world.tuning, threads=1, fitted=False)  # type: ignore[arg-type]
        live = LiveIndex(base, tiers=Tiers(exact_rows=300, rest=200, step=700))
        for start in range(3000, 5800, 400):
            live = live.with_changes(world.rows[start : start + 400])
        assert live.settled(120)
        live = live.with_changes(world.rows[live.size :])
        assert live._grown() is not None
        return live

    return make


MAKERS: dict[str, Maker] = {
    "exact": _exact,
    "exact loaded": _loaded(_exact),
    "exact live": _live("exact"),
    "hnsw": _ann("hnsw"),
    "hnsw loaded": _loaded(_ann("hnsw")),
    "hnsw live": _live("hnsw"),
    "ivf": _ann("ivf"),
    "ivf loaded": _loaded(_ann("ivf")),
    "ivf live": _live("ivf"),
    "hnsw tiers": _tiers("hnsw"),
    "ivf tiers": _tiers("ivf"),
}


MAKERS |= STAND_IN_MAKERS | GPU_MAKERS


def _marked(name: str) -> object:
    return pytest.param(name, marks=pytest.mark.gpu) if name in GPU_MAKERS else name


@pytest.fixture(scope="session", params=[_marked(name) for name in MAKERS])
def index(
    request: pytest.FixtureRequest, world: World, tmp_path_factory: pytest.TempPathFactory
) -> VectorIndex:
    folder = tmp_path_factory.mktemp("index") / "saved"
    return MAKERS[request.param](world, folder)


@pytest.fixture(scope="session", params=["hnsw", "ivf"])
def ann(request: pytest.FixtureRequest, world: World) -> AnnIndex:
    index = build(world.rows, kind=request.param, queries=world.tuning, threads=1, fitted=False)
    assert isinstance(index, AnnIndex), index.info.reason
    return index
