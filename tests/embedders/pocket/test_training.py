"""The training loop on made-up data, and the loss against what it should prefer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from trichord.embedders.pocket import concepts, dataset, train, weights
from trichord.embedders.pocket.space import load
from trichord.embedders.pocket.synth import RATE
from trichord.types import F32, Modality, Waveform

MEDIA = (Modality.IMAGE, Modality.AUDIO)


@pytest.fixture(autouse=True)
def same_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def unit(rng: np.random.Generator, *shape: int) -> F32:
    rows = rng.normal(size=(*shape, 384)).astype(np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True), np.float32)


def made_up_targets(modality: Modality) -> dataset.Targets:
    rng = np.random.default_rng(5)
    train_combos = len(concepts.combinations(modality, held_out=False))
    kept = len(dataset.attributed_concepts(modality))
    return dataset.Targets(
        unit(rng, len(concepts.of(modality)), 2), unit(rng, kept, train_combos, 2)
    )


def made_up_examples(modality: Modality) -> dataset.Examples:
    rng = np.random.default_rng(6)
    plan = dataset.training_plan(modality)
    some = [plan[i] for i in rng.choice(len(plan), 60, replace=False)]
    labels = np.array([(i, *values) for i, values, _ in some], np.int64)
    if modality is Modality.IMAGE:
        return dataset.Examples(rng.integers(0, 256, (60, 72, 72, 3), dtype=np.uint8), labels)
    return dataset.Examples(rng.normal(size=(60, 1, 64, 41)).astype(np.float16), labels)


@pytest.mark.parametrize("modality", MEDIA)
def test_the_loss_prefers_the_captions_of_the_item(modality: Modality) -> None:
    targets = made_up_targets(modality)
    goal = train.Goal(modality, targets)
    axes = list(concepts.AXES[modality].values())
    every = list(concepts.of(modality))
    what = dataset.attributed_concepts(modality)
    labels, right = [], []
    for k in (0, 3, 20):
        combo = concepts.combinations(modality, held_out=False)[4 * k]
        values = [w.index(x) for w, x in zip(axes, combo, strict=True)]
        labels.append([every.index(what[k]), *values])
        right.append(targets.attributed[k, 4 * k].mean(axis=0))
    labels.append([2, *[-1] * len(axes)])
    right.append(targets.plain[2].mean(axis=0))
    z = torch.nn.functional.normalize(torch.from_numpy(np.stack(right)), dim=1)
    wanted = torch.tensor(labels)
    assert float(goal(z, wanted)) < 0.5
    assert float(goal(z.roll(1, 0), wanted)) > 5


def test_training_writes_weights_that_load_and_repeats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        dataset, "examples", lambda modality, seed, cache: made_up_examples(modality)
    )
    monkeypatch.setattr(dataset, "targets", lambda modality, text, cache: made_up_targets(modality))
    sums: list[list[str]] = []
    for name in ("one", "two"):
        out = tmp_path / name
        out.mkdir()
        plan = train.Plan(out, tmp_path, seed=3, steps=dict.fromkeys(MEDIA, 2), batch=16)
        for modality in MEDIA:
            train.train_tower(modality, plan)
        weights.write_config(out, seed=3)
        sums.append([weights.verified(modality, out)[1] for modality in MEDIA])
    assert sums[0] == sums[1]
    space = load(folder=out)
    sound = Waveform(np.sin(np.arange(RATE) / 9).astype(np.float32), RATE)
    picture = np.zeros((40, 60, 3), np.uint8)
    assert not space.embedder(Modality.AUDIO).embed([sound]).errors
    assert not space.embedder(Modality.IMAGE).embed([picture]).errors


def test_rendered_examples_are_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [c.name for c in concepts.of(Modality.AUDIO)]
    dog = names.index("dog")
    none = (-1, -1, -1, -1)
    monkeypatch.setattr(
        dataset,
        "training_plan",
        lambda modality: [(dog, none, dataset.TRAIN_SEEDS + k) for k in (0, 1)],
    )
    first = dataset.examples(Modality.AUDIO, 0, tmp_path)
    assert first.inputs.shape == (2, 1, 64, 151) and first.labels.tolist() == [[dog, *none]] * 2
    (stored,) = tmp_path.iterdir()
    before = stored.stat().st_mtime_ns
    again = dataset.examples(Modality.AUDIO, 0, tmp_path)
    assert stored.stat().st_mtime_ns == before
    assert np.array_equal(first.inputs, again.inputs)
    other = dataset.examples(Modality.AUDIO, 1, tmp_path)
    assert not np.array_equal(first.inputs, other.inputs)
