"""Trains both towers of the duet model from scratch: `python -m trichord.embedders.duet.train`.

Three losses per step: sounds against one caption of every sounding concept; sounds of instruments
with named attributes against captions that name all attributes, with captions of the same
instrument and other attributes as hard negatives; and captions against other captions of the same
thing (text alone), which is all that the text encoder learns of things that are never heard.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from trichord.embedders.duet import captions, dataset, weights
from trichord.embedders.duet.towers import AudioTower, TextTower
from trichord.embedders.duet.words import tokens
from trichord.embedders.pocket import concepts
from trichord.types import Modality

STEPS = 1800
SHARED_KIND = 0.1
"""How much of a caption's target goes to things of the same kind, so that kinds lie together."""


@dataclass(frozen=True)
class Plan:
    """What a training run needs to know."""

    out: Path
    cache: Path
    seed: int = 7
    steps: int = STEPS
    batch: int = 96
    peak_rate: float = 2e-3
    pairs: int = 112


class Texts:
    """Draws captions; every draw comes from the run's generator."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng([seed, 11])
        self.every = concepts.concepts()
        self.sounding = concepts.of(Modality.AUDIO)
        self.kinds = {c.name: c.kind for c in self.every}
        self.axes = tuple(concepts.AXES[Modality.AUDIO].values())
        self.attributed = {
            m: [c for c in concepts.of(m) if c.attributes(m)]
            for m in (Modality.IMAGE, Modality.AUDIO)
        }
        self.combinations = {
            m: concepts.combinations(m, held_out=False) for m in (Modality.IMAGE, Modality.AUDIO)
        }

    def pick(self, lines: Sequence[str]) -> str:
        return lines[int(self.rng.integers(len(lines)))]

    def of_sounds(self) -> list[str]:
        """One caption of every sounding concept."""
        return [self.pick(captions.heard(c)) for c in self.sounding]

    def combination(self, label: Sequence[int]) -> tuple[str, ...]:
        return tuple(words[v] for words, v in zip(self.axes, label, strict=True))

    def of_attributes(self, labels: Sequence[Sequence[int]]) -> list[str]:
        """For each label (concept, values) its caption, then as many that are false: the same
        instrument, one value changed."""
        right, wrong = [], []
        for concept, *values in labels:
            what = self.sounding[concept]
            right.append(
                captions.attributed(self.rng, what, Modality.AUDIO, self.combination(values))
            )
            axis = int(self.rng.integers(len(values)))
            others = [v for v in range(len(self.axes[axis])) if v != values[axis]]
            values[axis] = int(self.rng.choice(others))
            wrong.append(
                captions.attributed(self.rng, what, Modality.AUDIO, self.combination(values))
            )
        return right + wrong

    def pairs(self, count: int) -> tuple[list[str], list[str], torch.Tensor]:
        """Two captions each of `count` things, and the targets (count, count)."""
        left, right, kinds = [], [], []
        extra = count // 7
        chosen = self.rng.choice(len(self.every), count - 3 * extra, replace=False)
        for index in chosen:
            concept = self.every[int(index)]
            lines = captions.spoken(concept)
            left.append(self.pick(lines))
            right.append(self.pick(lines))
            kinds.append(concept.kind)
        for modality in (Modality.IMAGE, Modality.AUDIO):
            for _ in range(extra):
                concept = self.attributed[modality][
                    int(self.rng.integers(len(self.attributed[modality])))
                ]
                combos = self.combinations[modality]
                combo = combos[int(self.rng.integers(len(combos)))]
                left.append(captions.attributed(self.rng, concept, modality, combo))
                right.append(captions.attributed(self.rng, concept, modality, combo))
                kinds.append("")
        for _ in range(extra):
            a, b = (self.every[int(i)] for i in self.rng.choice(len(self.every), 2, replace=False))
            left.append(captions.together(self.rng, a, b))
            right.append(captions.together(self.rng, b, a))
            kinds.append("")
        same = torch.tensor([[bool(a) and a == b for b in kinds] for a in kinds]).float()
        same.fill_diagonal_(0)
        has = same.sum(1, keepdim=True)
        shared = torch.where(has > 0, SHARED_KIND * same / has.clamp(min=1), 0)
        return left, right, shared + torch.diag(1 - shared.sum(1))


def _soft(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return -(targets * logits.log_softmax(1)).sum(1).mean()


def _augment(x: torch.Tensor) -> torch.Tensor:
    x = x + torch.empty(len(x), 1, 1, 1).uniform_(-0.07, 0.07)  # +-1.5 dB
    if torch.rand(()) < 0.5:
        x = torch.roll(x, int(torch.randint(x.shape[3], ())), 3)
    if torch.rand(()) < 0.3:
        low = int(torch.randint(42, ()))
        x[:, :, low : low + int(torch.randint(2, 6, ()))] = x.amin()
    return x


class Trainer:
    """Both towers and one step of learning."""

    def __init__(self, plan: Plan) -> None:
        torch.manual_seed(plan.seed)
        self.plan = plan
        self.audio = AudioTower().to(memory_format=torch.channels_last)
        self.text = TextTower()
        self.texts = Texts(plan.seed)
        self.parameters = [*self.audio.parameters(), *self.text.parameters()]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=plan.peak_rate, weight_decay=0.03)

    def embed(self, lines: Sequence[str]) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return self.text([tokens(line) for line in lines])  # type: ignore[no-any-return]

    def step(self, number: int, mels: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
        share = number / self.plan.steps
        warm = min(1.0, (number + 1) / 100)
        rate = self.plan.peak_rate * warm * (0.5 + 0.5 * np.cos(np.pi * share))
        for group in self.optimizer.param_groups:
            group["lr"] = max(rate, 1e-5)
        x = _augment(mels).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            z = self.audio(x)
        named = labels[:, 1] >= 0
        asked = self.texts.of_attributes(labels[named].tolist())
        left, right, targets = self.texts.pairs(self.plan.pairs)
        plain = self.texts.of_sounds()
        sizes = [len(plain), len(left), len(right), len(asked)]
        found = torch.split(self.embed([*plain, *left, *right, *asked]), sizes)
        losses = {
            "sound": self._plain(z, labels[:, 0], found[0]),
            "attribute": self._attributed(z[named], labels[named], found[3]),
            "text": 0.5 * _soft(20 * found[1] @ found[2].T, targets),
        }
        total = torch.stack(list(losses.values())).sum()
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.parameters, 5.0)
        self.optimizer.step()
        return {name: float(loss.detach()) for name, loss in losses.items()}

    @staticmethod
    def _plain(z: torch.Tensor, wanted: torch.Tensor, texts: torch.Tensor) -> torch.Tensor:
        """All sounds against one caption per concept, and 1 - cosine, which closes the gap
        between sounds and texts."""
        pull = 1 - (z * texts[wanted]).sum(1).mean()
        return F.cross_entropy(20 * z @ texts.T, wanted) + pull

    @staticmethod
    def _attributed(z: torch.Tensor, labels: torch.Tensor, texts: torch.Tensor) -> torch.Tensor:
        if len(z) == 0:
            return z.new_zeros(())
        same = (labels[:, None] == labels[None]).all(2).float()
        scores = 25 * z @ texts.T
        both = torch.cat([same, torch.zeros_like(same)], dim=1)
        share = same / same.sum(1, keepdim=True)
        back = _soft(scores[:, : len(z)].T, share)
        return 0.5 * (_soft(scores, both / both.sum(1, keepdim=True)) + back)


def train(plan: Plan, *, threads: int = 1) -> None:
    """Trains, then writes weights and config.json into `plan.out`."""
    torch.set_num_threads(threads)
    started = time.monotonic()
    data = dataset.sounds(plan.seed, plan.cache)
    labels = torch.from_numpy(data.labels)
    _say(f"{len(labels)} sounds after {time.monotonic() - started:.0f} s")
    started, report = time.monotonic(), 0.0
    trainer = Trainer(plan)
    order = torch.empty(0, dtype=torch.long)
    for number in range(plan.steps):
        if len(order) < plan.batch:
            order = torch.cat([order, torch.randperm(len(labels))])
        pick, order = order[: plan.batch], order[plan.batch :]
        mels = torch.from_numpy(data.inputs[pick.numpy()].astype(np.float32))
        losses = trainer.step(number, mels, labels[pick])
        if time.monotonic() - report > 20:
            report = time.monotonic()
            shown = " ".join(f"{name} {value:.3f}" for name, value in losses.items())
            _say(f"step {number}/{plan.steps} {shown} {report - started:.0f} s")
    seconds = round(time.monotonic() - started)
    run = {"seed": plan.seed, "steps": plan.steps, "seconds": seconds, "sounds": len(labels)}
    weights.save(plan.out, {"text": trainer.text, "audio": trainer.audio}, run)
    _say(f"{plan.steps} steps of {plan.batch} in {seconds} s")


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True, help="folder for the weights")
    parser.add_argument("--cache", type=Path, help="folder for renders (default: OUT/cache)")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    plan = Plan(given.out, given.cache or given.out / "cache", given.seed, given.steps)
    plan.out.mkdir(parents=True, exist_ok=True)
    train(plan, threads=given.threads)


if __name__ == "__main__":
    main()
