"""No filter ever leaks: random filters over approximate indexes, while attributes change and items
come and go."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.catalog.conftest import add
from tests.catalog.reference import unit
from tests.catalog.test_filters import holds
from tests.fakes import HashSpace
from trichord.catalog import Catalog
from trichord.filters import And, Compare, Exists, Filter, In, Not, Op, Or
from trichord.hits import Hits
from trichord.index.ann import AnnIndex
from trichord.query import Record
from trichord.types import F32

ITEMS, DIM = 6000, 32
MARKETS = ("SE", "NO", "DK")


@dataclass
class Shelf:
    """A catalogue whose indexes are approximate from the beginning, and the same as a dict."""

    catalog: Catalog
    items: dict[str, Record]
    made: int = ITEMS

    def vector(self, item: str) -> F32:
        vector = self.items[item].vector
        assert vector is not None
        return unit(vector)

    def row(self, item: str) -> dict[str, Any]:
        record = self.items[item]
        return {**record.attributes, "item_id": item, "modality": record.modality}


def clustered(generator: np.random.Generator, count: int) -> F32:
    centres = np.random.default_rng(1).standard_normal((30, DIM))
    picked = centres[generator.integers(0, 30, count)]
    return (picked + 0.6 * generator.standard_normal((count, DIM))).astype(np.float32)


def records(generator: np.random.Generator, first: int, count: int) -> list[Record]:
    return [
        Record(
            f"i{number}",
            modality="image" if number % 3 else "audio",
            vector=vector,
            attributes=facts(generator),
        )
        for number, vector in enumerate(clustered(generator, count), first)
    ]


def facts(generator: np.random.Generator) -> dict[str, Any]:
    given: dict[str, Any] = {"rank": int(generator.integers(0, 1000))}
    if generator.random() < 0.8:
        given["market"] = str(generator.choice(MARKETS))
    return given


@pytest.fixture(scope="module", params=["hnsw", "ivf"])
def shelf(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shelf]:
    generator = np.random.default_rng(0)
    made = records(generator, 0, ITEMS)
    with Catalog.open(tmp_path_factory.mktemp("shelf") / "store", space=HashSpace()) as catalog:
        add(catalog, made)
        legs = catalog.build_indexes(everything=True, kind=request.param, recall_target=0.9)
        assert all(isinstance(leg.index.base, AnnIndex) for leg in legs), [
            leg.index.info.reason for leg in legs
        ]
        yield Shelf(catalog, {str(one.item_id): one for one in made})


ranks = st.integers(-1, 1001)
leaves: st.SearchStrategy[Filter] = st.one_of(
    st.builds(Compare, st.just("rank"), st.sampled_from(list(Op)), ranks),
    st.builds(Compare, st.just("market"), st.sampled_from(list(Op)), st.sampled_from(MARKETS)),
    st.builds(In, st.just("market"), st.lists(st.sampled_from(MARKETS), min_size=1).map(tuple)),
    st.just(Exists("market")),
)
trees = st.recursive(
    leaves,
    lambda below: st.one_of(
        st.builds(And, st.lists(below, min_size=1, max_size=3).map(tuple)),
        st.builds(Or, st.lists(below, min_size=1, max_size=3).map(tuple)),
        st.builds(Not, below),
    ),
    max_leaves=4,
)


def change(shelf: Shelf, generator: np.random.Generator) -> None:
    """Attributes of some items, some items gone, some new."""
    names = sorted(shelf.items)
    picked = [str(name) for name in generator.choice(names, 40, replace=False)]
    changed = [Record(name, attributes=facts(generator)) for name in picked[:30]]
    fresh = records(generator, shelf.made, 10)
    add(shelf.catalog, changed + fresh)
    shelf.catalog.delete(picked[30:])
    for one in changed:
        before = shelf.items[str(one.item_id)]
        shelf.items[str(one.item_id)] = replace(
            before, attributes={**before.attributes, **one.attributes}
        )
    for name in picked[30:]:
        del shelf.items[name]
    for one in fresh:
        shelf.items[str(one.item_id)] = one
    shelf.made += len(fresh)


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    tree=trees,
    seed=st.integers(0, 2**16),
    limit=st.integers(1, 40),
    modality=st.sampled_from(["image", "audio", "image,audio"]),
)
def test_what_is_returned_passes(
    shelf: Shelf, tree: Filter, seed: int, limit: int, modality: str
) -> None:
    generator = np.random.default_rng(seed)
    change(shelf, generator)
    out = {str(name) for name in generator.choice(sorted(shelf.items), 50)}
    matrix = clustered(generator, 4)
    passing = {
        name
        for name, record in shelf.items.items()
        if record.modality in modality.split(",") and holds(tree, shelf.row(name))
    } - out
    answers = shelf.catalog.search_many(
        matrix,
        modality=modality,
        where=tree,
        limit=limit,
        fuse="score",
        exclude_items=out,
        attributes=("rank", "market"),
    )
    for query, hits in zip(matrix, answers, strict=True):
        assert isinstance(hits, Hits)
        names = list(hits.item_ids)
        assert set(names) <= passing and len(set(names)) == len(names)
        assert len(names) == min(limit, len(passing))
        for hit in hits:
            said = {k: v for k, v in hit.attributes.items() if v is not None}
            assert said == dict(shelf.items[hit.item_id].attributes)
            assert hit.score == pytest.approx(
                float(shelf.vector(hit.item_id) @ unit(query)), abs=1e-5
            )
