"""Captions to fit a bridge on: thousands of our own, or a user's file."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np

from trichord.embedders.pocket import concepts
from trichord.errors import InvalidInput

COUNT = 6000
FEWEST = 500
"""Captions that a user's file must have at least."""
MOST = 50_000
"""Captions that the generator makes at most; it has several times as many."""
LONGEST = 2000
"""Characters of a caption."""

SEEN = (
    "{phrase}",
    "snapshot of {phrase}",
    "{phrase}, seen from the front",
    "{phrase} {place}",
    "a close-up showing {phrase}",
    "{colour} {name}",
    "{count} {plural}",
    "{colour} {name} {place}",
    "{phrase}, a sort of {kind}",
    "there is {phrase} in the scene",
)
HEARD = (
    "{phrase}",
    "the audio contains {phrase}",
    "{phrase} can be heard {place}",
    "{phrase} in the background",
    "someone records {phrase}",
    "noise: {phrase}",
    "{manner}: {phrase}",
    "{phrase} and {other}",
    "{phrase} ({kind})",
    "{phrase}, {manner}",
)
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "black", "white", "brown", "grey")
COUNTS = ("two", "three", "four", "several", "many")
MANNERS = (
    "loud",
    "faint",
    "deep",
    "shrill",
    "rapid",
    "slow",
    "muffled",
    "echoing",
    "distorted",
    "distant",
    "steady",
    "tinny",
)
PLACES = (
    "at night",
    "in a room",
    "outdoors",
    "in the city",
    "near the sea",
    "in a forest",
    "on a farm",
    "at home",
    "in a factory",
    "in the street",
    "by a river",
    "in a hall",
)


@dataclass(frozen=True)
class Captions:
    """Distinct captions; those of one thing share a group. `origin` says where they are from."""

    lines: tuple[str, ...]
    groups: tuple[str, ...]
    origin: str

    @property
    def sha256(self) -> str:
        """Names the set: the hash of its lines in order."""
        return hashlib.sha256("\n".join(self.lines).encode()).hexdigest()

    def without(self, phrases: Iterable[str]) -> Captions:
        """The captions that name none of the phrases, in any letter case."""
        found = re.compile("|".join(re.escape(p.lower()) for p in phrases))
        kept = [i for i, line in enumerate(self.lines) if not found.search(line.lower())]
        return Captions(
            tuple(self.lines[i] for i in kept), tuple(self.groups[i] for i in kept), self.origin
        )


@dataclass(frozen=True)
class _Thing:
    """Something to write about: what it is called, and how as picture or as sound."""

    group: str
    names: tuple[str, ...]
    plural: str
    kind: str
    seen: tuple[str, ...]
    heard: tuple[str, ...]


@cache
def _things() -> tuple[_Thing, ...]:
    found = []
    for c in concepts.concepts():
        seen = (c.phrase, *c.also) if c.pictured else ()
        heard = (c.phrase, *c.heard) if c.sounding else ()
        found.append(_Thing(c.name, (c.name,), c.plural, c.kind, seen, heard))
    table = tomllib.loads(files(__package__).joinpath("things.toml").read_text("utf-8"))
    for kind, names in table["seen"].items():
        for name in names:
            article = "an" if name[0] in "aeiou" else "a"
            found.append(_Thing(name, (name,), _plural(name), kind, (f"{article} {name}",), ()))
    for kind, phrases in table["heard"].items():
        for phrase in phrases:
            found.append(_Thing(phrase, (phrase,), phrase, kind, (), (phrase,)))
    return tuple({thing.group: thing for thing in reversed(found)}.values())[::-1]


def _plural(name: str) -> str:
    if name.endswith("man"):
        return f"{name[:-3]}men"
    if name.endswith("y") and name[-2] not in "aeiou":
        return f"{name[:-1]}ies"
    return name + ("es" if name.endswith(("s", "x", "ch", "sh", "ato")) else "s")


def generate(count: int = COUNT, *, seed: int = 0) -> Captions:
    """`count` distinct captions of sights and sounds, the same for the same seed.

    Every thing gets about as many. Raises InvalidInput for fewer than 500 or more than 50,000.
    """
    if not FEWEST <= count <= MOST:
        raise InvalidInput(f"{FEWEST} to {MOST} captions can be made, not {count}")
    rng = np.random.default_rng([seed, 77])
    streams = [(thing.group, _of(thing, rng)) for thing in _things()]
    lines: dict[str, str] = {}
    while len(lines) < count:
        for index in rng.permutation(len(streams)):
            group, stream = streams[int(index)]
            line = next(stream)
            if line not in lines and len(lines) < count:
                lines[line] = group
    return Captions(tuple(lines), tuple(lines.values()), f"trichord captions, seed {seed}")


def _of(thing: _Thing, rng: np.random.Generator) -> Iterator[str]:
    """Captions of one thing without end; repeats happen."""
    sounding = [t for t in _things() if t.heard]
    makers = [(t, True) for t in HEARD if thing.heard] + [(t, False) for t in SEEN if thing.seen]
    while True:
        template, heard = makers[int(rng.integers(len(makers)))]
        phrases = thing.heard if heard else thing.seen
        other = sounding[int(rng.integers(len(sounding)))]
        words: Mapping[str, str] = {
            "phrase": phrases[int(rng.integers(len(phrases)))],
            "name": thing.names[int(rng.integers(len(thing.names)))],
            "plural": thing.plural,
            "kind": thing.kind,
            "other": other.heard[int(rng.integers(len(other.heard)))],
            "place": PLACES[int(rng.integers(len(PLACES)))],
            "colour": COLOURS[int(rng.integers(len(COLOURS)))],
            "count": COUNTS[int(rng.integers(len(COUNTS)))],
            "manner": MANNERS[int(rng.integers(len(MANNERS)))],
        }
        yield template.format(**words)


def read(path: Path) -> Captions:
    """A user's captions: UTF-8 text, one per line. Surrounding white space is taken off.

    Raises InvalidInput for a file that is missing or not UTF-8, for an empty, a repeated or an
    over-long caption (with its line number) and for fewer than 500.
    """
    try:
        text = Path(path).read_text("utf-8")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not UTF-8 text: {error}") from error
    first: dict[str, int] = {}
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line:
            raise InvalidInput(f"{path}, line {number} is empty: every line is one caption")
        if len(line) > LONGEST:
            raise InvalidInput(
                f"{path}, line {number} has {len(line)} characters: a caption has at most {LONGEST}"
            )
        if line in first:
            raise InvalidInput(
                f"{path}, line {number} repeats line {first[line]}: captions must be distinct "
                "(sort -u takes repeats out)"
            )
        first[line] = number
    if len(first) < FEWEST:
        raise InvalidInput(f"{path} has {len(first)} captions: at least {FEWEST} are needed")
    lines = tuple(first)
    return Captions(lines, lines, Path(path).name)
