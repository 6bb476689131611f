"""Training sounds of the duet model: fresh renders of the pocket's recipes, cached on disk."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from trichord.embedders.duet import frontend
from trichord.embedders.pocket import concepts
from trichord.embedders.pocket.dataset import roughen
from trichord.embedders.pocket.sounds import render_sound
from trichord.types import Modality

CLIP_SECONDS = 3.0
PLAIN = 80
"""Renders per concept without named attributes."""
ATTRIBUTED = 2
"""Renders per instrument and attribute combination of training."""
FIRST_SEED = 5_000_000
"""The pocket's training uses seeds from 1,000,000 on, evaluations seeds below that."""

Task = tuple[int, tuple[int, ...], int]


@dataclass(frozen=True)
class Sounds:
    """float16 log-mels (n, 1, 48, frames); int64 labels (n, 5): concept, then attribute values,
    -1 where none is named."""

    inputs: npt.NDArray[np.float16]
    labels: npt.NDArray[np.int64]


def plan() -> list[Task]:
    """(concept, attribute values, seed) of every training sound; held-out combinations of the
    pocket's evaluation are left out here too."""
    every = concepts.of(Modality.AUDIO)
    axes = concepts.AXES[Modality.AUDIO]
    tasks: list[Task] = [
        (i, (-1,) * len(axes), FIRST_SEED + k) for i in range(len(every)) for k in range(PLAIN)
    ]
    for i, what in enumerate(every):
        if not what.attributes(Modality.AUDIO):
            continue
        for combination in concepts.combinations(Modality.AUDIO, held_out=False):
            values = tuple(v.index(x) for v, x in zip(axes.values(), combination, strict=True))
            tasks += [(i, values, FIRST_SEED + k) for k in range(ATTRIBUTED)]
    return tasks


def _render(job: tuple[int, int, list[Task]]) -> npt.NDArray[np.float16]:
    seed, first, tasks = job
    torch.set_num_threads(1)
    every = concepts.of(Modality.AUDIO)
    axes = concepts.AXES[Modality.AUDIO]
    made = []
    for number, (index, values, shift) in enumerate(tasks, first):
        named: dict[str, Any] = {
            axis: (None if v < 0 else words[v])
            for (axis, words), v in zip(axes.items(), values, strict=True)
        }
        rng = np.random.default_rng([seed, number, 2])
        samples = render_sound(
            every[index], seconds=CLIP_SECONDS, seed=shift + 10_000 * seed, **named
        )
        if values[0] < 0 and rng.random() < 0.7:
            samples = roughen(rng, samples)
        mel = frontend.log_mel(torch.from_numpy(samples)[None])[0]
        made.append(mel.numpy().astype(np.float16))
    return np.stack(made)


def sounds(seed: int, cache: Path, *, workers: int = 2) -> Sounds:
    """All training sounds, from the cache when it has them. Raises ModelError when fluidsynth or
    its soundfont is not installed."""
    tasks = plan()
    key = hashlib.sha256(json.dumps([seed, tasks, _sources()]).encode()).hexdigest()
    path = cache / f"sounds-{key[:16]}.npz"
    if not path.exists():
        size = 500
        jobs = [(seed, i, tasks[i : i + size]) for i in range(0, len(tasks), size)]
        with multiprocessing.get_context("spawn").Pool(workers) as pool:
            inputs = np.concatenate(pool.map(_render, jobs, chunksize=1))
        labels = np.array([(i, *values) for i, values, _ in tasks], np.int64)
        cache.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, inputs=inputs, labels=labels)
        partial.rename(path)
    with np.load(path, allow_pickle=False) as stored:
        return Sounds(stored["inputs"], stored["labels"])


def _sources() -> str:
    """Hash of the code that plays and hears, so that a changed recipe is rendered again."""
    digest = hashlib.sha256()
    here, pocket = Path(__file__).parent, Path(concepts.__file__).parent
    mine = [here / name for name in ("dataset.py", "frontend.py", "preprocessing.py")]
    for path in [*mine, pocket / "concepts.toml", *sorted(pocket.glob("s[oy]*.py"))]:
        digest.update(path.read_bytes())
    return digest.hexdigest()
