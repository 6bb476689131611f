"""Small worlds for the tests of the evaluation: a catalogue's records, a searcher of fixed lists,
golden sets and runs made of chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tests.fakes import COLOURS, PITCHES, png, wav
from trichord.errors import TrichordError
from trichord.evaluation.assembling import assemble
from trichord.evaluation.golden import GoldenSet
from trichord.evaluation.runs import Found, Run
from trichord.hits import Hits
from trichord.query import Query, Record, SearchOptions, Text
from trichord.results import SpaceInfo
from trichord.types import Frame, Modality, Space

EACH = 6
MARKETS = ("SE", "DE", "JP")


def records() -> list[Record]:
    """Six pictures per colour, six sounds per pitch, six texts per colour; `concept` says which."""
    made = []
    for word in (*COLOURS, *PITCHES):
        for number in range(EACH):
            attributes = {
                "concept": word,
                "market": MARKETS[number % 3],
                "popularity": float(number) + (0.5 if word in COLOURS else 0.0),
                "tags": [word, "thing"],
            }
            item = f"{word}-{number}"
            data = png(word, seed=number) if word in COLOURS else wav(word, seed=number)
            made.append(Record(item, f"of-{item}", data=data, attributes=attributes))
            if word in COLOURS:
                text = f"{word} {'night ' * number}"
                made.append(Record(f"text-{item}", f"of-{item}", text=text, attributes=attributes))
    return made


class Lists:
    """A searcher with the signature of `Catalog.search_many` that answers from a table:
    space -> query text -> ids, best first; scores are what a fused list may have: any."""

    def __init__(self, lists: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
        self.lists = lists
        self.asked: list[tuple[int, SearchOptions]] = []

    def search_many(
        self, queries: Sequence[Query], options: SearchOptions, *, space: str | None = None
    ) -> list[Hits | TrichordError]:
        self.asked.append((len(queries), options))
        name = space or next(iter(self.lists))
        answers: list[Hits | TrichordError] = []
        for query in queries:
            asked = query.terms[0].input
            assert isinstance(asked, Text)
            ids = self.lists[name].get(asked.text)
            if ids is None:
                answers.append(TrichordError(f"{asked.text!r} has no direction"))
            else:
                answers.append(hits(list(ids)[: options.limit], space=name))
        return answers

    def spaces(self) -> list[SpaceInfo]:
        first = next(iter(self.lists))
        encoders = {Modality.IMAGE: "0", Modality.TEXT: "1"}
        return [
            SpaceInfo(Space(name, Frame("lists", 4), encoders), name == first, {})
            for name in self.lists
        ]


def hits(ids: Sequence[str], scores: Sequence[float] | None = None, *, space: str = "") -> Hits:
    n = len(ids)
    values = np.linspace(0.1, 0.9, n) if scores is None else scores  # ascending: a trap
    none = np.full(n, -1, np.int64)
    return Hits(
        list(ids), [f"of-{one}" for one in ids], ["image"] * n, np.asarray(values, np.float32),
        np.full(n, np.nan, np.float32), np.arange(n + 1), np.zeros(n, np.int64),
        np.asarray(values, np.float32), none, none, none, none, space=space, snapshot=7,
    )  # fmt: skip


def golden_of(
    judgements: Mapping[str, Mapping[str, int]],
    *,
    name: str = "toy",
    columns: Mapping[str, Mapping[str, Any]] | None = None,
    ask: bool = True,
) -> GoldenSet:
    """A golden set whose queries ask with their own ids; `columns`: query id -> cells."""
    rows = []
    for query in judgements:
        row: dict[str, Any] = {"query_id": query} | dict((columns or {}).get(query, {}))
        rows.append(row | ({"text": query} if ask else {}))
    flat = [(q, target, grade) for q, of in judgements.items() for target, grade in of.items()]
    return assemble(name, rows, flat)


def run_of(lists: Mapping[str, Sequence[str]], *, depth: int = 100, name: str = "toy") -> Run:
    return Run(name, {query: Found(tuple(ids)) for query, ids in lists.items()}, depth)


def chance(seed: int, queries: int = 40, items: int = 60) -> tuple[GoldenSet, Run, Run]:
    """A golden set with grades 0 to 3, and two runs of which the second is better."""
    rng = np.random.default_rng(seed)
    names = [f"d{number:03}" for number in range(items)]
    judgements: dict[str, dict[str, int]] = {}
    lists: list[dict[str, list[str]]] = [{}, {}]
    for query in range(queries):
        grades = rng.choice([0, 0, 0, 1, 2, 3], items)
        grades[rng.integers(items)] = 2
        judged = rng.random(items) < 0.7
        judged[grades == 2] = True
        judgements[f"q{query}"] = {
            name: int(grade)
            for name, grade, kept in zip(names, grades, judged, strict=True)
            if kept
        }
        for which, weight in enumerate((0.2, 0.6)):
            order = np.argsort(-(weight * grades + rng.standard_normal(items)))
            lists[which][f"q{query}"] = [names[place] for place in order[:40]]
    columns = {
        query: {"market": MARKETS[place % 3], "language": "sv" if place % 2 else "en"}
        for place, query in enumerate(judgements)
    }
    golden = golden_of(judgements, columns=columns)
    return golden, run_of(lists[0], name="first"), run_of(lists[1], name="second")
