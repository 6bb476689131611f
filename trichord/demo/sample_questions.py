"""Questions to the sample whose right answers are known.

The pictures and sounds that are asked with are drawn anew, with seeds that neither the sample nor
the training used; the sentences are those of `words.ASKED`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from trichord.demo import words
from trichord.demo.inventory import FIRST_SEED, SEEDS_PER_SAMPLE, Entry
from trichord.demo.questions import Question, Right, Section, Shown
from trichord.demo.sample import picture_bytes, sound_bytes
from trichord.query import Askable, Audio, EntityRef, Image, ItemRef, Text
from trichord.types import Modality

ASKED_SEED = FIRST_SEED + SEEDS_PER_SAMPLE - 1
"""No entry of the sample is drawn with it: there are fewer than SEEDS_PER_SAMPLE - 1."""

SECONDS = 4.0
RATE = 16_000
_KINDS = {"picture": Modality.IMAGE, "sound": Modality.AUDIO, "text": Modality.TEXT}


def questions(entries: Sequence[Entry]) -> list[Question]:
    """All questions about what the given entries hold."""
    about = _About(entries)
    return [
        *_by_content(about),
        *_by_item(about),
        *_by_entity(about),
        *_filtered(about),
        *_moments(entries, about),
        *_mixed(about),
    ]


class _About:
    """Which entities are about a concept."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.by_concept: dict[str, list[Entry]] = {}
        for entry in entries:
            for name in entry.about:
                self.by_concept.setdefault(name, []).append(entry)
        tracks = {
            name: [entry for entry in found if entry.attributes["kind"] == "track"]
            for name, found in self.by_concept.items()
        }
        self.twins = {name: tracks[name] for name in words.ASKED if len(tracks.get(name, [])) > 1}

    def entities(self, concept: str) -> frozenset[str]:
        return frozenset(entry.entity_id for entry in self.by_concept.get(concept, []))


def asked_by(modality: Modality, concept: str) -> tuple[Askable, Shown]:
    """A fresh question about the concept, and how it looks."""
    if modality is Modality.TEXT:
        sentence = words.ASKED[concept]
        return Text(sentence), Shown(modality, text=sentence)
    if modality is Modality.IMAGE:
        data = picture_bytes(concept, ASKED_SEED, ".jpg")
        return Image(data), Shown(modality, data=data, caption=f"a picture of {concept}")
    data = sound_bytes(((concept, ASKED_SEED),), SECONDS, RATE, ".flac")
    return Audio(data), Shown(modality, data=data, caption=f"the sound of {concept}")


def _by_content(about: _About) -> Iterator[Question]:
    for asks in (Modality.TEXT, Modality.IMAGE, Modality.AUDIO):
        made = {concept: asked_by(asks, concept) for concept in about.twins}
        for wants in (Modality.TEXT, Modality.IMAGE, Modality.AUDIO):
            for concept, (asked, shown) in made.items():
                yield Question(
                    Section.CONTENT,
                    asks,
                    wants,
                    asked,
                    (shown,),
                    wants,
                    right=Right(about.entities(concept)),
                )


def _by_item(about: _About) -> Iterator[Question]:
    for asks in (Modality.TEXT, Modality.IMAGE, Modality.AUDIO):
        for wants in (Modality.TEXT, Modality.IMAGE, Modality.AUDIO):
            for concept, (first, *_) in about.twins.items():
                item_id = _item(first, asks)
                yield Question(
                    Section.ITEM,
                    asks,
                    wants,
                    ItemRef(item_id),
                    (Shown(asks, item_id=item_id, caption=item_id),),
                    wants,
                    right=Right(about.entities(concept)),
                )


def _by_entity(about: _About) -> Iterator[Question]:
    for wants in (Modality.TEXT, Modality.IMAGE, Modality.AUDIO, None):
        for concept, (first, *_) in about.twins.items():
            yield Question(
                Section.ENTITY,
                "entity",
                "entity" if wants is None else wants,
                EntityRef(first.entity_id),
                tuple(
                    Shown(modality, item_id=_item(first, modality), caption=caption)
                    for modality, caption in (
                        (Modality.IMAGE, first.entity_id),
                        (Modality.AUDIO, ""),
                    )
                ),
                wants,
                group="entity" if wants is None else "item",
                right=Right(about.entities(concept) - {first.entity_id}),
            )


def _filtered(about: _About) -> Iterator[Question]:
    """Each question is limited to what only one of two twins keeps."""
    ways = (
        (Modality.TEXT, Modality.AUDIO),
        (Modality.IMAGE, Modality.AUDIO),
        (Modality.AUDIO, Modality.IMAGE),
        (Modality.AUDIO, Modality.TEXT),
    )
    for place, (concept, twins) in enumerate(about.twins.items()):
        turn = place + place // 6  # so that any few of them differ in direction and in filter
        asks, wants = ways[turn % len(ways)]
        wanted = twins[place % 2].attributes
        market, year, genre = wanted["market"], wanted["year"], wanted["genre"]
        where, obeys = (
            (f"market = '{market}'", {"market": (market, market)}),
            (
                f"market = '{market}' and year >= {year}",
                {"market": (market, market), "year": (year, 9999)},
            ),
            (
                f"genre = '{genre}' and year >= {year - 1} and year <= {year + 1}",
                {"genre": (genre, genre), "year": (year - 1, year + 1)},
            ),
        )[turn % 3]
        asked, shown = asked_by(asks, concept)
        kept = frozenset(
            entry.entity_id
            for entry in about.by_concept[concept]
            if all(low <= entry.attributes[name] <= high for name, (low, high) in obeys.items())
        )
        yield Question(
            Section.FILTER, "any", "any", asked, (shown,), wants, where, "item", Right(kept), obeys
        )


def _moments(entries: Sequence[Entry], about: _About) -> Iterator[Question]:
    held = {entry.entity_id for entry in entries}
    for tape in words.TAPES:
        if tape.slug not in held:
            continue
        for place, concept in enumerate(tape.parts):
            asks = Modality.TEXT if concept in words.ASKED and place % 2 == 0 else Modality.AUDIO
            asked, shown = asked_by(asks, concept)
            start = 1000 * words.PART_SECONDS * place
            span = (start, start + 1000 * words.PART_SECONDS)
            yield Question(
                Section.MOMENT,
                "any",
                "tape",
                asked,
                (shown,),
                Modality.AUDIO,
                "kind = 'tape'",
                right=Right(frozenset([tape.slug]), span),
                obeys={"kind": ("tape", "tape")},
            )
    for talk in words.TALKS:
        if talk.slug not in held:
            continue
        start, sentences = talk.parts[talk.answer]
        span = (1000 * start, 1000 * (start + words.SECONDS_PER_CUE * len(sentences)))
        yield Question(
            Section.MOMENT,
            "any",
            "talk",
            Text(talk.question),
            (Shown(Modality.TEXT, text=talk.question),),
            Modality.TEXT,
            "kind = 'talk'",
            right=Right(frozenset([talk.slug]), span),
            obeys={"kind": ("talk", "talk")},
        )


def _mixed(about: _About) -> Iterator[Question]:
    """Two things at once, of two modalities: both must be among the hits."""
    names = list(about.twins)
    for place in range(0, len(names) - 1, 2):
        first, second = names[place], names[place + 1]
        picture, shown_picture = asked_by(Modality.IMAGE, first)
        sound, shown_sound = asked_by(Modality.AUDIO, second)
        wants = (Modality.IMAGE, Modality.AUDIO, Modality.TEXT)[place // 2 % 3]
        assert isinstance(picture, Image) and isinstance(sound, Audio)
        yield Question(
            Section.MIX,
            "mix",
            "any",
            1.0 * picture + 1.0 * sound,
            (shown_picture, shown_sound),
            wants,
            right=Right(frozenset(), each=(about.entities(first), about.entities(second))),
        )


def _item(entry: Entry, modality: Modality) -> str:
    """The id that ingest gives to the entry's file of that modality."""
    path = next(file.path for file in entry.files if _KINDS[file.kind] is modality)
    return path.removeprefix("media/")
