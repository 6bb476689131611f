"""Answers, columnar: one array per column, a `Hit` is a view of one row.

640 objects cost as much as half a search, so nothing is turned into objects before it is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from trichord.explanation import Explanation, Facet
from trichord.types import ABSENT, F32, I64, Modality, Span

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow


@dataclass(frozen=True)
class SegmentHit:
    """One segment of a hit: its number in the item, its cosine, and where it lies."""

    ordinal: int
    score: float
    span: Span

    @property
    def start_ms(self) -> int | None:
        return self.span.start_ms

    @property
    def end_ms(self) -> int | None:
        return self.span.end_ms


@dataclass(frozen=True)
class Hits:
    """The answer to one query, best first.

    `item_ids`, `entity_ids`, `modalities`: lists of n. `scores`: float32 (n,), cosine of the best
    segment, higher is better. `significances`: float32 (n,), -log10 of the probability of such a
    score by chance, NaN until the space is calibrated. `probabilities`: float32 (n,), of being
    relevant, NaN where not known; None until judgements were given. Segments of hit i are rows
    `segment_offsets[i]` to `segment_offsets[i + 1]` of the segment columns; spans hold -1 where a
    segment has no such measure. `attributes`: column name -> list of n values.

    What the answer rests on: `space` and its `frame` (id), `snapshot` (id), `coverage` (share of
    the searched live rows that the search could reach, 1.0 when complete), `partial` (a leg was
    left out, say why in `notes`), `next_page_token` (empty at the end).

    With several modalities, boosts, diversity, keywords or a reranker the order is theirs, so
    scores need not descend. `facets` and `explanation` are there where they were asked for.
    """

    item_ids: Sequence[str]
    entity_ids: Sequence[str]
    modalities: Sequence[str]
    scores: F32
    significances: F32
    segment_offsets: I64
    segment_ordinals: I64
    segment_scores: F32
    start_ms: I64
    end_ms: I64
    start_char: I64
    end_char: I64
    attributes: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    probabilities: F32 | None = None
    space: str = ""
    snapshot: int = 0
    coverage: float = 1.0
    partial: bool = False
    notes: tuple[str, ...] = ()
    next_page_token: str = ""
    frame: str = ""
    facets: tuple[Facet, ...] = ()
    explanation: Explanation | None = None
    bare: bool = field(default=False, repr=False, compare=False)
    """Known to be hits of one segment each, the first of its item, without spans and without
    significance: who writes them down need not look."""

    @classmethod
    def of(cls, **columns: Any) -> Hits:
        """As the constructor, in a quarter of its time (a frozen dataclass sets field by field):
        the columns without a default have to be given."""
        made = object.__new__(cls)
        made.__dict__.update(columns)
        return made

    def __len__(self) -> int:
        return len(self.item_ids)

    def __iter__(self) -> Iterator[Hit]:
        return (Hit(self, row) for row in range(len(self)))

    @overload
    def __getitem__(self, row: int) -> Hit: ...
    @overload
    def __getitem__(self, row: slice) -> list[Hit]: ...
    def __getitem__(self, row: int | slice) -> Hit | list[Hit]:
        if isinstance(row, slice):
            return [Hit(self, number) for number in range(*row.indices(len(self)))]
        if not -len(self) <= row < len(self):
            raise IndexError(f"there are {len(self)} hits, no number {row}")
        return Hit(self, row % len(self))

    def __repr__(self) -> str:
        best = ", ".join(f"{hit.item_id} {hit.score:.3f}" for hit in self[:3])
        more = ", …" if len(self) > 3 else ""
        return f"<Hits {len(self)} of {self.space!r} at snapshot {self.snapshot}: {best}{more}>"

    def part(self, first: int, last: int) -> Hits:
        """Hits `first` to `last - 1` as an answer of their own; it rests on the same."""
        rows, offsets = slice(first, last), self.segment_offsets[first : last + 1]
        segments = slice(int(offsets[0]), int(offsets[-1]))
        given = self.probabilities
        return replace(
            self,
            item_ids=self.item_ids[rows],
            entity_ids=self.entity_ids[rows],
            modalities=self.modalities[rows],
            scores=self.scores[rows],
            significances=self.significances[rows],
            segment_offsets=offsets - offsets[0],
            segment_ordinals=self.segment_ordinals[segments],
            segment_scores=self.segment_scores[segments],
            start_ms=self.start_ms[segments],
            end_ms=self.end_ms[segments],
            start_char=self.start_char[segments],
            end_char=self.end_char[segments],
            attributes={name: values[rows] for name, values in self.attributes.items()},
            probabilities=None if given is None else given[rows],
        )

    def columns(self) -> dict[str, Any]:
        """One flat column per measure; the span is that of each hit's best segment."""
        best = self.segment_offsets[:-1]

        def spans(values: I64) -> list[int | None]:
            return [None if value == ABSENT else int(value) for value in values[best]]

        flat: dict[str, Any] = {
            "item_id": list(self.item_ids),
            "entity_id": list(self.entity_ids),
            "modality": list(self.modalities),
            "score": self.scores,
            "significance": _known(self.significances),
            "probability": _known(self.probabilities, len(self)),
            "start_ms": spans(self.start_ms),
            "end_ms": spans(self.end_ms),
            "start_char": spans(self.start_char),
            "end_char": spans(self.end_char),
        }
        for name, values in self.attributes.items():
            flat[name if name not in flat else f"attribute_{name}"] = list(values)
        return flat

    def to_polars(self) -> polars.DataFrame:
        import polars

        types = {
            "item_id": polars.String,
            "entity_id": polars.String,
            "modality": polars.String,
            "score": polars.Float32,
            "significance": polars.Float32,
            "probability": polars.Float32,
            "start_ms": polars.Int64,
            "end_ms": polars.Int64,
            "start_char": polars.Int64,
            "end_char": polars.Int64,
        }
        return polars.DataFrame(self.columns(), schema_overrides=types, strict=False)

    def to_arrow(self) -> pyarrow.Table:
        return self.to_polars().to_arrow()

    def to_pandas(self) -> pandas.DataFrame:
        return self.to_polars().to_pandas()


def _known(values: F32 | None, rows: int = 0) -> list[float | None]:
    if values is None:
        return [None] * rows
    return [None if np.isnan(value) else float(value) for value in values]


@dataclass(frozen=True)
class Hit:
    """One row of an answer."""

    hits: Hits = field(repr=False)
    row: int = field(repr=False)

    @property
    def item_id(self) -> str:
        return self.hits.item_ids[self.row]

    @property
    def entity_id(self) -> str:
        return self.hits.entity_ids[self.row]

    @property
    def modality(self) -> Modality:
        return Modality(self.hits.modalities[self.row])

    @property
    def score(self) -> float:
        return float(self.hits.scores[self.row])

    @property
    def significance(self) -> float | None:
        """None until the space is calibrated."""
        value = float(self.hits.significances[self.row])
        return None if np.isnan(value) else value

    @property
    def probability(self) -> float | None:
        """Of being relevant; None until the space is calibrated with judgements."""
        if self.hits.probabilities is None:
            return None
        value = float(self.hits.probabilities[self.row])
        return None if np.isnan(value) else value

    @property
    def attributes(self) -> dict[str, Any]:
        return {name: values[self.row] for name, values in self.hits.attributes.items()}

    @property
    def segments(self) -> list[SegmentHit]:
        """The hit's best segments, best first."""
        hits = self.hits
        first, last = (int(n) for n in hits.segment_offsets[self.row : self.row + 2])

        def known(values: I64, row: int) -> int | None:
            return None if values[row] == ABSENT else int(values[row])

        return [
            SegmentHit(
                int(hits.segment_ordinals[row]),
                float(hits.segment_scores[row]),
                Span(
                    known(hits.start_ms, row),
                    known(hits.end_ms, row),
                    known(hits.start_char, row),
                    known(hits.end_char, row),
                ),
            )
            for row in range(first, last)
        ]

    def __repr__(self) -> str:
        return f"<Hit {self.item_id!r} {self.modality} {self.score:.3f}>"
