"""Scores against hand-made cases, a small run of the suites, and one step of the training."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from trichord.embedders.pocket import concepts, evaluate, recordings, scoring
from trichord.embedders.pocket.pictures import FONT
from trichord.embedders.pocket.soundfont import SOUNDFONT
from trichord.embedders.pocket.sounds import render_sound
from trichord.embedders.pocket.space import load
from trichord.errors import NotFound
from trichord.types import Modality

needs_renderers = pytest.mark.skipif(
    not (FONT.is_file() and SOUNDFONT.is_file() and shutil.which("fluidsynth")),
    reason="fonts-noto-color-emoji, fluid-soundfont-gm and fluidsynth not installed",
)


def test_wilson_bound_matches_the_published_example() -> None:
    # 81 of 263: 0.2553 to 0.3662 (Newcombe, Statistics in Medicine 17, 1998, table I, method 3)
    assert scoring.wilson_low(81 / 263, 263) == pytest.approx(0.2553, abs=5e-5)
    assert scoring.wilson_low(0.0, 20) == 0.0
    assert scoring.wilson_low(1.0, 100) < 1.0


def test_scores_match_a_plain_loop() -> None:
    rng = np.random.default_rng(3)
    queries = rng.normal(size=(700, 16)).astype(np.float32)
    items = rng.normal(size=(90, 16)).astype(np.float32)
    asked, held = rng.integers(0, 30, 700), rng.integers(0, 30, 90)
    scores = scoring.rank_scores(queries, items, asked, held, asked)
    first = ten = 0
    for query, label in zip(queries, asked, strict=True):
        order = np.argsort(-(items @ query))
        first += held[order[0]] == label
        ten += label in held[order[:10]]
    assert scores.r1 == pytest.approx(first / 700) and scores.hit10 == pytest.approx(ten / 700)
    assert scores.r1_low < scores.r1 and scores.hit10_low < scores.hit10


def test_skipping_oneself_finds_the_twin() -> None:
    rows = np.eye(6, dtype=np.float32)[[0, 1, 2, 0, 1, 2]]
    labels = np.array([0, 1, 2, 0, 1, 5])
    scores = scoring.rank_scores(rows, rows, labels, labels, labels, skip_self=True)
    assert scores.r1 == pytest.approx(4 / 6)  # rows 2 and 5 have no equal label beside them


def test_clustered_bound_is_never_above_the_plain_one() -> None:
    good = np.repeat([True, True, True, False], 50)
    cluster = np.repeat(np.arange(4), 50)
    assert scoring.lower_bound(good, cluster) < scoring.wilson_low(0.75, 200)


@needs_renderers
def test_a_sample_of_the_suites_reaches_what_the_model_card_claims() -> None:
    space = load()
    rows = {f"{r.suite} {r.direction}": r.scores for r in evaluate.concept_suite(space, every=12)}
    assert rows["concept text→image"].hit10 > 0.9
    assert rows["concept text→audio"].hit10 > 0.9
    assert rows["concept image→audio (shared, never paired)"].hit10 > 0.8
    report = evaluate.Report(tuple(evaluate.attribute_suite(space, Modality.IMAGE, every=15)))
    asked, control, _ = report.rows
    assert asked.scores.r1 > 0.5 > 0.4 > control.scores.hit10
    assert json.loads(report.to_json())["rows"][0]["scores"]["queries"] == asked.scores.queries
    assert "attribute-blind" in report.render()


def test_recordings_are_scored_by_fold(tmp_path: Path) -> None:
    space = load()
    for name in ("rain", "siren"):
        (tmp_path / name).mkdir()
        for fold in (1, 2, 3):
            for take in range(2):
                sound = render_sound(concepts.concept(name), seconds=2, seed=10 * fold + take)
                soundfile.write(tmp_path / name / f"{fold}-{take}.wav", sound, 16000)
    found = recordings.score_recordings(space, tmp_path)
    assert (found.clips, found.classes, found.chance) == (12, 2, 0.5)
    assert found.nearest_5 == 1.0 and found.zero_shot == 1.0
    assert recordings.fold(Path("3-1234-A.ogg")) == "3"
    assert recordings.fold(Path("door.wav")).startswith("hash-")
    with pytest.raises(NotFound):
        recordings.score_recordings(space, tmp_path / "rain")
