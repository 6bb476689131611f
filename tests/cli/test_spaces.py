"""space add, list, show, check and remove: what they say, and that nothing is fetched unasked."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.embedders.spaces.making import Families, clip_and_clap
from trichord.cli import main
from trichord.commands import adding, checking, spaces
from trichord.embedders.backend import Runtime
from trichord.embedders.registry import Registry
from trichord.store import Store
from trichord.types import Encoder, Frame, Modality, Space


@dataclass
class Done:
    code: int
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRICHORD_HOME", str(tmp_path / "home"))

    def run(*arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["trichord", "space", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        captured = capfd.readouterr()
        assert "Traceback" not in captured.err
        return Done(int(left.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture
def families(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Families:
    """Commands whose spaces are of fake families."""
    made = Families()
    known = Registry(tmp_path / "home" / "spaces", opener=made)
    for module in (adding, checking, spaces):
        monkeypatch.setattr(module, "registry", lambda home: known)
    return made


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return clip_and_clap(tmp_path / "models")


def test_the_way_of_a_space_of_ones_own(run: Run, families: Families, own: Path) -> None:
    added = run("add", "--definition", own, "--device", "cpu", "--offline")
    assert added.code == 0, added.err
    assert "CC0-1.0" in added.out and "nothing is downloaded" in added.out
    assert "check the licence" in added.out and "bridge.safetensors" in added.out
    assert "space 'both' is registered" in added.out
    assert all(made.runtime == Runtime(device="cpu", offline=True) for made in families.opened)

    rows = {row["name"]: row for row in json.loads(run("list", "--json").out)}
    assert set(rows) == {"pocket", "both", "clip-clap", "omni", "text"}
    assert rows["both"]["kind"] == "registered" and rows["both"]["at_hand"]
    assert rows["both"]["modalities"] == ["audio", "image", "text"]
    assert rows["omni"]["kind"] == "preset" and not rows["omni"]["at_hand"]
    listed = run("list").out.splitlines()
    assert listed[2].split()[:2] == ["both", "registered"] and listed[2].endswith("yes")

    shown = json.loads(run("show", "both").out)
    assert shown["encoders"]["audio"]["id"] == rows["both"]["encoders"]["audio"]
    assert shown["encoders"]["audio"]["facts"]["projector"]
    assert [note["licence"] for note in shown["models"].values()] == ["CC0-1.0"]
    assert shown["parts"]["audio"]["projector"].endswith("audio.projector.safetensors")
    assert Path(shown["folder"]).is_dir()

    checked = run("check", "both", "--device", "cpu")
    assert checked.code == 0 and "audio cosine 1.0000 overlap 1.000" in checked.out
    figures = json.loads(run("check", "both", "--json", "--device", "cpu").out)
    assert figures["canaries"]["text"] == {"cosine": 1.0, "overlap": 1.0}

    again = run("add", "--definition", own, "--device", "cpu")
    assert again.code == 0
    assert run("remove", "both").code == 0
    assert run("remove", "both").code == 3
    assert run("show", "both").code == 3


def test_weights_that_changed_and_machines_that_differ(
    run: Run, families: Families, own: Path
) -> None:
    assert run("add", "--definition", own, "--device", "cpu").code == 0
    families.noise = 0.3
    wrong = run("check", "both", "--device", "cpu")
    assert wrong.code == 4 and "computes other vectors" in wrong.err and "cosine 0." in wrong.err
    families.noise = 0
    clip_and_clap(own.parent, tilt=0.1)
    assert run("check", "both", "--device", "cpu").code == 0, "it has its own copy"
    taken = run("add", "--definition", own, "--device", "cpu")
    assert taken.code == 2 and "other encoders for audio" in taken.err
    assert "--name both-2" in taken.err
    assert run("add", "--definition", own, "--name", "both-2", "--device", "cpu").code == 0
    (own.parent / "sound.bin").write_bytes(b"other")
    gone = run("check", "both", "--device", "cpu")
    assert gone.code == 4 and len(gone.err.splitlines()) == 1
    (own.parent / "image.bin").write_bytes(b"other")
    assert run("check", "both", "--device", "cpu").code == 4


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("add",), 2, "name a preset"),
        (("add", "clip", "--yes"), 3, "clip-clap, omni, text"),
        (("add", "text", "--definition", "x.toml"), 2, "name a preset"),
        (("add", "--definition", "x.toml"), 3, "no definition x.toml"),
        (("add", "--definition", "bad.toml"), 2, "2 mistakes"),
        (("add", "clip-clap", "--yes"), 2, "--without audio"),
        (("add", "omni", "--yes"), 2, "--accept-licence"),
        (("add", "text"), 2, "say --yes, or --offline"),
        (("add", "text", "--offline"), 1, "all-MiniLM-L6-v2 is not in the cache"),
        (("add", "clip-clap", "--offline", "--without", "audio"), 1, "(offline)"),
        (("add", "text", "--name", "a/b", "--offline"), 2, "not a name of a space"),
        (("add", "text", "--name", "pocket", "--offline"), 2, "taken"),
        (("add", "text", "--projector", "bad.toml"), 1, "bad.toml"),
        (("add", "text", "--without", "image"), 2, "no part for image"),
        (("show", "nothing"), 3, "pocket"),
        (("check", "nothing"), 3, "known: pocket"),
        (("remove", "pocket"), 2, "bundled"),
        (("remove", "x", "--store", "none"), 3, "there is no store"),
    ],
)
def test_one_clear_error(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    (tmp_path / "bad.toml").write_text("name = 'x'\n[text]\nbackend = 'clap'\nfoo = 1")
    done = run(*arguments)
    assert done.code == code, done.err
    assert says in done.err
    ours = [line for line in done.err.splitlines() if line.startswith("trichord: ")]
    assert len(ours) == 1
    assert not (tmp_path / "home").exists() or Registry(tmp_path / "home" / "spaces").names() == []


def test_clip_clap_says_how_to_fit(run: Run) -> None:
    said = run("add", "clip-clap").err
    assert "--source clap:laion/clap-htsat-unfused" in said
    assert "--target openclip:ViT-B-32:datacomp_xl_s13b_b90k" in said
    shown = run("add", "clip-clap").out
    assert "about 605 MB" in shown and "about 615 MB" in shown and "about 1220 MB" in shown


def test_code_of_a_model_is_pointed_out(run: Run, families: Families, tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(
        "name = 'own'\n[text]\nbackend = 'sentence-transformers'\nmodel = 'some/model'\n"
        "trust_remote_code = true\n"
    )
    done = run("add", "--definition", "own.toml")
    assert done.code == 2 and "say --yes" in done.err
    assert "runs Python code that comes with some/model" in done.out
    assert "download: 0 MB and what is not stated" in done.out and families.opened == []


def test_asked_and_answered(run: Run, families: Families, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

    answers: list[bool] = [False, True]
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr("click.confirm", lambda question: answers.pop(0))
    refused = run("add", "text", "--device", "cpu")
    assert refused.code == 1 and "nothing was added" in refused.out and families.opened == []
    assert run("add", "text", "--device", "cpu").code == 0
    assert answers == []


def stored(path: Path, *made: Space) -> Store:
    store = Store.create(path)
    with store.writer() as writer:
        for one in made:
            writer.add_space(one, {m: {} for m in one.encoders})
    return store


def test_lists_and_checks_what_a_store_holds(
    run: Run, families: Families, own: Path, tmp_path: Path
) -> None:
    run("add", "--definition", own, "--device", "cpu")
    known = Registry(tmp_path / "home" / "spaces", opener=families).get("both")
    foreign = Space("elsewhere", Frame("x", 4), {Modality.TEXT: Encoder(Modality.TEXT, {}).id})
    stored(tmp_path / "store", known.space, foreign)
    rows = {r["name"]: r for r in json.loads(run("list", "--store", "store", "--json").out)}
    assert rows["both"]["stored"] and rows["both"]["at_hand"]
    assert not rows["pocket"]["stored"]
    assert rows["elsewhere"]["kind"] == "stored" and not rows["elsewhere"]["at_hand"]
    done = run("check", "both", "--store", "store", "--device", "cpu")
    assert done.code == 0 and "no canaries yet" in done.out
    changed = {**known.space.encoders, Modality.AUDIO: "0" * 64}
    stored(tmp_path / "other", Space("both", known.frame, changed))
    rows = {r["name"]: r for r in json.loads(run("list", "--store", "other", "--json").out)}
    assert not rows["both"]["at_hand"] and "audio" in rows["both"]["why"]
    refused = run("check", "both", "--store", "other", "--device", "cpu")
    assert refused.code == 4 and "audio vectors" in refused.err
    assert run("check", "pocket", "--store", "store").code == 3


def test_removed_from_a_store_unless_it_is_needed(run: Run, tmp_path: Path) -> None:
    made = [
        Space(name, Frame("x", 4), {Modality.TEXT: Encoder(Modality.TEXT, {}).id})
        for name in ("old", "new")
    ]
    store = stored(tmp_path / "store", *made)
    since = "2026-01-01T00:00:00+00:00"
    with store.writer() as writer:
        writer.put_records(
            "aliases", {"default": {"space": "new", "previous": "old", "since": since}}
        )
    refused = run("remove", "new", "--store", "store")
    assert refused.code == 4 and "alias 'default'" in refused.err
    done = run("remove", "old", "--store", "store")
    assert done.code == 0 and "removed from the store" in done.out
    assert [one.name for one in Store.open(tmp_path / "store").spaces()] == ["new"]


def test_list_and_show_need_no_model(run: Run, families: Families, own: Path) -> None:
    run("add", "--definition", own, "--device", "cpu")
    code = (
        "import sys; from trichord.cli import cli\n"
        "for arguments in (['list'], ['show', 'both'], ['show', 'pocket'], ['show', 'omni']):\n"
        "    cli.main(['space', *arguments], standalone_mode=False)\n"
        "print({'torch', 'faiss', 'lancedb', 'open_clip', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines()[-1] == "set()", done.stderr


@pytest.fixture(scope="session")
def duet_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained duet weights in the real format: for the way through the files, not for quality."""
    import torch

    from trichord.embedders.duet import towers, weights

    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("duet")
    weights.save(folder, {"text": towers.TextTower(), "audio": towers.AudioTower()}, {})
    return folder


def test_pocket_and_duet_end_to_end(run: Run, duet_folder: Path, tmp_path: Path) -> None:
    """Offline, with real models: fit on captions, register, check, and ask with text for sound."""
    from trichord.embedders.bridge import fitting
    from trichord.embedders.duet.backend import Duet
    from trichord.embedders.pocket.backend import Pocket

    (tmp_path / "own.toml").write_text(
        "name = 'pocket-duet'\n[image]\nbackend = 'pocket'\n[text]\nbackend = 'pocket'\n"
        f"[audio]\nbackend = 'duet'\nfolder = '{duet_folder}'\nwindow_ms = 5000\n"
    )
    refused = run("add", "--definition", "own.toml")
    assert refused.code == 2 and "--source duet --target pocket" in refused.err

    duet, pocket = Duet(duet_folder), Pocket()
    lines = [f"sound number {i} of a {w}" for i in range(80) for w in ("dog", "bell", "car")]
    x = duet.embedder(Modality.TEXT).embed(lines).vectors
    y = np.tile(pocket.embedder(Modality.TEXT).embed(lines[:80]).vectors, (3, 1))
    report = fitting.fit(x, y, source=duet.frame, target=pocket.frame, kinds=("procrustes",))
    report.chosen.save(tmp_path / "p.safetensors")

    arguments = ("--definition", "own.toml", "--projector", "p.safetensors")
    added = run("add", *arguments, "--device", "cpu", "--offline")
    assert added.code == 0, added.err
    shown = json.loads(run("show", "pocket-duet").out)
    assert shown["frame"] == pocket.frame.id
    assert shown["encoders"]["audio"]["facts"]["windowing"]["window_ms"] == 5_000
    own = Encoder(Modality.IMAGE, pocket.facts(Modality.IMAGE))
    assert shown["encoders"]["image"]["id"] == own.id, "pictures are the bundled space's own"
    checked = run("check", "pocket-duet", "--device", "cpu", "--offline")
    assert checked.code == 0, checked.err
