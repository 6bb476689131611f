"""What the demo asks: of the sample, with answers that are known, and of somebody's own files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from trichord.query import Askable
from trichord.types import AttributeValue, Modality

SHOWN_HITS = 4
JUDGED_HITS = 3


class Section(StrEnum):
    """The parts of the demo, in the order in which they are told."""

    CONTENT = "content"
    ITEM = "item"
    ENTITY = "entity"
    FILTER = "filter"
    MOMENT = "moment"
    MIX = "mix"


@dataclass(frozen=True)
class Shown:
    """How a question looks to people: its words, encoded bytes, or the id of a stored item."""

    modality: Modality
    text: str = ""
    data: bytes = field(default=b"", repr=False)
    item_id: str = ""
    caption: str = ""


@dataclass(frozen=True)
class Right:
    """Which hits are right: of these entities, and where a span is asked for, hits whose span
    covers the middle of it. `each`: every one of the entity sets must be met by some hit."""

    entities: frozenset[str]
    span_ms: tuple[int, int] | None = None
    each: tuple[frozenset[str], ...] = ()


@dataclass(frozen=True)
class Question:
    """One question. `asks` and `wants` name its direction; `wants` is "entity" for a search that
    is grouped by entity. `obeys` are bounds that every hit's attributes must keep (name -> (low,
    high), both included), the same as `where` says. `right` is None where nothing is known."""

    section: Section
    asks: str
    wants: str
    asked: Askable
    shown: tuple[Shown, ...]
    modality: Modality | None = None
    where: str = ""
    group: str = "item"
    right: Right | None = None
    obeys: Mapping[str, tuple[Any, Any]] = field(default_factory=dict, hash=False)
    leave_out: str = ""

    @property
    def direction(self) -> tuple[Section, str, str]:
        return self.section, self.asks, self.wants


@dataclass(frozen=True)
class Row:
    """One hit as the demo shows it; `right` is None where nothing is known."""

    item_id: str
    entity_id: str
    modality: Modality
    score: float
    start_ms: int | None
    end_ms: int | None
    start_char: int | None
    end_char: int | None
    attributes: Mapping[str, AttributeValue] = field(hash=False)
    right: bool | None = None


@dataclass(frozen=True)
class Answer:
    """The hits of one question, best first, and whether all of them keep the filter."""

    question: Question
    rows: tuple[Row, ...]
    obeyed: bool = True

    @property
    def first(self) -> bool:
        """Whether the best hit is right."""
        return self.obeyed and any(row.right for row in self.rows[:1])

    @property
    def near(self) -> bool:
        """Whether a right hit is among the first three; for a mix, one of each of its things
        among the hits shown."""
        right = self.question.right
        if right is None or not self.obeyed:
            return False
        if right.each:
            seen = {row.entity_id for row in self.rows}
            return all(seen & entities for entities in right.each)
        return any(row.right for row in self.rows[:JUDGED_HITS])


@dataclass(frozen=True)
class Score:
    """How one direction did: `asked` questions, `first` with the best hit right, `near` with a
    right hit among the first three; `passed` says whether the floor is cleared."""

    direction: tuple[Section, str, str]
    asked: int
    first: int
    near: int
    obeyed: bool
    floor: float

    @property
    def passed(self) -> bool:
        return self.obeyed and self.near >= self.floor * self.asked


def scores(
    answers: Sequence[Answer], floor: float, floors: Mapping[Section, float] | None = None
) -> list[Score]:
    """One score per direction in the order asked; questions without known answers count nowhere.

    `floor` is the share of questions that must have a right answer, except in sections of
    `floors`.
    """
    grouped: dict[tuple[Section, str, str], list[Answer]] = {}
    for answer in answers:
        if answer.question.right is not None:
            grouped.setdefault(answer.question.direction, []).append(answer)
    return [
        Score(
            direction,
            len(given),
            sum(answer.first for answer in given),
            sum(answer.near for answer in given),
            all(answer.obeyed for answer in given),
            (floors or {}).get(direction[0], floor),
        )
        for direction, given in grouped.items()
    ]
