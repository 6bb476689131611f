"""An inverted index in plain arrays: for every term the documents that have it, and how often.

Documents are numbered 0, 1, 2 … in the order in which they were given; terms are bytes, sorted, so
that one is found by halving and nothing has to be built when the arrays come from a file.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from trichord.errors import StoreDamaged
from trichord.types import I64, Bool

I32 = npt.NDArray[np.int32]
U16 = npt.NDArray[np.uint16]
U8 = npt.NDArray[np.uint8]
Array = npt.NDArray[Any]

MOST = np.iinfo(np.uint16).max
"""A term counts at most so often in one document: the score has long stopped rising."""

BLOCK = 1 << 17
"""Tokens that are counted at a time while an index is built: milliseconds."""


@dataclass(frozen=True, eq=False)
class Postings:
    """`text` uint8: the terms' bytes one after the other, `ends` int64 (terms + 1,): where they
    begin and end; `starts` int64 (terms + 1,): where a term's postings lie in `documents` (rising
    within a term) and `counts`; `lengths` int32 (size,): tokens of every document."""

    text: U8
    ends: I64
    starts: I64
    documents: I32
    counts: U16
    lengths: I32

    @property
    def size(self) -> int:
        return len(self.lengths)

    @property
    def terms(self) -> int:
        return len(self.ends) - 1

    def term(self, number: int) -> bytes:
        return self.text[self.ends[number] : self.ends[number + 1]].tobytes()

    def find(self, term: bytes) -> tuple[I32, U16] | None:
        """Documents that have the term, and its counts in them; None if there are none."""
        number = bisect_left(range(self.terms), term, key=self.term)
        if number == self.terms or self.term(number) != term:
            return None
        begin, end = self.starts[number], self.starts[number + 1]
        return self.documents[begin:end], self.counts[begin:end]

    def arrays(self) -> dict[str, Array]:
        """All that `from_arrays` takes, by name."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Postings:
        """Raises StoreDamaged for arrays that do not fit each other."""
        try:
            made = cls(**{name: arrays[name] for name in cls.__dataclass_fields__})
            sound = (
                len(made.ends) == len(made.starts)
                and made.ends[0] == made.starts[0] == 0
                and made.ends[-1] == len(made.text)
                and made.starts[-1] == len(made.documents) == len(made.counts)
            )
        except (KeyError, IndexError) as error:
            raise StoreDamaged(f"an inverted index is incomplete: {error}") from error
        if not sound:
            raise StoreDamaged("the arrays of an inverted index do not fit each other")
        return made


class Builder:
    """Takes documents as lists of tokens, and makes the postings of all."""

    def __init__(self) -> None:
        # A word that is met for the first time gets the next number.
        self._numbers: defaultdict[str, int] = defaultdict()
        self._numbers.default_factory = self._numbers.__len__
        self._tokens: list[int] = []
        self._waiting: list[int] = []
        self._lengths: list[I32] = []
        self._blocks: list[tuple[I32, I32, U16]] = []
        self.size = 0

    def add(self, document: Iterable[str]) -> None:
        """One more document; it gets the next number."""
        before = len(self._tokens)
        self._tokens += map(self._numbers.__getitem__, document)
        self._waiting.append(len(self._tokens) - before)
        self.size += 1
        if len(self._tokens) >= BLOCK:
            self._count()

    def built(self) -> Postings:
        self._count()
        names = pa.array(list(self._numbers), pa.large_string())
        terms, documents, counts = zip(*self._blocks, strict=True) if self._blocks else ((),) * 3
        return _assembled(names, terms, documents, counts, self._lengths)

    def _count(self) -> None:
        """Makes a block of the tokens that wait: terms, documents and counts, documents rising."""
        lengths = np.array(self._waiting, np.int64)
        owners = np.repeat(np.arange(self.size - len(lengths), self.size), lengths)
        pairs = owners << 32 | np.array(self._tokens, np.int64)
        found, counts = np.unique(pairs, return_counts=True)
        self._blocks.append(
            (
                (found & 0xFFFFFFFF).astype(np.int32),
                (found >> 32).astype(np.int32),
                np.minimum(counts, MOST).astype(np.uint16),
            )
        )
        self._lengths.append(lengths.astype(np.int32))
        self._tokens, self._waiting = [], []


def joined(pieces: Sequence[tuple[Postings, Bool]]) -> Postings:
    """One index of the documents of several that are to be kept (bool (size,) each), in their
    order."""
    names = pa.concat_arrays(
        [
            pa.LargeStringArray.from_buffers(
                one.terms, pa.py_buffer(one.ends), pa.py_buffer(one.text)
            )
            for one, _ in pieces
        ]
    ).dictionary_encode()
    numbers = np.split(np.asarray(names.indices), np.cumsum([one.terms for one, _ in pieces])[:-1])
    terms, documents, counts, lengths, before = [], [], [], [], 0
    for (one, keep), number in zip(pieces, numbers, strict=True):
        kept = keep[one.documents]
        renumbered = before - 1 + np.cumsum(keep)
        terms.append(np.repeat(number, np.diff(one.starts))[kept])
        documents.append(renumbered[one.documents[kept]].astype(np.int32))
        counts.append(one.counts[kept])
        lengths.append(one.lengths[keep])
        before += int(np.count_nonzero(keep))
    return _assembled(names.dictionary, terms, documents, counts, lengths)


def _assembled(
    names: pa.Array,
    terms: Sequence[I32],
    documents: Sequence[I32],
    counts: Sequence[U16],
    lengths: Sequence[I32],
) -> Postings:
    """Of postings in blocks, over which documents rise, terms numbered by `names` (distinct)."""
    every = _row(terms, np.int32)
    order = pc.sort_indices(names).to_numpy()
    have = np.bincount(every, minlength=len(names))[order]
    order, have = order[have > 0], have[have > 0]
    rank = np.full(len(names), -1, np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    # Documents rise already, and a stable sort leaves them so.
    place = np.argsort(rank[every], kind="stable")
    kept = names.take(pa.array(order))
    _, offsets, text = kept.buffers()
    ends = np.frombuffer(offsets, np.int64)[: len(kept) + 1]
    return Postings(
        np.frombuffer(text or b"", np.uint8)[: ends[-1]],
        ends,
        np.concatenate([[0], np.cumsum(have, dtype=np.int64)]),
        _row(documents, np.int32)[place],
        _row(counts, np.uint16)[place],
        _row(lengths, np.int32),
    )


def _row(parts: Sequence[Array], dtype: npt.DTypeLike) -> Array:
    return np.concatenate([np.zeros(0, dtype), *parts])
