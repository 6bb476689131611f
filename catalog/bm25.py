"""Okapi BM25 over parts of a changing collection, with the statistics of what is alive now.

A document's score is the sum over the question's terms of

    idf · tf · (k1 + 1) / (tf + k1 · (1 − b + b · length / average length)),
    idf = ln(1 + (N − n + 0.5) / (n + 0.5)),

for a term that is in n of N documents and tf times in this one (Robertson and Zaragoza, "The
Probabilistic Relevance Framework", 2009; the idf that is never negative is Lucene's). N, n and the
average length are counted over the live documents of all parts, so that a score depends on what is
stored and not on how it came to be split.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from trichord.catalog.postings import I32, U16, Postings
from trichord.catalog.postings import joined as joined_postings
from trichord.types import F32, I64, Bool

K1, B = 1.2, 0.75

MAX_TERMS = 64
"""Of a longer question its rarest terms count."""

DENSE = 64
"""From one posting in so many documents on, looking at every document costs less than sorting."""

HEAVY = 8_192
"""Before a term of so many documents is gone through, it is asked if the rarer ones will do."""

_MARGIN = 1 + 1e-5
"""More than the rounding of a sum of MAX_TERMS numbers."""


@dataclass(frozen=True, eq=False)
class Part:
    """Documents of one inverted index: `item` int64 (size,) is what each stands for, `alive` bool
    (size,) which of them count. Among the live documents of all parts an item stands once."""

    postings: Postings
    item: I64
    alive: Bool
    live: int
    tokens: int

    @classmethod
    def of(cls, postings: Postings, item: I64, alive: Bool) -> Part:
        tokens = int(postings.lengths[alive].sum(dtype=np.int64))
        return cls(postings, item, alive, int(np.count_nonzero(alive)), tokens)

    def without(self, gone: Bool) -> Part:
        """Less the documents of items that are `gone`, bool (items,)."""
        dead = self.alive & gone[self.item]
        if not dead.any():
            return self
        tokens = int(self.postings.lengths[dead].sum(dtype=np.int64))
        count = int(np.count_nonzero(dead))
        return replace(
            self, alive=self.alive & ~dead, live=self.live - count, tokens=self.tokens - tokens
        )


def joined(parts: Sequence[Part]) -> Part:
    """The live documents of several parts as one."""
    item = np.concatenate([part.item[part.alive] for part in parts])
    postings = joined_postings([(part.postings, part.alive) for part in parts])
    return Part(
        postings,
        item,
        np.ones(len(item), np.bool_),
        len(item),
        sum(part.tokens for part in parts),
    )


def search(
    parts: Sequence[Part], terms: Sequence[bytes], k: int, allowed: Bool | None = None
) -> tuple[I64, F32]:
    """The k best of the live documents that have any of the distinct terms: what they stand for,
    int64 (m,), and their scores, float32 (m,); best first, equal scores by number. `allowed`, bool
    (items,), says which items may be found.

    Terms are taken rarest first. Once all that are left together could not lift a document above
    the k-th, they are only looked up for those that may still be among the best (MaxScore, Turtle
    and Flood 1995): "rain on a window" does not go through every text that has "on" and "a".
    """
    found = _weighed(parts, terms)
    average = sum(part.tokens for part in parts) / max(1, sum(part.live for part in parts))
    with _sums([part.postings.size for part in parts]) as rows:
        tallies = [
            _Tally(part, number, average, allowed, sums)
            for number, (part, sums) in enumerate(zip(parts, rows, strict=True))
        ]
        _add(tallies, found, k)
        pairs = [tally.result() for tally in tallies]
        for tally in tallies:
            tally.clear()
    items = np.concatenate([np.zeros(0, np.int64), *(items for items, _ in pairs)])
    return best(items, np.concatenate([np.zeros(0, np.float32), *(sums for _, sums in pairs)]), k)


def best(rows: I64, scores: F32, k: int) -> tuple[I64, F32]:
    """The k pairs with the highest scores, best first, equal ones by row."""
    if len(rows) > k:
        chosen = scores >= _kth(scores, k)  # more than k where several have the last score
        rows, scores = rows[chosen], scores[chosen]
    order = np.lexsort((rows, -scores))[:k]
    return rows[order], scores[order]


def _kth(scores: F32, k: int) -> float:
    return -float(np.partition(-scores, k - 1)[k - 1])


@dataclass(frozen=True)
class _Term:
    """A term of a question: in how many live documents it is, its weight, and its postings in every
    part."""

    name: bytes
    have: int
    idf: float
    where: list[tuple[I32, U16] | None]

    @property
    def most(self) -> float:
        """What it cannot quite add to a score."""
        return self.idf * (K1 + 1)


def _weighed(parts: Sequence[Part], terms: Sequence[bytes]) -> list[_Term]:
    """The terms that any live document has, rarest first."""
    total = sum(part.live for part in parts)
    found: list[_Term] = []
    for name in terms:
        where = [part.postings.find(name) for part in parts]
        pairs = zip(parts, where, strict=True)
        have = sum(_live(part, at[0]) for part, at in pairs if at is not None)
        if have:
            idf = math.log1p((total - have + 0.5) / (have + 0.5))
            found.append(_Term(name, have, idf, where))
    found.sort(key=lambda term: (term.have, term.name))
    return found[:MAX_TERMS]


def _live(part: Part, documents: I32) -> int:
    if part.live == part.postings.size:
        return len(documents)
    return int(np.count_nonzero(part.alive[documents]))


def _add(tallies: Sequence[_Tally], found: Sequence[_Term], k: int) -> None:
    for done, term in enumerate(found):
        rest = _MARGIN * sum(term.most for term in found[done:])
        if term.have >= HEAVY and rest < sum(term.most for term in found[:done]):
            scores = np.concatenate([tally.candidates()[1] for tally in tallies])
            least = _kth(scores, k) if len(scores) >= k else 0.0
            if rest < least:
                for tally in tallies:
                    tally.look_up(found[done:], np.float32((least - rest) / _MARGIN))
                return
        for tally in tallies:
            tally.add(term)


class _Tally:
    """The sums of one part's documents.

    A document gets its terms in one order and by the same arithmetic, in whatever part it lies and
    whether it is gone through or looked up: scores are equal to the bit.
    """

    def __init__(
        self, part: Part, number: int, average: float, allowed: Bool | None, sums: F32
    ) -> None:
        self._part, self._number, self._allowed, self._sums = part, number, allowed, sums
        self._flat = np.float32(K1 * (1 - B))
        self._slope = np.float32(K1 * B / average) if average else np.float32(0)
        self._touched: list[I32] = []
        self._candidates: tuple[I64, F32] | None = None

    def add(self, term: _Term) -> None:
        """Adds a term to all documents that have it."""
        at = term.where[self._number]
        if at is not None:
            self._touched.append(at[0])
            self._sums[at[0]] += self._gain(term, *at)
            self._candidates = None

    def candidates(self) -> tuple[I64, F32]:
        """Documents that may be found and have any term so far, rising, and their sums."""
        if self._candidates is None:
            documents = self._any()
            keep = self._part.alive[documents]
            if self._allowed is not None:
                # What a dead document stands for may be no item (-1): `alive` keeps it out.
                keep &= self._allowed[self._part.item[documents]]
            documents = documents[keep]
            self._candidates = documents, self._sums[documents]
        return self._candidates

    def look_up(self, terms: Sequence[_Term], least: np.float32) -> None:
        """Adds terms to those candidates only that have at least `least` already."""
        documents, scores = self.candidates()
        near = scores >= least
        documents, scores = documents[near], scores[near]
        for term in terms:
            at = term.where[self._number]
            if at is None or not len(documents):
                continue
            place = np.minimum(np.searchsorted(at[0], documents), len(at[0]) - 1)
            has = at[0][place] == documents
            scores[has] += self._gain(term, documents[has], at[1][place[has]])
        self._candidates = documents, scores

    def result(self) -> tuple[I64, F32]:
        """What the candidates stand for, and their sums."""
        documents, scores = self.candidates()
        return self._part.item[documents], scores

    def clear(self) -> None:
        """Puts the zeros back."""
        if self._many():
            self._sums.fill(0)
        else:
            for documents in self._touched:
                self._sums[documents] = 0

    def _gain(self, term: _Term, documents: I32 | I64, counts: U16) -> F32:
        frequency = counts.astype(np.float32)
        gain: F32 = self._part.postings.lengths[documents].astype(np.float32)
        gain *= self._slope
        gain += self._flat
        gain += frequency
        np.divide(frequency, gain, out=gain)
        gain *= np.float32(term.most)
        return gain

    def _any(self) -> I64:
        if not self._touched:
            return np.zeros(0, np.int64)
        if len(self._touched) == 1:
            return self._touched[0].astype(np.int64)
        if self._many():
            return np.flatnonzero(self._sums != 0)  # eight times as fast as of the numbers
        return np.unique(np.concatenate(self._touched)).astype(np.int64)

    def _many(self) -> bool:
        return DENSE * sum(map(len, self._touched)) >= len(self._sums)


_zeros: deque[F32] = deque(maxlen=8)
"""Rows of zeros that nobody uses now: making new ones costs more than most searches."""


@contextmanager
def _sums(sizes: Sequence[int]) -> Iterator[list[F32]]:
    """Zeros of each size, which are zeros again when the block ends well."""
    total = sum(sizes)
    try:
        row = _zeros.pop()
    except IndexError:
        row = np.zeros(0, np.float32)
    if len(row) < total:
        row = np.zeros(total, np.float32)
    yield np.split(row[:total], np.cumsum(sizes)[:-1]) if sizes else []
    _zeros.append(row)
