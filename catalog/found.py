"""Stored things by key, as of one view."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from trichord.catalog.view import View
from trichord.errors import InvalidInput
from trichord.filters import Filter
from trichord.results import Found
from trichord.types import I64, Bool, Entity, Item, Modality


def found(
    view: View,
    item_ids: Sequence[str],
    entity_ids: Sequence[str],
    attributes: Sequence[str],
    *,
    visible: Filter | None,
) -> Found:
    """Items and entities in the order asked, each id once; an item's attributes are its own, else
    its entity's. What the filter `visible` hides counts as not stored.

    Raises InvalidInput for an unknown attribute, NotFound if the view's snapshot is no longer kept.
    """
    items = view.items
    unknown = [name for name in attributes if name not in items.attributes]
    if unknown:
        raise InvalidInput(
            f"there is no attribute {unknown[0]!r}; there are "
            f"{', '.join(sorted(items.attributes)) or 'none'}",
            field=unknown[0],
        )
    names = list(attributes) or sorted(items.attributes)
    shown = view.shown(visible)
    rows = live_rows(view, item_ids, shown)
    entities = _entities(view, entity_ids, names, shown)
    return Found(
        _items(view, rows, names),
        tuple(entities.values()),
        tuple(item_id for item_id in dict.fromkeys(item_ids) if item_id not in rows),
        tuple(entity_id for entity_id in dict.fromkeys(entity_ids) if entity_id not in entities),
        view.snapshot.id,
    )


def live_rows(view: View, item_ids: Sequence[str], shown: Bool | None) -> dict[str, int]:
    """Rows of the item table of those ids that are stored and shown, in the order given."""
    return {
        item_id: row
        for item_id in dict.fromkeys(item_ids)
        if (row := view.items.row(item_id)) is not None and (shown is None or shown[row])
    }


def members(view: View, entity_ids: Sequence[str], shown: Bool | None) -> dict[str, I64]:
    """Rows of the live, shown items of those entities that have any."""
    codes = {
        code: entity_id
        for entity_id in dict.fromkeys(entity_ids)
        if (code := view.items.entity_codes_of.get(entity_id)) is not None
    }
    if not codes:
        return {}
    there = view.items.alive if shown is None else view.items.alive & shown
    rows = np.flatnonzero(np.isin(view.items.entity_code, list(codes)) & there)
    if not len(rows):
        return {}
    of = view.items.entity_code[rows]
    order = np.argsort(of, kind="stable")
    present, starts = np.unique(of[order], return_index=True)
    parts = np.split(rows[order], starts[1:])
    return {codes[int(code)]: part for code, part in zip(present, parts, strict=True)}


def _items(view: View, rows: dict[str, int], names: Sequence[str]) -> tuple[Item, ...]:
    if not rows:
        return ()
    stored = {row["item_id"]: row for row in view.reader.get_items(list(rows)).to_pylist()}
    effective = view.items.frame[["item_id", *names]][list(rows.values())]
    values = {row["item_id"]: row for row in effective.to_dicts()}
    return tuple(_item(stored[item_id], values[item_id], names) for item_id in rows)


def _item(row: dict[str, Any], values: dict[str, Any], names: Sequence[str]) -> Item:
    return Item(
        row["item_id"],
        row["entity_id"],
        Modality(row["modality"]),
        row["uri"],
        row["text"],
        row["media_type"],
        row["content_hash"] or "",
        row["segments"],
        row["event_timestamp"],
        row["created_timestamp"],
        {name: values[name] for name in names if values[name] is not None},
    )


def _entities(
    view: View, entity_ids: Sequence[str], names: Sequence[str], shown: Bool | None
) -> dict[str, Entity]:
    """Entities that have an item that is shown, or (where all is shown) attributes of their own."""
    if not entity_ids:
        return {}
    of = members(view, entity_ids, shown)
    wanted = pl.Series(list(dict.fromkeys(entity_ids)), dtype=pl.String)
    own = {
        row["entity_id"]: row
        for row in view.items.entities.filter(
            pl.col("entity_id").is_in(wanted.implode())
        ).to_dicts()
    }
    there: dict[str, Entity] = {}
    for entity_id in dict.fromkeys(entity_ids):
        if entity_id not in of and (entity_id not in own or shown is not None):
            continue
        rows = of.get(entity_id, np.zeros(0, np.int64))
        ids = tuple(sorted(view.items.frame["item_id"][rows.tolist()].to_list()))
        row = own.get(entity_id, {})
        facts = {name: row[name] for name in names if row.get(name) is not None}
        there[entity_id] = Entity(entity_id, ids, facts)
    return there
