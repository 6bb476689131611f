"""The duet model's own captions: other templates, wordings and synonyms than the pocket's."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

import numpy as np

from trichord.embedders.pocket.concepts import AXES, Concept
from trichord.types import Modality

HEARD = (
    "one hears {phrase}",
    "noise made by {phrase}",
    "{name} audio",
    "field recording: {phrase}",
    "what {phrase} sounds like",
    "sounds of the {kind} {name}",
)
SEEN = (
    "a drawing with {phrase}",
    "one sees {phrase}",
    "view of {phrase}",
    "painted: {phrase}",
    "a sketch of the {kind} {name}",
)
NAMED = ("{name}", "{phrase}", "{name} is one kind of {kind}", "{kind} called {name}")

PLAYED = (
    "{phrase} played {pitch}, {tempo}, {loudness} and {timbre}",
    "{timbre} {name} with {pitch} tones, {loudness}, at {tempo} pace",
    "{pitch} {name} notes, {tempo}; {loudness} and {timbre}",
    "somebody plays {tempo} and {loudness} on a {timbre} {name}, {pitch}",
)
PAINTED = (
    "{count} {colour} {noun}, {position}",
    "{position} of the drawing one sees {count} {noun} in {colour}",
    "{colour} {noun} ({count}) painted {position}",
    "a sketch: {noun}, {colour}, {count}, {position}",
)
TOGETHER = ("{a} and {b}", "{b} together with {a}", "{a}, {b}", "both {b} and {a}")

SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "low": ("deep", "low", "low-pitched"),
    "middle": ("mid-range", "medium", "medium-pitched"),
    "high": ("shrill", "high", "high-pitched"),
    "slow": ("slow", "unhurried"),
    "steady": ("steady", "even"),
    "fast": ("rapid", "fast", "quick"),
    "quiet": ("faint", "quiet", "soft"),
    "loud": ("loud", "strong"),
    "clean": ("clean", "clear"),
    "muffled": ("muffled", "dull"),
    "echoing": ("echoing", "reverberating"),
    "distorted": ("distorted", "overdriven"),
    "tinny": ("tinny", "thin"),
    "trembling": ("trembling", "quivering"),
    "crackling": ("crackling", "scratchy"),
    "left": ("on the left", "at the left side"),
    "right": ("on the right", "at the right side"),
    "top": ("at the top", "in the upper part"),
    "bottom": ("at the bottom", "in the lower part"),
    "center": ("in the center", "in the middle"),
}


@cache
def wordings() -> Mapping[str, tuple[str, ...]]:
    """Concept name -> sentences for its sound, from wordings.toml."""
    table = tomllib.loads(files(__package__).joinpath("wordings.toml").read_text("utf-8"))
    return {name: tuple(lines) for name, lines in table["sounds"].items()}


def _filled(template: str, concept: Concept) -> str:
    return template.format(name=concept.name, phrase=concept.phrase, kind=concept.kind)


@cache
def heard(concept: Concept) -> tuple[str, ...]:
    """All captions of the concept's sound."""
    return (*(_filled(t, concept) for t in (*HEARD, *NAMED)), *wordings()[concept.name])


@cache
def spoken(concept: Concept) -> tuple[str, ...]:
    """All captions of the concept, as sound and as picture."""
    lines = [_filled(t, concept) for t in NAMED]
    if concept.pictured:
        lines += [_filled(t, concept) for t in SEEN]
    return (*lines, *heard(concept)) if concept.sounding else tuple(lines)


def attributed(
    rng: np.random.Generator,
    concept: Concept,
    modality: Modality,
    combination: tuple[str, ...],
) -> str:
    """A caption with every attribute named, template and synonyms by chance."""
    values = dict(zip(AXES[modality], combination, strict=True))
    words = {axis: str(rng.choice(SYNONYMS.get(v, (v,)))) for axis, v in values.items()}
    templates = PLAYED if modality is Modality.AUDIO else PAINTED
    noun = concept.name if values.get("count", "one") == "one" else concept.plural
    template = templates[int(rng.integers(len(templates)))]
    return template.format(
        name=concept.name, phrase=concept.phrase, kind=concept.kind, noun=noun, **words
    )


def together(rng: np.random.Generator, a: Concept, b: Concept) -> str:
    """A caption of two things at once."""
    return TOGETHER[int(rng.integers(len(TOGETHER)))].format(a=a.phrase, b=b.phrase)
