"""The calls that the benchmarks of the search engine measure, each written once.

One query ends with ids, scores and two attributes as Python values; a batch with the same as
columns over all of its answers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks import data
from trichord.answers import Answers
from trichord.catalog import Catalog
from trichord.hits import Hits
from trichord.query import SearchOptions
from trichord.types import F32

LIMIT = 10
ATTRIBUTES = ("market", "year")
BATCH = 64

Read = tuple[list[str], list[float], list[Any], list[Any]]
"""Ids, scores, markets and years."""


def one(catalog: Catalog, query: F32, **options: Any) -> Read:
    """One search by vector, float32 (dim,), and all that was asked for read."""
    return read(catalog.search(query, limit=LIMIT, attributes=ATTRIBUTES, **options))


def read(hits: Hits) -> Read:
    market, year = (hits.attributes[name] for name in ATTRIBUTES)
    return list(hits.item_ids), hits.scores.tolist(), list(market), list(year)


def many(catalog: Catalog, queries: F32, options: SearchOptions) -> Answers:
    """One call with many queries, float32 (n, dim)."""
    return catalog.search_many(queries, options)


def batch_options(**options: Any) -> SearchOptions:
    return SearchOptions(limit=LIMIT, attributes=ATTRIBUTES, **options)


def rows_of(answer: Read) -> list[int]:
    """The row numbers of an answer to one query."""
    return [data.number_of(one) for one in answer[0]]


def rows_of_batch(answers: Answers) -> list[list[int]]:
    """The row numbers of every answer of a batch; raises where a query has none."""
    for error in answers.errors.values():
        raise error
    numbers = [data.number_of(one) for one in answers.flat.item_ids]
    pairs = zip(answers.bounds[:-1], answers.bounds[1:], strict=True)
    return [numbers[first:last] for first, last in pairs]


def batched(call: Callable[[F32], Any], queries: F32, size: int = BATCH) -> Callable[[], list[Any]]:
    """A pass over all queries in batches; returns the answers."""
    parts = [queries[start : start + size] for start in range(0, len(queries), size)]
    return lambda: [call(part) for part in parts]


def rows_of_batches(answers: Sequence[Answers]) -> list[list[int]]:
    return [rows for batch in answers for rows in rows_of_batch(batch)]
