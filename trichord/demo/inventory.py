"""What the sample catalogue holds: entries and their files, as data. Nothing is drawn here.

The catalogue is about the concepts of the pocket space. Everything is a function of the seed, and
pictures and sounds are drawn with seeds that the training of the space never used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Literal

import numpy as np
import polars as pl

from trichord.demo import words
from trichord.embedders.pocket import concepts
from trichord.embedders.pocket.concepts import Concept

FIRST_SEED = 700_000
"""Renders of the sample use seeds from here on; training starts at 1,000,000, and the evaluation
uses others below."""
SEEDS_PER_SAMPLE = 10_000

PICTURE_ENDINGS = (".jpg", ".png", ".jpg")
SOUND_ENDINGS = (".wav", ".flac", ".mp3", ".ogg")
SOUND_RATES = (16_000, 22_050, 44_100)
SECOND_TRACKS = 36
SEEN_ONLY = 40


@dataclass(frozen=True)
class File:
    """One file to write: a picture, a sound of one or more parts, or a text as it is.

    `path` is relative to the sample's folder; `renders` are (concept, seed) pairs.
    """

    path: str
    kind: Literal["picture", "sound", "text"]
    renders: tuple[tuple[str, int], ...] = ()
    seconds: float = 0.0
    rate: int = 0
    text: str = ""


@dataclass(frozen=True)
class Entry:
    """One entity: what it is about (to judge answers; not stored anywhere), files, attributes."""

    entity_id: str
    about: tuple[str, ...]
    files: tuple[File, ...]
    attributes: Mapping[str, Any] = field(hash=False)


def entries(seed: int = 0) -> tuple[Entry, ...]:
    """All entries of the sample: tracks with cover, clip and text; sounds without a picture;
    pictures without a sound; long tapes; spoken talks with subtitles."""
    made: list[Entry] = []
    shared = concepts.shared()
    asked = [what for what in shared if what.name in words.ASKED]
    others = [what for what in shared if what.name not in words.ASKED]
    for what in shared:
        made.append(_track(seed, len(made), what, what.name.replace(" ", "-"), boxed=False))
    for what in (asked + others)[:SECOND_TRACKS]:
        slug = f"{what.name.replace(' ', '-')}-2"
        made.append(_track(seed, len(made), what, slug, boxed=True))
    for what in concepts.concepts():
        if what.sounding and not what.pictured:
            made.append(_track(seed, len(made), what, what.name.replace(" ", "-"), boxed=False))
    seen = [what for what in concepts.concepts() if what.pictured and not what.sounding]
    for what in seen[:: max(1, len(seen) // SEEN_ONLY)][:SEEN_ONLY]:
        made.append(_track(seed, len(made), what, what.name.replace(" ", "-"), boxed=False))
    for tape in words.TAPES:
        made.append(_tape(seed, len(made), tape))
    for talk in words.TALKS:
        made.append(_talk(seed, len(made), talk))
    return tuple(made)


def metadata(chosen: Sequence[Entry]) -> pl.DataFrame:
    """The table beside the media: one row per entity with its attributes."""
    rows = [{"entity_id": entry.entity_id, **entry.attributes} for entry in chosen]
    return pl.DataFrame(rows, infer_schema_length=None)


def _track(seed: int, number: int, what: Concept, slug: str, *, boxed: bool) -> Entry:
    """`boxed`: the files lie in one folder of their own, else they share a stem."""
    where = f"media/boxes/{slug}/" if boxed else ""
    base = FIRST_SEED + SEEDS_PER_SAMPLE * seed + number
    rng = np.random.default_rng([seed, number])
    files: list[File] = []
    if what.pictured:
        ending = PICTURE_ENDINGS[number % len(PICTURE_ENDINGS)]
        path = f"{where}cover{ending}" if boxed else f"media/covers/{slug}{ending}"
        files.append(File(path, "picture", ((what.name, base),)))
    if what.sounding:
        ending = SOUND_ENDINGS[number % len(SOUND_ENDINGS)]
        path = f"{where}clip{ending}" if boxed else f"media/clips/{slug}{ending}"
        rate = SOUND_RATES[number % len(SOUND_RATES)] if ending in (".mp3", ".ogg") else 16_000
        seconds = round(float(rng.uniform(3.0, 5.0)), 1)
        files.append(File(path, "sound", ((what.name, base),), seconds, rate))
    patterns = {
        (True, True): words.NOTES_OF_BOTH,
        (False, True): words.NOTES_OF_HEARD,
        (True, False): words.NOTES_OF_SEEN,
    }[what.pictured, what.sounding]
    ending = (".txt", ".md")[number % 2]
    path = f"{where}text{ending}" if boxed else f"media/notes/{slug}{ending}"
    note = _filled(patterns[int(rng.integers(len(patterns)))], what, number)
    if what.name in words.NOTES:
        note = words.NOTES[what.name][boxed]
    files.append(File(path, "text", text=note + "\n"))
    title = _filled(words.TITLES[int(rng.integers(len(words.TITLES)))], what, number)
    return Entry(
        f"boxes/{slug}" if boxed else slug,
        (what.name,),
        tuple(files),
        _attributes(rng, title[0].upper() + title[1:], "track", _genre(what)),
    )


def _tape(seed: int, number: int, tape: words.Tape) -> Entry:
    base = FIRST_SEED + SEEDS_PER_SAMPLE * seed + number
    rng = np.random.default_rng([seed, number])
    renders = tuple((name, base) for name in tape.parts)
    seconds = float(words.PART_SECONDS * len(renders))
    files = (
        File(f"media/clips/{tape.slug}.ogg", "sound", renders, seconds, 16_000),
        File(f"media/notes/{tape.slug}.md", "text", text=f"# {tape.title}\n\n{tape.note}\n"),
    )
    attributes = _attributes(rng, tape.title, "tape", "field recording")
    return Entry(tape.slug, tape.parts, files, attributes)


def _talk(seed: int, number: int, talk: words.Talk) -> Entry:
    base = FIRST_SEED + SEEDS_PER_SAMPLE * seed + number
    rng = np.random.default_rng([seed, number])
    files = (
        File(f"media/covers/{talk.slug}.jpg", "picture", ((talk.about[0], base),)),
        File(f"media/talks/{talk.slug}.srt", "text", text=subtitles(talk)),
    )
    attributes = _attributes(rng, talk.title, "talk", "spoken word")
    return Entry(talk.slug, talk.about, files, attributes)


def subtitles(talk: words.Talk) -> str:
    """The talk as SRT, one cue per sentence."""
    cues: list[str] = []
    for start, sentences in talk.parts:
        for place, sentence in enumerate(sentences):
            begin = start + place * words.SECONDS_PER_CUE
            times = f"{_stamp(begin)} --> {_stamp(begin + words.SECONDS_PER_CUE)}"
            cues.append(f"{len(cues) + 1}\n{times}\n{sentence}\n")
    return "\n".join(cues)


def _stamp(seconds: int) -> str:
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02},000"


def _filled(pattern: str, what: Concept, number: int) -> str:
    phrase = what.phrase
    return pattern.format(
        name=what.name,
        Name=what.name.title(),
        phrase=phrase,
        Phrase=phrase[0].upper() + phrase[1:],
        number=number % 9 + 1,
    )


def _genre(what: Concept) -> str:
    if what.sound is None:
        return "still life"
    kind, _, recipe = what.sound.partition(":")
    if kind == "gm":
        return "melody"
    return "percussion" if kind == "drum" else _genre_of_recipe(recipe)


def _genre_of_recipe(recipe: str) -> str:
    # Imported here: the recipes need soxr and the like, the rest of the inventory does not.
    from trichord.embedders.pocket.synth_animals import ANIMALS
    from trichord.embedders.pocket.synth_nature import NATURE

    return "animals" if recipe in ANIMALS else "nature" if recipe in NATURE else "machines"


def _attributes(rng: np.random.Generator, title: str, kind: str, genre: str) -> dict[str, Any]:
    released = date(2012, 1, 1) + timedelta(days=int(rng.integers(0, 14 * 365)))
    chosen = sorted(rng.choice(len(words.TAGS), size=int(rng.integers(1, 4)), replace=False))
    return {
        "title": title,
        "kind": kind,
        "market": str(rng.choice(words.MARKETS)),
        "genre": genre,
        "release_date": released,
        "year": released.year,
        "explicit": bool(rng.random() < 0.1),
        "popularity": round(float(rng.beta(1.5, 4.0)), 4),
        "tags": [words.TAGS[place] for place in chosen],
    }
