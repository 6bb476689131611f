"""Golden sets from tables that people have: CSV, JSON lines, Parquet, and TREC topics and qrels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import unescape
from pathlib import Path
from typing import Any

import polars as pl

from trichord.errors import InvalidInput, NotFound
from trichord.evaluation.assembling import assemble, refusal
from trichord.evaluation.golden import GoldenSet

TARGETS = ("target_id", "item_id", "entity_id")

_TOPIC = re.compile(r"<top>(.*?)</top>", re.S | re.I)
_NUMBER = re.compile(r"<num>\s*(?:Number:)?\s*([^\s<]+)", re.I)
_TITLE = re.compile(r"<title>\s*(?:Topic:)?\s*(.*?)\s*(?:<|$)", re.S | re.I)

Judgement = tuple[Any, Any, Any]


def read(
    name: str,
    judgements: str | Path,
    queries: str | Path | None = None,
    *,
    judges: str | None = None,
    description: str = "",
    complete: bool = False,
    negative_as_zero: bool = False,
    drop_unanswered: bool = False,
) -> GoldenSet:
    """A golden set of files: `.csv`, `.tsv`, `.jsonl`, `.ndjson`, `.parquet`; anything else is read
    as TREC's qrels (`query iteration document grade`) and topics (`<top>` or `id<TAB>text`).

    Without `queries` the set holds judgements alone: it can judge a run that exists, not make one.
    Uris are relative to the folder of `queries`. `judges` ("item", "entity") follows the name of
    the judgements' column when that is item_id or entity_id; for `complete` see `GoldenSet`.

    Some collections grade spam below 0: `negative_as_zero` takes it as not relevant.
    `drop_unanswered` leaves out queries without any relevant judgement, which no system can answer.

    Raises NotFound, and InvalidInput that lists all mistakes.
    """
    judged, level = _judgements(Path(judgements))
    if negative_as_zero:
        judged = [(q, t, 0 if _negative(grade) else grade) for q, t, grade in judged]
    rows: list[dict[str, Any]]
    if queries is None:
        rows = [{"query_id": one} for one in dict.fromkeys(str(query) for query, _, _ in judged)]
    else:
        rows = _queries(Path(queries))
    if drop_unanswered:
        answered = {str(query) for query, _, grade in judged if _positive(grade)}
        known = {str(row.get("query_id")) for row in rows}
        rows = [row for row in rows if str(row.get("query_id")) in answered]
        # Judgements of a query that never was there stay, to be named as a mistake.
        judged = [one for one in judged if str(one[0]) in answered or str(one[0]) not in known]
    return assemble(
        name,
        rows,
        judged,
        judges=judges or level or "item",
        description=description,
        complete=complete,
        folder=Path(judgements if queries is None else queries).parent,
    )


def table(path: Path) -> pl.DataFrame | None:
    """The file as a table, None if its ending names none. CSV cells stay text."""
    if not path.is_file():
        raise NotFound(f"there is no file {str(path)!r}", path=path)
    ending = path.suffix.lower()
    try:
        if ending in (".csv", ".tsv"):
            separator = "\t" if ending == ".tsv" else ","
            return pl.read_csv(path, infer_schema=False, separator=separator)
        if ending in (".jsonl", ".ndjson"):
            return pl.read_ndjson(path, infer_schema_length=None)
        if ending == ".parquet":
            return pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}", path=path) from None
    return None


def read_qrels(path: Path) -> list[Judgement]:
    """TREC's judgements; raises InvalidInput that lists the lines of another form."""
    judged: list[Judgement] = []
    wrong: list[str] = []
    for number, line in enumerate(_text(path).splitlines(), 1):
        cells = line.split()
        if len(cells) == 4:
            judged.append((cells[0], cells[2], cells[3]))
        elif cells:
            wrong.append(f"line {number}: expected `query iteration document grade`, got {line!r}")
    if wrong:
        raise refusal(str(path), wrong)
    return judged


def read_topics(path: Path) -> list[dict[str, Any]]:
    """TREC's topics: `<top>` blocks (number and title are taken) or lines of `id<TAB>text`."""
    text = _text(path)
    blocks = _TOPIC.findall(text)
    rows: list[dict[str, Any]] = []
    wrong: list[str] = []
    for place, block in enumerate(blocks, 1):
        number, title = _NUMBER.search(block), _TITLE.search(block)
        if number is None or title is None:
            wrong.append(f"topic {place} lacks a <num> or a <title>")
        else:
            rows.append({"query_id": number[1], "text": " ".join(unescape(title[1]).split())})
    if not blocks:
        for place, line in enumerate(text.splitlines(), 1):
            query_id, tab, asked = line.partition("\t")
            if tab:
                rows.append({"query_id": query_id.strip(), "text": asked.strip()})
            elif line.strip():
                wrong.append(f"line {place}: expected `id<TAB>text`, got {line!r}")
    if wrong:
        raise refusal(str(path), wrong)
    return rows


def _judgements(path: Path) -> tuple[list[Judgement], str | None]:
    frame = table(path)
    if frame is None:
        return read_qrels(path), None
    target = _target(frame.columns, path)
    level = {"item_id": "item", "entity_id": "entity"}.get(target)
    wanted = ["query_id", target, "grade"]
    missing = [column for column in wanted if column not in frame.columns]
    if missing:
        raise InvalidInput(f"{path} lacks the columns {', '.join(missing)}", path=path)
    return [(query, found, grade) for query, found, grade in frame.select(wanted).rows()], level


def _target(columns: Sequence[str], path: Path) -> str:
    found = [name for name in TARGETS if name in columns]
    if len(found) != 1:
        raise InvalidInput(
            f"{path} needs exactly one of the columns {', '.join(TARGETS)}", path=path
        )
    return found[0]


def _queries(path: Path) -> list[dict[str, Any]]:
    frame = table(path)
    return read_topics(path) if frame is None else frame.to_dicts()


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        raise InvalidInput(f"{path} is no UTF-8 text", path=path) from None


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return 0.0


def _negative(grade: Any) -> bool:
    return _number(grade) < 0


def _positive(grade: Any) -> bool:
    return _number(grade) > 0
