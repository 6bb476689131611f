"""Questions to somebody's own files, made from these files. Nobody knows the right answers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from trichord.demo.questions import Question, Section, Shown
from trichord.embedders.media.sniff import EXTENSIONS
from trichord.query import Askable, Audio, EntityRef, Image, ItemRef, Text
from trichord.results import Found
from trichord.types import Item, Modality

T = TypeVar("T")

PER_DIRECTION = 3
MOST_BYTES = 12 * 1024 * 1024
"""Larger files are not sent as questions; they can still be found."""

ORDER = (Modality.TEXT, Modality.IMAGE, Modality.AUDIO)


def files_of(folder: Path) -> dict[Modality, list[Path]]:
    """The files of a folder by modality, as their endings say, in order; hidden ones left out."""
    found: dict[Modality, list[Path]] = {modality: [] for modality in ORDER}
    for path in sorted(folder.rglob("*")):
        kind = EXTENSIONS.get(path.suffix.lower())
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if kind is not None and not hidden and path.is_file():
            found[kind.modality].append(path)
    return found


def names_of(files: Mapping[Modality, Sequence[Path]]) -> list[str]:
    """What the names of the files say, each once; where files of one modality share a name (every
    `cover.jpg`), it is the folder's that says something."""
    named: dict[str, None] = {}
    for modality in (Modality.AUDIO, Modality.IMAGE, Modality.TEXT):
        shared = Counter(path.stem for path in files[modality])
        for path in files[modality]:
            named[words_of(path if shared[path.stem] == 1 else path.parent)] = None
    named.pop("", None)
    return list(named)


def spread(values: Sequence[T], count: int) -> list[T]:
    """At most `count` of the values, evenly over all of them."""
    if len(values) <= count:
        return list(values)
    return [values[place * len(values) // count] for place in range(count)]


def words_of(path: Path) -> str:
    """What a file's name says: "night_train-02.wav" -> "night train"; "" if it says nothing."""
    spaced = re.sub(r"([a-z])([A-Z])", r"\1 \2", path.stem)
    spoken = [word for word in re.split(r"[\W\d_]+", spaced) if len(word) > 1]
    return " ".join(spoken).lower()


def questions(
    folder: Path, found: Found, attributes: Mapping[str, str] | None = None
) -> list[Question]:
    """A sample of questions about the stored items `found`, which were taken from `folder`.

    `attributes` names the attributes of the store and their types; a text one becomes a filter.
    """
    by_id = {item.item_id: item for item in found.items}
    stored = {modality: _of(modality, found.items) for modality in ORDER}
    wanted = [modality for modality in ORDER if stored[modality]]
    asked = list(_asked(folder, by_id))
    made = list(_by_content(asked, wanted))
    made += _by_item(stored, wanted)
    made += _by_entity(found, wanted)
    made += _filtered(asked, found.items, attributes or {})
    return made


def _of(modality: Modality, items: Sequence[Item]) -> list[Item]:
    return [item for item in items if item.modality is modality]


def _asked(
    folder: Path, by_id: Mapping[str, Item]
) -> Iterator[tuple[Modality, Askable, Shown, str]]:
    """(modality, question, how it looks, the item that it is) of names and of files."""
    files = {
        modality: [path for path in paths if path.relative_to(folder).as_posix() in by_id]
        for modality, paths in files_of(folder).items()
    }
    for name in spread(names_of(files), PER_DIRECTION):
        yield Modality.TEXT, Text(name), Shown(Modality.TEXT, text=name), ""
    for modality in (Modality.IMAGE, Modality.AUDIO):
        small = [path for path in files[modality] if 0 < path.stat().st_size <= MOST_BYTES]
        for path in spread(small, PER_DIRECTION):
            item_id = path.relative_to(folder).as_posix()
            data = path.read_bytes()
            asked: Askable = Image(data) if modality is Modality.IMAGE else Audio(data)
            yield modality, asked, Shown(modality, item_id=item_id, caption=item_id), item_id


def _by_content(
    asked: Sequence[tuple[Modality, Askable, Shown, str]], wanted: Sequence[Modality]
) -> Iterator[Question]:
    for modality in ORDER:
        for wants in wanted:
            for asks, askable, shown, item_id in asked:
                if asks is modality:
                    yield Question(
                        Section.CONTENT,
                        asks,
                        wants,
                        askable,
                        (shown,),
                        wants,
                        leave_out=item_id if asks is wants else "",
                    )


def _by_item(
    stored: Mapping[Modality, Sequence[Item]], wanted: Sequence[Modality]
) -> Iterator[Question]:
    for asks in wanted:
        item = stored[asks][len(stored[asks]) // 2]
        shown = Shown(asks, item_id=item.item_id, caption=item.item_id)
        for wants in wanted:
            yield Question(Section.ITEM, asks, wants, ItemRef(item.item_id), (shown,), wants)


def _by_entity(found: Found, wanted: Sequence[Modality]) -> Iterator[Question]:
    members: dict[str, list[Item]] = {}
    for item in found.items:
        members.setdefault(item.entity_id, []).append(item)
    several = [entity_id for entity_id, items in members.items() if len(items) > 1]
    for entity_id in several[: PER_DIRECTION - 1]:
        shown = tuple(
            Shown(item.modality, item_id=item.item_id, caption=entity_id if place == 0 else "")
            for place, item in enumerate(members[entity_id][:2])
        )
        yield Question(
            Section.ENTITY, "entity", "entity", EntityRef(entity_id), shown, group="entity"
        )


def _filtered(
    asked: Sequence[tuple[Modality, Askable, Shown, str]],
    items: Sequence[Item],
    attributes: Mapping[str, str],
) -> Iterator[Question]:
    """By the first text attribute that has a value, else by the type of media."""
    where, obeys = "", {}
    for name in sorted(name for name, kind in attributes.items() if kind == "string"):
        values = [item.attributes[name] for item in items if item.attributes.get(name)]
        if values:
            value = str(max(sorted({str(v) for v in values}), key=[str(v) for v in values].count))
            where, obeys = f"{name} = {_quoted(value)}", {name: (value, value)}
            break
    if not where:
        media_types = sorted({item.media_type for item in items if item.media_type})
        if not media_types:
            return
        where = f"media_type = {_quoted(media_types[0])}"
    for _, askable, shown, _ in asked[:1]:
        yield Question(
            Section.FILTER, "any", "any", askable, (shown,), where=where, obeys=dict(obeys)
        )


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
