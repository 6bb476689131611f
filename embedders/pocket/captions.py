"""Captions of scenes: templates for training, and others that only the evaluation reads."""

from __future__ import annotations

from collections.abc import Mapping

from trichord.embedders.pocket.concepts import AXES, Concept, check_attributes
from trichord.embedders.pocket.concepts import concept as find
from trichord.types import Modality

WORDS: Mapping[str, Mapping[str, str]] = {
    "colour": {},
    "count": {},
    "position": {
        "left": "on the left",
        "right": "on the right",
        "top": "at the top",
        "bottom": "at the bottom",
        "center": "in the center",
    },
    "pitch": {"low": "deep", "middle": "mid-range", "high": "shrill"},
    "tempo": {"fast": "rapid"},
    "loudness": {"quiet": "faint"},
    "timbre": {},
}

OTHER_WORDS: Mapping[str, Mapping[str, str]] = {
    "other_pitch": {"low": "low-pitched", "middle": "medium-pitched", "high": "high-pitched"},
    "other_tempo": {},
    "other_loudness": {},
}
"""What people say as well. The text model holds these much closer together ("low-pitched" and
"high-pitched" differ by 0.02 in cosine, "deep" and "shrill" by 0.07), so one training template in
five uses them and the evaluation none."""

TRAIN_CONCEPT = {
    Modality.IMAGE: (
        "{phrase}",
        "a picture of {phrase}",
        "{name}",
        "an image that shows {phrase}",
        "an icon of {phrase}",
    ),
    Modality.AUDIO: (
        "{phrase}",
        "the sound of {phrase}",
        "{name}",
        "a recording of {phrase}",
    ),
}
"""`also` names are put through the first two picture templates; `heard` phrases stand alone and
after "the sound of"."""

EVAL_CONCEPT = {
    Modality.IMAGE: ("a photo of {phrase}", "here you can see {phrase}", "{name}, illustration"),
    Modality.AUDIO: (
        "an audio clip with {phrase}",
        "you can hear {phrase}",
        "{name}, sound effect",
        "listen to {phrase}",
    ),
}

TRAIN_ATTRIBUTES = {
    Modality.IMAGE: (
        "{count} {colour} {noun} {position}",
        "a picture of {count} {colour} {noun} {position}",
        "{position}, {count} {colour} {noun}",
        "{noun}: {count}, {colour}, {position}",
        "an image with {count} {noun} coloured {colour} {position}",
    ),
    Modality.AUDIO: (
        "a {pitch}, {tempo}, {loudness} and {timbre} {noun}",
        "{noun}, {pitch}, {tempo}, {loudness}, {timbre}",
        "{timbre} sound of a {loudness} {noun}, {tempo} and {pitch}",
        "the {noun} is {pitch}, {loudness}, {tempo} and {timbre}",
        "a {other_loudness} {timbre} {noun} playing {other_tempo} {other_pitch} notes",
    ),
}

EVAL_ATTRIBUTES = {
    Modality.IMAGE: (
        "there are {count} {colour} {noun} {position} of the picture",
        "{position} you can see {count} {colour} {noun}",
        "a drawing showing {count} {noun} in {colour} {position}",
    ),
    Modality.AUDIO: (
        "you hear a {timbre} {noun} that is {loudness}, {tempo} and {pitch}",
        "recording of a {tempo} {loudness} {noun}, {pitch} and {timbre}",
        "{tempo} and {pitch}: a {timbre}, {loudness} {noun}",
    ),
}


def attribute_caption(
    template: str, concept: Concept, modality: Modality, combination: tuple[str, ...]
) -> str:
    """The template filled with one value per axis, in words."""
    values = dict(zip(AXES[modality], combination, strict=True))
    words = {axis: WORDS[axis].get(value, value) for axis, value in values.items()}
    for key, table in OTHER_WORDS.items():
        value = values.get(key.removeprefix("other_"), "")
        words[key] = table.get(value, value)
    noun = concept.name if values.get("count", "one") == "one" else concept.plural
    return template.format(noun=noun, **words)


def concept_caption(template: str, concept: Concept) -> str:
    return template.format(name=concept.name, phrase=concept.phrase)


def training_captions(concept: Concept, modality: Modality) -> tuple[str, ...]:
    """All captions of a concept that training may see, in a fixed order."""
    templates = TRAIN_CONCEPT[modality]
    lines = [concept_caption(template, concept) for template in templates]
    if modality is Modality.IMAGE:
        for other in concept.also:
            lines += [other, f"a picture of {other}"]
    else:
        for other in concept.heard:
            lines += [other, f"the sound of {other}"]
    lines += [f"{concept.name}, {concept.kind}", f"{concept.kind}: {concept.name}"]
    return tuple(dict.fromkeys(lines))


def caption(
    concept: str | Concept, modality: Modality, *, attributes: Mapping[str, str] | None = None
) -> str:
    """A plain caption for people: "two red cats on the left", "the sound of rain".

    `attributes` may name any of the axes of `modality` (see concepts.AXES). Raises InvalidInput
    for an unknown concept, axis or value.
    """
    what, modality = find(concept), Modality(modality)
    given = dict(attributes or {})
    check_attributes(modality, given)
    named = {axis: WORDS[axis].get(value, value) for axis, value in given.items()}
    if not named:
        return what.phrase if modality is Modality.IMAGE else f"the sound of {what.phrase}"
    if modality is Modality.AUDIO:
        return f"{', '.join(named[a] for a in AXES[modality] if a in named)} {what.name}"
    noun = what.name if named.get("count", "one") == "one" else what.plural
    head = named.get("count", "" if what.mass else "a")
    parts = (head, named.get("colour", ""), noun, named.get("position", ""))
    return " ".join(part for part in parts if part)
