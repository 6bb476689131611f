"""What of an item is text: its content, where that is one, and its attributes that are texts.

Both are searched by keywords. An attribute that an item does not have is its entity's.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import xxhash

from trichord.catalog.items import MODALITY_CODES, ItemTable
from trichord.catalog.words import tokens
from trichord.store import Reader
from trichord.types import I64, Bool, Modality

U64 = npt.NDArray[np.uint64]

ROWS_AT_ONCE = 2_000
FEW = 500
"""So many items are asked for by their ids, more by what changed."""

DOCUMENTS_AT_ONCE, CHARACTERS_AT_ONCE = 8_192, 4_000_000
PAUSE_CHARACTERS, PAUSE_S = 20_000, 0.0005
"""Reading documents lets go of the interpreter so often and so long: searches in other threads
hardly wait for it."""


def attribute_lines(items: ItemTable, rows: I64) -> list[str]:
    """The attributes of items that are texts or lists of texts, a line each in the order of their
    names; "" for an item that has none."""
    kinds = sorted(items.attributes.items())
    columns = [
        pl.col(name) if kind == "string" else pl.col(name).list.join("\n")
        for name, kind in kinds
        if kind in ("string", "list<string>")
    ]
    if not columns or not len(rows):
        return [""] * len(rows)
    named = items.frame.select([name for name, kind in kinds if "string" in kind])
    lines: list[str] = (
        named[rows]
        .select(pl.concat_str(columns, separator="\n", ignore_nulls=True).fill_null(""))[:, 0]
        .to_list()
    )
    return lines


def fingerprints(lines: Sequence[str]) -> U64:
    """xxh3_64 of each, uint64 (n,): tells whether attributes say the same as before."""
    digests = (xxhash.xxh3_64_intdigest(line.encode("utf-8", "surrogatepass")) for line in lines)
    return np.fromiter(digests, np.uint64, len(lines))


def is_text(items: ItemTable, rows: I64) -> Bool:
    """Which items have a text as their content, bool (n,)."""
    found: Bool = items.modality[rows] == MODALITY_CODES[Modality.TEXT]
    return found


def texts(
    reader: Reader, items: ItemTable, rows: I64, *, since: int | None = None
) -> Iterator[tuple[int, str]]:
    """The contents of those live items that are texts, each with its row, in any order. With
    `since`, a revision after which most of the items changed, many are read at once.

    Raises NotFound if the reader's snapshot is no longer kept.
    """
    wanted = rows[is_text(items, rows)]
    if since is not None and len(wanted) > FEW:
        waiting = np.zeros(len(items), np.bool_)
        waiting[wanted] = True
        for batch in reader.texts(since=since):
            at = items.rows_of(batch.column("item_id"))
            mine = (at >= 0) & waiting[at]
            waiting[at[mine]] = False
            yield from zip(
                at[mine].tolist(),
                batch.column("text").filter(pa.array(mine)).to_pylist(),
                strict=True,
            )
        wanted = np.flatnonzero(waiting)
    for first in range(0, len(wanted), ROWS_AT_ONCE):
        ids = items.frame["item_id"].gather(wanted[first : first + ROWS_AT_ONCE]).to_list()
        stored = reader.get_items(ids)
        for item_id, text in zip(
            stored["item_id"].to_pylist(), stored["text"].to_pylist(), strict=True
        ):
            if text:
                yield items.rows[item_id], text


def documents(
    reader: Reader,
    items: ItemTable,
    rows: I64,
    *,
    since: int | None,
    prints: U64 | None = None,
) -> Iterator[tuple[int, list[str]]]:
    """The tokens of live items that have any, each with its row; the fingerprints of their
    attributes are put into `prints`, uint64 (items,). See `texts` for `since`."""
    pending = 0
    for pairs in _batches(reader, items, rows, since):
        lines = attribute_lines(items, np.array([row for row, _ in pairs], np.int64))
        if prints is not None:
            prints[[row for row, _ in pairs]] = fingerprints(lines)
        for (row, text), line in zip(pairs, lines, strict=True):
            if words := tokens(text) + tokens(line):
                yield row, words
            pending += len(text) + len(line)
            if pending >= PAUSE_CHARACTERS:
                pending = 0
                time.sleep(PAUSE_S)


def _batches(
    reader: Reader, items: ItemTable, rows: I64, since: int | None
) -> Iterator[list[tuple[int, str]]]:
    """Every row once with its text, "" where it has none, so many at a time as memory bears."""
    rest = np.zeros(len(items), np.bool_)
    rest[rows] = True
    pairs: list[tuple[int, str]] = []
    characters = 0
    for row, text in texts(reader, items, rows, since=since):
        rest[row] = False
        pairs.append((row, text))
        characters += len(text)
        if len(pairs) == DOCUMENTS_AT_ONCE or characters >= CHARACTERS_AT_ONCE:
            yield pairs
            pairs, characters = [], 0
    if pairs:
        yield pairs
    others = np.flatnonzero(rest)
    for first in range(0, len(others), DOCUMENTS_AT_ONCE):
        yield [(row, "") for row in others[first : first + DOCUMENTS_AT_ONCE].tolist()]
