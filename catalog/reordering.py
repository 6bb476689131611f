"""What orders a pool of hits anew: words, a cross-encoder, diversity, in this order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from trichord.catalog.diversifying import diversified
from trichord.catalog.items import MODALITY_CODES
from trichord.catalog.legs import Leg
from trichord.catalog.meaning import Meaning
from trichord.catalog.places import F64, Places, deepened, keys_of
from trichord.catalog.tools import Tools
from trichord.catalog.view import View
from trichord.errors import InvalidInput
from trichord.index.base import PADDING
from trichord.index.groups import best_members, first_of_each
from trichord.index.rowset import RowSet
from trichord.query import SearchOptions
from trichord.types import F32, I64, Bool, Group

RRF_K = 60
"""Of Reciprocal Rank Fusion (Cormack, Clarke, Buettcher, SIGIR 2009)."""
TEXT_CHARACTERS = 2_000
"""Of a text that a cross-encoder reads; more than its tokenizer takes."""


@dataclass
class Reordering:
    """`allowed` per leg: rows that may be found (None: all). `findable`: the same as items. What an
    answer has to say of it comes into `notes` and `partial`."""

    view: View
    options: SearchOptions
    tools: Tools
    findable: Bool
    allowed: Sequence[RowSet | None]
    notes: list[str] = field(default_factory=list)
    partial: bool = False

    def one(
        self,
        places: Places,
        vector: F32,
        own: Sequence[int],
        meaning: Meaning,
        text: str,
        pool: int,
    ) -> Places:
        """The pool of one query in its new order; `places` (1, m) hold no padding."""
        if self.options.keywords:
            places = self._fused(places, vector, own, meaning, pool)
        if self.options.rerank:
            places = self._reranked(places, text)
        return diversified(places, self.options.diversity, pool)

    def _fused(
        self, places: Places, vector: F32, own: Sequence[int], meaning: Meaning, pool: int
    ) -> Places:
        """With the items that the words find, by reciprocal rank. A hit of words alone shows the
        segments that are nearest to the query, and their cosine."""
        if self.tools.words is None:
            raise InvalidInput("this catalogue has no index of words to search by keywords")
        findable = self.findable
        if len(own):
            findable = findable.copy()
            findable[list(own)] = False
        items, _ = self.tools.words().search(self.options.keywords, pool, findable)
        by_words = self._segments_of(items, vector, places.legs)
        if self.options.has_thresholds:
            by_words = self._enough(by_words, meaning)
        ours, theirs = self._keys(places), self._keys(by_words)
        together = _side_by_side(places, by_words)
        keys = np.concatenate([ours, theirs])
        values = np.concatenate([_reciprocal(len(ours)), _reciprocal(len(theirs))])
        _, firsts, group = np.unique(keys, return_index=True, return_inverse=True)
        order = np.bincount(group, weights=values).astype(np.float64)
        # Of equal value, what stands first among the vectors, then among the words.
        best = np.lexsort((firsts, -order))[:pool]
        chosen = together.picked(firsts[best][None, :])
        return Places(chosen.legs, chosen.rows, chosen.scores, chosen.leg, order[best][None, :])

    def _segments_of(self, items: I64, vector: F32, legs: Sequence[Leg]) -> Places:
        """Places for items in their order, as far as they have vectors: the nearest segments of
        each, as the group of the search wants them."""
        view, options = self.view, self.options
        deep = options.segments if options.group is not Group.SEGMENT else 1
        rows = np.full((1, len(items), deep), PADDING, np.int64)
        scores = np.full(rows.shape, -np.inf, np.float32)
        numbers = np.zeros((1, len(items)), np.int8)
        for number, (leg, allowed) in enumerate(zip(legs, self.allowed, strict=True)):
            mine = np.flatnonzero(view.items.modality[items] == MODALITY_CODES[leg.modality])
            if not len(mine):
                continue
            rows[0, mine], scores[0, mine] = best_members(
                leg.index,
                vector[None, :],
                items[mine],
                view.grouping(leg, Group.ITEM),
                allowed=allowed,
                per_group=deep,
            )
            numbers[0, mine] = number
        places = Places(legs, rows, scores, numbers if len(legs) > 1 else None)
        places = places.kept(places.there)
        if options.group is Group.ENTITY:
            entities = view.items.entity_code[places.items()]
            places = places.kept(first_of_each(entities))
        return places.of(0)

    def _enough(self, places: Places, meaning: Meaning) -> Places:
        kept = np.zeros(places.rows.shape[:2], bool)
        for number, leg in enumerate(places.legs):
            mine = places.leg_numbers() == number
            kept[mine] = meaning.enough(leg.modality, places.scores[:, :, 0][mine], self.options)
        return places.kept(kept).of(0)

    def _keys(self, places: Places) -> I64:
        keys: I64 = keys_of(self.view, places, self.options.group)[0]
        return keys

    def _reranked(self, places: Places, text: str) -> Places:
        """The first `rerank` places by a cross-encoder; those that were not scored in time follow
        in their order."""
        if self.tools.reranker is None:
            raise InvalidInput(
                "there is no reranker here: give the folder of a cross-encoder, to the catalogue "
                "(reranker=…) or on the command line (--reranker), also of `serve`"
            )
        if not text:
            raise InvalidInput("a reranker needs words: ask with a text, or with keywords")
        count = min(self.options.rerank, places.rows.shape[1])
        texts = self._texts(places.items()[0, :count])
        deadline = self.options.rerank_ms / 1e3
        scores, why = self.tools.reranker.scores(text, texts, deadline)
        if why is not None:
            self.notes.append(why)
            self.partial = True
        head = np.argsort(-scores, kind="stable")
        rest = np.arange(len(scores), places.rows.shape[1])
        return places.picked(np.concatenate([head, rest])[None, :])

    def _texts(self, items: I64) -> list[str]:
        """What a cross-encoder reads of items: their text, else their attributes that are texts."""
        table = self.view.items
        stored = self.view.texts(items)
        named = [n for n, kind in table.attributes.items() if kind == "string"]
        columns = [table.values(name, items) for name in named]
        return [
            (text or " · ".join(value for value in values if value))[:TEXT_CHARACTERS]
            for text, *values in zip(stored, *columns, strict=True)
        ]


def _reciprocal(count: int) -> F64:
    values: F64 = 1.0 / (RRF_K + 1.0 + np.arange(count, dtype=np.float64))
    return values


def _side_by_side(one: Places, other: Places) -> Places:
    """Places of one query over the same legs, one after the other."""
    deep = max(one.rows.shape[2], other.rows.shape[2])

    def joined(name: str, fill: float) -> Any:
        parts = [deepened(getattr(places, name), deep, fill) for places in (one, other)]
        return np.concatenate(parts, axis=1)

    return Places(
        one.legs,
        joined("rows", PADDING),
        joined("scores", -np.inf),
        np.concatenate([one.leg_numbers(), other.leg_numbers()], axis=1)
        if len(one.legs) > 1
        else None,
    )
