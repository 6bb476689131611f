"""Scores of random pairs: the chance that a calibration compares with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np

from trichord.catalog import tails
from trichord.catalog.calibration import Calibration, Pair
from trichord.catalog.encoding import PLAIN_TEXT, Content, ContentEncoder
from trichord.catalog.legs import Leg
from trichord.catalog.relevance import Curve
from trichord.catalog.view import View
from trichord.embedders.pocket.captions import (
    EVAL_ATTRIBUTES,
    EVAL_CONCEPT,
    attribute_caption,
    concept_caption,
)
from trichord.embedders.pocket.concepts import AXES, of
from trichord.errors import InvalidInput, TrichordError
from trichord.types import F32, I64, Modality, Role, Space

MIN_PAIRS = 1_000_000
PAIRS = 4_000_000
"""Pairs that are drawn where there are so many."""
MOST_TEXTS = 4_000
BLOCK = 512


def measure(
    view: View,
    space: Space,
    encoder: ContentEncoder | None,
    *,
    texts: Sequence[str] | None = None,
    pairs: int = PAIRS,
    minimum: int = MIN_PAIRS,
    seed: int = 0,
    curves: Mapping[Pair | None, Curve] | None = None,
) -> Calibration:
    """Backgrounds of every pair of modalities of a space in one catalogue.

    Queries by text are drawn from `texts`, else from captions of our own, embedded as queries;
    where nothing here can embed text, from the stored ones. Queries by picture and sound are drawn
    from the stored segments. A vector is never paired with one of its own entity. A pair of
    modalities with fewer than `minimum` pairs of vectors stays without a background, and `skipped`
    says so.
    """
    if pairs < 1 or minimum < 1:
        raise InvalidInput("a calibration draws at least one pair")
    generator = np.random.default_rng(seed)
    asked: dict[Modality, tuple[F32, I64]] = {}
    for modality in space.encoders:
        if modality is Modality.TEXT and encoder is not None:
            asked[modality] = _texts(encoder, texts, generator)
        else:
            leg = view.legs.get((space.name, modality))
            if leg is not None and leg.index.live:
                asked[modality] = _drawn(view, leg, int(np.sqrt(pairs)), generator)
    found, skipped = {}, {}
    for modality in space.encoders:
        leg = view.legs.get((space.name, modality))
        for query in space.encoders:
            pair = (query, modality)
            if leg is None or not leg.index.live:
                skipped[pair] = f"nothing of {modality} is stored"
                continue
            if query not in asked:
                skipped[pair] = f"there is no {query} to ask with"
                continue
            vectors, entities = asked[query]
            wanted = max(1, pairs // len(vectors))
            stored, owners = _drawn(view, leg, wanted, generator)
            scores = _scores(vectors, entities, stored, owners)
            if len(scores) < minimum:
                skipped[pair] = f"{len(scores):,} pairs of vectors are fewer than {minimum:,}"
                continue
            try:
                found[pair] = tails.fit(scores)
            except InvalidInput as error:
                skipped[pair] = str(error)
    return Calibration(
        space, view.snapshot.id, datetime.now(UTC), found, skipped, dict(curves or {})
    )


def query_texts(count: int, seed: int = 0) -> list[str]:
    """Captions of scenes in templates that no bundled model was trained with, at most `count`."""
    generator = np.random.default_rng(seed)
    lines: list[str] = []
    for modality in (Modality.IMAGE, Modality.AUDIO):
        for concept in of(modality):
            lines += [concept_caption(template, concept) for template in EVAL_CONCEPT[modality]]
            for template in EVAL_ATTRIBUTES[modality] * 4:
                values = tuple(str(generator.choice(axis)) for axis in AXES[modality].values())
                lines.append(attribute_caption(template, concept, modality, values))
    lines = list(dict.fromkeys(lines))
    return [lines[at] for at in generator.permutation(len(lines))[:count]]


def _texts(
    encoder: ContentEncoder, texts: Sequence[str] | None, generator: np.random.Generator
) -> tuple[F32, I64]:
    lines = list(dict.fromkeys(texts)) if texts is not None else query_texts(MOST_TEXTS)
    if len(lines) > MOST_TEXTS:
        lines = [lines[at] for at in generator.permutation(len(lines))[:MOST_TEXTS]]
    pooled = encoder.pooled([Content(PLAIN_TEXT, line) for line in lines], Role.QUERY)
    failed = next((one for one in pooled if isinstance(one, TrichordError)), None)
    if failed is not None:
        raise failed
    if not pooled:
        raise InvalidInput("there are no texts to ask with")
    vectors: F32 = np.stack([one for one in pooled if not isinstance(one, TrichordError)])
    return vectors, np.full(len(vectors), -1, np.int64)


def _drawn(view: View, leg: Leg, count: int, generator: np.random.Generator) -> tuple[F32, I64]:
    """Vectors float32 (n, dim) of random live rows and the entities they belong to, int64 (n,)."""
    live = np.flatnonzero(leg.index.alive)
    picked = generator.choice(live, min(count, len(live)), replace=False)
    return leg.index.take(picked), view.items.entity_code[leg.rows.item[picked]]


def _scores(queries: F32, asking: I64, stored: F32, owners: I64) -> F32:
    """Cosines of all pairs that are not of one entity, float32 (n,)."""
    parts = []
    for first in range(0, len(queries), BLOCK):
        block = queries[first : first + BLOCK] @ stored.T
        parts.append(block[asking[first : first + BLOCK, None] != owners[None, :]])
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)
