from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import faiss
import numpy as np
import pytest

from tests.catalog.reference import Segment, segments_of
from tests.fakes import HashSpace
from trichord.catalog import Catalog
from trichord.query import Record

WORDS = ["rain", "harbour", "organ", "violet", "desk", "river", "lantern", "copper", "winter"]
WORDS += ["choir", "meadow", "glass"]


@pytest.fixture(autouse=True, scope="package")
def _one_thread() -> Iterator[None]:
    """On a busy machine the threads of one small product wait for each other for milliseconds."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    yield
    faiss.omp_set_num_threads(before)


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog.open(tmp_path / "store", space=HashSpace()) as opened:
        yield opened


def some_records(seed: int = 0) -> list[Record]:
    """Ready vectors of all modalities, and texts of one to several chunks; entities of one to
    several items. No two segments are equally far from anything."""
    generator = np.random.default_rng(seed)
    records = []
    for number in range(60):
        vector = generator.standard_normal(32).astype(np.float32)
        records.append(
            Record(
                f"{'audio' if number % 2 else 'image'}-{number}",
                f"entity-{number % 20}",
                "audio" if number % 2 else "image",
                vector=vector,
                attributes={"number": number, "even": number % 2 == 0},
            )
        )
    for number in range(20):
        count = int(generator.integers(3, 70))
        picks = [int(pick) for pick in generator.integers(0, 12, count)]
        text = " ".join(f"{WORDS[pick]}{pick * number}" for pick in picks)
        records.append(Record(f"text-{number}", f"entity-{number}", text=text))
    return records


def add(catalog: Catalog, records: list[Record]) -> None:
    with catalog.ingestion() as ingestion:
        answers = ingestion.add(records)
    assert [answer.error for answer in answers] == [None] * len(records)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Catalog, list[Segment]]]:
    """A catalogue that tests only read, and its segments as the test knows them."""
    with Catalog.open(tmp_path_factory.mktemp("world") / "store", space=HashSpace()) as opened:
        records = some_records()
        add(opened, records)
        yield opened, segments_of(opened, records)
