"""A folder of arrays holds what was written, or says that it does not."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from trichord.errors import StorageFull, StoreDamaged
from trichord.index import arrays, failpoints

SOME = {
    "floats": np.arange(6, dtype=np.float32).reshape(2, 3),
    "bytes": np.frombuffer("å東".encode(), np.uint8),
    "none": np.zeros(0, np.int64),
}
META = {"snapshot": 3, "name": "å"}

WRITER = """
import os, signal, sys
import numpy as np
from pathlib import Path
from trichord.index import arrays, failpoints

def kill(name):
    if name == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)

failpoints.set_hook(kill)
arrays.save(Path(sys.argv[1]), {"one": np.arange(9)}, {"snapshot": 2})
"""


def test_what_was_written_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "index"
    assert not arrays.exists(folder)
    arrays.save(folder, SOME, META)
    assert arrays.exists(folder)
    found = arrays.load(folder)
    assert dict(found.meta) == META and found.arrays.keys() == SOME.keys()
    for name, array in SOME.items():
        np.testing.assert_array_equal(found.arrays[name], array)
        assert found.arrays[name].dtype == array.dtype
        assert not found.arrays[name].flags.writeable
    arrays.save(folder, {"floats": SOME["floats"] + 1}, {})
    np.testing.assert_array_equal(found.arrays["floats"], SOME["floats"])  # as it was opened
    assert arrays.load(folder).arrays.keys() == {"floats"}


@pytest.mark.parametrize("name", ["array-floats.npy", "array-bytes.npy", "manifest.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove", "empty"])
def test_damage_is_found(tmp_path: Path, name: str, damage: str) -> None:
    folder = tmp_path / "index"
    arrays.save(folder, SOME, META)
    path = folder / name
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[-2] ^= 1
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes({"flip": data, "cut": data[:-3], "empty": b""}[damage])
    with pytest.raises(StoreDamaged, match="cannot be used"):
        arrays.load(folder)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(StoreDamaged):
        arrays.load(tmp_path / "index")


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **keywords: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    arrays.save(tmp_path / "index", SOME, META)
    with monkeypatch.context() as patched:
        patched.setattr(np, "save", full)
        with pytest.raises(StorageFull):
            arrays.save(tmp_path / "index", {"other": np.zeros(1)}, {})
    assert arrays.load(tmp_path / "index").arrays.keys() == SOME.keys()
    assert os.listdir(tmp_path) == ["index"]


@pytest.mark.parametrize("point", failpoints.NAMES)
@pytest.mark.parametrize("before", [False, True])
def test_killed_while_writing(tmp_path: Path, point: str, before: bool) -> None:
    folder = tmp_path / "index"
    if before:
        arrays.save(folder, SOME, {"snapshot": 1})
    command = [sys.executable, "-c", WRITER, str(folder), point]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    if point == "index-renamed":
        assert dict(arrays.load(folder).meta) == {"snapshot": 2}
    elif before:
        assert dict(arrays.load(folder).meta) == {"snapshot": 1}
    else:
        assert not arrays.exists(folder) and not folder.exists()
    arrays.save(folder, SOME, {"snapshot": 3})
    assert dict(arrays.load(folder).meta) == {"snapshot": 3}
    assert os.listdir(tmp_path) == ["index"]
