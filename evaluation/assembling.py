"""Rows of queries and judgements made into a golden set; every mistake is named at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from trichord.errors import FilterError, InvalidInput
from trichord.evaluation.golden import (
    CONTENT,
    RESERVED,
    GoldenQuery,
    GoldenSet,
    Judges,
    checked_name,
    safe_uri,
)
from trichord.filters import parse
from trichord.query import as_names
from trichord.types import Modality

SHOWN = 100
"""Mistakes that the error's text lists; more are counted."""


def assemble(
    name: str,
    queries: Sequence[Mapping[str, Any]],
    judgements: Iterable[tuple[Any, Any, Any]],
    *,
    judges: str = "item",
    description: str = "",
    complete: bool = False,
    folder: Path | None = None,
) -> GoldenSet:
    """A golden set of flat rows: a query's columns are `query_id`, at most one of `text`, `uri`,
    `item_id`, `entity_id`, and `modality`, `where`; every further column is a slice. A judgement
    is (query id, id of an item or entity, grade).

    Empty cells mean nothing is said. `complete`: what is not listed is known to be wrong. `folder`
    is what uris are relative to.

    Raises InvalidInput that lists all mistakes: unknown query ids, repeated queries or judgements,
    grades that are no whole number >= 0, queries without a relevant answer, without content (while
    others have some) or with two, missing files, filters that cannot be read, unknown modalities.
    """
    checked_name(name)
    wrong: list[str] = []
    if judges not in ("item", "entity"):
        wrong.append(f"judges is 'item' or 'entity', not {judges!r}")
    found = [_query(number, row, wrong) for number, row in enumerate(queries, 1)]
    for query_id, count in Counter(query.query_id for query in found).items():
        if count > 1:
            wrong.append(f"query {query_id!r} appears {count} times")
    if not found:
        wrong.append("there are no queries")
    asked = [query for query in found if query.kind]
    if 0 < len(asked) < len(found):
        wrong += [
            f"query {query.query_id!r} has no content: give one of {', '.join(CONTENT)}"
            for query in found
            if not query.kind
        ]
    for query in found:
        _check_query(query, folder, wrong)
    table = _table(judgements, {query.query_id for query in found}, wrong)
    for query in found:
        grades = table.get(query.query_id, {})
        if not any(grade > 0 for grade in grades.values()):
            wrong.append(f"query {query.query_id!r} has no relevant judgement (grade > 0)")
        own = query.item_id if judges == "item" else query.entity_id
        if own is not None and own in grades:
            wrong.append(
                f"query {query.query_id!r} is judged against itself: a stored thing is left out "
                "of its own results"
            )
    if wrong:
        raise refusal(f"the golden set {name!r}", wrong)
    level: Judges = "entity" if judges == "entity" else "item"
    return GoldenSet(
        name,
        tuple(found),
        table,
        level,
        description=description,
        complete=complete,
        folder=folder,
    )


def refusal(what: str, wrong: Sequence[str]) -> InvalidInput:
    """One error for many mistakes."""
    lines = [f"  - {line}" for line in wrong[:SHOWN]]
    if len(wrong) > SHOWN:
        lines.append(f"  - and {len(wrong) - SHOWN} more")
    count = "a mistake" if len(wrong) == 1 else f"{len(wrong)} mistakes"
    return InvalidInput(f"{what} has {count}:\n" + "\n".join(lines), mistakes=len(wrong))


def _cell(value: Any) -> str | None:
    if value is None or (isinstance(value, float) and value != value):
        return None
    text = ("true" if value else "false") if isinstance(value, bool) else str(value)
    return text if text.strip() else None


def _query(number: int, row: Mapping[str, Any], wrong: list[str]) -> GoldenQuery:
    cells = {str(name): _cell(value) for name, value in row.items()}
    query_id = cells.get("query_id")
    if query_id is None:
        wrong.append(f"row {number} of the queries has no query_id")
    modality = as_names(cells.get("modality"))
    slices = {
        name: value
        for name, value in cells.items()
        if name not in RESERVED and value is not None and name.strip()
    }
    content = {name: cells.get(name) for name in CONTENT}
    return GoldenQuery(
        query_id or f"(row {number})",
        modality=modality,
        where=cells.get("where"),
        slices=slices,
        **content,
    )


def _check_query(query: GoldenQuery, folder: Path | None, wrong: list[str]) -> None:
    name = f"query {query.query_id!r}"
    given = [kind for kind in CONTENT if getattr(query, kind) is not None]
    if len(given) > 1:
        wrong.append(f"{name} has {' and '.join(given)}: give one")
    unknown = [one for one in query.modality if one not in set(Modality)]
    if unknown:
        wrong.append(f"{name} searches the unknown modality {', '.join(unknown)}")
    if query.where is not None:
        try:
            parse(query.where)
        except FilterError as error:
            wrong.append(f"{name} has a filter that cannot be read: {error}")
    if query.uri is not None:
        if not safe_uri(query.uri):
            wrong.append(f"{name} has the uri {query.uri!r}: give a path below the set's folder")
        elif not ((folder or Path()) / query.uri).is_file():
            wrong.append(f"{name} asks with {query.uri!r}, which is not there")


def _table(
    judgements: Iterable[tuple[Any, Any, Any]], known: set[str], wrong: list[str]
) -> dict[str, dict[str, int]]:
    table: dict[str, dict[str, int]] = {}
    repeated: Counter[tuple[str, str]] = Counter()
    unknown: Counter[str] = Counter()
    for number, (raw_query, raw_target, raw_grade) in enumerate(judgements, 1):
        query_id, target, grade = _cell(raw_query), _cell(raw_target), _grade(raw_grade)
        if query_id is None or target is None:
            wrong.append(f"row {number} of the judgements lacks a query or what is judged")
            continue
        where = f"the judgement of {target!r} for query {query_id!r}"
        if grade is None:
            wrong.append(f"{where} has the grade {raw_grade!r}: grades are whole numbers")
        elif grade < 0:
            wrong.append(f"{where} has the negative grade {grade}")
        elif query_id not in known:
            unknown[query_id] += 1
        elif target in table.setdefault(query_id, {}):
            repeated[query_id, target] += 1
        else:
            table[query_id][target] = grade
    for query_id, count in unknown.items():
        wrong.append(f"{count} judgements are of the unknown query {query_id!r}")
    for (query_id, target), count in repeated.items():
        wrong.append(f"query {query_id!r} judges {target!r} {count + 1} times")
    return table


def _grade(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    try:
        number = float(str(value))
    except ValueError:
        return None
    return int(number) if number.is_integer() else None
