"""A policy that hides a market: nothing shows that the hidden is there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.fakes import HashSpace, png
from trichord.catalog import Catalog
from trichord.errors import FilterError, NotFound, PermissionDenied
from trichord.filters import Compare, Filter, Not, Op
from trichord.policy import LOCAL, Action, Principal
from trichord.query import EntityRef, Image, ItemRef, Record, SegmentRef

GUEST = Principal("guest")
HIDDEN = ("n1", "n2", "mixed-n", "inherits")
SHOWN = ("s1", "s2", "mixed-s", "none")


@dataclass
class HideNorway:
    denied: set[Action] = field(default_factory=set)

    def permits(self, principal: Principal, action: Action) -> None:
        if principal == GUEST and action in self.denied:
            raise PermissionDenied(f"{principal.name} may not {action}")

    def visible(self, principal: Principal) -> Filter | None:
        return Not(Compare("market", Op.EQ, "NO")) if principal == GUEST else None


@pytest.fixture
def policy() -> HideNorway:
    return HideNorway()


@pytest.fixture
def catalog(tmp_path: Path, policy: HideNorway) -> Iterator[Catalog]:
    with Catalog.open(tmp_path / "store", space=HashSpace(), policy=policy) as opened:
        # Before anything has a market the filter hides nothing, and is no error.
        assert len(opened.search("rain", principal=GUEST)) == 0
        with opened.ingestion() as ingestion:
            answers = ingestion.add(
                [
                    Record("n1", text="rain north", attributes={"market": "NO"}),
                    Record("n2", data=png("red"), attributes={"market": "NO"}),
                    Record("s1", text="rain south", attributes={"market": "SE"}),
                    Record("s2", data=png("blue"), attributes={"market": "SE"}),
                    Record("none", text="rain nowhere"),
                    Record("mixed-n", "mixed", text="rain a", attributes={"market": "NO"}),
                    Record("mixed-s", "mixed", text="rain b", attributes={"market": "SE"}),
                    Record("inherits", "norse", text="rain c"),
                    Record(entity_id="norse", attributes={"market": "NO"}),
                    Record(entity_id="bare", attributes={"market": "SE", "secret": "x"}),
                ]
            )
        assert not [answer.error for answer in answers if answer.error]
        yield opened


@pytest.mark.parametrize("group", ["segment", "item", "entity"])
@pytest.mark.parametrize("where", [None, "market = 'NO' or market is null", "item_id != 'x'"])
def test_searches(catalog: Catalog, group: str, where: str | None) -> None:
    for asked in ("rain", Image(png("red")), ItemRef("s1"), EntityRef("mixed")):
        for exact in (False, True):
            hits = catalog.search(
                asked, group=group, where=where, exact=exact, segments=5, limit=50, principal=GUEST
            )
            assert not set(hits.item_ids) & set(HIDDEN)
            assert set(hits.attributes.get("market", [])) <= {"SE", None}
    everything = catalog.search("rain", limit=50)
    assert set(everything.item_ids) == {*SHOWN, *HIDDEN}
    assert set(catalog.search("rain", limit=50, principal=GUEST).item_ids) == set(SHOWN)


def test_pages_are_filtered_for_who_turns_them(catalog: Catalog) -> None:
    token = catalog.search("rain", limit=1).next_page_token
    assert not set(catalog.search("rain", limit=50, page_token=token, principal=GUEST).item_ids) & {
        *HIDDEN
    }


def test_hidden_things_cannot_ask(catalog: Catalog) -> None:
    for item in HIDDEN:
        message = f"there is no item '{item}'"
        with pytest.raises(NotFound, match=message):
            catalog.similar(item, principal=GUEST)
        with pytest.raises(NotFound, match=message):
            catalog.search(SegmentRef(item, 0), principal=GUEST)
        error = catalog.embed([ItemRef(item)], principal=GUEST).errors[0]
        assert str(error) == message and isinstance(error, NotFound)
    for entity in ("norse", "n1", "unknown"):
        with pytest.raises(NotFound, match=f"no entity '{entity}'"):
            catalog.search(EntityRef(entity), principal=GUEST)
    # An entity's direction rests on what is shown of it.
    mixed = catalog.embed([EntityRef("mixed"), ItemRef("mixed-s")], principal=GUEST).vectors
    assert (abs(mixed[0] - mixed[1]) < 1e-6).all()
    whole = catalog.embed([EntityRef("mixed")]).vectors
    assert abs(whole[0] - mixed[0]).max() > 1e-2


def test_get_and_counts(catalog: Catalog) -> None:
    found = catalog.get(
        [*HIDDEN, *SHOWN], entity_ids=["mixed", "norse", "bare", "s1"], principal=GUEST
    )
    assert {item.item_id for item in found.items} == set(SHOWN)
    assert set(found.missing_item_ids) == set(HIDDEN)
    assert {e.entity_id: e.item_ids for e in found.entities} == {
        "mixed": ("mixed-s",),
        "s1": ("s1",),
    }
    assert found.missing_entity_ids == ("norse", "bare")
    stats = catalog.stats(principal=GUEST)
    assert stats.items == {"audio": 0, "image": 1, "text": 3}
    assert (stats.entities, stats.segments) == (4, 4)
    assert (stats.indexes, stats.bytes_on_disk, stats.failures) == ((), 0, 0)
    whole = catalog.stats()
    assert whole.items == {"audio": 0, "image": 2, "text": 6}
    # n1, n2, s1, s2, none, mixed, norse, and one that has attributes only
    assert (whole.entities, whole.segments) == (8, 8)


def test_deleting_what_is_hidden(catalog: Catalog) -> None:
    with pytest.raises(NotFound, match="not stored: n1, norse"):
        catalog.delete(["n1", "s1"], entity_ids=["norse"], principal=GUEST)
    assert catalog.delete(entity_ids=["mixed"], principal=GUEST) == 1
    assert [item.item_id for item in catalog.get(["mixed-n", "mixed-s"]).items] == ["mixed-n"]
    assert catalog.delete(entity_ids="mixed") == 1


def test_permits_stands_on_every_path(catalog: Catalog, policy: HideNorway) -> None:
    calls = {
        Action.SEARCH: lambda who: catalog.search("rain", principal=who),
        Action.EMBED: lambda who: catalog.embed([ItemRef("s1")], principal=who),
        Action.GET: lambda who: catalog.get("s1", principal=who),
        Action.DESCRIBE: lambda who: (catalog.stats(principal=who), catalog.spaces(principal=who)),
        Action.INGEST: lambda who: catalog.ingestion(principal=who).__enter__(),
        Action.DELETE: lambda who: catalog.delete("s1", principal=who),
        Action.MANAGE: lambda who: catalog.migrations.register(
            replace(HashSpace(), name="next", anchor="next"), principal=who
        ),
    }
    assert set(calls) == set(Action)
    for action, call in calls.items():
        policy.denied = {action}
        with pytest.raises(PermissionDenied, match=f"guest may not {action}"):
            call(GUEST)
        if action not in (Action.INGEST, Action.DELETE):
            call(LOCAL)
    policy.denied = {Action.DESCRIBE}
    with pytest.raises(PermissionDenied):
        catalog.spaces(principal=GUEST)


def test_own_filters_stay_strict(catalog: Catalog) -> None:
    with pytest.raises(FilterError, match="'nope'"):
        catalog.search("rain", where="nope = 1", principal=GUEST)
