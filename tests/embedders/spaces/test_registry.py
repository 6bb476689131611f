"""The registry: whole or not at all, never changed, and it notices when weights change."""

from __future__ import annotations

import errno
import json
import multiprocessing
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tests.embedders.spaces.making import Families, clip_and_clap
from trichord.embedders import canaries, lockfile, registry
from trichord.embedders.backend import Runtime
from trichord.embedders.definition import Definition, read
from trichord.embedders.registry import Registry
from trichord.embedders.spaces import open_space, opener
from trichord.errors import (
    EncoderMismatch,
    InvalidInput,
    ModelError,
    NotFound,
    StorageFull,
    StoreError,
)
from trichord.types import Modality


@pytest.fixture
def definition(tmp_path: Path) -> Definition:
    return read(clip_and_clap(tmp_path / "models"))


@pytest.fixture
def spaces(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "home" / "spaces", opener=Families())


def left(spaces: Registry) -> list[str]:
    return sorted(p.name for p in spaces.folder.iterdir() if p.name != ".lock")


def test_what_is_added_can_be_opened_again(spaces: Registry, definition: Definition) -> None:
    assert spaces.names() == []
    steps: list[str] = []
    added = spaces.add(definition, on_step=steps.append)
    assert spaces.names() == ["both"] and steps
    joint = spaces.open("both")
    assert joint.space == added.space
    assert dict(joint.space.encoders) == dict(added.space.encoders)
    assert {m: dict(e.facts) for m, e in added.encoders.items()} == {
        m: dict(e.facts) for m, e in joint.encoders.items()
    }
    assert added.models[definition.parts[Modality.AUDIO].model].licence == "CC0-1.0"
    assert added.added_on["libraries"]["numpy"] == np.__version__
    own = canaries.vectors(joint).vectors
    assert all(np.array_equal(own[m], added.canaries.vectors[m]) for m in Modality)
    # the projector was copied: the first one may go
    bridge = definition.parts[Modality.AUDIO].projector
    assert bridge is not None
    bridge.unlink()
    assert spaces.open("both").space == added.space
    assert open_space("both", spaces).space == added.space
    assert opener(spaces)("both").name == "both"
    with pytest.raises(NotFound, match="known: pocket, both"):
        open_space("bath", spaces)
    with pytest.raises(NotFound, match="known: pocket "):
        open_space("both")


def test_adding_again_changes_nothing_and_other_encoders_are_refused(
    spaces: Registry, definition: Definition, tmp_path: Path
) -> None:
    first = spaces.add(definition)
    assert spaces.add(definition).added_at == first.added_at
    changed = read(clip_and_clap(tmp_path / "models", tilt=0.01))
    with pytest.raises(InvalidInput, match="other encoders for audio.*--name both-2"):
        spaces.add(changed)
    assert spaces.get("both").space == first.space
    second = spaces.add(changed.renamed("both-2"))
    assert [m for m in Modality if second.space.encoders[m] != first.space.encoders[m]] == ["audio"]
    third = read(clip_and_clap(tmp_path / "models", tilt=0.02))
    with pytest.raises(InvalidInput, match="--name both-3"):
        spaces.add(third.renamed("both-2"))


def test_weights_that_change_are_noticed(
    spaces: Registry, definition: Definition, tmp_path: Path
) -> None:
    spaces.add(definition.without(Modality.AUDIO))
    (tmp_path / "models" / "image.bin").write_bytes(b"trained further")
    with pytest.raises(EncoderMismatch, match="image encoder.*weights changed.*both-2"):
        spaces.open("both")
    clip_and_clap(tmp_path / "models")
    (tmp_path / "models" / "image.bin").write_bytes(b"weights of image")
    assert spaces.open("both").name == "both"


def test_a_changed_definition_or_projector_is_noticed(
    spaces: Registry, definition: Definition
) -> None:
    folder = spaces.add(definition).folder
    text = (folder / "space.toml").read_text("utf-8")
    (folder / "space.toml").write_text(text.replace("window_ms = 1000", "window_ms = 500"))
    with pytest.raises(EncoderMismatch, match="audio encoder.*windowing changed"):
        spaces.open("both")
    (folder / "space.toml").write_text(text.replace("[audio]", "[audio]\nfoo = 1"))
    with pytest.raises(InvalidInput, match="foo"):
        spaces.open("both")
    (folder / "space.toml").write_text(text)
    (folder / "audio.projector.safetensors").unlink()
    with pytest.raises(InvalidInput, match="there is no projector"):
        spaces.open("both")


def test_a_damaged_lock_is_said_to_be_one(spaces: Registry, definition: Definition) -> None:
    path = spaces.add(definition).folder / "space.lock.json"
    whole = json.loads(path.read_text("utf-8"))
    for damaged in (
        "{",
        json.dumps(whole | {"schema": 99}),
        json.dumps({k: v for k, v in whole.items() if k != "frame"}),
        path.read_text("utf-8").replace('"projector": "', '"projector": "f'),
    ):
        path.write_text(damaged)
        with pytest.raises(ModelError):
            spaces.get("both")


@pytest.mark.parametrize("name", ["pocket", "default"])
def test_names_that_are_taken(spaces: Registry, definition: Definition, name: str) -> None:
    with pytest.raises(InvalidInput, match="taken"):
        spaces.add(definition.renamed(name))


def test_nothing_is_fetched_for_a_space_that_cannot_be(
    tmp_path: Path, definition: Definition
) -> None:
    families = Families()
    sound = replace(definition.parts[Modality.AUDIO], projector=None)
    bare = replace(definition, parts={**definition.parts, Modality.AUDIO: sound})
    with pytest.raises(InvalidInput, match="audio part.*trichord space fit.*--without"):
        Registry(tmp_path / "r", opener=families).add(bare)
    assert families.opened == [] and not (tmp_path / "r").exists()


@pytest.mark.parametrize(("module", "step"), [(registry, "vectors"), (lockfile, "write")])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_an_interrupted_add_leaves_nothing(
    spaces: Registry,
    definition: Definition,
    monkeypatch: pytest.MonkeyPatch,
    module: ModuleType,
    step: str,
    error: type[BaseException],
) -> None:
    with monkeypatch.context() as patched:
        whole = getattr(module, step)

        def broken(*given: object) -> object:
            whole(*given)
            raise error("stop")

        patched.setattr(module, step, broken)
        with pytest.raises((error, StoreError)):
            spaces.add(definition)
    assert spaces.names() == [] and (not spaces.folder.exists() or left(spaces) == [])
    spaces.add(definition)
    assert left(spaces) == ["both"]


def test_a_disk_that_is_full_is_said_to_be(
    spaces: Registry, definition: Definition, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(lockfile, "write", full)
        with pytest.raises(StorageFull, match="No space left"):
            spaces.add(definition)
    assert left(spaces) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        Registry(tmp_path / "file" / "spaces", opener=Families()).add(definition)


KILLED = """
import os, sys
from pathlib import Path
from trichord.embedders import lockfile, registry
from trichord.embedders.backend import Runtime
from trichord.embedders.definition import read
from tests.embedders.spaces.making import Families
whole = lockfile.write
def broken(*given):
    whole(*given)
    os._exit(9)
lockfile.write = broken
registry.Registry(Path(sys.argv[1]), opener=Families()).add(
    read(Path(sys.argv[2])), Runtime(device='cpu')
)
"""


def test_a_killed_add_leaves_nothing_that_counts(
    spaces: Registry, definition: Definition, tmp_path: Path
) -> None:
    path = tmp_path / "models" / "both.toml"
    done = subprocess.run([sys.executable, "-c", KILLED, spaces.folder, path], timeout=120)
    assert done.returncode == 9
    assert left(spaces) == [".draft"] and spaces.names() == []
    spaces.add(definition)
    assert left(spaces) == ["both"]


def race(folder: Path, path: Path, tilt: float, start: object, told: object) -> None:
    definition = read(clip_and_clap(path, tilt=tilt))
    spaces = Registry(folder, opener=Families())
    start.wait()  # type: ignore[attr-defined]
    try:
        added = spaces.add(definition, Runtime(device="cpu"))
        told.put(("added", added.space.encoders[Modality.AUDIO]))  # type: ignore[attr-defined]
    except InvalidInput as error:
        told.put(("refused", str(error)))  # type: ignore[attr-defined]


def test_of_two_that_race_one_wins(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    start, told = spawn.Barrier(2), spawn.Queue()
    racers = [
        spawn.Process(target=race, args=(tmp_path / "r", tmp_path / str(n), n / 9, start, told))
        for n in (1, 2)
    ]
    for racer in racers:
        racer.start()
    answers = dict(told.get(timeout=60) for _ in racers)
    for racer in racers:
        racer.join(60)
    assert set(answers) == {"added", "refused"}, "one wins, the other is told"
    assert "other encoders for" in answers["refused"]
    spaces = Registry(tmp_path / "r", opener=Families())
    assert spaces.names() == ["both"]
    assert spaces.get("both").space.encoders[Modality.AUDIO] == answers["added"]


def test_removed_is_forgotten(spaces: Registry, definition: Definition) -> None:
    spaces.add(definition)
    spaces.remove("both")
    assert spaces.names() == [] and left(spaces) == []
    with pytest.raises(NotFound, match="no space 'both'"):
        spaces.remove("both")
    with pytest.raises(NotFound):
        spaces.get("../both")
    with pytest.raises(InvalidInput, match="bundled"):
        spaces.remove("pocket")


def test_listing_and_describing_import_no_model(spaces: Registry, definition: Definition) -> None:
    spaces.add(definition)
    code = (
        "import sys; from pathlib import Path; from trichord.embedders.registry import Registry\n"
        "r = Registry(Path(sys.argv[1])); print(r.get(r.names()[0]).space)\n"
        "print(sorted({'torch', 'faiss', 'lancedb', 'PIL', 'soundfile'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, spaces.folder], capture_output=True, text=True, timeout=120
    )
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
