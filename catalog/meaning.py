"""What the scores of one answer mean: significance and P(relevant), and what they leave out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trichord.catalog.calibration import Calibration
from trichord.errors import InvalidInput
from trichord.query import SearchOptions
from trichord.types import F32, Bool, Modality

HOW = "run `trichord space calibrate`"


@dataclass(frozen=True)
class Meaning:
    """The calibration of the searched space (None: it has none), and the modality of the query
    (None: a vector, an entity or a combination, whose scores have no background)."""

    space: str
    calibration: Calibration | None
    query: Modality | None

    def needed(self, options: SearchOptions, modalities: Sequence[Modality]) -> None:
        """Raises InvalidInput where the options ask for what nothing is known of."""
        by_probability = options.min_probability is not None
        if not (options.has_thresholds or options.fuse == "significance"):
            return
        if self.calibration is None:
            raise InvalidInput(f"space {self.space!r} is not calibrated: {HOW}", space=self.space)
        if self.query is None:
            raise InvalidInput(
                "significance is not defined for a vector, an entity or a combination: ask by one "
                "text, picture, sound, item or segment, or leave the threshold out"
            )
        for modality in modalities:
            if (self.query, modality) not in self.calibration.tails:
                why = self.calibration.skipped.get((self.query, modality), "it was left out")
                raise InvalidInput(
                    f"space {self.space!r} is not calibrated for {self.query} -> {modality} "
                    f"({why}): {HOW}, or search other modalities",
                    space=self.space,
                )
            if by_probability and self.probabilities(modality, np.zeros(1, np.float32)) is None:
                raise InvalidInput(
                    f"space {self.space!r} was calibrated without judgements for {self.query} -> "
                    f"{modality}: {HOW} with a golden set",
                    space=self.space,
                )

    def significances(self, modality: Modality, scores: F32) -> F32:
        """float32 like `scores`, NaN where nothing is known."""
        known = None
        if self.calibration is not None:
            known = self.calibration.significance(self.query, modality, scores)
        return np.full(len(scores), np.nan, np.float32) if known is None else known

    def probabilities(self, modality: Modality, significances: F32) -> F32 | None:
        if self.calibration is None:
            return None
        return self.calibration.probability(self.query, modality, significances)

    def enough(self, modality: Modality, scores: F32, options: SearchOptions) -> Bool:
        """Which scores of one modality reach the thresholds of the options, bool like `scores`."""
        kept = np.isfinite(scores)
        if not options.has_thresholds:
            return kept
        significances = self.significances(modality, scores)
        if options.min_significance is not None:
            kept &= significances >= options.min_significance
        if options.min_probability is not None:
            probabilities = self.probabilities(modality, significances)
            if probabilities is None:
                return np.zeros(len(scores), bool)
            kept &= probabilities >= options.min_probability
        return kept

    def columns(self, modalities: Sequence[str], scores: F32) -> tuple[F32, F32 | None]:
        """Significances and probabilities of hits of several modalities, in their order."""
        significances = np.full(len(scores), np.nan, np.float32)
        if self.calibration is None or self.query is None:
            return significances, None
        probabilities = significances.copy()
        known = False
        for name in dict.fromkeys(modalities):
            at = np.array([one == name for one in modalities])
            modality = Modality(name)
            significances[at] = self.significances(modality, scores[at])
            found = self.probabilities(modality, significances[at])
            if found is not None:
                probabilities[at] = np.where(np.isnan(significances[at]), np.nan, found)
                known = True
        return significances, probabilities if known else None
