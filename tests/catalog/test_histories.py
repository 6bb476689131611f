"""Random histories against plain dicts, seen by the writer and by another reader at every step."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.catalog.reference import Segment, agrees, search, segments_of, unit
from tests.fakes import HashSpace
from trichord.catalog import Catalog
from trichord.query import Record

IDS = [f"i{n}" for n in range(9)]
ENTITIES = ["e0", "e1", "e2"]
GENERATOR = np.random.default_rng(0)
POOL = GENERATOR.standard_normal((200, 32)).astype(np.float32)
TEXTS = [" ".join(f"w{int(n)}" for n in GENERATOR.integers(0, 999, size)) for size in (3, 20, 40)]
QUERY = unit(GENERATOR.standard_normal(32))


@dataclass
class Model:
    """What the catalogue should hold."""

    items: dict[str, Record] = field(default_factory=dict)
    entities: dict[str, dict[str, Any]] = field(default_factory=dict)
    fresh: int = 0

    def attributes(self, item: str) -> dict[str, Any]:
        record = self.items[item]
        shared = self.entities.get(str(record.entity_id), {})
        return {**shared, **record.attributes}


def put(model: Model, item: str, entity: str, kind: int, year: int | None) -> list[Record]:
    attributes = {} if year is None else {"year": year}
    model.fresh += 1
    if kind < len(TEXTS):
        record = Record(
            item,
            entity,
            "text",
            text=TEXTS[kind].replace("w", f"w{model.fresh}x"),  # no two chunks are alike
            attributes=attributes,
        )
    else:
        vector = POOL[model.fresh % len(POOL)]
        modality = ("image", "audio")[kind % 2]
        record = Record(item, entity, modality, vector=vector, attributes=attributes)
    before = model.items.get(item)
    kept = dict(before.attributes) if before else {}
    model.items[item] = replace(record, attributes={**kept, **attributes})
    return [record]


steps = st.one_of(
    st.tuples(
        st.just("put"),
        st.lists(
            st.tuples(
                st.sampled_from(IDS),
                st.sampled_from(ENTITIES),
                st.integers(0, 6),
                st.none() | st.integers(0, 3),
            ),
            min_size=1,
            max_size=4,
        ),
    ),
    st.tuples(st.just("again"), st.none()),
    st.tuples(st.just("attributes"), st.tuples(st.sampled_from(IDS), st.integers(0, 3))),
    st.tuples(st.just("entity"), st.tuples(st.sampled_from(ENTITIES), st.integers(0, 3))),
    st.tuples(st.just("delete"), st.lists(st.sampled_from(IDS), min_size=1, max_size=3)),
    st.tuples(st.just("delete entity"), st.sampled_from(ENTITIES)),
    st.tuples(st.just("compact"), st.booleans()),
    st.tuples(st.just("build"), st.sampled_from(["exact", "auto"])),
    st.tuples(st.just("reopen"), st.none()),
)


def apply(catalog: Catalog, model: Model, step: tuple[str, Any]) -> None:
    what, given = step
    if what == "put":
        records = [record for one in given for record in put(model, *one)]
        with catalog.ingestion() as ingestion:
            assert not [a.error for a in ingestion.add(records) if a.error]
    elif what == "again" and model.items:
        with catalog.ingestion() as ingestion:
            answers = ingestion.add(list(model.items.values()))
        assert {str(answer.outcome) for answer in answers} == {"unchanged"}
    elif what == "attributes" and given[0] in model.items:
        item, year = given
        with catalog.ingestion() as ingestion:
            ingestion.add([Record(item, attributes={"year": year})])
        record = model.items[item]
        model.items[item] = replace(record, attributes={**record.attributes, "year": year})
    elif what == "entity":
        entity, year = given
        with catalog.ingestion() as ingestion:
            ingestion.add([Record(entity_id=entity, attributes={"year": year})])
        model.entities[entity] = {"year": year}
    elif what == "delete":
        ids = [item for item in dict.fromkeys(given) if item in model.items]
        if ids:
            assert catalog.delete(ids) == len(ids)
        for item in ids:
            del model.items[item]
    elif what == "delete entity":
        mine = [item for item, record in model.items.items() if record.entity_id == given]
        if mine or given in model.entities:
            assert catalog.delete(entity_ids=given) == len(mine)
        model.entities.pop(given, None)
        for item in mine:
            del model.items[item]
    elif what == "compact":
        options = {"keep_snapshots": 1, "retain": timedelta(0)} if given else {}
        catalog.compact(**options)
    elif what == "build":
        catalog.build_indexes(everything=True, kind=given, threads=1)


def check(catalog: Catalog, model: Model, segments: list[Segment]) -> None:
    for group in ("segment", "item", "entity"):
        found = catalog.search(QUERY, group=group, limit=50, segments=3)
        wanted = search(segments, QUERY, group=group, limit=50, per_group=3)
        agrees(found, wanted, segments=group != "segment")
    have_year = any("year" in model.attributes(item) for item in model.items)
    if have_year:
        for year in range(4):
            wanted_items = {i for i in model.items if model.attributes(i).get("year") == year}
            hits = catalog.search(QUERY, where=f"year = {year}", limit=50)
            assert set(hits.item_ids) == wanted_items
    found = catalog.get(IDS, entity_ids=ENTITIES)
    assert {item.item_id: dict(item.attributes) for item in found.items} == {
        item: model.attributes(item) for item in model.items
    }
    assert {item.item_id: item.entity_id for item in found.items} == {
        item: record.entity_id for item, record in model.items.items()
    }
    of = {entity: set() for entity in ENTITIES}  # type: dict[str, set[str]]
    for item, record in model.items.items():
        of[str(record.entity_id)].add(item)
    known = {entity for entity in ENTITIES if of[entity] or entity in model.entities}
    assert {entity.entity_id: set(entity.item_ids) for entity in found.entities} == {
        entity: of[entity] for entity in known
    }
    stats = catalog.stats()
    assert sum(stats.items.values()) == len(model.items) and stats.entities == len(known)
    assert stats.segments == len(segments)
    for item in list(model.items)[:2]:
        own = [s.vector.astype(np.float64) for s in segments if s.item == item]
        agrees(
            catalog.similar(item, limit=50), search(segments, sum(own), without=[item], limit=50)
        )


@settings(
    deadline=None,
    max_examples=20,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.lists(steps, min_size=3, max_size=9))
def test_histories(history: list[tuple[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder) / "store", history)


def run(path: Path, history: list[tuple[str, Any]]) -> None:
    model = Model()
    catalog = Catalog.open(path, space=HashSpace())
    reader = Catalog.open(path, space=HashSpace())
    for number, step in enumerate(history):
        if step[0] == "reopen":
            catalog.close()
            catalog = Catalog.open(path, space=HashSpace())
        else:
            apply(catalog, model, step)
        segments = segments_of(catalog, model.items.values())
        catalog.refresh()
        check(catalog, model, segments)
        if number % 2 == 0:
            assert reader.refresh() == catalog.refresh()
            check(reader, model, segments)
    reader.refresh()
    check(reader, model, segments_of(catalog, model.items.values()))
    fresh = Catalog.open(path, space=HashSpace())
    check(fresh, model, segments_of(fresh, model.items.values()))
    assert fresh.verify().problems == ()
    for one in (catalog, reader, fresh):
        one.close()


@pytest.mark.parametrize("hard", [False, True])
def test_a_history_that_meets_everything(tmp_path: Path, hard: bool) -> None:
    run(
        tmp_path / "store",
        [
            ("put", [("i0", "e0", 2, 1), ("i1", "e0", 3, None), ("i2", "e1", 4, 2)]),
            ("build", "exact"),
            ("entity", ("e0", 3)),
            ("put", [("i0", "e0", 5, None), ("i3", "e2", 1, 0)]),
            ("delete", ["i2", "i1"]),
            ("again", None),
            ("put", [("i2", "e1", 0, None)]),
            ("compact", hard),
            ("attributes", ("i3", 3)),
            ("delete entity", "e0"),
            ("build", "auto"),
            ("put", [("i1", "e0", 6, 1), ("i0", "e1", 2, 1)]),
            ("compact", hard),
            ("reopen", None),
            ("delete entity", "e1"),
        ],
    )
