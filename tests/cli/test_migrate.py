"""trichord migrate: what it prints, what it exits with, on a store and on a server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.catalog.moving import NEW, OLD, counting, texts
from tests.fakes import png
from tests.server.serving import serving
from trichord.catalog import Catalog
from trichord.commands.migrating import migrate
from trichord.embedders import spaces
from trichord.errors import InvalidInput, NotFound, StoreError
from trichord.query import Record


@pytest.fixture(autouse=True)
def _spaces(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line finds the two spaces of the test by name, as it finds registered ones."""
    known = {"old": counting(OLD), "new": counting(NEW)}

    def open_space(name: str, *args: object, **options: object) -> object:
        if name in known:
            return known[name]
        raise NotFound(f"there is no space {name!r}", space=name)

    monkeypatch.setattr(spaces, "open_space", open_space)


@pytest.fixture(params=["store", "server"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[str]]:
    path = tmp_path / "store"
    with Catalog.open(path, space=OLD) as catalog:
        with catalog.ingestion() as ingestion:
            ingestion.add(texts(4))
            ingestion.add([Record("sent", data=png("red"))])
        catalog.refresh()
        if request.param == "store":
            yield ["--store", str(path)]
        else:
            with serving(catalog) as server:
                yield ["--server", server.address]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(migrate, list(arguments))


def fails(kind: type, says: str, *arguments: str) -> None:
    result = run(*arguments)
    assert isinstance(result.exception, kind), result
    assert says in str(result.exception)


def test_the_whole_way(place: list[str]) -> None:
    fails(NotFound, "no migration is under way", "run", *place)
    started = run("start", "new", "--require", "ndcg@10>=0.1", *place)
    assert started.exit_code == 0
    assert started.output.splitlines()[0] == "old → new (alias default): registered"
    assert "text   0 of 4 items (0.0 %)" in started.output
    assert "required: ndcg@10>=0.1" in started.output

    ran = run("run", *place)  # the only one that is under way
    assert ran.exit_code == 1  # one item could not be embedded
    assert ran.output == "4 embedded, 0 copied, 1 failed of 5\n"
    fails(StoreError, "no evaluation showed ndcg@10>=0.1", "switch", "new", *place)
    forced = run("switch", "new", "--allow-missing", "20%", "--force", "measured by hand", *place)
    assert forced.exit_code == 0 and "old → new (alias default): live" in forced.output
    assert "forced: measured by hand (passed by: no evaluation" in forced.output
    shown = run("status", *place)
    assert "alias default names new since 2" in shown.output
    assert ", before that old" in shown.output
    assert "image  0 of 1 items (0.0 %), 1 failed" in shown.output
    back = run("rollback", *place, "--json")
    assert json.loads(back.output)["state"] == "rolled-back"
    again = run("switch", "--allow-missing", "1", "--force", "as before", *place)
    assert again.exit_code == 0
    done = run("finish", "--remove", *place)
    assert done.exit_code == 0 and "finished" in done.output
    told = json.loads(run("status", "--json", *place).output)
    assert [one["state"] for one in told["migrations"]] == ["finished"]
    assert told["migrations"][0]["coverage"][2] == {
        "modality": "text", "items": 4, "covered": 4, "failed": 0,
    }  # fmt: skip
    assert told["aliases"][0]["space"] == "new"


def test_limits_and_abandoning(place: list[str]) -> None:
    run("start", "new", "--alias", "news", *place)
    first = run("run", "new", "--limit", "3", "--rate", "1000", "--json", *place)
    assert first.exit_code in (0, 1)
    counted = json.loads(first.output)
    assert counted["embedded"] + counted["failed"] == counted["total"] == 3
    assert counted["phase"] == "done"
    fails(StoreError, "there is nothing to roll back", "rollback", "new", *place)
    gone = run("abandon", "new", "--remove", *place)
    assert gone.exit_code == 0 and "abandoned" in gone.output
    fails(InvalidInput, "a rate is a positive number", "run", "new", "--rate", "-2", *place)


def test_several_at_once_must_be_named(tmp_path: Path) -> None:
    path = tmp_path / "store"
    with Catalog.open(path, space=OLD) as catalog:
        with catalog.ingestion() as ingestion:
            ingestion.add(texts(1))
        catalog.migrations.register(NEW)
        catalog.migrations.register(replace(NEW, name="third", anchor="third"), alias="other")
    fails(InvalidInput, "name one: new, third", "run", "--store", str(path))


def test_ingest_names_the_space_behind_the_alias(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trichord.commands.taking import ingest

    path = tmp_path / "store"
    with Catalog.open(path, space=OLD) as catalog:
        with catalog.ingestion() as ingestion:
            ingestion.add(texts(2))
        catalog.migrations.register(NEW)
        catalog.migrations.run("new")
        catalog.migrations.switch("new")
    (tmp_path / "a.txt").write_text("red words")
    options = ["--store", str(path), str(tmp_path / "a.txt"), "--no-index"]
    refused = CliRunner().invoke(ingest, [*options, "--space", "old"])
    assert isinstance(refused.exception, InvalidInput)
    assert "embedded for 'new', which the alias 'default'" in str(refused.exception)
    for given in ([], ["--space", "new"], ["--space", "default"]):
        assert CliRunner().invoke(ingest, [*options, *given]).exit_code == 0
    with Catalog.open(path) as catalog:
        assert catalog.search("red words", limit=1).item_ids == ["a.txt"]


def test_no_migrations(place: list[str]) -> None:
    assert run("status", *place).output == "no migrations\n"
    fails(NotFound, "no migration to 'nope'", "status", "nope", *place)
    fails(NotFound, "no space 'nope'", "start", "nope", *place)
