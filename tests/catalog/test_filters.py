"""Filters of a search against a naive evaluator, and what a changed attribute touches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.catalog.conftest import add
from tests.fakes import HashSpace
from trichord.catalog import Catalog
from trichord.errors import FilterError
from trichord.filters import And, Compare, Exists, Filter, Has, In, Not, Op, Or
from trichord.query import Record

BIG = 2**53
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
VALUES: dict[str, list[Any]] = {
    "market": ["SE", "NO", "", "Ås", "z'quoted", "SEE"],
    "year": [0, 1999, 2020, -5, BIG, BIG + 1, -BIG - 1, 2**63 - 1, -(2**63)],
    "loud": [0.0, -0.0, 0.1, 2020.0, -5.5, float(BIG), float(BIG + 2), 1e300, 5e-324],
    "live": [True, False],
    "released": [NOON, NOON + timedelta(microseconds=1), datetime(1, 1, 2, tzinfo=UTC)],
    "tags": [["a"], ["a", "b"], [], ["b", "a", "ü"], [""]],
}
FIELDS = [*VALUES, "item_id", "entity_id", "modality", "media_type", "event_timestamp"]


def facts(seed: int) -> tuple[list[Record], list[Record]]:
    """Entities with attributes, and items that inherit and override them."""
    generator = np.random.default_rng(seed)

    def some(share: float) -> dict[str, Any]:
        return {
            name: values[int(generator.integers(len(values)))]
            for name, values in VALUES.items()
            if generator.random() < share
        }

    entities = [Record(entity_id=f"e{n}", attributes=some(0.5) or {"year": 1}) for n in range(6)]
    items = []
    for number in range(70):
        text, vector = None, generator.standard_normal(32).astype(np.float32)
        if number % 7 == 0:
            text, vector = f"word{number}", None  # type: ignore[assignment]
        items.append(
            Record(
                f"i{number}",
                f"e{number % 8}",
                "text" if text else ["image", "audio"][number % 2],
                text=text,
                vector=vector,
                attributes=some(0.4),
                event_timestamp=NOON + timedelta(days=number) if number % 3 else None,
            )
        )
    return entities, items


class Naive:
    """The catalogue as dicts: one per item, entity's attributes below its own."""

    def __init__(self, entities: list[Record], items: list[Record]) -> None:
        of = {entity.entity_id: dict(entity.attributes) for entity in entities}
        self.rows = {
            item.item_id: {
                **of.get(item.entity_id, {}),
                **item.attributes,
                "item_id": item.item_id,
                "entity_id": item.entity_id,
                "modality": item.modality,
                "media_type": "text/plain" if item.text else None,
                "event_timestamp": item.event_timestamp,
            }
            for item in items
        }

    def passing(self, tree: Filter) -> set[str]:
        return {str(item) for item, row in self.rows.items() if holds(tree, row)}


def holds(tree: Filter, row: Mapping[str, Any]) -> bool:
    match tree:
        case And(terms):
            return all(holds(term, row) for term in terms)
        case Or(terms):
            return any(holds(term, row) for term in terms)
        case Not(term):
            return not holds(term, row)
        case Exists(name):
            return row.get(name) is not None
        case Has(name, value):
            return value in (row.get(name) or [])
        case In(name, values):
            return row.get(name) is not None and any(row[name] == value for value in values)
        case Compare(name, op, value):
            there = row.get(name)
            if there is None:
                return False
            if isinstance(value, str) and isinstance(there, datetime):
                value = datetime.fromisoformat(value).astimezone(UTC)
            return {
                Op.EQ: there == value,
                Op.NE: there != value,
                Op.LT: there < value,
                Op.LE: there <= value,
                Op.GT: there > value,
                Op.GE: there >= value,
            }[op]
    raise AssertionError(tree)


numbers = st.one_of(
    st.sampled_from([*VALUES["year"], *VALUES["loud"], 2020.5, BIG + 0.0, 2.0**63, -(2.0**63)]),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
)
strings = st.sampled_from([*VALUES["market"], "S", "i7", "e3", "text/plain", "ö"])
moments = st.one_of(
    st.sampled_from(VALUES["released"]),
    st.sampled_from(["2026-03-01T12:00:00Z", "2026-03-04T13:00:00+01:00"]),
    st.datetimes(timezones=st.just(UTC), min_value=datetime(2, 1, 1)),
)
ops = st.sampled_from(list(Op))
sides = st.sampled_from([Op.EQ, Op.NE])


def listed(names: list[str], values: st.SearchStrategy[Any]) -> st.SearchStrategy[Filter]:
    members = st.lists(values, min_size=1, max_size=4).map(tuple)
    return st.builds(In, st.sampled_from(names), members)


texts = ["market", "item_id", "entity_id", "media_type"]
leaves: st.SearchStrategy[Filter] = st.one_of(
    st.builds(Compare, st.sampled_from(texts), ops, strings),
    st.builds(Compare, st.sampled_from(["year", "loud"]), ops, numbers),
    st.builds(Compare, st.just("live"), sides, st.booleans()),
    st.builds(Compare, st.sampled_from(["released", "event_timestamp"]), ops, moments),
    st.builds(Compare, st.just("modality"), sides, st.sampled_from(["text", "image", "audio"])),
    listed(texts, strings),
    listed(["year", "loud"], numbers),
    listed(["live"], st.booleans()),
    st.builds(Has, st.just("tags"), st.sampled_from(["a", "b", "ü", "", "c"])),
    st.builds(Exists, st.sampled_from(FIELDS)),
)


def joined(below: st.SearchStrategy[Filter]) -> st.SearchStrategy[Filter]:
    terms = st.lists(below, min_size=1, max_size=3).map(tuple)
    return st.one_of(st.builds(And, terms), st.builds(Or, terms), st.builds(Not, below))


trees = st.recursive(leaves, joined, max_leaves=6)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Catalog, Naive]]:
    entities, items = facts(3)
    with Catalog.open(tmp_path_factory.mktemp("filters") / "store", space=HashSpace()) as catalog:
        add(catalog, entities)
        add(catalog, items)
        yield catalog, Naive(entities, items)


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(tree=trees, group=st.sampled_from(["segment", "item", "entity"]))
def test_trees(shelf: tuple[Catalog, Naive], tree: Filter, group: str) -> None:
    catalog, naive = shelf
    wanted = naive.passing(tree)
    hits = catalog.search(np.ones(32), where=tree, limit=1000, group=group)
    if group == "entity":
        entities = {naive.rows[item]["entity_id"] for item in wanted}
        assert set(hits.entity_ids) == entities and len(hits) == len(entities)
        assert set(hits.item_ids) <= wanted
    else:
        assert sorted(hits.item_ids) == sorted(wanted)


@pytest.mark.parametrize(
    ("where", "wanted"),
    [
        ("nope = 1", "the filter names 'nope'.*attributes here: live, loud, market, released"),
        ("year = 'x'", "'year' is of type int64 and cannot be compared by `=` with 'x'"),
        ("year = true", "int64 .* with True"),
        ("live > false", "'live' is of type bool and cannot be compared by `>`"),
        ("live = 1", "bool"),
        ("tags = 'a'", "'tags' is a list: write tags has 'value'"),
        ("market has 'a'", "`has` needs a list"),
        ("modality = 'video'", "no modality 'video'; there are audio, image, text"),
        ("released > 'yesterday'", "ISO 8601"),
        ("released > '0001-01-01T00:00:00+05:00'", "ISO 8601"),
        ("year > 9223372036854775808", "64 bits"),
        ("generation = 1", "'generation'"),
        ("market = ", "column"),
    ],
)
def test_filters_that_are_errors(shelf: tuple[Catalog, Naive], where: str, wanted: str) -> None:
    catalog, _ = shelf
    catalog.search("x", where="year = 1 and live = true")  # 1 and True are equal in Python
    with pytest.raises(FilterError, match=wanted):
        catalog.search("x", where=where)


def test_trees_that_are_errors(shelf: tuple[Catalog, Naive]) -> None:
    catalog, _ = shelf
    catalog.search("x", where=Compare("live", Op.EQ, True))
    for tree in (
        Compare("live", Op.EQ, 1),
        Compare("#generation", Op.GE, 0),
        Compare("year", Op.EQ, float("nan")),
        Compare("year", Op.EQ, None),  # type: ignore[arg-type]
        Has("tags", 5),  # type: ignore[arg-type]
        And(()),
        {"market": "SE"},
    ):
        with pytest.raises(FilterError):
            catalog.search("x", where=tree)  # type: ignore[arg-type]


def test_an_attribute_changes_without_the_vectors(catalog: Catalog) -> None:
    entities, items = facts(4)
    add(catalog, [*entities, *items])
    catalog.build_indexes()
    before = {leg.modality: leg for leg in catalog._views.newest.legs.values()}
    with Catalog.open(catalog.path, space=HashSpace()) as other:
        naive = Naive(entities, items)
        tree = Compare("market", Op.EQ, "SE")
        assert set(other.search("x", where=tree, limit=100).item_ids) == naive.passing(tree)
        moved = [Record(f"i{n}", attributes={"market": "SE", "extra": n}) for n in range(0, 70, 9)]
        moved_entity = Record(entity_id="e2", attributes={"market": "SE"})
        add(catalog, [*moved, moved_entity])
        assert other.refresh() == catalog.refresh()
        by_id = {item.item_id: item for item in items}
        for record in moved:
            old = by_id[record.item_id]
            by_id[record.item_id] = Record(
                old.item_id, old.entity_id, old.modality, text=old.text, vector=old.vector,
                attributes={**old.attributes, **record.attributes},
                event_timestamp=old.event_timestamp,
            )  # fmt: skip
        entities[2] = Record(entity_id="e2", attributes={**entities[2].attributes, "market": "SE"})
        naive = Naive(entities, list(by_id.values()))
        for one in (catalog, other):
            assert set(one.search("x", where=tree, limit=100).item_ids) == naive.passing(tree)
            found = one.search("x", where="extra >= 36", limit=100)
            assert set(found.item_ids) == {f"i{n}" for n in range(36, 70, 9)}
        for modality, leg in before.items():
            now = catalog._views.newest.legs["hash", modality]
            assert now.index is leg.index and now.rows is leg.rows
