"""Training: the same seed gives the same weights; captions are the model's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from trichord.embedders.duet import captions, dataset
from trichord.embedders.duet.train import Plan, Texts, Trainer
from trichord.embedders.pocket import captions as pocket
from trichord.embedders.pocket import concepts
from trichord.types import Modality


def _steps(seed: int) -> tuple[list[dict[str, float]], torch.Tensor]:
    trainer = Trainer(Plan(Path(), Path(), seed=seed, steps=3, batch=8, pairs=21))
    rng = np.random.default_rng(0)
    mels = torch.from_numpy(rng.normal(size=(8, 1, 48, 121)).astype(np.float32))
    labels = torch.full((8, 5), -1)
    labels[:, 0] = torch.arange(8) + 90
    labels[4:, 1:] = torch.tensor([1, 2, 0, 3])
    losses = [trainer.step(k, mels.clone(), labels) for k in range(3)]
    return losses, trainer.text.project.weight.detach()


def test_the_same_seed_gives_the_same_weights() -> None:
    (first, a), (second, b), (_, c) = _steps(1), _steps(1), _steps(2)
    assert first == second and torch.equal(a, b) and not torch.equal(a, c)
    assert all(np.isfinite(list(step.values())).all() for step in first)


def test_every_sound_has_its_own_wordings_and_none_is_the_evaluations() -> None:
    sounding = concepts.of(Modality.AUDIO)
    assert set(captions.wordings()) == {c.name for c in sounding}
    asked = {line for m in (Modality.IMAGE, Modality.AUDIO) for _, line in concepts.paraphrases(m)}
    for c in sounding:
        asked |= {pocket.concept_caption(t, c) for t in pocket.EVAL_CONCEPT[Modality.AUDIO]}
    assert not {line for c in concepts.concepts() for line in captions.spoken(c)} & asked
    learnt = {line for c in sounding for line in pocket.training_captions(c, Modality.AUDIO)}
    shared = {line for c in sounding for line in captions.heard(c)} & learnt
    names = {c.name for c in sounding} | {c.phrase for c in sounding}
    assert shared <= names


def test_training_never_uses_the_held_out_combinations() -> None:
    axes = concepts.AXES[Modality.AUDIO]
    held_out = {
        tuple(v.index(x) for v, x in zip(axes.values(), combination, strict=True))
        for combination in concepts.combinations(Modality.AUDIO, held_out=True)
    }
    tasks = dataset.plan()
    assert not {values for _, values, _ in tasks} & held_out
    assert all(seed >= dataset.FIRST_SEED for _, _, seed in tasks)


def test_false_captions_differ_from_the_true_ones() -> None:
    texts = Texts(3)
    labels = [[90, 0, 1, 0, 2], [91, 2, 2, 1, 6]]
    for _ in range(20):
        asked = texts.of_attributes(labels)
        assert len(asked) == 4
    left, right, targets = texts.pairs(42)
    assert len(left) == len(right) == 42
    np.testing.assert_allclose(targets.sum(1).numpy(), 1, atol=1e-6)
    assert bool((targets.diagonal() >= 0.9 - 1e-6).all())
