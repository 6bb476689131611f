"""What a catalogue is asked: searches, stored things by key, what is here. Nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from trichord.answers import Answers
from trichord.catalog import admitting, counting, describing, health, pages, quick, searching
from trichord.catalog.arguments import as_ids
from trichord.catalog.asking import Asker, Direction
from trichord.catalog.encoding import ContentEncoder
from trichord.catalog.found import found
from trichord.catalog.health import SpaceHealth
from trichord.catalog.latest_keywords import LatestKeywords
from trichord.catalog.models import Models
from trichord.catalog.placing import Place, as_it_is
from trichord.catalog.reranking import Reranking
from trichord.catalog.tools import Tools
from trichord.catalog.view import View
from trichord.catalog.viewing import Views
from trichord.embedders.canaries import Agreement
from trichord.errors import InvalidInput, NotFound, TrichordError
from trichord.filters import Filter
from trichord.hits import Hits
from trichord.options import SearchKeywords, options_of
from trichord.policy import LOCAL, Action, Policy, Principal
from trichord.query import (
    MAX_QUERIES,
    Askable,
    Input,
    ItemRef,
    Query,
    SearchOptions,
    Vectors,
    as_names,
    as_queries,
    as_query,
    as_vectors,
)
from trichord.results import Found, SpaceInfo, Stats
from trichord.store import Store
from trichord.types import F32, Embedded, Frame, Modality, Role, Space


class Reading:
    """The half of `Catalog` that only reads. `kept_fresh`: somebody else looks for newer snapshots,
    so reads need not."""

    def __init__(
        self,
        store: Store,
        space: str,
        models: Models,
        policy: Policy,
        *,
        kept_fresh: bool,
        reranking: Reranking | None = None,
        place: Place = as_it_is,
    ) -> None:
        self._store = store
        self._space = space
        self._models = models
        models.serve(store)
        self._policy = policy
        self._kept_fresh = kept_fresh
        self._views = Views(store, kept=kept_fresh, place=place)
        self._words = LatestKeywords(store.path)
        self._reranking = reranking
        self._meeting = quick.meeting() if kept_fresh else None

    @property
    def path(self) -> Path:
        return self._store.path

    @property
    def space_name(self) -> str:
        """The default space: that of the alias "default" if there is one."""
        return self._views.newest.named(None, self._space)

    @property
    def frame(self) -> Frame:
        """Of the default space; raises NotFound while nothing says what it is."""
        return self._space_of(self._views.newest, None).frame

    # Searching

    def search(
        self,
        asked: Askable,
        *,
        space: str | None = None,
        principal: Principal = LOCAL,
        **options: Unpack[SearchKeywords],
    ) -> Hits:
        """The nearest stored content to a text, picture, sound, vector, stored thing or a weighted
        combination of these, best first. Options: see `trichord.query.SearchOptions`.

        Raises InvalidInput (MediaError, VectorError, FilterError, PageTokenError), NotFound for an
        unknown item or space, EncoderMismatch, PermissionDenied.
        """
        answers = self._answers([as_query(asked)], options_of(options), space, principal)
        answer = answers[0]
        if isinstance(answer, TrichordError):
            raise answer
        return answer

    def similar(self, item_id: str, **options: Any) -> Hits:
        """What is nearest to a stored item, itself left out; options as for `search`."""
        return self.search(ItemRef(item_id), **options)

    def search_many(
        self,
        queries: Sequence[Askable] | F32 | Vectors,
        options: SearchOptions | None = None,
        *,
        space: str | None = None,
        principal: Principal = LOCAL,
        **keywords: Unpack[SearchKeywords],
    ) -> Answers:
        """One answer per query, in order; a query that fails does not fail the others, its error
        stands in its place. `queries` may be a matrix of vectors, float32 (n, dim).

        Options as for `search`, or ready as `options`. Raises what concerns all queries:
        FilterError, NotFound for the space, PermissionDenied …
        """
        asked = as_vectors(queries) or as_queries(queries)
        return self._answers(asked, options or options_of(keywords), space, principal)

    def _answers(
        self, queries: searching.Asked, options: SearchOptions, space: str | None, by: Principal
    ) -> Answers:
        self._policy.permits(by, Action.SEARCH)
        if not 0 < len(queries) <= MAX_QUERIES:
            raise InvalidInput(f"a search has 1 to {MAX_QUERIES} queries, this one {len(queries)}")
        view, offset, first = self._current(), 0, options.limit
        if options.page_token:
            if len(queries) != 1:
                raise InvalidInput("a page token goes with exactly one query")
            # An alias means what it meant in the snapshot of the first page.
            view = self._views.at(pages.snapshot_of(options.page_token))
        stored = self._space_of(view, space)
        if options.page_token:
            asked = pages.question(_only(queries), options, stored.name)
            _, offset, first = pages.read_token(options.page_token, asked)
        visible = self._policy.visible(by)

        def following() -> str:
            self._views.offer(view)
            asked = pages.question(_only(queries), options, stored.name)
            return pages.token(view.snapshot.id, offset + options.limit, first, asked)

        return searching.search(
            view,
            stored,
            self._asker(view, stored, visible),
            queries,
            options,
            visible=visible,
            offset=offset,
            first=first,
            tools=self._tools(view),
            following=following if len(queries) == 1 else None,
        )

    def embed(
        self,
        inputs: Sequence[Input],
        *,
        role: Role = Role.QUERY,
        space: str | None = None,
        principal: Principal = LOCAL,
    ) -> Embedded:
        """One unit vector per input, float32 (n, dim), with an error per input that has none."""
        self._policy.permits(principal, Action.EMBED)
        view = self._current()
        stored = self._space_of(view, space)
        asker = self._asker(view, stored, self._policy.visible(principal))
        vectors = np.zeros((len(inputs), stored.frame.dim), np.float32)
        errors: dict[int, TrichordError] = {}
        for row, answer in enumerate(asker.embed(inputs, role)):
            if isinstance(answer, Direction):
                vectors[row] = answer.vector
            else:
                errors[row] = answer
        return Embedded(vectors, errors)

    def space_named(self, name: str | None = None) -> Space:
        """The space that a name or an alias stands for now (None: the default one); raises
        NotFound. What is asked of it by its own name is not touched by a switch."""
        return self._space_of(self._current(), name)

    def encoder_id(self, modality: Modality, space: str | None = None) -> str:
        """The encoder that makes vectors of the modality; empty if the space has none."""
        return self.space_named(space).encoders.get(modality, "")

    # Stored things

    def get(
        self,
        item_ids: str | Sequence[str] = (),
        *,
        entity_ids: str | Sequence[str] = (),
        attributes: str | Sequence[str] | None = None,
        principal: Principal = LOCAL,
    ) -> Found:
        """Items and entities by id, in the order asked; ids that are not stored are listed."""
        self._policy.permits(principal, Action.GET)
        items, entities = as_ids(item_ids), as_ids(entity_ids)
        names, visible = as_names(attributes), self._policy.visible(principal)
        try:
            return found(self._current(), items, entities, names, visible=visible)
        except NotFound:  # compaction removed the snapshot between the two looks
            return found(self._views.refresh(), items, entities, names, visible=visible)

    # What is here

    def stats(self, *, principal: Principal = LOCAL) -> Stats:
        self._policy.permits(principal, Action.DESCRIBE)
        return counting.count(self._store, self._current(), self._policy.visible(principal))

    def spaces(self, *, principal: Principal = LOCAL) -> list[SpaceInfo]:
        self._policy.permits(principal, Action.DESCRIBE)
        shown = self._policy.visible(principal)
        return describing.spaces(self._current(), self._models, self._space, shown)

    def health(
        self, *, space: str | None = None, principal: Principal = LOCAL, **options: Any
    ) -> SpaceHealth:
        """How well the vectors of a space are spread, and what is missing; see `SpaceHealth`. It
        is of all items, whatever a policy shows, and so for those who may manage."""
        self._policy.permits(principal, Action.MANAGE)
        view = self._views.refresh()
        return health.measure(view, self._space_of(view, space), **options)

    def drift(self, *, space: str | None = None, principal: Principal = LOCAL) -> Agreement | None:
        """How the vectors of the canaries that this machine computes compare with those that the
        store was written with; None where the store has none of these encoders. Loads the models;
        raises ModelError, NotFound where the space is not known here."""
        self._policy.permits(principal, Action.MANAGE)
        stored = self._space_of(self._current(), space)
        return admitting.drift(self._store, self._models.get(stored.name).joint)

    def refresh(self) -> int:
        """Looks for a newer snapshot now; returns the id of the one that reads see from here on."""
        view = self._views.refresh()
        self._words.follow(view)
        return view.snapshot.id

    def _current(self) -> View:
        return self._views.newest if self._kept_fresh else self._views.current()

    def _space_of(self, view: View, name: str | None) -> Space:
        wanted = view.named(name, self._space)
        if wanted in view.stored:
            return view.stored[wanted].space
        default = view.named(None, self._space)
        encoder = self._encoder_of(wanted) if wanted == default == self._space else None
        if encoder is not None:
            return encoder.joint.space  # nothing is stored yet
        known = ", ".join([*view.stored, *view.aliases]) or self._space
        raise NotFound(f"there is no space {wanted!r} here; there is {known}", space=wanted)

    def _asker(self, view: View, space: Space, visible: Filter | None) -> Asker:
        return Asker(view, space, self._models.find(space.name), view.shown(visible))

    def _tools(self, view: View) -> Tools:
        return Tools(lambda: self._words.at(view), self._reranking, self._meeting)

    def _encoder_of(self, space: str) -> ContentEncoder | None:
        found = self._models.find(space)
        return None if isinstance(found, TrichordError) else found


def _only(queries: searching.Asked) -> Query | F32:
    return queries.values[0] if isinstance(queries, Vectors) else queries[0]
