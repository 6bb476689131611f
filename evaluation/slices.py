"""Parts of a golden set: by every value of a column, and head against tail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from trichord.errors import InvalidInput
from trichord.evaluation.golden import GoldenSet
from trichord.types import I64

MODALITY = "modality"
ASKED_WITH = "asked_with"
NONE = "(none)"
"""The value of queries that have none in a column."""
ALL = "all"
MOST_VALUES = 50
"""A column with more values than that tells queries apart, not kinds of queries."""

_KINDS = {"text": "text", "uri": "file", "item_id": "item", "entity_id": "entity", "": NONE}


@dataclass(frozen=True)
class Slice:
    """The queries (rows of the golden set) whose `column` has the value `value`."""

    column: str
    value: str
    rows: I64 = field(hash=False, compare=False)

    def __str__(self) -> str:
        return f"{self.column}={self.value}" if self.column else ALL


def column_of(golden: GoldenSet, column: str) -> list[str]:
    """One value per query. "modality" is what the query searches ("any" if it says nothing) unless
    the set has no query that says it, "asked_with" what it asks with.

    Raises InvalidInput for a column that the set does not have."""
    if column == MODALITY:
        return [",".join(query.modality) or "any" for query in golden.queries]
    if column == ASKED_WITH:
        return [_KINDS[query.kind] for query in golden.queries]
    if column not in golden.slice_columns:
        known = ", ".join((*golden.slice_columns, MODALITY, ASKED_WITH))
        raise InvalidInput(f"{golden.label} has no column {column!r}; it has {known}")
    return [query.slices.get(column, NONE) for query in golden.queries]


def whole(golden: GoldenSet) -> Slice:
    return Slice("", ALL, np.arange(len(golden.queries)))


def slices_of(
    golden: GoldenSet,
    columns: Sequence[str] | None = None,
    also: Sequence[str] = (),
    *,
    clusters: str | None = None,
) -> list[Slice]:
    """All queries, then the parts by every value of every column, greatest part first.

    `columns` None takes those that tell something apart: at least two and at most 50 values.
    `also` names columns that are taken in any case; that of the `clusters` is not taken by itself:
    each of its slices would be a single observation.
    Raises InvalidInput for an unknown column.
    """
    found = [whole(golden)]
    names = columns
    if names is None:
        usual = (MODALITY, ASKED_WITH, *golden.slice_columns)
        names = tuple(name for name in usual if name != clusters)
    for column in dict.fromkeys((*names, *also)):
        parts: dict[str, list[int]] = {}
        for row, value in enumerate(column_of(golden, column)):
            parts.setdefault(value, []).append(row)
        if columns is None and column not in also and not 1 < len(parts) <= MOST_VALUES:
            continue
        ordered = sorted(parts.items(), key=lambda part: (-len(part[1]), part[0]))
        found += [Slice(column, value, np.array(rows, np.int64)) for value, rows in ordered]
    return found


def with_head_and_tail(
    golden: GoldenSet,
    popularity: Mapping[str, float],
    *,
    top: float = 0.2,
    column: str = "head_tail",
) -> GoldenSet:
    """The set with a further column: "head" where all that answers a query is among the `top` share
    of `popularity` (id -> how popular), "tail" where nothing of it is, else "mixed".

    Judged things without a popularity count as tail. The result is a new set to be saved.
    """
    if not 0 < top < 1:
        raise InvalidInput(f"top is a share between 0 and 1, not {top}")
    if not popularity:
        raise InvalidInput("there is no popularity of anything: head and tail cannot be told apart")
    ordered = sorted(popularity, key=lambda one: (-popularity[one], one))
    head = set(ordered[: max(1, round(top * len(ordered)))])

    def value(query_id: str) -> str:
        inside = {target in head for target in golden.relevant(query_id)}
        return "mixed" if len(inside) > 1 else "head" if True in inside else "tail"

    queries = tuple(
        replace(query, slices={**query.slices, column: value(query.query_id)})
        for query in golden.queries
    )
    return replace(golden, queries=queries, version=0, created=None)
