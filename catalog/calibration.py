"""What a score means: the calibration of a space from the content of one catalogue.

A raw cosine says different things for text -> image, text -> audio and image -> audio. Per (query
modality, item modality) the scores of random pairs give a background; a score's significance is
how unlikely it is there. Where people judged results, significance becomes P(relevant).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy.typing as npt

from trichord.catalog.relevance import Curve
from trichord.catalog.tails import Tail
from trichord.errors import StoreDamaged
from trichord.types import F32, Frame, Modality, Space

KIND = "calibration"
"""Records of this kind hold calibrations, by the name of their space."""

Pair = tuple[Modality, Modality]
"""Modality of the query and of what is found."""


@dataclass(frozen=True)
class Calibration:
    """Backgrounds of one space as of one snapshot. `skipped` says of a pair of modalities why it
    has none. `curves` hold P(relevant) by significance, per pair and (None) over all pairs."""

    space: Space
    snapshot: int
    created: datetime
    tails: Mapping[Pair, Tail] = field(hash=False)
    skipped: Mapping[Pair, str] = field(default_factory=dict, hash=False)
    curves: Mapping[Pair | None, Curve] = field(default_factory=dict, hash=False)

    def significance(
        self, query: Modality | None, item: Modality, scores: npt.ArrayLike
    ) -> F32 | None:
        """float32 like `scores`; None for a pair without a background."""
        tail = None if query is None else self.tails.get((query, item))
        return None if tail is None else tail.significance(scores)

    def probability(self, query: Modality | None, item: Modality, significances: F32) -> F32 | None:
        """P(relevant), float32 like `significances`; None where no judgements were given."""
        if query is None:
            return None
        curve = self.curves.get((query, item)) or self.curves.get(None)
        return None if curve is None else curve.probability(significances)

    def fits(self, space: Space) -> bool:
        """Whether it was made of vectors as the space has them now."""
        return self.space.frame == space.frame and all(
            self.space.encoders.get(modality) == encoder
            for modality, encoder in space.encoders.items()
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "version": 1,
            "space": self.space.name,
            "frame": self.space.frame.id,
            "encoders": {str(m): encoder for m, encoder in self.space.encoders.items()},
            "snapshot": self.snapshot,
            "created": self.created.isoformat(),
            "tails": {_name(pair): tail.to_json() for pair, tail in self.tails.items()},
            "skipped": {_name(pair): why for pair, why in self.skipped.items()},
            "curves": {_name(pair): curve.to_json() for pair, curve in self.curves.items()},
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Calibration:
        """Raises StoreDamaged for what `to_json` did not write."""
        try:
            encoders = {Modality(m): str(e) for m, e in value["encoders"].items()}
            return cls(
                Space(value["space"], Frame.from_id(value["frame"]), encoders),
                int(value["snapshot"]),
                datetime.fromisoformat(value["created"]).astimezone(UTC),
                {_pair(name): Tail.from_json(tail) for name, tail in value["tails"].items()},
                {_pair(name): str(why) for name, why in value["skipped"].items()},
                {
                    None if name == ALL else _pair(name): Curve.from_json(curve)
                    for name, curve in value["curves"].items()
                },
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StoreDamaged(f"the calibration cannot be read: {error}") from None


ALL = "all"


def _name(pair: Pair | None) -> str:
    return ALL if pair is None else f"{pair[0]}->{pair[1]}"


def _pair(name: str) -> Pair:
    query, _, item = name.partition("->")
    return Modality(query), Modality(item)
