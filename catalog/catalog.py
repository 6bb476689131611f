"""The catalogue in process: one class whose verbs the client and the command line share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from trichord.catalog import building, counting, ingesting, pages, searching, writing
from trichord.catalog.arguments import as_group, as_ids, space_to_open
from trichord.catalog.asking import Asker, Direction, encoder_at_hand
from trichord.catalog.encoding import ContentEncoder, encoder_facts
from trichord.catalog.found import found
from trichord.catalog.ingestion import Ingestion
from trichord.catalog.keeping import Keeper
from trichord.catalog.legs import Leg
from trichord.catalog.view import View
from trichord.catalog.viewing import Views
from trichord.embedders.media.limits import DEFAULT_LIMITS, Limits
from trichord.embedders.spaces import JointSpace
from trichord.errors import InvalidInput, NotFound, TrichordError
from trichord.filters import Filter
from trichord.hits import Hits
from trichord.policy import LOCAL, Action, AllowAll, Policy, Principal
from trichord.query import (
    MAX_QUERIES,
    Askable,
    Input,
    ItemRef,
    Query,
    SearchOptions,
    as_names,
    as_query,
)
from trichord.results import Found, SpaceInfo, Stats
from trichord.store import CompactionReport, Store, VerifyReport
from trichord.store import verify as verify_store
from trichord.types import (
    Embedded,
    Frame,
    Group,
    IngestFailure,
    IngestReport,
    Modality,
    Role,
    Space,
)


class Catalog:
    """Ingest, search by content, get and delete over one store; safe to use from many threads.

    Open it with `Catalog.open`. Reads see what other processes commit within a quarter of a second.
    """

    def __init__(
        self,
        store: Store,
        joint: JointSpace | None,
        space: str,
        *,
        policy: Policy,
        limits: Limits,
        background: bool,
    ) -> None:
        self._store = store
        self._space = space
        self._policy = policy
        self._encoder = None if joint is None else ContentEncoder(joint, limits)
        self._writer = writing.SharedWriter(store)
        self._views = Views(store)
        self._keeper = Keeper(self) if background else None

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        space: str | JointSpace | None = None,
        create: bool = True,
        policy: Policy | None = None,
        limits: Limits = DEFAULT_LIMITS,
        background: bool = False,
    ) -> Catalog:
        """The catalogue at `path`, made if there is none and `create` is true.

        `space` is the default space of searches and what is ingested; None means the store's
        first, or "pocket" in a new store. With `background` a thread looks for new snapshots and
        rebuilds indexes; a server wants that.

        Raises NotFound (no store, no such space), StoreTooNew, EncoderMismatch never: a store of
        other encoders can still be read, searched by vector and by stored items.
        """
        there = Store.exists(path)
        if not there and not create:
            raise NotFound(
                f"there is no store at {str(path)!r}: make one with `trichord ingest`, or "
                "check the path",
                path=path,
            )
        store = Store.open(path) if there else None
        joint, name = space_to_open(space, [] if store is None else store.spaces())
        return cls(
            store or Store.create(path),
            joint,
            name,
            policy=policy or AllowAll(),
            limits=limits,
            background=background,
        )

    def close(self) -> None:
        if self._keeper is not None:
            self._keeper.stop()
        self._store.close()

    def __enter__(self) -> Catalog:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def path(self) -> Path:
        return self._store.path

    @property
    def space_name(self) -> str:
        """The default space."""
        return self._space

    @property
    def frame(self) -> Frame:
        """Of the default space; raises NotFound while nothing says what it is."""
        return self._space_of(self._views.newest, None).frame

    # Searching

    def search(
        self,
        asked: Askable,
        *,
        modality: str | Sequence[str] | None = None,
        where: str | Filter | None = None,
        limit: int = 10,
        group: str | Group = Group.ITEM,
        attributes: str | Sequence[str] | None = None,
        segments: int = 1,
        fuse: str = "rrf",
        exact: bool = False,
        page_token: str = "",
        space: str | None = None,
        principal: Principal = LOCAL,
    ) -> Hits:
        """The nearest stored content to a text, picture, sound, vector, stored thing or a weighted
        combination of these, best first. Options: see `SearchOptions`.

        Raises InvalidInput (MediaError, VectorError, FilterError, PageTokenError), NotFound for an
        unknown item or space, EncoderMismatch, PermissionDenied.
        """
        options = SearchOptions(
            as_names(modality),
            where,
            limit,
            as_group(group),
            as_names(attributes),
            segments,
            fuse,
            exact,
            page_token,
        )
        answer = self.search_many([as_query(asked)], options, space=space, principal=principal)[0]
        if isinstance(answer, TrichordError):
            raise answer
        return answer

    def similar(self, item_id: str, **options: Any) -> Hits:
        """What is nearest to a stored item, itself left out; options as for `search`."""
        return self.search(ItemRef(item_id), **options)

    def search_many(
        self,
        queries: Sequence[Query],
        options: SearchOptions,
        *,
        space: str | None = None,
        principal: Principal = LOCAL,
    ) -> list[Hits | TrichordError]:
        """One answer per query, in order; a query that fails does not fail the others.

        Raises what concerns all of them: FilterError, NotFound for the space, PermissionDenied …
        """
        self._policy.permits(principal, Action.SEARCH)
        if not 0 < len(queries) <= MAX_QUERIES:
            raise InvalidInput(f"a search has 1 to {MAX_QUERIES} queries, this one {len(queries)}")
        view, offset, first = self._current(), 0, options.limit
        if options.page_token:
            if len(queries) != 1:
                raise InvalidInput("a page token goes with exactly one query")
            asked = pages.question(queries[0], options, space or self._space)
            snapshot, offset, first = pages.read_token(options.page_token, asked)
            view = self._views.at(snapshot)
        stored = self._space_of(view, space)
        visible = self._policy.visible(principal)
        asker = Asker(view, stored, self._encoder_of(stored.name), view.shown(visible))
        answers = searching.search(
            view, stored, asker, queries, options, visible=visible, offset=offset, first=first
        )
        results: list[Hits | TrichordError] = []
        for answer in answers:
            if isinstance(answer, TrichordError):
                results.append(answer)
                continue
            hits, more = answer
            if more and len(queries) == 1:
                asked = pages.question(queries[0], options, space or self._space)
                following = pages.token(view.snapshot.id, offset + options.limit, first, asked)
                hits = replace(hits, next_page_token=following)
                self._views.offer(view)
            results.append(hits)
        return results

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
        visible = view.shown(self._policy.visible(principal))
        asker = Asker(view, stored, self._encoder_of(stored.name), visible)
        vectors = np.zeros((len(inputs), stored.frame.dim), np.float32)
        errors: dict[int, TrichordError] = {}
        for row, answer in enumerate(asker.embed(inputs, role)):
            if isinstance(answer, Direction):
                vectors[row] = answer.vector
            else:
                errors[row] = answer
        return Embedded(vectors, errors)

    def encoder_id(self, modality: Modality, space: str | None = None) -> str:
        """The encoder that makes vectors of the modality; empty if the space has none."""
        return self._space_of(self._views.newest, space).encoders.get(modality, "")

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

    def delete(
        self,
        item_ids: str | Sequence[str] = (),
        *,
        entity_ids: str | Sequence[str] = (),
        principal: Principal = LOCAL,
    ) -> int:
        """Deletes items, and entities with all their items; returns how many items went.

        Raises NotFound naming unknown ids (then nothing is deleted), StoreLocked.
        """
        self._policy.permits(principal, Action.DELETE)
        items, entities = as_ids(item_ids), as_ids(entity_ids)
        if not items and not entities:
            raise InvalidInput("name the items or entities to delete")
        visible = self._policy.visible(principal)
        with self._writer.use() as writer, self._writer.lock:
            gone = writing.delete(writer, self._views.refresh(), items, entities, visible)
        self.refresh()
        return gone

    # Writing

    def ingest(
        self,
        *paths: str | Path,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> IngestReport:
        """Takes files, folders and tables (see `trichord.sources`); a repetition changes nothing.

        `on_progress(done, total)` is called after every commit. An input that cannot be taken is
        in the report's errors and in `failures`, and does not stop the others. Raises NotFound for
        a missing path, StoreLocked, StorageFull, EncoderMismatch.
        """
        with self.ingestion() as ingestion:
            report = ingesting.run(ingestion, paths, on_progress)
        self.refresh()
        return report

    @contextmanager
    def ingestion(self, *, principal: Principal = LOCAL) -> Iterator[Ingestion]:
        """Writes records; see `Ingestion.add`. Several may be open in one process: their commits
        take turns. Raises StoreLocked, EncoderMismatch."""
        self._policy.permits(principal, Action.INGEST)
        encoder = self._encoder
        if encoder is None:
            encoder = encoder_at_hand(None, self._space_of(self._views.newest, None))
        with self._writer.use() as writer:
            with self._writer.lock:
                writer.add_space(encoder.joint.space, encoder_facts(encoder.joint))
            yield Ingestion(self._store, writer, encoder, self._writer.lock)
        self.refresh()

    def failures(self) -> list[IngestFailure]:
        """Inputs that could not be taken and were not taken since."""
        return self._store.failures()

    def verify(self, *, deep: bool = True) -> VerifyReport:
        """Looks for damage; `deep` reads every vector."""
        return verify_store(self._store, deep=deep)

    def compact(self, **options: Any) -> CompactionReport:
        """Removes deleted rows and small files; see `Writer.compact`."""
        with self._writer.use() as writer, self._writer.lock:
            report = writer.compact(**options)
        self.refresh()
        return report

    # What is here

    def stats(self, *, principal: Principal = LOCAL) -> Stats:
        self._policy.permits(principal, Action.DESCRIBE)
        return counting.count(self._store, self._current(), self._policy.visible(principal))

    def spaces(self, *, principal: Principal = LOCAL) -> list[SpaceInfo]:
        self._policy.permits(principal, Action.DESCRIBE)
        stored = dict(self._current().spaces)
        if not stored and self._encoder is not None:
            stored = {self._space: self._encoder.joint.space}
        infos = []
        for space in stored.values():
            encoder = self._encoder_of(space.name)
            mine = {} if encoder is None else encoder.joint.space.encoders
            at_hand = {m: mine.get(m) == identity for m, identity in space.encoders.items()}
            infos.append(SpaceInfo(space, space.name == self._space, at_hand))
        return infos

    # Keeping up

    def refresh(self) -> int:
        """Looks for a newer snapshot now; returns the id of the one that reads see from here on."""
        return self._views.refresh().snapshot.id

    def warm_up(self) -> None:
        """Brings the view up to date and touches every index; loads no model."""
        for leg in self._views.refresh().legs.values():
            if leg.index.live:
                probe = np.zeros((1, leg.index.dim), np.float32)
                probe[0, 0] = 1.0
                leg.index.search(probe, 1)

    def load_models(self) -> None:
        """Loads the default space's embedders, so that the first query by content does not wait
        for them. Raises ModelError where weights are missing or damaged."""
        if self._encoder is not None:
            self._encoder.load()

    def build_indexes(self, *, everything: bool = False, **options: Any) -> list[Leg]:
        """Builds and keeps the bases that are missing or stale (or all); returns the new ones.

        Options go to `trichord.index.build.build` (recall_target, kind, threads …).
        """
        return building.build_due(self._store, self._views, everything=everything, **options)

    def _current(self) -> View:
        return self._views.current() if self._keeper is None else self._views.newest

    def _space_of(self, view: View, name: str | None) -> Space:
        wanted = name or self._space
        if wanted in view.spaces:
            return view.spaces[wanted]
        if wanted == self._space and self._encoder is not None:
            return self._encoder.joint.space  # nothing is stored yet
        known = ", ".join(view.spaces) or self._space
        raise NotFound(f"there is no space {wanted!r} here; there is {known}", space=wanted)

    def _encoder_of(self, space: str) -> ContentEncoder | None:
        encoder = self._encoder
        return encoder if encoder is not None and encoder.joint.name == space else None
