"""Work that is cut off anywhere and done again leaves the store that it leaves uninterrupted."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.catalog import crashing
from trichord.catalog import ingesting
from trichord.index import failpoints as index_failpoints
from trichord.store import failpoints as store_failpoints

POINTS = [*store_failpoints.NAMES, *index_failpoints.NAMES]
NOT_MET = {
    "rollback-tables-restored",
    "records-written",
    "space-removed",
    "upgrade-items-widened",
    "upgrade-tables-written",
}
"""Met only by who repairs after another (see `test_cut_off_twice`), moves to another space (see
`test_migration_crashes`), or opens a store of an earlier version."""

ROOT = Path(crashing.__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("whole")
    crashing.prepare(folder / "media")
    crashing.work(folder / "store", folder / "media")
    return _placed(crashing.state(folder / "store"), folder)


BATCH_RECORDS = ingesting.BATCH_RECORDS
"""As it is before `crashing.work` makes commits small."""


@pytest.fixture(autouse=True)
def _no_hooks() -> Iterator[None]:
    yield
    ingesting.BATCH_RECORDS = BATCH_RECORDS
    store_failpoints.set_hook(None)
    index_failpoints.set_hook(None)


class Cut(BaseException):
    """Stands for a kill: nothing catches it, and nothing is written on the way out."""


def cut_at(point: str, count: int, store: Path, media: Path) -> bool:
    """Whether the work came to the point for the `count`-th time, where it was cut off."""
    left = count

    def hook(name: str) -> None:
        nonlocal left
        if name == point:
            left -= 1
            if left < 0:
                raise Cut

    store_failpoints.set_hook(hook)
    index_failpoints.set_hook(hook)
    try:
        crashing.work(store, media)
    except Cut:
        return True
    finally:
        store_failpoints.set_hook(None)
        index_failpoints.set_hook(None)
    return False


def _placed(value: Any, folder: Path) -> Any:
    """The state with paths below the folder of the test."""
    if isinstance(value, str):
        return value.replace(str(folder), ".")
    if isinstance(value, dict):
        return {_placed(key, folder): _placed(one, folder) for key, one in value.items()}
    if isinstance(value, list | tuple | set):
        return type(value)(_placed(one, folder) for one in value)
    return value


@pytest.mark.parametrize("point", POINTS)
def test_cut_off_at_every_point(tmp_path: Path, whole: dict[str, Any], point: str) -> None:
    crashing.prepare(tmp_path / "media")
    met = cut_at(point, 0, tmp_path / "store", tmp_path / "media")
    assert met == (point not in NOT_MET)
    crashing.work(tmp_path / "store", tmp_path / "media")
    assert _placed(crashing.state(tmp_path / "store"), tmp_path) == whole


@pytest.mark.parametrize("point", ["items-written", "snapshot-written", "segments-written"])
def test_cut_off_twice(tmp_path: Path, whole: dict[str, Any], point: str) -> None:
    crashing.prepare(tmp_path / "media")
    store, media = tmp_path / "store", tmp_path / "media"
    assert cut_at(point, 2, store, media)
    if point != "snapshot-written":
        assert cut_at("rollback-tables-restored", 0, store, media)
    assert cut_at(point, 1, store, media)
    crashing.work(store, media)
    assert _placed(crashing.state(store), tmp_path) == whole


@pytest.mark.parametrize("moment", range(3))
def test_killed_for_real(tmp_path: Path, whole: dict[str, Any], moment: int) -> None:
    """Once at the n-th point of any name, and at random moments."""
    crashing.prepare(tmp_path / "media")
    store, media = tmp_path / "store", tmp_path / "media"
    count = 9 if moment == 0 else 10**6
    command = [sys.executable, "-m", "tests.catalog.crashing", str(store), str(media), ""]
    with subprocess.Popen(
        [*command, str(count)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as child:
        assert child.stdout is not None and child.stdout.readline() == "ready\n"
        if moment:
            time.sleep(random.Random(moment).uniform(0.05, 0.6))
            child.kill()
        child.wait(timeout=120)
    # A fast machine may be done before a random moment comes.
    assert child.returncode in ((-signal.SIGKILL, 0) if moment else (-signal.SIGKILL,))
    crashing.work(store, media)
    assert _placed(crashing.state(store), tmp_path) == whole
