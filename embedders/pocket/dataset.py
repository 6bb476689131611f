"""Training data of the towers: renders, their targets in the text space, a cache on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from trichord.embedders.pocket import captions, concepts, frontend, text
from trichord.embedders.pocket.pictures import render_picture
from trichord.embedders.pocket.preprocessing import SIZE
from trichord.embedders.pocket.sounds import apply_timbre, render_sound
from trichord.embedders.pocket.synth import RATE, Rng, Signal, noise
from trichord.types import F32, Modality

CLIP_SECONDS = 3.0
PLAIN = {Modality.IMAGE: 110, Modality.AUDIO: 130}
"""Renders per concept without named attributes."""
ATTRIBUTED = {Modality.IMAGE: 6, Modality.AUDIO: 5}
"""Renders per concept and attribute combination of training."""
TRAIN_SEEDS = 1_000_000
"""Training uses seeds from here on; evaluation uses seeds below."""


@dataclass(frozen=True)
class Examples:
    """Inputs of one tower: uint8 pictures (n, 72, 72, 3) or float16 log-mels (n, 1, 64, frames);
    labels int64 (n, 1 + axes): concept, then attribute values, -1 where none is named."""

    inputs: npt.NDArray[Any]
    labels: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Targets:
    """Text vectors, float32: `plain` (concepts, templates, 384) and `attributed`
    (attributed concepts, training combinations, templates, 384)."""

    plain: F32
    attributed: F32


def attributed_concepts(modality: Modality) -> list[concepts.Concept]:
    return [c for c in concepts.of(modality) if c.attributes(modality)]


def roughen(rng: Rng, samples: Signal) -> F32:
    """What recordings suffer: a room, a tilted spectrum, background noise, a late start."""
    x = samples
    if rng.random() < 0.3:
        x = apply_timbre(rng, x, str(rng.choice(["echoing", "muffled", "tinny"])))
    if rng.random() < 0.5:
        spectrum = np.fft.rfft(x)
        octaves = np.log2(np.maximum(np.fft.rfftfreq(len(x), 1 / RATE), 50) / 1000)
        x = np.fft.irfft(spectrum * 10 ** (rng.uniform(-5, 5) * octaves / 20), len(x))
        x = x.astype(np.float32)
    level = float(np.sqrt(np.mean(x**2))) + 1e-6
    if rng.random() < 0.5:
        edges = sorted(rng.uniform(40, 7000, 2))
        hiss = noise(rng, len(x), edges[0], edges[1] + 200) / 0.3
        x = x + hiss * level * 10 ** (rng.uniform(-45, -8) / 20)
    if rng.random() < 0.3:
        silent = int(rng.uniform(0.1, 0.5) * len(x))
        x = np.concatenate([np.zeros(silent, np.float32), x[:-silent]])
        x = x + rng.normal(0, 1e-4, len(x))
    return np.clip(x, -1, 1).astype(np.float32)


def training_plan(modality: Modality) -> list[tuple[int, tuple[int, ...], int]]:
    """(concept, attribute values, seed) of every training example."""
    every = concepts.of(modality)
    axes = concepts.AXES[modality]
    none = (-1,) * len(axes)
    plan = [(i, none, TRAIN_SEEDS + k) for i in range(len(every)) for k in range(PLAIN[modality])]
    for i, what in enumerate(every):
        if not what.attributes(modality):
            continue
        for combination in concepts.combinations(modality, held_out=False):
            values = tuple(v.index(x) for v, x in zip(axes.values(), combination, strict=True))
            plan += [(i, values, TRAIN_SEEDS + k) for k in range(ATTRIBUTED[modality])]
    return plan


def _render(
    modality: Modality, seed: int, plan: Sequence[tuple[int, tuple[int, ...], int]]
) -> Examples:
    every = concepts.of(modality)
    axes = concepts.AXES[modality]
    inputs: list[npt.NDArray[Any]] = []
    for number, (index, values, shift) in enumerate(plan):
        named: dict[str, Any] = {
            axis: (None if v < 0 else words[v])
            for (axis, words), v in zip(axes.items(), values, strict=True)
        }
        render_seed = shift + 10_000 * seed
        if modality is Modality.IMAGE:
            inputs.append(render_picture(every[index], size=SIZE, seed=render_seed, **named))
        else:
            rng = np.random.default_rng([seed, number])
            samples = render_sound(every[index], seconds=CLIP_SECONDS, seed=render_seed, **named)
            if all(v is None for v in named.values()) and rng.random() < 0.7:
                samples = roughen(rng, samples)
            mel = frontend.log_mel(torch.from_numpy(samples)[None])[0]
            inputs.append(mel.numpy().astype(np.float16))
    labels = np.array([(i, *values) for i, values, _ in plan], np.int64)
    return Examples(np.stack(inputs), labels)


def examples(modality: Modality, seed: int, cache: Path) -> Examples:
    """All training examples, from the cache when it has them."""
    plan = training_plan(modality)
    key = hashlib.sha256(json.dumps([modality.value, seed, plan, _sources()]).encode()).hexdigest()
    path = cache / f"{modality.value}-{key[:16]}.npz"
    if not path.exists():
        made = _render(modality, seed, plan)
        cache.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, inputs=made.inputs, labels=made.labels)
        partial.rename(path)
    with np.load(path, allow_pickle=False) as stored:
        return Examples(stored["inputs"], stored["labels"])


def _sources() -> str:
    """Hash of the code that draws, so that a changed recipe is rendered again."""
    here = Path(__file__).parent
    names = ("concepts.toml", "dataset.py", "frontend.py", "preprocessing.py", "pictures.py")
    digest = hashlib.sha256()
    for path in [*(here / name for name in names), *sorted(here.glob("s[oy]*.py"))]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def targets(modality: Modality, embedder: text.PocketText, cache: Path) -> Targets:
    """The text vectors that the tower is trained towards.

    A concept that can be seen and heard also gets captions of the other modality, so that its
    pictures and sounds are drawn to one place.
    """
    plain = [_all_captions(c, modality) for c in concepts.of(modality)]
    width = max(map(len, plain))
    plain = [[*lines * width][:width] for lines in plain]
    train = concepts.combinations(modality, held_out=False)
    attributed = [
        [
            [
                captions.attribute_caption(t, c, modality, combo)
                for t in captions.TRAIN_ATTRIBUTES[modality]
            ]
            for combo in train
        ]
        for c in attributed_concepts(modality)
    ]
    first = _embedded([line for lines in plain for line in lines], embedder, cache)
    second = _embedded([x for rows in attributed for lines in rows for x in lines], embedder, cache)
    shape = (len(attributed), len(train), len(captions.TRAIN_ATTRIBUTES[modality]), -1)
    return Targets(first.reshape(len(plain), width, -1), second.reshape(shape))


def _embedded(lines: list[str], embedder: text.PocketText, cache: Path) -> F32:
    key = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    path = cache / f"text-{key[:16]}.npy"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        np.save(path, embedder.embed(lines).vectors)
    vectors: F32 = np.load(path)
    return vectors


def _all_captions(concept: concepts.Concept, modality: Modality) -> list[str]:
    lines = list(captions.training_captions(concept, modality))
    if concept.pictured and concept.sounding:
        other = Modality.AUDIO if modality is Modality.IMAGE else Modality.IMAGE
        lines += captions.training_captions(concept, other)
    return list(dict.fromkeys(lines))
