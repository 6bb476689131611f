"""Rows of the proof's tables: systems, directions, figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trichord.embedders.bridge import world
from trichord.embedders.bridge.scores import Figures, figures, first_ranks
from trichord.embedders.bridge.world import Vectors
from trichord.embedders.pocket import concepts
from trichord.types import I64


@dataclass(frozen=True)
class Row:
    """One system in one direction; `chance` is the recall at 1 of a ranking that knows nothing,
    `by_run` the recall at 1 of each run (fitting seed or shuffle)."""

    table: str
    system: str
    direction: str
    figures: Figures
    chance: float
    by_run: tuple[float, ...] = ()

    def render(self) -> str:
        f = self.figures
        runs = ""
        if len(self.by_run) > 1:
            runs = f"{min(self.by_run):.3f} to {max(self.by_run):.3f}"
        return (
            f"| {self.system} | {self.direction} | {f.queries} | {f.items} | {f.r1} | {f.r5} | "
            f"{f.r10} | {self.chance:.4f} | {runs} |"
        )


HEAD = (
    "| system | direction | queries | items | R@1 | R@5 | R@10 | chance at 1 | R@1 of the runs |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True)
class Pair:
    """Queries and the items that they search."""

    direction: str
    queries: Vectors
    items: Vectors


@dataclass(frozen=True)
class Searched:
    """The vectors of one frame: sentences, one name per concept, sounds, pictures."""

    questions: Vectors
    tags: Vectors
    sounds: Vectors
    pictures: Vectors | None

    def pairs(self) -> list[Pair]:
        """Every direction that the frame has; pictures and sounds over the shared concepts."""
        out = [
            Pair("text→audio", self.questions, self.sounds),
            Pair("audio→text", self.sounds, self.tags),
        ]
        if self.pictures is not None:
            both = world.numbers(concepts.shared())
            heard, seen = self.sounds.among(both), self.pictures.among(both)
            out += [Pair("image→audio", seen, heard), Pair("audio→image", heard, seen)]
        return out


def ranks(pair: Pair) -> I64:
    """The rank of the best relevant item of each query."""
    relevant = pair.queries.label[:, None] == pair.items.label[None]
    return first_ranks(pair.queries.rows, pair.items.rows, relevant)


def chance(pair: Pair) -> float:
    return float((pair.queries.label[:, None] == pair.items.label[None]).mean())


def rows(table: str, system: str, runs: Sequence[Sequence[Pair]]) -> list[Row]:
    """One row per direction over several runs of the same queries and items."""
    out = []
    for each in zip(*runs, strict=True):
        found = np.stack([ranks(pair) for pair in each])
        scores = figures(found, len(each[0].items.rows), each[0].queries.concept)
        by_run = tuple(float(run) for run in (found == 1).mean(axis=1))
        out.append(Row(table, system, each[0].direction, scores, chance(each[0]), by_run))
    return out
