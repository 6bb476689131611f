"""Trains the two towers into the text space: `python -m trichord.embedders.pocket.train`.

Renders the data, embeds the captions, then trains both towers side by side, one thread each.
Loss per batch: cross-entropy of the item against one caption per concept (or, for an item with
named attributes, per concept and attribute combination), 1 - cosine to the mean of its captions,
and classification heads on the hidden layer that are thrown away afterwards.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from trichord.embedders.pocket import concepts, dataset, frontend, text, weights
from trichord.embedders.pocket.towers import HIDDEN, AudioTower, ImageTower, Tower
from trichord.types import Modality

STEPS = {Modality.IMAGE: 1800, Modality.AUDIO: 1700}
EXTRA = {Modality.IMAGE: 0, Modality.AUDIO: 1}
"""How many more times per round an item with named attributes is seen."""


@dataclass(frozen=True)
class Plan:
    """What a training run needs to know."""

    out: Path
    cache: Path
    seed: int = 0
    steps: Mapping[Modality, int] = field(default_factory=lambda: dict(STEPS))
    extra: Mapping[Modality, int] = field(default_factory=lambda: dict(EXTRA))
    batch: int = 128
    peak_rate: float = 2.5e-3


class _Heads(nn.Module):
    """Concept and attribute classifiers on the hidden layer, for training only."""

    def __init__(self, modality: Modality) -> None:
        super().__init__()
        sizes = [len(concepts.of(modality)), *map(len, concepts.AXES[modality].values())]
        self.each = nn.ModuleList(nn.Linear(HIDDEN, size) for size in sizes)

    def forward(self, features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        total = features.new_zeros(())
        for head, wanted in zip(self.each, labels.unbind(1), strict=True):
            if bool((wanted >= 0).any()):
                total = total + F.cross_entropy(head(features), wanted, ignore_index=-1)
        return total


class Goal:
    """The text side of the loss."""

    def __init__(self, modality: Modality, targets: dataset.Targets) -> None:
        self.plain = torch.from_numpy(targets.plain)
        self.attributed = torch.from_numpy(targets.attributed)
        self.plain_mean = F.normalize(self.plain.mean(1), dim=1)
        self.attributed_mean = F.normalize(self.attributed.mean(2), dim=2).flatten(0, 1)
        every = list(concepts.of(modality))
        which = {every.index(c): k for k, c in enumerate(dataset.attributed_concepts(modality))}
        self.row = torch.full((len(every),), -1)
        self.row[list(which)] = torch.tensor(list(which.values()))
        axes = list(concepts.AXES[modality].values())
        train = concepts.combinations(modality, held_out=False)
        self.combination = torch.full([len(words) for words in axes], -1)
        for number, combo in enumerate(train):
            place = tuple(w.index(x) for w, x in zip(axes, combo, strict=True))
            self.combination[place] = number
        self.combinations = len(train)

    def __call__(self, z: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        named = labels[:, 1] >= 0
        total = z.new_zeros(())
        if bool((~named).any()):
            wanted = labels[~named, 0]
            pick = torch.randint(self.plain.shape[1], (len(self.plain),))
            shown = self.plain[torch.arange(len(self.plain)), pick]
            total = total + (~named).float().mean() * self._loss(
                z[~named], shown, wanted, self.plain_mean, scale=24.0, pull=4.0
            )
        if bool(named.any()):
            combo = self.combination[tuple(labels[named, 1:].unbind(1))]
            wanted = self.row[labels[named, 0]] * self.combinations + combo
            pick = torch.randint(self.attributed.shape[2], (len(self.attributed_mean),))
            flat = self.attributed.flatten(0, 1)
            shown = flat[torch.arange(len(flat)), pick]
            total = total + named.float().mean() * self._loss(
                z[named], shown, wanted, self.attributed_mean, scale=40.0, pull=2.0
            )
        return total

    @staticmethod
    def _loss(
        z: torch.Tensor,
        shown: torch.Tensor,
        wanted: torch.Tensor,
        means: torch.Tensor,
        *,
        scale: float,
        pull: float,
    ) -> torch.Tensor:
        contrast = F.cross_entropy(scale * z @ shown.T, wanted)
        return contrast + pull * (1 - (z * means[wanted]).sum(1)).mean()


def _augment(modality: Modality, x: torch.Tensor) -> torch.Tensor:
    n = len(x)
    if modality is Modality.IMAGE:
        gain = torch.empty(n, 3, 1, 1).uniform_(0.85, 1.15)
        x = (x * gain + torch.empty(n, 3, 1, 1).uniform_(-0.15, 0.15)).clamp(-1, 1)
        dy, dx = torch.randint(-2, 3, (2,)).tolist()
        return torch.roll(x, (dy, dx), (2, 3))
    x = x + torch.empty(n, 1, 1, 1).uniform_(-0.06, 0.06)  # +-1.5 dB
    x = torch.roll(x, int(torch.randint(x.shape[3], ())), 3) if torch.rand(()) < 0.5 else x
    low = int(torch.randint(56, ()))
    if torch.rand(()) < 0.3:
        x[:, :, low : low + int(torch.randint(2, 8, ()))] = x.amin()
    return x


def train_tower(modality: Modality, plan: Plan) -> None:
    """Trains one tower on one thread and writes its weights."""
    torch.set_num_threads(1)
    torch.manual_seed(plan.seed)
    started = time.monotonic()
    data = dataset.examples(modality, plan.seed, plan.cache)
    goal = Goal(modality, dataset.targets(modality, text.PocketText(), plan.cache))
    tower: Tower = ImageTower() if modality is Modality.IMAGE else AudioTower()
    tower = tower.to(memory_format=torch.channels_last)
    heads = _Heads(modality)
    parameters = [*tower.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=plan.peak_rate, weight_decay=0.03)
    labels = torch.from_numpy(data.labels)
    _say(f"{modality}: {len(labels)} examples after {time.monotonic() - started:.0f} s")
    steps, report = plan.steps[modality], 0.0
    named = (labels[:, 1] >= 0).nonzero().flatten()
    round_of_data = torch.cat([torch.arange(len(labels)), *[named] * plan.extra[modality]])
    order = torch.empty(0, dtype=torch.long)
    for step in range(steps):
        if len(order) < plan.batch:
            order = torch.cat([order, round_of_data[torch.randperm(len(round_of_data))]])
        pick, order = order[: plan.batch], order[plan.batch :]
        raw = data.inputs[pick.numpy()]
        if modality is Modality.IMAGE:
            x = frontend.pictures_to_tensor(raw)
        else:
            x = torch.from_numpy(raw.astype(np.float32))
        rate = (
            plan.peak_rate * min(1.0, (step + 1) / 150) * (0.5 + 0.5 * np.cos(np.pi * step / steps))
        )
        for group in optimizer.param_groups:
            group["lr"] = max(rate, 1e-5)
        x = _augment(modality, x).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            features = tower.features(x)
        features = features.float()
        matched = goal(tower.project(features), labels[pick])
        classified = heads(features, labels[pick])
        optimizer.zero_grad(set_to_none=True)
        (matched + 0.4 * classified).backward()
        nn.utils.clip_grad_norm_(parameters, 5.0)
        optimizer.step()
        if time.monotonic() - report > 20:
            report = time.monotonic()
            _say(f"{modality}: step {step}/{steps} {matched.item():.3f} {classified.item():.3f}")
    seconds = time.monotonic() - started
    _say(f"{modality}: {steps} steps of {plan.batch} in {seconds:.0f} s")
    weights.save(tower, plan.out / f"{modality.value}.safetensors")
    (plan.out / f"{modality.value}.run.json").write_text(
        json.dumps({"steps": steps, "seconds": round(seconds), "examples": len(labels)})
    )


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True, help="folder for the weights")
    parser.add_argument("--cache", type=Path, help="folder for renders (default: OUT/cache)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=float, default=1.0, help="times the usual number of steps")
    parser.add_argument("--only", choices=["image", "audio"], help="train one tower only")
    given = parser.parse_args()
    plan = Plan(given.out, given.cache or given.out / "cache", given.seed)
    plan = replace(plan, steps={m: max(1, round(n * given.steps)) for m, n in STEPS.items()})
    plan.out.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    wanted = [Modality(given.only)] if given.only else [Modality.IMAGE, Modality.AUDIO]
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=train_tower, args=(m, plan)) for m in wanted]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        raise SystemExit("training failed")
    if all((plan.out / f"{m.value}.safetensors").exists() for m in STEPS):
        weights.write_config(plan.out, seed=plan.seed)
    _say(f"done after {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
