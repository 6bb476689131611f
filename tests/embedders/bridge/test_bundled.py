"""A bridge between the bundled duet and pocket models, small and quick.

The whole of it is measured by `python -m trichord.embedders.bridge.proof` (docs/bridging.md);
the bars here lie well below those figures.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from trichord.commands.fitting import fit as command
from trichord.embedders.backend import Runtime
from trichord.embedders.bridge import captions, fitting, world
from trichord.embedders.bridge.measuring import Pair, Searched, rows
from trichord.embedders.bridge.projector import Projector
from trichord.embedders.bridge.texts import distinct_frames, embed_texts, open_texts
from trichord.embedders.duet.backend import Duet
from trichord.embedders.pocket import concepts
from trichord.embedders.pocket.space import PocketSpace
from trichord.errors import InvalidInput, NotFound
from trichord.types import F32, Modality

EVERY = 4
"""Each fourth of the synthesised sounds: instruments would need a soundfont."""
EACH = 6
"""Captions per sounding concept."""


@dataclass(frozen=True)
class Small:
    duet: Duet
    pocket: PocketSpace
    x: F32
    y: F32
    searched: Searched
    sounds: world.Vectors


@pytest.fixture(scope="module")
def small() -> Small:
    duet, pocket = Duet(), PocketSpace()
    every = captions.generate(seed=9)
    seen: Counter[str] = Counter()
    sounding = {c.name for c in concepts.of(Modality.AUDIO)}
    lines = []
    for line, group in zip(every.lines, every.groups, strict=True):
        seen[group] += 1
        if group in sounding and seen[group] <= EACH:
            lines.append(line)
    x, y = (embed_texts(m.embedder(Modality.TEXT), lines) for m in (duet, pocket))
    synthesised = [c for c in concepts.of(Modality.AUDIO) if (c.sound or "").startswith("synth:")]
    chosen = synthesised[::EVERY]
    asked = world.questions(chosen).embed(pocket.embedder(Modality.TEXT))
    heard = world.sounds(chosen, 2).embed(duet.embedder(Modality.AUDIO))
    names = asked.only(np.arange(len(asked.rows)) < len(chosen))
    return Small(duet, pocket, x, y, Searched(asked, names, heard, None), heard)


@pytest.fixture(autouse=True)
def _one_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "NOISES", (0.1,))


def fitted(small: Small, x: F32, kind: str) -> Projector:
    return fitting.fit(
        x, small.y, source=small.duet.frame, target=small.pocket.frame, kinds=(kind,)
    ).chosen


def reached(small: Small, projector: Projector) -> dict[str, float]:
    moved = world.Vectors(
        projector.apply(small.sounds.rows), small.sounds.label, small.sounds.concept
    )
    pairs: list[Pair] = Searched(small.searched.questions, small.searched.tags, moved, None).pairs()
    return {row.direction: row.figures.r1.value for row in rows("", "", [pairs])}


@pytest.mark.parametrize(("kind", "bar"), [("mlp", 0.55), ("procrustes", 0.12)])
def test_sounds_are_found_through_the_bridge(small: Small, kind: str, bar: float) -> None:
    found = reached(small, fitted(small, small.x, kind))
    assert found["text→audio"] >= bar and found["audio→text"] >= bar, found


@pytest.mark.parametrize(("kind", "shuffles"), [("mlp", 1), ("procrustes", 10)])
def test_shuffled_captions_give_chance(small: Small, kind: str, shuffles: int) -> None:
    runs = []
    for shuffle in range(shuffles):
        order = np.random.default_rng(shuffle).permutation(len(small.x))
        runs.append(list(reached(small, fitted(small, small.x[order], kind)).values()))
    chance = 1 / len(small.searched.tags.rows)
    # Two directions of every shuffle; the standard deviation of one is about that of chance.
    assert abs(np.mean(runs) - chance) < 4 * np.sqrt(chance / len(small.searched.tags.rows))


def test_a_bridge_starts_and_ends_in_two_frames(small: Small) -> None:
    assert small.duet.frame.dim != small.pocket.frame.dim
    with pytest.raises(InvalidInput, match="nothing to bridge"):
        distinct_frames(small.duet.frame, small.duet.frame)


def test_models_by_name() -> None:
    runtime = Runtime(offline=True)
    assert open_texts("duet", runtime).frame == Duet().frame
    assert open_texts("pocket", runtime).frame == PocketSpace.frame
    with pytest.raises(NotFound):
        open_texts("no such space", runtime)
    for name in ("duet:more", "clap:", "openclip:"):
        with pytest.raises(InvalidInput):
            open_texts(name, runtime)


def test_the_command(tmp_path: Path, small: Small) -> None:
    out, mine = tmp_path / "p.safetensors", tmp_path / "mine.txt"
    mine.write_text("\n".join(captions.generate(500, seed=2).lines), "utf-8")
    given = ["--source", "duet", "--target", "pocket", "--captions", str(mine), "--out", str(out)]
    shown = CliRunner().invoke(command, [*given, "--kind", "procrustes"], catch_exceptions=False)
    assert shown.exit_code == 0 and "chosen: procrustes, because" in shown.output
    projector = Projector.load(out, source=small.duet.frame, target=small.pocket.frame)
    assert projector.about["captions"]["count"] == 500
    said = CliRunner().invoke(command, [*given, "--json"], catch_exceptions=False)
    report = json.loads(said.output)
    assert [c["kind"] for c in report["candidates"]] == ["procrustes", "ridge", "mlp"]
    assert report["captions"]["origin"] == "mine.txt" and report["chosen"] in report["reason"]
    assert report["sha256"] == Projector.load(out).sha256
    same = CliRunner().invoke(command, [*given[:2], "--target", "duet", *given[4:]])
    assert isinstance(same.exception, InvalidInput)
