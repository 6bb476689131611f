"""A whole migration that is cut off at every point and done again ends as it does undisturbed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.catalog.moving import NEW, OLD, texts, vectors
from trichord.catalog import Catalog, ingesting
from trichord.query import Record
from trichord.results import MigrationState
from trichord.store import failpoints

POINTS = (
    "space-table-created",
    "space-written",
    "segments-written",
    "items-written",
    "failures-written",
    "records-written",
    "snapshot-written",
    "space-removed",
)


class Cut(BaseException):
    """Stands for a kill: nothing catches it, and nothing is written on the way out."""


@pytest.fixture(autouse=True)
def _small_commits(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(ingesting, "BATCH_RECORDS", 3)
    yield
    failpoints.set_hook(None)


def journey(path: Path) -> None:
    """There, back, there again and no way back; every verb may have been done before."""
    with Catalog.open(path, space=OLD, spaces={"new": NEW}) as catalog:
        verbs = catalog.migrations
        there = {one.space: one.state for one in verbs.list()}
        if there.get("new") is not MigrationState.FINISHED:
            verbs.register("new")
            with catalog.ingestion() as ingestion:
                ingestion.add([Record("more", text="more words"), texts(2)[1]])
            verbs.run("new")
            verbs.switch("new", allow_missing=1)
            verbs.rollback("new")
            catalog.delete("x000") if catalog.get("x000").items else None
            verbs.switch("new", allow_missing=1)
        verbs.finish("new", remove=True)


def state(path: Path) -> dict[str, Any]:
    with Catalog.open(path, space=OLD, spaces={"new": NEW}) as catalog:
        assert catalog.verify().problems == ()
        (one,) = catalog.migrations.list()
        (alias,) = catalog.migrations.aliases()
        hits = catalog.search("more words", limit=20)
        failures = [(f.source, f.reason, f.message.split(" (")[0]) for f in catalog.failures()]
        return {
            "vectors": vectors(catalog, "new"),
            "spaces": [info.space for info in catalog.spaces()],
            "migration": (one.state, one.source, one.coverage, one.forced),
            "alias": (alias.name, alias.space, alias.previous),
            "failures": failures,
            "found": (hits.space, list(hits.item_ids)),
            "items": catalog.stats().items,
        }


def begin(path: Path) -> None:
    with Catalog.open(path, space=OLD) as catalog, catalog.ingestion() as ingestion:
        ingestion.add(texts(7))
        sent = Record("sent", modality="image", vector=[1.0] * 32)  # type: ignore[arg-type]
        ingestion.add([sent])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("whole") / "store"
    begin(path)
    journey(path)
    found = state(path)
    assert len(found["vectors"]) == 7 and found["found"][0] == "new"
    assert [one[0] for one in found["failures"]] == ["backfill:new:sent"]
    return found


@pytest.mark.parametrize("point", POINTS)
def test_cut_off_at_every_point(tmp_path: Path, whole: dict[str, Any], point: str) -> None:
    """At the first, the second … time that each point is come to, one after the other."""
    path = tmp_path / "store"
    begin(path)
    cuts = 0
    for count in (0, 1, 2):
        left = count

        def hook(name: str) -> None:
            nonlocal left
            if name == point:
                left -= 1
                if left < 0:
                    raise Cut

        failpoints.set_hook(hook)
        try:
            journey(path)
            break
        except Cut:
            cuts += 1
        finally:
            failpoints.set_hook(None)
    assert cuts
    journey(path)
    assert state(path) == whole
