"""Golden sets from what a catalogue knows already: an attribute's values as queries, the items that
have them as answers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from trichord.errors import InvalidInput, NotFound
from trichord.evaluation.assembling import assemble
from trichord.evaluation.collecting import Collected, collect, labels_of
from trichord.evaluation.golden import GoldenSet
from trichord.evaluation.running import Searcher, searchable
from trichord.evaluation.slices import with_head_and_tail


def from_attribute(
    searcher: Searcher,
    attribute: str,
    *,
    name: str,
    space: str | None = None,
    modalities: Sequence[str] = (),
    where: str | None = None,
    templates: Sequence[str] = ("{label}",),
    judges: str = "item",
    least_items: int = 1,
    popularity: str | None = None,
    top: float = 0.2,
    description: str = "",
) -> GoldenSet:
    """One query per value of `attribute`, modality and template ("a photo of {label}"); the items
    (or entities) of that modality with that value answer it with grade 1.

    The value stands in the slice column "label", which is the cluster to draw by: the templates of
    one label depend on each other. Values with fewer than `least_items` answers are left out.
    `popularity` names a numeric attribute; with it the column "head_tail" tells queries whose
    answers are all among the `top` share from those with none.

    The set is complete: an item that lacks a value is taken for wrong, so its judgements are as
    good as the attribute.
    Raises NotFound where no item has the attribute, InvalidInput for templates without {label}.
    """
    for template in templates:
        if "{label}" not in template:
            raise InvalidInput(f"the template {template!r} has no {{label}}")
    if not templates:
        raise InvalidInput("give at least one template")
    wanted = list(modalities) or searchable(searcher, space)
    extra = () if popularity is None else (popularity,)
    rows: list[dict[str, Any]] = []
    judged: list[tuple[Any, Any, Any]] = []
    popular: dict[str, float] = {}
    ids: set[str] = set()
    for modality in wanted:
        items = collect(searcher, attribute, modality, space=space, where=where, attributes=extra)
        answers: dict[str, dict[str, None]] = {}
        for item in items:
            target = item.entity_id if judges == "entity" else item.item_id
            for label in labels_of(item.attributes[attribute]):
                answers.setdefault(label, {})[target] = None
            if popularity is not None:
                _note(popular, target, item, popularity)
        for label in sorted(answers):
            if len(answers[label]) < max(1, least_items) or not label.strip():
                continue
            for number, template in enumerate(templates, 1):
                query_id = _unused(_slug(label, modality, number, len(templates)), ids)
                rows.append(
                    {
                        "query_id": query_id,
                        # Not str.format: a label or template may hold other braces.
                        "text": template.replace("{label}", label),
                        "modality": modality,
                        "where": where,
                        "label": label,
                    }
                )
                judged += [(query_id, target, 1) for target in answers[label]]
    if not rows:
        raise NotFound(
            f"no item of {', '.join(wanted)} has a value of {attribute!r} often enough",
            attribute=attribute,
        )
    golden = assemble(
        name,
        rows,
        judged,
        judges=judges,
        description=description or f"values of the attribute {attribute!r}",
        complete=True,
    )
    return golden if popularity is None else with_head_and_tail(golden, popular, top=top)


def _note(popular: dict[str, float], target: str, item: Collected, attribute: str) -> None:
    value = item.attributes.get(attribute)
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidInput(f"the attribute {attribute!r} is no number: {value!r}")
    popular[target] = max(popular.get(target, float(value)), float(value))


def _slug(label: str, modality: str, number: int, templates: int) -> str:
    short = re.sub(r"\s+", "-", label.strip())
    return f"{short}:{modality}" + (f":{number}" if templates > 1 else "")


def _unused(name: str, taken: set[str]) -> str:
    free, number = name, 1
    while free in taken:
        number += 1
        free = f"{name}~{number}"
    taken.add(free)
    return free
