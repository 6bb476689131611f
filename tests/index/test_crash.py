"""A writer that is killed leaves the old index or none, never a half one."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from trichord.index import failpoints
from trichord.index.exact import ExactIndex
from trichord.index.manifest import exists
from trichord.index.persist import load, save

WRITER = """
import os, signal, sys
import numpy as np
from trichord.index import failpoints
from trichord.index.build import build
from trichord.index.persist import save
from trichord.index.synthetic import clustered

def kill(name):
    if name == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)

failpoints.set_hook(kill)
rows = clustered(400, 8, seed=5)
index = build(rows, kind=sys.argv[3], threads=1)
save(sys.argv[1], index=index, vectors=rows, meta={"snapshot": 2}, arrays={"a": np.arange(3)})
"""


def write_and_die(folder: Path, point: str, kind: str = "exact") -> None:
    command = [sys.executable, "-c", WRITER, str(folder), point, kind]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize("point", failpoints.NAMES)
@pytest.mark.parametrize("before", [False, True])
def test_killed_while_writing(tmp_path: Path, world, point: str, before: bool) -> None:
    folder = tmp_path / "index"
    rows = world.rows[:100]
    if before:
        save(folder, index=ExactIndex(rows), vectors=rows, meta={"snapshot": 1})
    write_and_die(folder, point)
    if point == "index-renamed":
        _, vectors, manifest = load(folder)
        assert manifest.meta == {"snapshot": 2} and len(vectors) == 400
    elif before:
        _, vectors, manifest = load(folder)
        assert manifest.meta == {"snapshot": 1} and np.array_equal(vectors, rows)
    else:
        assert not exists(folder) and not folder.exists()
    # What the dead writer left is gone after the next save, which works as if nothing happened.
    save(folder, index=ExactIndex(rows), vectors=rows, meta={"snapshot": 3})
    assert load(folder)[2].meta == {"snapshot": 3}
    assert [path.name for path in tmp_path.iterdir()] == ["index"]


def test_killed_while_writing_an_engine(tmp_path: Path) -> None:
    write_and_die(tmp_path / "index", "index-manifest-written", "hnsw")
    assert not exists(tmp_path / "index")


def test_the_files_of_a_writer_at_work_are_left_alone(tmp_path: Path, world) -> None:
    """A second save of the same folder, from inside the first."""
    folder, rows = tmp_path / "index", world.rows[:100]
    nested: list[str] = []

    def save_again(name: str) -> None:
        if name == "index-manifest-written" and not nested:
            nested.append(name)
            save(folder, index=ExactIndex(rows[:50]), vectors=rows[:50], meta={"snapshot": 1})

    failpoints.set_hook(save_again)
    try:
        save(folder, index=ExactIndex(rows), vectors=rows, meta={"snapshot": 2})
    finally:
        failpoints.set_hook(None)
    assert nested and load(folder)[2].meta == {"snapshot": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["index"]


def test_only_named_points_can_be_reached() -> None:
    with pytest.raises(ValueError, match="unknown failpoint"):
        failpoints.reach("index-elsewhere")
