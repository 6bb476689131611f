"""The answers to many queries of one call, in columns that they share.

Sixty-four `Hits` cost more than the search that found them, so each is cut out only when it is
looked at. What is read as columns (the wire, a table) takes `flat` and `bounds` as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate, chain
from typing import Any, overload

import numpy as np

from trichord.errors import TrichordError
from trichord.hits import Hits
from trichord.types import F32, I64


class Answers(Sequence["Hits | TrichordError"]):
    """One `Hits` or error per query, in order, made when it is asked for.

    `flat` are the hits of all answers, one after the other, with what they rest on; hits
    `bounds[i]` to `bounds[i + 1]` belong to query i. `errors`: by number of the query, whose range
    is empty. `tokens`: of the next page, by number of the query; a single answer has its own.
    """

    __slots__ = ("bounds", "errors", "flat", "tokens")

    def __init__(
        self,
        flat: Hits,
        bounds: Sequence[int],
        errors: Mapping[int, TrichordError] | None = None,
        tokens: Mapping[int, str] | None = None,
    ) -> None:
        self.flat = flat
        self.bounds = bounds
        self.errors: Mapping[int, TrichordError] = errors or {}
        self.tokens: Mapping[int, str] = tokens or {}

    def __len__(self) -> int:
        return len(self.bounds) - 1

    @overload
    def __getitem__(self, number: int) -> Hits | TrichordError: ...
    @overload
    def __getitem__(self, number: slice) -> list[Hits | TrichordError]: ...
    def __getitem__(self, number: int | slice) -> Hits | TrichordError | list[Hits | TrichordError]:
        if isinstance(number, slice):
            return [self[one] for one in range(*number.indices(len(self)))]
        if not -len(self) <= number < len(self):
            raise IndexError(f"there are {len(self)} answers, no number {number}")
        number %= len(self)
        error = self.errors.get(number)
        if error is not None:
            return error
        first, last = self.bounds[number], self.bounds[number + 1]
        if len(self.bounds) == 2:
            return self.flat
        hits = self.flat.part(first, last)
        token = self.tokens.get(number, "")
        return replace(hits, next_page_token=token) if token else hits

    def __iter__(self) -> Iterator[Hits | TrichordError]:
        return (self[number] for number in range(len(self)))

    def __repr__(self) -> str:
        return f"<Answers to {len(self)} queries, {len(self.flat)} hits>"

    def with_errors(self, errors: Mapping[int, TrichordError], count: int) -> Answers:
        """The answers to `count` queries of which some never came here: those named in `errors`;
        these answers are those of the others, in order."""
        numbers = [number for number in range(count) if number not in errors]
        of = dict(zip(numbers, range(len(self)), strict=True))
        bounds = [0]
        for number in range(count):
            size = 0
            if number in of:
                size = self.bounds[of[number] + 1] - self.bounds[of[number]]
            bounds.append(bounds[-1] + size)
        return Answers(
            self.flat,
            bounds,
            {**errors, **{numbers[own]: error for own, error in self.errors.items()}},
            {numbers[own]: token for own, token in self.tokens.items()},
        )


def gathered(answers: Sequence[Hits | TrichordError]) -> Answers:
    """Answers that were made apart, as one. They rest on the latest snapshot and the worst coverage
    of them, and notes are those of all."""
    if isinstance(answers, Answers):
        return answers
    good = [answer for answer in answers if isinstance(answer, Hits)]
    sizes = [len(answer) if isinstance(answer, Hits) else 0 for answer in answers]
    errors = {i: answer for i, answer in enumerate(answers) if isinstance(answer, TrichordError)}
    tokens = {
        i: answer.next_page_token
        for i, answer in enumerate(answers)
        if isinstance(answer, Hits) and answer.next_page_token
    }
    bounds = [0, *accumulate(sizes)]
    if len(answers) == 1 and good:
        return Answers(good[0], bounds)
    return Answers(_joined(good), bounds, errors, tokens)


def _joined(good: Sequence[Hits]) -> Hits:
    def texts(name: str) -> list[str]:
        return list(chain.from_iterable(getattr(answer, name) for answer in good))

    def numbers(name: str, dtype: type) -> Any:
        parts = [np.zeros(0, dtype), *(getattr(answer, name) for answer in good)]
        return np.concatenate(parts).astype(dtype, copy=False)

    counts = [np.diff(answer.segment_offsets) for answer in good]
    offsets: I64 = np.zeros(sum(map(len, counts)) + 1, np.int64)
    if good:
        np.cumsum(np.concatenate(counts), out=offsets[1:])
    names = dict.fromkeys(name for answer in good for name in answer.attributes)
    probabilities: F32 | None = None
    if any(answer.probabilities is not None for answer in good):
        unknown = [np.full(len(answer), np.nan, np.float32) for answer in good]
        probabilities = np.concatenate(
            [
                none if answer.probabilities is None else answer.probabilities
                for answer, none in zip(good, unknown, strict=True)
            ]
        )
    said = good[0] if good else None
    return Hits(
        item_ids=texts("item_ids"),
        entity_ids=texts("entity_ids"),
        modalities=texts("modalities"),
        scores=numbers("scores", np.float32),
        significances=numbers("significances", np.float32),
        probabilities=probabilities,
        segment_offsets=offsets,
        segment_ordinals=numbers("segment_ordinals", np.int64),
        segment_scores=numbers("segment_scores", np.float32),
        start_ms=numbers("start_ms", np.int64),
        end_ms=numbers("end_ms", np.int64),
        start_char=numbers("start_char", np.int64),
        end_char=numbers("end_char", np.int64),
        attributes={
            name: list(
                chain.from_iterable(
                    answer.attributes.get(name, [None] * len(answer)) for answer in good
                )
            )
            for name in names
        },
        snapshot=max((answer.snapshot for answer in good), default=0),
        coverage=min((answer.coverage for answer in good), default=1.0),
        partial=any(answer.partial for answer in good),
        notes=tuple(dict.fromkeys(note for answer in good for note in answer.notes)),
        space="" if said is None else said.space,
        frame="" if said is None else said.frame,
        facets=() if said is None else said.facets,
        explanation=None if said is None else said.explanation,
    )
