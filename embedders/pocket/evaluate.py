"""The two evaluation suites of the pocket space (see docs/pocket.md for what they mean).

Every picture and sound is rendered with seeds that training does not use, every query is made by a
template that training does not use, and the attribute combinations of the second suite never occur
in training with any concept.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trichord.embedders.pocket import captions, concepts
from trichord.embedders.pocket.pictures import render_picture
from trichord.embedders.pocket.preprocessing import RATE, SIZE
from trichord.embedders.pocket.recordings import RecordingScores, score_recordings
from trichord.embedders.pocket.scoring import Scores, rank_scores
from trichord.embedders.pocket.sounds import render_sound
from trichord.embedders.pocket.space import PocketSpace
from trichord.errors import ModelError
from trichord.types import F32, I64, Embedder, Modality, Waveform

CLIP_SECONDS = 3.0
PER_CONCEPT = {Modality.IMAGE: 7, Modality.AUDIO: 15}
"""Items per concept of the concept suite: 2,247 pictures and 2,130 sounds."""


@dataclass(frozen=True)
class Row:
    """One direction of one suite; `bar` names what is demanded of the lower bounds."""

    suite: str
    direction: str
    scores: Scores
    bar: str = ""
    passed: bool | None = None


@dataclass(frozen=True)
class Report:
    rows: tuple[Row, ...]
    recordings: RecordingScores | None = None
    encoders: dict[str, str] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether every bar is met."""
        return all(row.passed is not False for row in self.rows)

    def to_json(self) -> str:
        return json.dumps(asdict(self) | {"passed": self.passed}, indent=2)

    def render(self) -> str:
        """A table for people; `low` columns are lower 95 % bounds."""
        head = f"{'suite':<10} {'direction':<38} {'queries':>7} {'items':>6}"
        lines = [f"{head} {'R@1':>6} {'low':>6} {'hit@10':>7} {'low':>6}  bar"]
        for row in self.rows:
            s = row.scores
            verdict = "" if row.passed is None else ("  met" if row.passed else "  NOT MET")
            lines.append(
                f"{row.suite:<10} {row.direction:<38} {s.queries:>7} {s.items:>6} {s.r1:>6.3f} "
                f"{s.r1_low:>6.3f} {s.hit10:>7.3f} {s.hit10_low:>6.3f}  {row.bar}{verdict}"
            )
        r = self.recordings
        if r is not None:
            lines.append(
                f"recordings: {r.clips} clips, {r.classes} classes, chance {r.chance:.3f}: "
                f"zero-shot {r.zero_shot:.3f} (low {r.zero_shot_low:.3f}), "
                f"5-nearest-neighbour {r.nearest_5:.3f} (low {r.nearest_5_low:.3f})"
            )
        return "\n".join(lines)


@dataclass(frozen=True)
class _Set:
    """Vectors (n, 384), what counts as the same (n,), and the concept for the bounds (n,)."""

    vectors: F32
    label: I64
    concept: I64

    def only(self, keep: npt.NDArray[np.bool_]) -> _Set:
        return _Set(self.vectors[keep], self.label[keep], self.concept[keep])


def _embed(embedder: Embedder, items: Sequence[object]) -> F32:
    found = embedder.embed(items)
    if found.errors:
        raise ModelError(f"an evaluation item could not be embedded: {found.errors}")
    return found.vectors


def _items(
    space: PocketSpace,
    modality: Modality,
    wanted: Sequence[tuple[concepts.Concept, int, dict[str, Any]]],
) -> F32:
    """Renders and embeds (concept, seed, attributes) in portions, to keep memory small."""
    parts = []
    for start in range(0, len(wanted), 256):
        some = wanted[start : start + 256]
        made: list[object]
        if modality is Modality.IMAGE:
            made = [render_picture(c, size=SIZE, seed=s, **a) for c, s, a in some]
        else:
            made = [
                Waveform(render_sound(c, seconds=CLIP_SECONDS, seed=s, **a), RATE)
                for c, s, a in some
            ]
        parts.append(_embed(space.embedder(modality), made))
    return np.concatenate(parts)


def _number(concept: concepts.Concept) -> int:
    return concepts.concepts().index(concept)


def _gallery(
    space: PocketSpace, modality: Modality, chosen: Sequence[concepts.Concept], each: int
) -> _Set:
    wanted = [(c, seed, dict[str, Any]()) for c in chosen for seed in range(each)]
    label = np.array([_number(c) for c, _, _ in wanted], np.int64)
    return _Set(_items(space, modality, wanted), label, label)


def _texts(space: PocketSpace, pairs: Sequence[tuple[concepts.Concept, str]]) -> _Set:
    label = np.array([_number(c) for c, _ in pairs], np.int64)
    return _Set(_embed(space.embedder(Modality.TEXT), [line for _, line in pairs]), label, label)


def _row(suite: str, direction: str, queries: _Set, items: _Set, *, hit10: float | None = None,
         r1: float | None = None, same: bool = False) -> Row:  # fmt: skip
    scores = rank_scores(
        queries.vectors, items.vectors, queries.label, items.label, queries.concept, skip_self=same
    )
    bars, verdicts = [], []
    if r1 is not None:
        bars.append(f"R@1 >= {r1}")
        verdicts.append(scores.r1_low >= r1)
    if hit10 is not None:
        bars.append(f"hit@10 >= {hit10}")
        verdicts.append(scores.hit10_low >= hit10)
    return Row(suite, direction, scores, ", ".join(bars), all(verdicts) if verdicts else None)


def concept_suite(space: PocketSpace, *, every: int = 1) -> list[Row]:
    """Same-concept retrieval. `every` > 1 takes only each n-th concept (a quick look)."""
    rows: list[Row] = []
    galleries: dict[Modality, _Set] = {}
    both = np.array([_number(c) for c in concepts.shared()], np.int64)
    for modality in (Modality.IMAGE, Modality.AUDIO):
        chosen = concepts.of(modality)[::every]
        items = galleries[modality] = _gallery(space, modality, chosen, PER_CONCEPT[modality])
        templates = captions.EVAL_CONCEPT[modality]
        lines = [(c, captions.concept_caption(t, c)) for c in chosen for t in templates]
        queries = _texts(space, lines)
        tags = _texts(space, lines[:: len(templates)])
        rows.append(_row("concept", f"text→{modality}", queries, items, hit10=0.95))
        rows.append(_row("concept", f"{modality}→text (tagging)", items, tags))
        rows.append(_row("concept", f"{modality}→{modality} (others)", items, items, same=True))
    image, audio = (
        galleries[m].only(np.isin(galleries[m].label, both))
        for m in (Modality.IMAGE, Modality.AUDIO)
    )
    rows.append(_row("concept", "image→audio (shared, never paired)", image, audio, hit10=0.85))
    rows.append(_row("concept", "audio→image (shared, never paired)", audio, image, hit10=0.85))
    rows += _paraphrases(space, galleries)
    return rows


def _paraphrases(space: PocketSpace, galleries: dict[Modality, _Set]) -> list[Row]:
    rows, all_scores = [], []
    for modality, items in galleries.items():
        known = set(items.label.tolist())
        pairs = [(c, p) for c, p in concepts.paraphrases(modality) if _number(c) in known]
        row = _row("paraphrase", f"text→{modality}", _texts(space, pairs), items)
        rows.append(row)
        all_scores.append(row.scores)
    pooled = Scores.pooled(all_scores)
    return [*rows, Row("paraphrase", "both", pooled, "hit@10 >= 0.85", pooled.hit10_low >= 0.85)]


def attribute_suite(space: PocketSpace, modality: Modality, *, every: int = 1) -> list[Row]:
    """Held-out attribute combinations; the control asks without the attribute words."""
    axes = tuple(concepts.AXES[modality])
    chosen = [c for c in concepts.of(modality) if c.attributes(modality)][::every]
    combos = concepts.combinations(modality, held_out=True)
    pairs = [(c, combo) for c in chosen for combo in combos]
    wanted = [(c, 500_000, dict(zip(axes, combo, strict=True))) for c, combo in pairs]
    label = np.arange(len(pairs), dtype=np.int64)
    concept = np.array([_number(c) for c, _ in pairs], np.int64)
    items = _Set(_items(space, modality, wanted), label, concept)
    templates = captions.EVAL_ATTRIBUTES[modality]
    lines = [
        captions.attribute_caption(templates[i % len(templates)], c, modality, combo)
        for i, (c, combo) in enumerate(pairs)
    ]
    blind_templates = captions.EVAL_CONCEPT[modality]
    blind = [
        captions.concept_caption(blind_templates[i % len(blind_templates)], c)
        for i, (c, _) in enumerate(pairs)
    ]
    embedder = space.embedder(Modality.TEXT)
    asked = _Set(_embed(embedder, lines), label, concept)
    without = _Set(_embed(embedder, blind), label, concept)
    control = _row("attribute", f"text→{modality}, attribute-blind", without, items)
    control = Row(
        control.suite, control.direction, control.scores, "hit@10 < 0.4", control.scores.hit10 < 0.4
    )
    return [
        _row("attribute", f"text→{modality}", asked, items, r1=0.6, hit10=0.9),
        control,
        _row("attribute", f"{modality}→text", items, asked),
    ]


def evaluate(space: PocketSpace, *, recordings: Path | None = None, every: int = 1) -> Report:
    """Both suites, and the recordings if a folder of class folders is given.

    Raises NotFound for a folder without recordings and ModelError when a renderer's Debian
    package is missing.
    """
    rows = concept_suite(space, every=every)
    for modality in (Modality.IMAGE, Modality.AUDIO):
        rows += attribute_suite(space, modality, every=every)
    outside = None
    if recordings is not None:
        outside = score_recordings(space, recordings)
    encoders = {str(m): e for m, e in space.space.encoders.items()}
    return Report(tuple(rows), outside, encoders)
