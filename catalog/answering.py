"""Places of an answer -> the columns that people get."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from trichord.catalog.view import View
from trichord.hits import Hits
from trichord.types import F32, I64, Space

if TYPE_CHECKING:
    from trichord.catalog.meaning import Meaning
    from trichord.catalog.searching import Ranked


def hits_of(
    view: View, space: Space, page: Sequence[Ranked], names: Sequence[str], meaning: Meaning
) -> Hits:
    """The page as columns, with the attributes `names`."""
    significances, probabilities = meaning.columns(page)
    items = np.array([one.leg.rows.item[one.rows[0]] for one in page], np.int64)
    counts = [len(one.rows) for one in page]
    values = view.items.values
    attributes: Mapping[str, Sequence[Any]] = {name: values(name, items) for name in names}
    ordinals = [one.leg.rows.ordinal[one.rows] for one in page]
    scores: list[F32] = [one.scores for one in page]
    spans: I64 = np.concatenate(
        [np.zeros((0, 4), np.int64), *(one.leg.rows.spans[one.rows] for one in page)]
    )
    return Hits(
        item_ids=values("item_id", items),
        entity_ids=values("entity_id", items),
        modalities=values("modality", items),
        scores=np.array([one.scores[0] for one in page], np.float32),
        significances=significances,
        probabilities=probabilities,
        segment_offsets=np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64),
        segment_ordinals=np.concatenate([np.zeros(0, np.int64), *ordinals]),
        segment_scores=np.concatenate([np.zeros(0, np.float32), *scores]).astype(np.float32),
        start_ms=spans[:, 0],
        end_ms=spans[:, 1],
        start_char=spans[:, 2],
        end_char=spans[:, 3],
        attributes=attributes,
        space=space.name,
        snapshot=view.snapshot.id,
        frame=space.frame.id,
    )
