"""Accuracy of the audio encoder on real recordings: a folder with one folder per class."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from trichord.embedders.pocket.preprocessing import WINDOW_MS
from trichord.embedders.pocket.scoring import wilson_low
from trichord.embedders.pocket.space import PocketSpace
from trichord.errors import MediaError, NotFound
from trichord.types import F32, Modality, Waveform

_ENDINGS = {".wav", ".flac", ".ogg", ".mp3", ".opus", ".aiff"}


@dataclass(frozen=True)
class RecordingScores:
    """Accuracies on a folder of recordings, with lower 95 % bounds, and the accuracy of chance."""

    clips: int
    classes: int
    zero_shot: float
    zero_shot_low: float
    nearest_5: float
    nearest_5_low: float
    chance: float


def fold(path: Path) -> str:
    """Clips of one fold are never compared: the number before the first dash of the name (the
    convention of ESC), else one of five by the name's hash."""
    head = path.name.split("-")[0]
    if head.isdigit():
        return head
    return f"hash-{hashlib.sha256(path.name.encode()).digest()[0] % 5}"


def embed_file(space: PocketSpace, path: Path) -> F32:
    """The mean of the vectors of the file's windows, unit length; silent windows are left out.

    Raises MediaError when the file cannot be read or nothing of it can be embedded.
    """
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (OSError, RuntimeError) as error:
        raise MediaError(f"{path} cannot be read: {error}") from error
    mono = samples.mean(axis=1)
    width = rate * WINDOW_MS // 1000
    windows = [mono[i : i + width] for i in range(0, max(len(mono), 1), width)]
    found = space.embedder(Modality.AUDIO).embed([Waveform(w, rate) for w in windows])
    kept = [row for i, row in enumerate(found.vectors) if i not in found.errors]
    if not kept:
        raise MediaError(f"{path}: {next(iter(found.errors.values()))}")
    mean = np.mean(kept, axis=0)
    return np.asarray(mean / np.linalg.norm(mean), np.float32)


def score_recordings(space: PocketSpace, folder: Path) -> RecordingScores:
    """Zero-shot and nearest-neighbour accuracy over all clips.

    Zero-shot: the class whose sentence "the sound of CLASS" is nearest. 5-NN: the class with the
    greatest summed cosine among the five nearest clips of other folds. Raises NotFound when there
    is no class folder with recordings.
    """
    clips = [
        path
        for path in sorted(folder.glob("*/*"))
        if path.suffix.lower() in _ENDINGS and path.is_file()
    ]
    classes = sorted({path.parent.name for path in clips})
    if len(classes) < 2:
        raise NotFound(f"{folder} holds no folders of recordings, one folder per class")
    vectors = np.stack([embed_file(space, path) for path in clips])
    truth = np.array([classes.index(path.parent.name) for path in clips])
    folds = np.array([fold(path) for path in clips])
    prompts = [f"the sound of {name.replace('_', ' ')}" for name in classes]
    texts = space.embedder(Modality.TEXT).embed(prompts).vectors
    zero = float((np.argmax(vectors @ texts.T, axis=1) == truth).mean())
    cosine = vectors @ vectors.T
    cosine[folds[:, None] == folds[None]] = -2.0
    near = np.argsort(-cosine, axis=1)[:, :5]
    votes = np.zeros((len(clips), len(classes)))
    for k in range(5):
        np.add.at(votes, (np.arange(len(clips)), truth[near[:, k]]),
                  np.take_along_axis(cosine, near[:, k : k + 1], axis=1)[:, 0])  # fmt: skip
    five = float((votes.argmax(axis=1) == truth).mean())
    n = len(clips)
    return RecordingScores(
        clips=n,
        classes=len(classes),
        zero_shot=zero,
        zero_shot_low=wilson_low(zero, n),
        nearest_5=five,
        nearest_5_low=wilson_low(five, n),
        chance=float(np.bincount(truth).max() / n),
    )
