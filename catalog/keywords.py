"""Items by the words of their texts and attributes: BM25, as of one snapshot.

The base is a cache on disk, an inverted index made from one snapshot; a newer snapshot is the base,
less the documents that changed or went since, and small indexes of those that came. What a search
finds, and every score, depends on the snapshot alone and not on the age of the base.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from trichord.catalog.bm25 import Part, joined, search
from trichord.catalog.documents import U64, attribute_lines, documents, fingerprints, is_text
from trichord.catalog.items import ItemTable
from trichord.catalog.postings import Builder, Postings
from trichord.catalog.words import ANALYSIS, asked
from trichord.errors import InvalidInput, StorageFull, StoreDamaged
from trichord.index import arrays
from trichord.store import Reader
from trichord.types import F32, I64, Bool

STALE_DOCUMENTS = 20_000
STALE_SHARE = 0.2
"""A base is built anew when more documents than both came or went since."""

MERGED = 4
"""A part that is not so many times as large as the one behind it becomes one with it."""

NONE = -1
_NOTHING = fingerprints([""])[0]


@dataclass(frozen=True, eq=False)
class Keywords:
    """Immutable. `parts`: the base first. `prints` uint64 (items,): of every item's attributes as
    they are in the parts. `snapshot` and `revision` are those of `items`, `built_from` is the
    snapshot of the base."""

    store: Path
    items: ItemTable
    parts: tuple[Part, ...]
    prints: U64
    snapshot: int
    revision: int
    built_from: int

    @classmethod
    def open(cls, store: Path, reader: Reader, items: ItemTable) -> Keywords:
        """From the base on disk and what it lacks of the reader's snapshot, of which `items` is the
        table; without a sound base by `rebuild`. Raises NotFound if the snapshot is no longer
        kept."""
        try:
            return _opened(store, reader, items)
        except StoreDamaged:
            return cls.rebuild(store, reader, items)

    @classmethod
    def rebuild(cls, store: Path, reader: Reader, items: ItemTable) -> Keywords:
        """A new base from the reader's snapshot, kept on disk. A disk without room, or that may not
        be written to, costs the file, not the index. Raises NotFound."""
        prints = np.zeros(len(items), np.uint64)
        live = np.flatnonzero(items.alive)
        part = _part(documents(reader, items, live, since=0, prints=prints))
        snapshot = reader.snapshot
        meta = {"analysis": ANALYSIS, "snapshot": snapshot.id, "revision": snapshot.revision}
        try:
            arrays.save(folder(store), _packed(part, items, prints), meta)
            return _opened(store, reader, items)  # from mapped files instead of memory
        except (StorageFull, StoreDamaged, OSError):
            return cls(store, items, (part,), prints, snapshot.id, snapshot.revision, snapshot.id)

    def refreshed(self, reader: Reader, items: ItemTable, touched: I64 | None = None) -> Keywords:
        """The same at the reader's snapshot, of which `items` is the table. `touched` are the rows
        of items that changed since this value's snapshot, None where that is not known.

        Raises NotFound if the reader's snapshot is no longer kept.
        """
        if items is self.items:
            return self
        if items.rows is not self.items.rows or reader.snapshot.revision < self.revision:
            return Keywords.open(self.store, reader, items)
        try:
            rows = self._candidates(reader, items, touched)
        except InvalidInput:  # compacted between the two looks
            return Keywords.open(self.store, reader, items)
        prints = np.zeros(len(items), np.uint64)
        prints[: len(self.prints)] = self.prints
        now = np.zeros(len(rows), np.uint64)
        live = items.alive[rows]
        now[live] = fingerprints(attribute_lines(items, rows[live]))
        changed = rows[
            (now != prints[rows]) | (_content(items, rows) != _content(self.items, rows))
        ]
        prints[rows] = now
        moment = reader.snapshot
        same = replace(
            self, items=items, prints=prints, snapshot=moment.id, revision=moment.revision
        )
        return same._with(reader, changed, since=self.revision) if len(changed) else same

    def search(self, text: str, k: int, allowed: Bool | None = None) -> tuple[I64, F32]:
        """The k items that fit the words best, or as many as have any of them: rows of the item
        table int64 (m,), and BM25 scores float32 (m,), best first, equal ones by row. `allowed`,
        bool (items,), says which may be found; items that are not alive never are.

        The text is words and nothing else: quotes, signs and AND mean nothing. Raises InvalidInput
        for a text without a letter or a digit.
        """
        words = asked(text)
        if not words:
            raise InvalidInput(
                f"{text[:80]!r} has no letter and no digit to look for: write words that the texts "
                "or attributes should have"
            )
        if k < 1:
            raise InvalidInput(f"a search by keywords gives at least 1 item, not {k}")
        if allowed is not None and len(allowed) != len(self.items):
            raise InvalidInput(
                f"the filter is over {len(allowed)} items, there are {len(self.items)}"
            )
        return search(
            self.parts, [word.encode("utf-8", "surrogatepass") for word in words], k, allowed
        )

    @property
    def stale(self) -> bool:
        """The base no longer carries enough of the documents: `rebuild` is due."""
        base = self.parts[0]
        came = sum(part.postings.size for part in self.parts[1:])
        return _stale(base.postings.size, base.postings.size - base.live + came)

    def _candidates(self, reader: Reader, items: ItemTable, touched: I64 | None) -> I64:
        """Rows of items that changed by themselves or by their entity."""
        if touched is None:
            ids = reader.items(columns=["item_id"], since=self.revision)["item_id"]
            touched = items.rows_of(ids)
            touched = touched[touched >= 0]
        if items.entities is self.items.entities:
            return np.unique(touched)
        names = reader.entities(columns=["entity_id"], since=self.revision)["entity_id"]
        codes = [items.entity_codes_of.get(name, NONE) for name in names.to_pylist()]
        inheriting = np.flatnonzero(np.isin(items.entity_code, codes))
        return np.union1d(touched, inheriting)

    def _with(self, reader: Reader, changed: I64, *, since: int | None) -> Keywords:
        """With the documents of some items as they are now."""
        gone = np.zeros(len(self.items), np.bool_)
        gone[changed] = True
        parts = [part.without(gone) for part in self.parts]
        live = changed[self.items.alive[changed]]
        fresh = _part(documents(reader, self.items, live, since=since))
        if fresh.live:
            parts.append(fresh)
        # As in a log-structured merge tree, every document is merged a few times only.
        while len(parts) > 2 and parts[-2].postings.size < MERGED * parts[-1].postings.size:
            parts[-2:] = [joined(parts[-2:])]
        return replace(self, parts=tuple(parts))


def folder(store: Path) -> Path:
    """Where the base lies; no name of a space begins with "_"."""
    return store / "indexes" / "_keywords"


def _stale(size: int, moved: int) -> bool:
    return moved > max(STALE_DOCUMENTS, STALE_SHARE * size)


def _opened(store: Path, reader: Reader, items: ItemTable) -> Keywords:
    """Raises StoreDamaged where there is no base, or none that is of use."""
    saved = arrays.load(folder(store))
    if saved.meta.get("analysis") != ANALYSIS:
        raise StoreDamaged("the index of words was made by other rules")
    postings = Postings.from_arrays(saved.arrays)
    rows, generation, printed = _unpacked(saved.arrays, items)
    prints = np.zeros(len(items), np.uint64)
    live = np.flatnonzero(items.alive)
    prints[live] = fingerprints(attribute_lines(items, live))
    # A document tells by itself whether it is what its item says now: so it does not matter what
    # happened since, nor whether the base is older than the snapshot or newer.
    alive = rows >= 0
    known = rows[alive]
    alive[alive] = (_content(items, known) == generation[alive]) & (prints[known] == printed[alive])
    missing = items.alive.copy()
    missing[rows[alive]] = False
    lacking = np.flatnonzero(missing)
    lacking = lacking[is_text(items, lacking) | (prints[lacking] != _NOTHING)]
    moment, built_from = reader.snapshot, int(saved.meta["snapshot"])
    moved = len(lacking) + int(np.count_nonzero(~alive))
    if _stale(postings.size, moved) and built_from < moment.id:
        raise StoreDamaged("the index of words is of long ago")
    opened = Keywords(
        store,
        items,
        (Part.of(postings, rows, alive),),
        prints,
        moment.id,
        moment.revision,
        built_from,
    )
    since = int(saved.meta["revision"])
    return opened._with(reader, lacking, since=since) if len(lacking) else opened


def _part(found: Iterable[tuple[int, list[str]]]) -> Part:
    """An index of (row of an item, its tokens)."""
    builder = Builder()
    rows = []
    for row, words in found:
        rows.append(row)
        builder.add(words)
    return Part.of(builder.built(), np.array(rows, np.int64), np.ones(len(rows), np.bool_))


def _content(items: ItemTable, rows: I64) -> I64:
    """The generation of live items, -1 for others and those of a later table, int64 (n,)."""
    found = np.full(len(rows), NONE, np.int64)
    there = rows < len(items)
    at = rows[there]
    found[there] = np.where(items.alive[at], items.generation[at], NONE)
    return found


def _packed(part: Part, items: ItemTable, prints: U64) -> dict[str, Any]:
    """A base as plain arrays; ids as UTF-8 bytes and offsets."""
    ids = items.frame["item_id"].gather(part.item).to_arrow().cast(pa.large_string())
    _, offsets, data = ids.buffers()
    starts = np.frombuffer(offsets, np.int64)[ids.offset : ids.offset + len(ids) + 1]
    text = np.frombuffer(data or b"", np.uint8)[starts[0] : starts[-1]]
    return {
        **part.postings.arrays(),
        "item_id_ends": starts - starts[0],
        "item_id_text": text,
        "generation": items.generation[part.item],
        "prints": prints[part.item],
    }


def _unpacked(saved: Any, items: ItemTable) -> tuple[I64, I64, U64]:
    """The row of every document's item, -1 where there is none now; its generation and print."""
    try:
        ends, text = saved["item_id_ends"], saved["item_id_text"]
        ids = pa.LargeStringArray.from_buffers(
            len(ends) - 1, pa.py_buffer(ends), pa.py_buffer(text)
        )
        return items.rows_of(ids), saved["generation"], saved["prints"]
    except KeyError as error:
        raise StoreDamaged(f"the index of words is incomplete: {error}") from error
