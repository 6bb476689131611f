"""Boosts: attributes that add to the score by which hits are ordered."""

from __future__ import annotations

import numpy as np
import polars as pl

from trichord.catalog.leg_search import Question, ask
from trichord.catalog.legs import Leg
from trichord.catalog.places import F64, Places, deepened, keys_of
from trichord.catalog.view import View
from trichord.errors import InvalidInput
from trichord.filters import as_filter
from trichord.index.base import PADDING
from trichord.index.groups import first_of_each
from trichord.index.rowset import RowSet
from trichord.query import Boost
from trichord.types import Bool


def boosts_of(view: View, boosts: tuple[Boost, ...]) -> F64:
    """What is added to each item's score, float64 (items,).

    Raises FilterError for a wrong filter, InvalidInput for an attribute that is no number.
    """
    added = np.zeros(len(view.items), np.float64)
    for boost in boosts:
        if boost.attribute:
            added += boost.weight * _numbers(view, boost.attribute)
        else:
            added[_passing(view, boost)] += boost.weight
    return added


def ask_boosted(
    view: View,
    leg: Leg,
    question: Question,
    depth: int,
    allowed: RowSet | None,
    added: F64,
) -> Places:
    """The best `depth` places per query by cosine plus boost, out of the nearest `depth` over all
    and the nearest `depth` of what each filter lifts.

    With one boost by a filter that is the same as scoring every row: a place that is among the best
    is either lifted, and then among the nearest of the lifted, or not, and then among the nearest
    over all. With several, or a boost by an attribute's value, a far hit whose boosts add up may be
    missed.
    """
    lists = [ask(view, leg, question, depth, allowed)]
    for boost in question.options.boosts:
        if boost.attribute:
            continue
        passing = _passing(view, boost)
        lifted = passing if boost.weight > 0 else ~passing
        rows = lifted[leg.rows.item] & (leg.index.alive if allowed is None else allowed.mask)
        lists.append(ask(view, leg, question, depth, RowSet(rows)))
    deep = max(one.rows.shape[2] for one in lists)
    together = Places(
        (leg,),
        np.concatenate([deepened(one.rows, deep, PADDING) for one in lists], axis=1),
        np.concatenate([deepened(one.scores, deep, -np.inf) for one in lists], axis=1),
    )
    items = together.items()
    order = np.where(items >= 0, together.scores[:, :, 0] + added[items], -np.inf)
    together = Places(together.legs, together.rows, together.scores, None, order)
    ranked = together.picked(np.argsort(-order, axis=1, kind="stable"))
    keys = keys_of(view, ranked, question.options.group)
    return ranked.kept(first_of_each(keys)).cut(0, depth)


def _passing(view: View, boost: Boost) -> Bool:
    found = view.passing(as_filter(boost.where), None)
    return np.ones(len(view.items), bool) if found is None else found


def _numbers(view: View, name: str) -> F64:
    dtype = view.items.frame.schema.get(name) if name in view.items.attributes else None
    if dtype is None or not (dtype.is_numeric() or dtype == pl.Boolean):
        kind = view.items.attributes.get(name)
        raise InvalidInput(
            f"a boost needs a number: {name!r} is of type {kind}"
            if kind
            else f"there is no attribute {name!r} to boost by; there are "
            f"{', '.join(sorted(view.items.attributes)) or 'none'}",
            field=name,
        )
    column = view.items.frame.get_column(name).cast(pl.Float64).fill_null(0.0)
    return column.to_numpy()
