"""What the proof looks at: held-out renders, queries that no training saw, and their vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trichord.embedders.pocket import captions, concepts
from trichord.embedders.pocket.concepts import Concept
from trichord.embedders.pocket.pictures import render_picture
from trichord.embedders.pocket.preprocessing import RATE, SIZE
from trichord.embedders.pocket.sounds import render_sound
from trichord.errors import ModelError
from trichord.types import F32, I64, Embedder, Modality, Waveform

FIRST_SEED = 700_000
"""No training and no other evaluation uses renders of these seeds."""
SPARE_SEED = 750_000
"""Sounds that a projector is centred on; none is one that is searched."""
CLIP_SECONDS = 3.0
SOUNDS, PICTURES = 8, 5
"""Renders per concept."""


@dataclass(frozen=True)
class Labelled:
    """Contents with their labels (n,), and the concept of each for the intervals (n,)."""

    contents: Sequence[object]
    label: I64
    concept: I64

    def embed(self, embedder: Embedder) -> Vectors:
        """Raises ModelError when anything cannot be embedded."""
        found = embedder.embed(self.contents)
        if found.errors:
            raise ModelError(f"an item of the proof could not be embedded: {found.errors}")
        return Vectors(found.vectors, self.label, self.concept)


@dataclass(frozen=True)
class Vectors:
    """Unit rows (n, d), labels (n,), concepts (n,)."""

    rows: F32
    label: I64
    concept: I64

    def only(self, keep: npt.NDArray[np.bool_]) -> Vectors:
        return Vectors(self.rows[keep], self.label[keep], self.concept[keep])

    def among(self, numbers: I64) -> Vectors:
        return self.only(np.isin(self.concept, numbers))


def numbers(chosen: Sequence[Concept]) -> I64:
    every = {c.name: k for k, c in enumerate(concepts.concepts())}
    return np.array([every[c.name] for c in chosen], np.int64)


def sounds(
    chosen: Sequence[Concept], each: int = SOUNDS, *, first_seed: int = FIRST_SEED
) -> Labelled:
    """Plain renders of concepts; the label is the concept."""
    made = [
        Waveform(render_sound(c, seconds=CLIP_SECONDS, seed=first_seed + k), RATE)
        for c in chosen
        for k in range(each)
    ]
    label = numbers(chosen).repeat(each)
    return Labelled(made, label, label)


def pictures(chosen: Sequence[Concept], each: int = PICTURES) -> Labelled:
    made = [render_picture(c, size=SIZE, seed=FIRST_SEED + k) for c in chosen for k in range(each)]
    label = numbers(chosen).repeat(each)
    return Labelled(made, label, label)


def questions(chosen: Sequence[Concept]) -> Labelled:
    """The pocket evaluation's sentences about sounds: four per concept, the first ones of all
    concepts being those that are asked for when a sound is to be named."""
    templates = captions.EVAL_CONCEPT[Modality.AUDIO]
    lines = [captions.concept_caption(t, c) for t in templates for c in chosen]
    label = np.tile(numbers(chosen), len(templates))
    return Labelled(lines, label, label)


def paraphrases() -> Labelled:
    pairs = concepts.paraphrases(Modality.AUDIO)
    label = numbers([c for c, _ in pairs])
    return Labelled([line for _, line in pairs], label, label)


def attributes(*, every: int = 1) -> tuple[Labelled, Labelled]:
    """Sounds of instruments under held-out combinations, and sentences that name all attributes;
    the label is instrument and combination. `every` > 1 takes only each n-th instrument."""
    axes = tuple(concepts.AXES[Modality.AUDIO])
    chosen = [c for c in concepts.of(Modality.AUDIO) if c.attributes(Modality.AUDIO)][::every]
    pairs = [(c, o) for c in chosen for o in concepts.combinations(Modality.AUDIO, held_out=True)]
    made: list[Any] = []
    lines = []
    templates = captions.EVAL_ATTRIBUTES[Modality.AUDIO]
    for number, (concept, combination) in enumerate(pairs):
        named: dict[str, Any] = dict(zip(axes, combination, strict=True))
        samples = render_sound(concept, seconds=CLIP_SECONDS, seed=FIRST_SEED, **named)
        made.append(Waveform(samples, RATE))
        template = templates[number % len(templates)]
        lines.append(captions.attribute_caption(template, concept, Modality.AUDIO, combination))
    label = np.arange(len(pairs), dtype=np.int64)
    concept_numbers = numbers([c for c, _ in pairs])
    return Labelled(made, label, concept_numbers), Labelled(lines, label, concept_numbers)
