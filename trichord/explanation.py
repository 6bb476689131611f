"""What an answer says besides its hits: how the search went, and what values there are to find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from trichord.types import AttributeValue, Modality

LISTED_VALUES = 100
"""Values that a facet lists; the others are counted."""


@dataclass(frozen=True)
class Step:
    """One way that was taken through an index, for all queries of a call together.

    `way`: "exact" over the allowed rows, "graph" (HNSW) or "lists" (IVF) without a filter,
    "selector" within the index, "screen" of its candidates, "fresh" over rows that came since it
    was built. `scanned`: rows whose distance was computed, as estimated. `effort`: efSearch or
    nprobe, 0 where there is none. `widened`: how often the depth had grown before this step.
    """

    way: str
    scanned: int
    microseconds: float
    effort: int = 0
    widened: int = 0


@dataclass(frozen=True)
class LegExplanation:
    """One index that was asked, for all queries of a call together. `rows` are all that it knows,
    `fresh` those of them that came since it was built, `allowed` those that filter and exclusions
    left."""

    modality: Modality
    index: str
    rows: int
    fresh: int
    allowed: int
    steps: tuple[Step, ...] = ()

    @property
    def selectivity(self) -> float:
        """Share of the rows that were allowed."""
        return self.allowed / self.rows if self.rows else 1.0


@dataclass(frozen=True)
class Explanation:
    """`stages`: microseconds by the name of the stage, in the order of the work."""

    legs: tuple[LegExplanation, ...] = ()
    stages: dict[str, float] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """The same for people."""
        told = []
        for leg in self.legs:
            told.append(
                f"{leg.modality}: {leg.index} over {leg.rows} rows ({leg.fresh} fresh), "
                f"{leg.allowed} allowed ({leg.selectivity:.2%})"
            )
            for step in leg.steps:
                effort = f", effort {step.effort}" if step.effort else ""
                told.append(
                    f"  {step.way}: {step.scanned} rows{effort}, {step.microseconds:.0f} µs"
                )
        told += [f"{name}: {spent:.0f} µs" for name, spent in self.stages.items()]
        return told


@dataclass(frozen=True)
class Facet:
    """How often each value of an attribute stands in the items that a search could find.

    `values`: pairs of value and count, most frequent first, at most `LISTED_VALUES`; a list
    attribute counts each member. `missing`: items without a value. `others`: different values that
    are not listed.
    """

    name: str
    values: Sequence[tuple[AttributeValue, int]]
    missing: int = 0
    others: int = 0
