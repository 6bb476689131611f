"""The catalogue in process: one class whose verbs the client and the command line share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from trichord.catalog import building, calibrating, ingesting, neighbours, placing, writing
from trichord.catalog.arguments import as_ids, default_space
from trichord.catalog.calibration import Calibration
from trichord.catalog.encoding import ContentEncoder
from trichord.catalog.ingestion import Ingestion
from trichord.catalog.keeping import Keeper
from trichord.catalog.legs import Leg
from trichord.catalog.migrations import Migrations
from trichord.catalog.models import Models, Opener
from trichord.catalog.neighbour_options import NeighbourOptions
from trichord.catalog.neighbours import NeighboursReport
from trichord.catalog.placing import Place
from trichord.catalog.reading import Reading
from trichord.catalog.reranking import Reranking
from trichord.catalog.written import written
from trichord.embedders.media.limits import DEFAULT_LIMITS, Limits
from trichord.embedders.rerank import Reranker, open_reranker
from trichord.embedders.spaces import JointSpace, ReadySpace
from trichord.errors import InvalidInput, NotFound, TrichordError
from trichord.index.gpu_build import Device
from trichord.policy import LOCAL, Action, AllowAll, Policy, Principal
from trichord.query import Askable, as_query
from trichord.results import Migration
from trichord.store import CompactionReport, Store, VerifyReport
from trichord.store import verify as verify_store
from trichord.types import IngestFailure, IngestReport, Space


class Catalog(Reading):
    """Ingest, search by content, get and delete over one store; safe to use from many threads.

    Open it with `Catalog.open`. Reads see what other processes commit within a quarter of a second.
    """

    def __init__(
        self,
        store: Store,
        space: str,
        models: Models,
        *,
        policy: Policy,
        background: bool,
        reranking: Reranking | None = None,
        place: Place = placing.as_it_is,
    ) -> None:
        super().__init__(
            store,
            space,
            models,
            policy,
            kept_fresh=background,
            reranking=reranking,
            place=place,
        )
        self._writer = writing.SharedWriter(store, writing.PATIENCE_S if background else 0.0)
        self.migrations = Migrations(store, self._views, self._writer, models, policy, space)
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
        spaces: Opener | Mapping[str, JointSpace] | None = None,
        reranker: str | Path | Reranker | None = None,
        index_device: Device = "cpu",
    ) -> Catalog:
        """The catalogue at `path`, made if there is none and `create` is true.

        `space` is the default space of searches and of what is ingested, as long as the store has
        no alias "default"; None means the store's first, or "pocket" in a new store. `spaces`
        opens other spaces by name when they are needed (a function that raises NotFound for a name
        that it does not know, or a mapping); None: those that are bundled. With `background` a
        thread looks for new snapshots, rebuilds indexes and loads the models of spaces that a
        migration goes to; a server wants that. `reranker`: a cross-encoder, or the folder of one,
        for searches that ask for it. `index_device`: where indexes answer; "auto" and "gpu" copy
        them into the memory of a GPU, as far as there is one that can hold them.

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
        models = Models(spaces, limits)
        name = default_space(space, store, models)
        place = placing.on(index_device)
        return cls(
            store or Store.create(path),
            name,
            models,
            policy=policy or AllowAll(),
            background=background,
            reranking=_reranking(reranker),
            place=place,
        )

    def close(self) -> None:
        if self._keeper is not None:
            self._keeper.stop()
        if self._reranking is not None:
            self._reranking.close()
        self._store.close()

    def __enter__(self) -> Catalog:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

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
        take turns. Raises StoreLocked, EncoderMismatch, ModelError."""
        self._policy.permits(principal, Action.INGEST)
        with self._writer.use() as writer:
            yield Ingestion(
                self._store,
                writer,
                self._writer.lock,
                lambda reader: written(reader, self._models, self._space),
                self._models.admit,
            )
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

    def _fitting(self, space: Space, *, needed: bool) -> ContentEncoder | None:
        """What embeds for a stored space here; None, or why not where it is `needed`."""
        try:
            encoder = self._models.fitting(space)
        except TrichordError:
            if needed:
                raise
            return None
        return None if isinstance(encoder.joint, ReadySpace) and not needed else encoder

    def record_evaluation(
        self,
        space: str,
        summary: Mapping[str, Any],
        passed: bool,
        *,
        snapshot: int | None = None,
        require: str | Sequence[str] = (),
        principal: Principal = LOCAL,
    ) -> Migration:
        """Keeps what a shadow evaluation found of a space that a migration goes to; see
        `Migrations.record_evaluation`."""
        return self.migrations.record_evaluation(
            space, summary, passed, snapshot=snapshot, require=require, principal=principal
        )

    # What scores mean

    def calibrate(
        self,
        *,
        space: str | None = None,
        texts: Sequence[str] | None = None,
        judged: Sequence[tuple[Askable, Mapping[str, int]]] = (),
        principal: Principal = LOCAL,
        **options: Any,
    ) -> Calibration:
        """Measures what scores of the space mean in this catalogue and keeps it in the store; from
        the next search on, hits have a significance, and with `judged` (queries, and the grades of
        items by id) a probability of being relevant.

        `texts` are questions as people ask them; None takes captions of our own. Options go to
        `trichord.catalog.backgrounds.measure`. It replaces an earlier calibration as a whole, with
        its probabilities. Raises InvalidInput where there is too little of anything to compare, or
        too few judgements; then the earlier one stays. Given `texts`, raises what keeps this
        process from embedding them (EncoderMismatch, ModelError, NotFound …).
        """
        self._policy.permits(principal, Action.MANAGE)
        view = self._views.refresh()
        stored = self._space_of(view, space)
        made = calibrating.calibrate(
            view,
            stored,
            self._fitting(stored, needed=texts is not None),
            self._writer,
            texts=texts,
            judged=[(as_query(asked), grades) for asked, grades in judged],
            **options,
        )
        self.refresh()
        return made

    def neighbours(
        self,
        folder: str | Path,
        *,
        space: str | None = None,
        restart: bool = False,
        on_progress: Callable[[int, int], None] | None = None,
        principal: Principal = LOCAL,
        **options: Any,
    ) -> NeighboursReport:
        """Writes the nearest neighbours of all items to Parquet files in `folder`; see
        docs/neighbours.md for their columns. Options: see `NeighbourOptions`.

        A job that was stopped, even by a kill, goes on where it was when the call is repeated, on
        the same snapshot; one that is done is left alone. `restart` begins anew. Only reads the
        store. `on_progress(done, total)` is called after every batch, with things that asked.

        Raises InvalidInput (FilterError; other options than the job began with; a folder of other
        files), NotFound (no such space; compaction removed the snapshot), StoreLocked while another
        process works on the job, StorageFull, StoreDamaged, PermissionDenied.
        """
        self._policy.permits(principal, Action.SEARCH)
        return neighbours.run(
            self._store,
            self._views,
            Path(folder),
            NeighbourOptions.given(**options),
            space=space,
            resolve=self._space_of,
            visible=self._policy.visible(principal),
            restart=restart,
            on_progress=on_progress,
        )

    # Keeping up

    def warm_up(self) -> None:
        """Brings the view up to date and touches every index; loads no model."""
        for leg in self._views.refresh().legs.values():
            if leg.index.live:
                probe = np.zeros((1, leg.index.dim), np.float32)
                probe[0, 0] = 1.0
                leg.index.search(probe, 1)

    def load_models(self) -> None:
        """Loads the embedders of the default space, and of those that aliases name or that a
        migration goes between, so that the first query by content does not wait for them. Raises
        ModelError where weights of the default space are missing or damaged."""
        view = self._current()
        default = self._space_of(view, None)
        if not isinstance(self._models.find(default.name), NotFound):
            self._models.load(default)
        self._models.preload(view.served())
        if self._reranking is not None:
            self._reranking.load()

    def load_served(self) -> None:
        """As `load_models` for all but the default space; what fails is tried again later."""
        self._models.preload(self._views.newest.served())

    def build_indexes(self, *, everything: bool = False, **options: Any) -> list[Leg]:
        """Builds and keeps the bases that are missing or stale (or all); returns the new ones.

        Options go to `trichord.index.build.build` (recall_target, kind, threads …).
        """
        built = building.build_due(self._store, self._views, everything=everything, **options)
        self._words.build_due(self._views.newest, everything=everything)
        return built


def _reranking(reranker: str | Path | Reranker | None) -> Reranking | None:
    if reranker is None:
        return None
    model = open_reranker(reranker) if isinstance(reranker, str | Path) else reranker
    return Reranking(model)
