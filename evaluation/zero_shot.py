"""Zero-shot classification: which label's text is nearest to an item?

    # labels.toml
    attribute = "concept"                    # what the items say they are
    modality = "image"
    templates = ["a photo of {label}", "a drawing of {label}"]
    [labels]                                 # without this table: all values of the attribute
    dog = ["dog", "puppy"]                   # the words for it; an empty list: its own name
    cat = []

A label's vector is the mean of the unit vectors of its prompts, scaled to length 1 (the prompt
ensemble of Radford et al., ICML 2021). An item's score is the cosine of its best segment, as in a
search.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from trichord.errors import InvalidInput, NotFound, TrichordError
from trichord.evaluation import classifying
from trichord.evaluation.assembling import refusal
from trichord.evaluation.collecting import Collected, collect, having, labels_of, pages
from trichord.evaluation.evaluating import Settings
from trichord.evaluation.measures import F64
from trichord.evaluation.running import Advance, Searcher, ask
from trichord.evaluation.statistics import Interval, mean_intervals
from trichord.hits import Hits
from trichord.query import MAX_LIMIT, SearchOptions, Text, Vector
from trichord.types import F32, I64, Embedded, Modality, Role

TOGETHER = 16
"""Labels per call."""


class Embeds(Searcher, Protocol):
    """A `Catalog` or a `Client`."""

    @property
    def embed(self) -> Callable[..., Any]: ...


@dataclass(frozen=True)
class Task:
    """What to classify by; `labels` maps each label to its words, empty means all values found."""

    attribute: str
    modality: str
    templates: tuple[str, ...] = ("{label}",)
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    where: str | None = None

    def prompts(self, label: str) -> list[str]:
        words = self.labels.get(label) or (label,)
        return [one.replace("{label}", word) for word in words for one in self.templates]


@dataclass(frozen=True)
class LabelScore:
    """One label: its items, the share recognised, and what they are mostly taken for otherwise."""

    label: str
    items: int
    recall: float
    average_precision: float
    confused_with: str


@dataclass(frozen=True)
class ZeroShot:
    """`calibration_error` is that of the half of the items that the temperature was not fitted on;
    None with fewer than two entities. `left_out` items have a value that is no label of the task;
    `chance` is top-1 of guessing a label."""

    attribute: str
    modality: str
    space: str
    items: int
    left_out: int
    labels: int
    top1: Interval
    top5: Interval
    macro_f1: float
    mean_average_precision: float
    temperature: float | None
    calibration_error: float | None
    uncalibrated_error: float | None
    chance: float
    by_label: tuple[LabelScore, ...]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def read_task(path: str | Path) -> Task:
    """Raises NotFound, and InvalidInput that lists all mistakes of the file."""
    place = Path(path)
    try:
        values = tomllib.loads(place.read_text("utf-8"))
    except OSError as error:
        raise NotFound(f"cannot read {str(path)!r}: {error.strerror}", path=path) from None
    except ValueError as error:
        raise InvalidInput(f"{path} is no TOML: {error}", path=path) from None
    wrong = [
        f"{name!r} means nothing here"
        for name in values
        if name not in ("attribute", "modality", "templates", "labels", "where")
    ]
    for name in ("attribute", "modality"):
        if not isinstance(values.get(name), str):
            wrong.append(f"{name!r} is missing, or no text")
    if isinstance(values.get("modality"), str) and values["modality"] not in set(Modality):
        wrong.append(f"unknown modality {values['modality']!r}: choose from {', '.join(Modality)}")
    templates = values.get("templates", ["{label}"])
    if not isinstance(templates, list) or not templates:
        wrong.append("'templates' is a list of texts")
    else:
        wrong += [
            f"the template {one!r} has no {{label}}"
            for one in templates
            if "{label}" not in str(one)
        ]
    labels: dict[str, tuple[str, ...]] = {}
    given = values.get("labels", {})
    if not isinstance(given, dict):
        wrong.append("'labels' is a table: label = [\"a word\", …]")
    else:
        for label, words in given.items():
            if isinstance(words, list) and all(isinstance(word, str) and word for word in words):
                labels[label] = tuple(words)
            else:
                wrong.append(f"the words of label {label!r} are no list of texts")
        if len(given) == 1:
            wrong.append("one label is no choice: give two or more")
    where = values.get("where")
    if where is not None and not isinstance(where, str):
        wrong.append("'where' is a filter as text")
    if wrong:
        raise refusal(str(path), wrong)
    return Task(values["attribute"], values["modality"], tuple(templates), labels, where)


def zero_shot(
    searcher: Embeds,
    task: Task,
    *,
    space: str | None = None,
    settings: Settings | None = None,
    on_progress: Advance | None = None,
) -> ZeroShot:
    """Classifies all items of the modality that have the attribute. The truth is its one value.

    Every item is scored against every label by exact search. Raises NotFound where no item has one
    of the labels, InvalidInput for an attribute that lists several values, and what `embed` raises.
    """
    chosen = settings or Settings()
    items = collect(searcher, task.attribute, task.modality, space=space, where=task.where)
    truths = [_truth(item, task.attribute) for item in items]
    labels = list(task.labels) or sorted(set(truths))
    known = [place for place, truth in enumerate(truths) if truth in set(labels)]
    if not known or len(labels) < 2:
        raise NotFound(
            f"{len(known)} items of {task.modality} have one of {len(labels)} labels in "
            f"{task.attribute!r}: there is nothing to classify"
        )
    kept = [items[place] for place in known]
    number = {label: place for place, label in enumerate(labels)}
    truth: I64 = np.array([number[truths[place]] for place in known], np.int64)
    vectors = label_vectors(searcher, task, labels, space)
    scores, used = _scores(searcher, task, kept, vectors, len(items), space, on_progress)
    return judge(task, labels, kept, truth, scores, len(items) - len(kept), used, chosen)


def label_vectors(searcher: Embeds, task: Task, labels: Sequence[str], space: str | None) -> F32:
    """float32 (labels, dim), unit rows: the mean directions of the labels' prompts."""
    prompts = [task.prompts(label) for label in labels]
    flat = [Text(prompt) for some in prompts for prompt in some]
    answer = searcher.embed(flat, role=Role.QUERY, space=space)
    if isinstance(answer, Embedded):
        for error in answer.errors.values():
            raise error
        answer = answer.vectors
    found, start = [], 0
    for some in prompts:
        part = np.asarray(answer[start : start + len(some)], np.float64)
        start += len(some)
        mean = (part / np.linalg.norm(part, axis=1, keepdims=True)).mean(axis=0)
        found.append(mean / np.linalg.norm(mean))
    return np.asarray(found, np.float32)


def judge(
    task: Task,
    labels: Sequence[str],
    items: Sequence[Collected],
    truth: I64,
    scores: F64,
    left_out: int,
    space: str,
    settings: Settings,
) -> ZeroShot:
    """The measures of `scores` (items, labels)."""
    first = classifying.top_k(scores, truth, 1)
    five = classifying.top_k(scores, truth, 5)
    predicted: I64 = scores.argmax(axis=1)
    top1, top5 = mean_intervals(
        np.stack([first, five], axis=1).astype(np.float64),
        clusters=[item.entity_id for item in items],
        method=settings.method,
        confidence=settings.confidence,
        resamples=settings.resamples,
        seed=settings.seed,
    )
    temperature = error = uncalibrated = None
    fit = np.array([_half(item.entity_id) for item in items], np.bool_)
    if fit.any() and not fit.all():
        temperature = classifying.fit_temperature(scores[fit], truth[fit])
        right = first[~fit]
        error = classifying.calibration_error(
            classifying.softmax(scores[~fit], temperature).max(axis=1), right
        )
        uncalibrated = classifying.calibration_error(
            classifying.softmax(scores[~fit], 1.0).max(axis=1), right
        )
    by_label = []
    for place in np.unique(truth):
        own = truth == place
        mistaken = np.bincount(predicted[own & (predicted != truth)], minlength=len(labels))
        by_label.append(
            LabelScore(
                labels[place],
                int(own.sum()),
                float(first[own].mean()),
                classifying.average_precision(scores[:, place], own),
                labels[int(mistaken.argmax())] if mistaken.any() else "",
            )
        )
    return ZeroShot(
        task.attribute,
        task.modality,
        space,
        len(items),
        left_out,
        len(labels),
        top1,
        top5,
        classifying.macro_f1(predicted, truth, len(labels)),
        classifying.mean_average_precision(scores, truth),
        temperature,
        error,
        uncalibrated,
        1 / len(labels),
        tuple(sorted(by_label, key=lambda one: (one.recall, one.label))),
    )


def _truth(item: Collected, attribute: str) -> str:
    found = labels_of(item.attributes[attribute])
    if len(found) != 1:
        raise InvalidInput(
            f"item {item.item_id!r} has {len(found)} values of {attribute!r}: classification needs "
            "an attribute with one"
        )
    return found[0]


def _scores(
    searcher: Searcher,
    task: Task,
    items: Sequence[Collected],
    vectors: F32,
    total: int,
    space: str | None,
    on_progress: Advance | None,
) -> tuple[F64, str]:
    """Cosines (items, labels) and the space that answered. `total` items pass the filter."""
    row = {item.item_id: place for place, item in enumerate(items)}
    scores = np.full((len(items), len(vectors)), -np.inf)
    where = having(task.attribute, task.where)
    used = ""

    def take(label: int, hits: Hits) -> None:
        nonlocal used
        used = hits.space
        places = [row.get(item_id, -1) for item_id in hits.item_ids]
        here = np.array(places, np.int64)
        scores[here[here >= 0], label] = np.asarray(hits.scores, np.float64)[here >= 0]

    for start in range(0, len(vectors), TOGETHER):
        some = vectors[start : start + TOGETHER]
        if total > MAX_LIMIT:
            for label, vector in enumerate(some, start):
                for hits in pages(searcher, vector, task.modality, where, (), space):
                    take(label, hits)
        else:
            options = SearchOptions(
                modality=(task.modality,), where=where, limit=max(1, total), exact=True
            )
            answers = ask(searcher, [Vector(one) for one in some], options, space)
            for label, answer in enumerate(answers, start):
                if isinstance(answer, TrichordError):
                    raise answer
                take(label, answer)
        if on_progress is not None:
            on_progress(min(start + TOGETHER, len(vectors)), len(vectors))
    if not np.isfinite(scores).all():
        raise InvalidInput("the store changed while it was asked: run the evaluation once more")
    return scores, used


def _half(entity_id: str) -> bool:
    """Which half: by entity, so that no entity is in both."""
    return hashlib.sha256(entity_id.encode()).digest()[0] % 2 == 0
