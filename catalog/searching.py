"""A search over one view: filter, ask the leg of every modality, merge, cut the page.

excluding      what is left out: stored things that ask, ids of the caller
leg_search     one leg: segments, items or entities
boosting       attributes that add to the score
merging        lists of several modalities as one
reordering     words, a cross-encoder, diversity
faceting       values of what could be found
answering      places as columns
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from trichord.answers import Answers
from trichord.catalog import boosting, faceting, quick
from trichord.catalog.answering import answers_of
from trichord.catalog.asking import Asker, Direction
from trichord.catalog.excluding import Exclusion
from trichord.catalog.leg_search import NOTHING, Question, ask
from trichord.catalog.legs import Leg
from trichord.catalog.meaning import Meaning
from trichord.catalog.merging import merge
from trichord.catalog.places import Places, keys_of, stacked
from trichord.catalog.reordering import Reordering
from trichord.catalog.stages import Stages
from trichord.catalog.tools import Tools
from trichord.catalog.view import View
from trichord.errors import InvalidInput, TrichordError
from trichord.explanation import Explanation, LegExplanation
from trichord.filters import Filter, as_filter
from trichord.index.rowset import RowSet
from trichord.query import Query, SearchOptions, Text, Vectors
from trichord.types import F32, Bool, Modality, Space

POOL, POOL_PAGES = 200, 10
"""Where something but the indexes orders the hits, it orders the best 200 of them, or ten first
pages if that is more; the list ends there, and its pages are cut from the same pool."""

Asked = Sequence[Query] | Vectors
LegAsked = tuple[Leg, RowSet | None]


def modalities_of(options: SearchOptions, space: Space) -> list[Modality]:
    """The modalities to search, in one order whatever order was asked in; raises InvalidInput for
    one that is not, or not in the space."""
    if not options.modality:
        return [modality for modality in Modality if modality in space.encoders]
    if len(options.modality) == 1 and options.modality[0] in space.encoders:
        return [_MODALITIES[options.modality[0]]]
    wanted = set()
    for name in options.modality:
        if name not in _MODALITIES:
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


_MODALITIES = {str(modality): modality for modality in Modality}


def search(
    view: View,
    space: Space,
    asker: Asker,
    queries: Asked,
    options: SearchOptions,
    *,
    visible: Filter | None = None,
    offset: int = 0,
    first: int = 0,
    tools: Tools | None = None,
    following: Callable[[], str] | None = None,
) -> Answers:
    """One answer or error per query. `following` makes the token of the next page of a single query
    when there is one.

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
    leg = there[0]
    if options.quick and offset == 0 and leg and view.ungrouped(leg, options.group):
        if following is not None:
            vector = asker.alone(queries)
            if vector is not None:
                allowed = view.allowed(leg, where, visible)
                meeting = None if tools is None else tools.meeting
                one = quick.Asked(view, space, leg, vector, options, names, allowed)
                answer = quick.one(one, following, meeting)
                if answer is not None:
                    return answer
        elif isinstance(queries, Vectors) and not options.excludes:
            matrix, allowed = asker.matrix(queries), view.allowed(leg, where, visible)
            return quick.many(view, space, leg, matrix, options, names, allowed)
    stages = Stages(options.explain)
    asked = [(leg, view.allowed(leg, where, visible)) for leg in there if leg and leg.index.live]
    stages.done("filter")
    run = _Run(view, options, asked, stages, first or options.limit, tools)
    matrix, own, modality_of_query, errors = _directions(asker, queries)
    calibration = view.calibration(space)
    meanings = [Meaning(space.name, calibration, modality) for modality in modality_of_query]
    if options.has_thresholds or options.fuse == "significance":
        errors = _without_meaning(meanings, options, asked, errors)
    ready = [number for number in range(len(meanings)) if number not in errors]
    texts = _texts(queries, options) if options.rerank else [""] * len(meanings)
    stages.done("query")
    said: dict[str, Any] = {}
    if ready and asked:
        if len(ready) < len(meanings):
            matrix = np.ascontiguousarray(matrix[ready])
            own, meanings = [own[n] for n in ready], [meanings[n] for n in ready]
            texts = [texts[n] for n in ready]
        paged = following is not None and len(ready) == 1 and not errors
        end = offset + options.limit
        found = run.ranked(matrix, own, meanings, texts, end + paged, offset)
        if paged and following is not None and found.rows.shape[1] > end:
            said["next_page_token"] = following()
        page = found.cut(offset, end) if found.rows.shape[1] > end or offset else found
    else:
        meanings = [meanings[n] for n in ready]
        page = Places.none([leg for leg, _ in asked], len(ready))
    stages.done("search")
    if options.facets:
        found_by = findable(view, asked, run.excluded)
        said["facets"] = faceting.facets(view, options.facets, found_by)
        stages.done("facets")
    if run.notes:
        said |= {"notes": tuple(dict.fromkeys(run.notes)), "partial": run.partial}
    answers = answers_of(view, space, page, names, meanings, **said)
    if options.explain:
        stages.done("columns")
        answers.flat = replace(answers.flat, explanation=run.explanation())
    return answers.with_errors(errors, len(ready) + len(errors)) if errors else answers


class _Run:
    """What the stages of one search share."""

    def __init__(
        self,
        view: View,
        options: SearchOptions,
        asked: Sequence[LegAsked],
        stages: Stages,
        first: int,
        tools: Tools | None,
    ) -> None:
        self.view, self.options, self.asked, self.stages = view, options, asked, stages
        self.first, self.tools = first, tools
        self.excluded = Exclusion(options.exclude_items, options.exclude_entities)
        self.notes: list[str] = []
        self.partial = False
        self._traces: list[list[Any]] = [[] for _ in asked]

    def ranked(
        self,
        matrix: F32,
        own: Sequence[Sequence[int]],
        meanings: Sequence[Meaning],
        texts: Sequence[str],
        depth: int,
        offset: int,
    ) -> Places:
        """At least the best `depth` places of each query over all legs, as far as there are."""
        options = self.options
        if options.reorders:
            return self._reordered(matrix, own, meanings, texts)
        if (
            offset
            and not options.exact
            and any(leg.exact is not leg.index for leg, _ in self.asked)
        ):
            begun = self._merged(matrix, own, meanings, self.first + 1, options)
            exact = self._merged(matrix, own, meanings, depth, replace(options, exact=True))
            return self._continued(begun.cut(0, self.first), exact)
        return self._merged(matrix, own, meanings, depth, options)

    def explanation(self) -> Explanation:
        legs = tuple(
            LegExplanation(
                leg.modality,
                "exact" if self.options.exact else leg.index.info.kind,
                leg.index.live,
                len(leg.index.fresh),
                leg.index.live if allowed is None else allowed.count,
                tuple(trace),
            )
            for (leg, allowed), trace in zip(self.asked, self._traces, strict=True)
        )
        return Explanation(legs, self.stages.spent)

    def _merged(
        self,
        matrix: F32,
        own: Sequence[Sequence[int]],
        meanings: Sequence[Meaning],
        depth: int,
        options: SearchOptions,
    ) -> Places:
        lists: list[Places] = []
        added = boosting.boosts_of(self.view, options.boosts) if options.boosts else None
        for number, (leg, allowed) in enumerate(self.asked):
            how: dict[str, Any] = {}
            if options.recall is not None:
                how["recall"] = options.recall
            if options.explain:
                how["trace"] = self._traces[number]
            question = Question(matrix, own, self.excluded, options, how)
            if added is None:
                found = ask(self.view, leg, question, depth, allowed)
            else:
                found = boosting.ask_boosted(self.view, leg, question, depth, allowed, added)
            if options.has_thresholds:
                scores = found.scores[:, :, 0]
                enough = [
                    m.enough(leg.modality, s, options)
                    for m, s in zip(meanings, scores, strict=True)
                ]
                found = found.kept(np.array(enough, bool).reshape(scores.shape))
            lists.append(found)
        return merge(self.view, lists, options, meanings)

    def _reordered(
        self,
        matrix: F32,
        own: Sequence[Sequence[int]],
        meanings: Sequence[Meaning],
        texts: Sequence[str],
    ) -> Places:
        options = self.options
        pool = max(POOL, POOL_PAGES * self.first)
        found = self._merged(matrix, own, meanings, pool, options).cut(0, pool)
        if not (options.keywords or options.rerank or options.diversity):
            return found
        again = Reordering(
            self.view,
            options,
            self.tools or Tools(),
            findable(self.view, self.asked, self.excluded),
            [allowed for _, allowed in self.asked],
        )
        parts = [
            again.one(found.of(query), matrix[query], own[query], meanings[query], text, pool)
            for query, text in enumerate(texts)
        ]
        self.notes, self.partial = again.notes, again.partial
        return stacked(parts)

    def _continued(self, begun: Places, exact: Places) -> Places:
        """Of a single query: the list that begins so, then what else there is in its order."""
        group = self.options.group
        seen = np.isin(keys_of(self.view, exact, group), keys_of(self.view, begun, group))
        rest = exact.kept(~seen)
        together = stacked([begun.of(0), rest.of(0)])
        at = np.flatnonzero(together.there.reshape(-1))
        width = together.rows.shape[1]
        one = Places(
            together.legs,
            together.rows.reshape(1, 2 * width, -1),
            together.scores.reshape(1, 2 * width, -1),
            None if together.leg is None else together.leg.reshape(1, -1),
            None if together.order is None else together.order.reshape(1, -1),
        )
        return one.picked(at[None, :])


def _directions(
    asker: Asker, queries: Asked
) -> tuple[F32, list[Sequence[int]], list[Modality | None], dict[int, TrichordError]]:
    """The queries as a matrix float32 (n, dim) (zero where there is an error), what each leaves
    out, the modality of each, and the errors by number."""
    if isinstance(queries, Vectors):
        matrix = asker.matrix(queries)
        return matrix, [NOTHING] * len(matrix), [None] * len(matrix), {}
    directions = asker.directions(queries)
    errors = {i: one for i, one in enumerate(directions) if isinstance(one, TrichordError)}
    if len(directions) == 1 and not errors:
        one = directions[0]
        assert isinstance(one, Direction)
        return one.vector[None, :], [one.left_out], [one.modality], {}
    matrix = np.zeros((len(directions), asker.dim), np.float32)
    own: list[Sequence[int]] = [NOTHING] * len(directions)
    modalities: list[Modality | None] = [None] * len(directions)
    for number, direction in enumerate(directions):
        if isinstance(direction, Direction):
            matrix[number] = direction.vector
            own[number], modalities[number] = direction.left_out, direction.modality
    return matrix, own, modalities, errors


def _without_meaning(
    meanings: Sequence[Meaning],
    options: SearchOptions,
    asked: Sequence[LegAsked],
    errors: dict[int, TrichordError],
) -> dict[int, TrichordError]:
    """The errors, and those of queries whose scores have no meaning where one is needed."""
    found = dict(errors)
    for number, meaning in enumerate(meanings):
        if number not in found:
            try:
                meaning.needed(options, [leg.modality for leg, _ in asked])
            except InvalidInput as error:
                found[number] = error
    return found


def _texts(queries: Asked, options: SearchOptions) -> list[str]:
    """What a cross-encoder is asked per query: the keywords, else the texts of the query."""
    if isinstance(queries, Vectors):
        return [options.keywords] * len(queries)
    return [
        options.keywords
        or " ".join(t.input.text for t in query.terms if isinstance(t.input, Text) and t.weight > 0)
        for query in queries
    ]


def findable(view: View, asked: Sequence[LegAsked], excluded: Exclusion) -> Bool:
    """The items that a search could find, bool (items,)."""
    found = np.zeros(len(view.items), bool)
    for leg, allowed in asked:
        rows = leg.index.alive if allowed is None else allowed.mask
        found[leg.rows.item[rows]] = True
    gone = view.excluded(excluded)
    return found if gone is None else found & ~gone


def _attribute_names(options: SearchOptions, view: View) -> list[str]:
    known = view.items.attributes
    if "*" in options.attributes:
        return sorted(known)
    for name in options.attributes:
        if name not in known:
            raise InvalidInput(
                f"there is no attribute {name!r} to return; there are "
                f"{', '.join(sorted(known)) or 'none'}",
                field=name,
            )
    return list(dict.fromkeys(options.attributes))
