"""The concepts that the pocket space is trained on, their attributes and the held-out split."""

from __future__ import annotations

import hashlib
import itertools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from trichord.errors import InvalidInput
from trichord.types import Modality

COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "black", "white")
COUNTS = ("one", "two", "three", "four")
POSITIONS = ("left", "right", "top", "bottom", "center")
PITCHES = ("low", "middle", "high")
TEMPOS = ("slow", "steady", "fast")
LOUDNESSES = ("quiet", "loud")
TIMBRES = ("clean", "muffled", "echoing", "distorted", "tinny", "trembling", "crackling")

Combination = tuple[str, ...]
"""One value per axis: (colour, count, position) or (pitch, tempo, loudness, timbre)."""

AXES: Mapping[Modality, Mapping[str, tuple[str, ...]]] = {
    Modality.IMAGE: {"colour": COLOURS, "count": COUNTS, "position": POSITIONS},
    Modality.AUDIO: {
        "pitch": PITCHES,
        "tempo": TEMPOS,
        "loudness": LOUDNESSES,
        "timbre": TIMBRES,
    },
}
HELD_OUT = {Modality.IMAGE: 48, Modality.AUDIO: 42}
"""How many combinations never occur in training, with any concept."""


@dataclass(frozen=True)
class Concept:
    """One thing that can be seen, heard or both.

    `kind` is what it is one of ("bird"); `glyph` is its emoji (None: never pictured); `sound` is
    "synth:RECIPE", "gm:PROGRAM" or "drum:KEY" (None: never heard). `tintable` and `playable`
    concepts carry the attribute suites.
    """

    name: str
    kind: str
    plural: str
    mass: bool
    also: tuple[str, ...]
    heard: tuple[str, ...]
    glyph: str | None
    sound: str | None
    tintable: bool
    playable: bool

    @property
    def pictured(self) -> bool:
        return self.glyph is not None

    @property
    def sounding(self) -> bool:
        return self.sound is not None

    @property
    def phrase(self) -> str:
        """The name with its article: "a cat", "an owl", "rain"."""
        if self.mass:
            return self.name
        return f"{'an' if self.name[0] in 'aeiou' else 'a'} {self.name}"

    def attributes(self, modality: Modality) -> Mapping[str, tuple[str, ...]]:
        """The axes that may be asked for, empty when this concept takes none."""
        takes = self.tintable if modality is Modality.IMAGE else self.playable
        return AXES[modality] if takes else {}


def _concept(name: str, kind: str, row: Mapping[str, Any]) -> Concept:
    mass = bool(row.get("mass", False))
    return Concept(
        name=name,
        kind=kind,
        plural=name if mass else str(row.get("many", f"{name}s")),
        mass=mass,
        also=tuple(row.get("also", ())),
        heard=tuple(row.get("heard", ())),
        glyph=row.get("emoji"),
        sound=row.get("sound"),
        tintable=bool(row.get("tint", False)),
        playable=bool(row.get("play", False)),
    )


def _table(name: str) -> dict[str, Any]:
    return tomllib.loads(files(__package__).joinpath(name).read_text("utf-8"))


@cache
def concepts() -> tuple[Concept, ...]:
    """All concepts in the order of concepts.toml."""
    rows = _table("concepts.toml")["concepts"]
    kinds = {name: kind for kind, names in _table("kinds.toml")["kinds"].items() for name in names}
    return tuple(_concept(name, kinds[name], row) for name, row in rows.items())


@cache
def _by_name() -> Mapping[str, Concept]:
    return {concept.name: concept for concept in concepts()}


def concept(name: str | Concept) -> Concept:
    """The concept of that name. Raises InvalidInput for a name that is not in the inventory."""
    if isinstance(name, Concept):
        return name
    found = _by_name().get(name)
    if found is None:
        raise InvalidInput(f"no concept {name!r} in the pocket inventory (see concepts.toml)")
    return found


def of(modality: Modality) -> tuple[Concept, ...]:
    """The concepts that can be pictured (image) or that sound (audio)."""
    if modality == Modality.IMAGE:
        return tuple(c for c in concepts() if c.pictured)
    return tuple(c for c in concepts() if c.sounding)


def shared() -> tuple[Concept, ...]:
    """The concepts that can be both seen and heard."""
    return tuple(c for c in concepts() if c.pictured and c.sounding)


@cache
def paraphrases(modality: Modality) -> tuple[tuple[Concept, str], ...]:
    """(concept, sentence) pairs for evaluation, never used in training."""
    table = _table("paraphrases.toml")[modality.value]
    return tuple((concept(name), line) for name, lines in table.items() for line in lines)


@cache
def combinations(modality: Modality, *, held_out: bool) -> tuple[Combination, ...]:
    """The attribute combinations of training, or those held out: the ones whose sha256 is least,
    so that the split depends on nothing but the words."""
    every = itertools.product(*AXES[modality].values())
    ranked = sorted(every, key=lambda c: hashlib.sha256("|".join(c).encode()).digest())
    cut = HELD_OUT[modality]
    return tuple(ranked[:cut] if held_out else ranked[cut:])


def check_attributes(modality: Modality, values: Mapping[str, str | None]) -> None:
    """Raises InvalidInput for a value that its axis does not have."""
    for axis, value in values.items():
        if axis not in AXES.get(modality, {}):
            raise InvalidInput(f"{axis!r} is not an attribute of {modality}")
        if value is not None and value not in AXES[modality][axis]:
            raise InvalidInput(f"{axis} {value!r} is not one of {', '.join(AXES[modality][axis])}")
