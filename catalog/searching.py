"""A search over one view: filter, ask the leg of every modality, merge, cut the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from trichord.catalog.answering import hits_of
from trichord.catalog.asking import Asker, Direction
from trichord.catalog.legs import Leg
from trichord.catalog.meaning import Meaning
from trichord.catalog.view import View
from trichord.errors import FilterError, InvalidInput, TrichordError
from trichord.filters import Filter, parse
from trichord.hits import Hits
from trichord.index.base import PADDING
from trichord.index.groups import search_groups
from trichord.index.live import LiveIndex
from trichord.index.rowset import RowSet
from trichord.query import Query, SearchOptions
from trichord.types import F32, I64, Group, Modality, Space

FEW_LEFT_OUT = 64
"""Up to so many groups a search leaves out by asking for as many more, beyond by a mask."""


@dataclass(frozen=True)
class Ranked:
    """One place of an answer: rows of a leg, best first, int64 (m,), and their scores."""

    leg: Leg
    rows: I64
    scores: F32


def as_filter(where: str | Filter | None) -> Filter | None:
    """The tree of a filter given as text or as a tree."""
    if where is None or (isinstance(where, str) and not where.strip()):
        return None
    if isinstance(where, str):
        return parse(where)
    if not isinstance(where, Filter):
        raise FilterError("a filter is a text such as market = 'SE', or a tree of trichord.filters")
    return where


def modalities_of(options: SearchOptions, space: Space) -> list[Modality]:
    """The modalities to search, in one order whatever order was asked in; raises InvalidInput for
    one that is not, or not in the space."""
    if not options.modality:
        return [modality for modality in Modality if modality in space.encoders]
    wanted = set()
    for name in options.modality:
        if name not in set(Modality):
            raise InvalidInput(
                f"there is no modality {name!r}; there are {', '.join(Modality)}", modality=name
            )
        modality = Modality(name)
        if modality not in space.encoders:
            raise InvalidInput(
                f"space {space.name!r} has no {modality}; it has {', '.join(space.encoders)}",
                modality=name,
            )
        wanted.add(modality)
    return [modality for modality in Modality if modality in wanted]


def search(
    view: View,
    space: Space,
    asker: Asker,
    queries: Sequence[Query],
    options: SearchOptions,
    *,
    visible: Filter | None = None,
    offset: int = 0,
    first: int = 0,
) -> list[tuple[Hits, bool] | TrichordError]:
    """One answer per query with whether more follow, or the query's own error.

    An approximate index ranks otherwise the deeper it is asked, so pages cut from longer and longer
    lists would repeat and lose hits. Behind `offset` hits, of which the first page had `first`, the
    list is therefore that page as it was, then all others in the order of exact search.

    Raises FilterError and InvalidInput for what concerns all queries.
    """
    modalities = modalities_of(options, space)
    names = _attribute_names(options, view)
    where = as_filter(options.where)
    view.passing(where, visible)  # a wrong filter is an error also where there is nothing to search
    there = [view.legs.get((space.name, modality)) for modality in modalities]
    asked = [(leg, view.allowed(leg, where, visible)) for leg in there if leg and leg.index.live]
    directions = asker.directions(queries)
    calibration = view.calibration(space)
    meanings = [
        Meaning(space.name, calibration, d.modality if isinstance(d, Direction) else None)
        for d in directions
    ]
    for position, direction in enumerate(directions):
        if isinstance(direction, Direction):
            try:
                meanings[position].needed(options, [leg.modality for leg, _ in asked])
            except InvalidInput as error:
                directions[position] = error
    ready = [(i, d) for i, d in enumerate(directions) if isinstance(d, Direction)]
    depth = offset + options.limit + 1
    if offset and not options.exact and any(leg.exact is not leg.index for leg, _ in asked):
        begun = _ranked(view, asked, ready, first + 1, options, meanings)
        exact = _ranked(view, asked, ready, depth, replace(options, exact=True), meanings)
        found = {i: _continued(view, begun[i][:first], exact[i], options) for i in begun}
    else:
        found = _ranked(view, asked, ready, depth, options, meanings)
    answers: list[tuple[Hits, bool] | TrichordError] = []
    for position, direction in enumerate(directions):
        if isinstance(direction, TrichordError):
            answers.append(direction)
            continue
        merged = found[position]
        page = merged[offset : offset + options.limit]
        more = len(merged) > offset + options.limit
        answers.append((hits_of(view, space, page, names, meanings[position]), more))
    return answers


def _ranked(
    view: View,
    asked: Sequence[tuple[Leg, RowSet | None]],
    ready: Sequence[tuple[int, Direction]],
    depth: int,
    options: SearchOptions,
    meanings: Sequence[Meaning],
) -> dict[int, list[Ranked]]:
    """At least the best `depth` places of each query over all legs."""
    found: dict[int, list[list[Ranked]]] = {i: [] for i, _ in ready}
    for leg, allowed in asked if ready else ():
        for position, ranked in _ask(view, leg, ready, depth, allowed, options):
            found[position].append(meanings[position].above(ranked, options))
    return {i: _merge(view, lists, options, meanings[i]) for i, lists in found.items()}


def _continued(
    view: View, begun: list[Ranked], exact: list[Ranked], options: SearchOptions
) -> list[Ranked]:
    """The list that begins so, then what else there is in its order."""

    def key(one: Ranked) -> tuple[Modality | None, int]:
        row = int(one.rows[0])
        match options.group:
            case Group.SEGMENT:
                return one.leg.modality, row
            case Group.ITEM:
                return None, int(one.leg.rows.item[row])
            case Group.ENTITY:
                return None, int(view.items.entity_code[one.leg.rows.item[row]])

    seen = {key(one) for one in begun}
    return begun + [one for one in exact if key(one) not in seen]


def _ask(
    view: View,
    leg: Leg,
    ready: Sequence[tuple[int, Direction]],
    depth: int,
    allowed: RowSet | None,
    options: SearchOptions,
) -> list[tuple[int, list[Ranked]]]:
    """The best `depth` groups of one leg per query. Most queries go to the index together."""
    index = leg.exact if options.exact else leg.index
    by_item = options.group is Group.ITEM
    together = [
        (i, d) for i, d in ready if not d.left_out or (by_item and len(d.left_out) <= FEW_LEFT_OUT)
    ]
    batches = [(together, allowed)] if together else []
    apart = {i for i, _ in ready} - {i for i, _ in together}
    for position, direction in ready:
        if position in apart:
            kept = ~np.isin(leg.rows.item, direction.left_out)
            rows = RowSet(kept if allowed is None else kept & allowed.mask)
            batches.append(([(position, direction)], rows))
    answers: list[tuple[int, list[Ranked]]] = []
    for batch, rowset in batches:
        extra = max(len(direction.left_out) for _, direction in batch) if by_item else 0
        available = leg.index.live if rowset is None else rowset.count
        wanted = min(depth + extra, available)  # a token's offset may be any number
        if not wanted:
            continue
        matrix = np.stack([direction.vector for _, direction in batch])
        for (position, direction), ranked in zip(
            batch, _grouped(view, leg, index, matrix, wanted, rowset, options), strict=True
        ):
            if by_item and direction.left_out:
                left_out = set(direction.left_out)
                ranked = [one for one in ranked if int(leg.rows.item[one.rows[0]]) not in left_out]
            answers.append((position, ranked[:depth]))
    return answers


def _grouped(
    view: View,
    leg: Leg,
    index: LiveIndex,
    matrix: F32,
    wanted: int,
    rowset: RowSet | None,
    options: SearchOptions,
) -> list[list[Ranked]]:
    """The best groups per query, best first, each with its best rows."""
    if options.group is Group.SEGMENT:
        flat = index.search(matrix, wanted, allowed=rowset)
        rows, scores = flat.rows[:, :, None], flat.scores[:, :, None]
    else:
        groups = view.groups(leg, options.group)
        grouped = search_groups(
            index, matrix, wanted, groups, allowed=rowset, per_group=options.segments
        )
        rows, scores = grouped.rows, grouped.row_scores
    answers: list[list[Ranked]] = []
    for query in range(len(matrix)):
        ranked = []
        for places, values in zip(rows[query], scores[query], strict=True):
            if places[0] == PADDING:
                break
            there = places != PADDING
            ranked.append(Ranked(leg, places[there], values[there]))
        answers.append(ranked)
    return answers


def _merge(
    view: View, lists: Sequence[list[Ranked]], options: SearchOptions, meaning: Meaning
) -> list[Ranked]:
    """Lists of several modalities as one: by rank, by rank and quota, by score or significance.

    A segment or an item is in one list only, so ordering by rank is Reciprocal Rank Fusion
    (Cormack, Clarke, Buettcher, SIGIR 2009), which falls with the rank. An entity that stands in
    several counts once, at its best place: a sum over lists would change with how deep each was
    read, and pages with it.
    """
    if len(lists) == 1:
        return lists[0]
    entries: list[tuple[float, int, int]] = []
    for number, ranked in enumerate(lists):
        places = _places(ranked, options, meaning)
        entries += [(place, number, rank) for rank, place in enumerate(places)]
    entries.sort()
    merged: list[Ranked] = []
    seen: set[int] = set()
    for _, number, rank in entries:
        one = lists[number][rank]
        if options.group is Group.ENTITY:
            entity = int(view.items.entity_code[one.leg.rows.item[one.rows[0]]])
            if entity in seen:
                continue
            seen.add(entity)
        merged.append(one)
    return merged


def _places(ranked: list[Ranked], options: SearchOptions, meaning: Meaning) -> list[float]:
    """By what a leg's places are ordered among those of other legs; lower comes first."""
    if not ranked:
        return []
    modality = ranked[0].leg.modality
    match options.fuse:
        case "score":
            return [-float(one.scores[0]) for one in ranked]
        case "significance":
            scores = np.array([one.scores[0] for one in ranked], np.float32)
            return [-float(value) for value in meaning.significances(modality, scores)]
        case "quota" if options.quotas:
            # Any beginning of the list holds the modalities in their proportions.
            share = dict(options.quotas).get(modality, 0)
            return [(rank + 0.5) / share for rank in range(len(ranked))] if share else []
        case _:
            return [float(rank) for rank in range(len(ranked))]


def _attribute_names(options: SearchOptions, view: View) -> list[str]:
    known = view.items.attributes
    if "*" in options.attributes:
        return sorted(known)
    unknown = [name for name in options.attributes if name not in known]
    if unknown:
        raise InvalidInput(
            f"there is no attribute {unknown[0]!r} to return; there are "
            f"{', '.join(sorted(known)) or 'none'}",
            field=unknown[0],
        )
    return list(dict.fromkeys(options.attributes))
