"""Lists of several modalities as one: by rank, by rank and quota, by score or by significance.

A segment or an item is in one list only, so ordering by rank is Reciprocal Rank Fusion (Cormack,
Clarke, Buettcher, SIGIR 2009), which falls with the rank. An entity that stands in several lists
counts once, at its best place: a sum over lists would change with how deep each was read, and pages
with it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trichord.catalog.meaning import Meaning
from trichord.catalog.places import F64, Places, beside
from trichord.catalog.view import View
from trichord.index.groups import first_of_each
from trichord.query import SearchOptions
from trichord.types import Group


def merge(
    view: View, lists: Sequence[Places], options: SearchOptions, meanings: Sequence[Meaning]
) -> Places:
    """One list per query. Each of `lists` is of one leg; `meanings` are those of the queries."""
    if len(lists) == 1:
        return lists[0]
    together = beside(lists)
    turns = np.concatenate([_turns(one, options, meanings) for one in lists], axis=1)
    turns[~together.there] = np.inf
    # Stable: what has the same turn stays in the order of the modalities.
    at = np.argsort(turns, axis=1, kind="stable")
    merged = together.picked(at).kept(np.take_along_axis(np.isfinite(turns), at, axis=1))
    if options.group is Group.ENTITY:
        items = merged.items()
        entities = np.where(items >= 0, view.items.entity_code[items], -1)
        merged = merged.kept(first_of_each(entities))
    return merged


def _turns(one: Places, options: SearchOptions, meanings: Sequence[Meaning]) -> F64:
    """By what the places of a list are ordered among those of others; lower comes first."""
    shape = one.rows.shape[:2]
    ranks = np.broadcast_to(np.arange(shape[1], dtype=np.float64), shape)
    modality = one.legs[0].modality
    match options.fuse:
        case "score":
            return -np.asarray(one.ordered_by, np.float64)
        case "significance":
            pairs = zip(meanings, one.scores[:, :, 0], strict=True)
            found = [meaning.significances(modality, scores) for meaning, scores in pairs]
            return -np.asarray(found, np.float64).reshape(shape)
        case "quota" if options.quotas:
            # Any beginning of the list holds the modalities in their proportions.
            share = dict(options.quotas).get(modality, 0)
            return (ranks + 0.5) / share if share else np.full(shape, np.inf)
        case _:
            return ranks.copy()
