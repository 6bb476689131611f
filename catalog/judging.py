"""Judged queries -> what significance means as a probability of being relevant."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from trichord.catalog import relevance
from trichord.catalog.calibration import Calibration, Pair
from trichord.catalog.relevance import Curve
from trichord.errors import InvalidInput, TrichordError
from trichord.hits import Hits
from trichord.query import MAX_QUERIES, Query, SearchOptions
from trichord.types import F32, Bool, Modality

Judged = Sequence[tuple[Query, Mapping[str, int]]]
"""Queries with the grades of items by id; a grade above 0 means relevant."""

DEPTH = 100
"""Results per query and modality that are looked at. Those without a grade count as not relevant,
as trec_eval counts them."""


def curves(
    judged: Judged,
    calibration: Calibration,
    search: Callable[[Sequence[Query], SearchOptions], Sequence[Hits | TrichordError]],
    modality_of: Callable[[Query], Modality | None],
) -> dict[Pair | None, Curve]:
    """One curve per pair of modalities with enough judgements, and (None) one over all pairs.

    Queries whose scores have no background (vectors, entities, combinations) are left out. Raises
    the error of a query that cannot be answered, and InvalidInput where there are too few
    judgements even for the curve over all.
    """
    seen: dict[Pair, tuple[list[F32], list[Bool]]] = {}
    for first in range(0, len(judged), MAX_QUERIES):
        part = judged[first : first + MAX_QUERIES]
        for modality in Modality:
            if not any((query, modality) in calibration.tails for query in Modality):
                continue
            options = SearchOptions(modality=(str(modality),), limit=DEPTH, exact=True)
            answers = search([query for query, _ in part], options)
            for (query, grades), hits in zip(part, answers, strict=True):
                if isinstance(hits, TrichordError):
                    raise hits
                asked = modality_of(query)
                if asked is None:
                    continue
                found = calibration.significance(asked, modality, hits.scores)
                if found is None:
                    continue
                truth = np.array([grades.get(item_id, 0) > 0 for item_id in hits.item_ids], bool)
                values, truths = seen.setdefault((asked, modality), ([], []))
                values.append(found)
                truths.append(truth)
    if not seen:
        raise InvalidInput("no judged query could be answered in a calibrated pair of modalities")
    made: dict[Pair | None, Curve] = {}
    for pair, (values, truths) in seen.items():
        try:
            made[pair] = relevance.fit(np.concatenate(values), np.concatenate(truths))
        except InvalidInput:
            continue  # the curve over all pairs stands in
    made[None] = relevance.fit(
        np.concatenate([v for values, _ in seen.values() for v in values]),
        np.concatenate([t for _, truths in seen.values() for t in truths]),
    )
    return made
