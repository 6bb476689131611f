"""The verbs of a migration: `catalog.migrations`.

Each verb that changes something is one commit, and doing it again changes nothing. What a verb
looks at before it commits cannot change in between: it holds the store's writer.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from trichord.catalog import aliases, backfilling, building, calibration, migrating
from trichord.catalog.admitting import forgotten
from trichord.catalog.aliases import DEFAULT, Alias
from trichord.catalog.backfilling import OnProgress
from trichord.catalog.encoding import encoder_facts
from trichord.catalog.migrating import Record
from trichord.catalog.migration_records import Records
from trichord.catalog.models import Models
from trichord.catalog.view import View
from trichord.catalog.viewing import Views
from trichord.catalog.writing import SharedWriter
from trichord.embedders.spaces import JointSpace
from trichord.errors import InvalidInput, StoreError, TrichordError
from trichord.policy import LOCAL, Action, Policy, Principal
from trichord.query import as_names
from trichord.results import (
    BackfillProgress,
    Migration,
    MigrationState,
    ShadowEvaluation,
)
from trichord.store import Store, Writer

State = MigrationState


class Migrations(Records):
    """Moves an alias from one space to another while both are searched and written.

    Every method raises PermissionDenied; those that change something also StoreLocked while
    another process writes, NotFound for an unknown migration, and StoreError where the state of
    the migration forbids it.
    """

    def __init__(
        self,
        store: Store,
        views: Views,
        writer: SharedWriter,
        models: Models,
        policy: Policy,
        default: str,
    ) -> None:
        super().__init__(store, views, writer, models, policy)
        self._default = default
        self._starting = threading.Lock()

    def may_manage(self, principal: Principal) -> None:
        """Raises PermissionDenied if the principal may change no migration."""
        self._policy.permits(principal, Action.MANAGE)

    # Beginning and filling

    def register(
        self,
        space: str | JointSpace,
        *,
        alias: str = "",
        require: str | Sequence[str] = (),
        principal: Principal = LOCAL,
    ) -> Migration:
        """Makes `space` the target of an alias (empty: "default"); from now on what is ingested is
        embedded for both. `require` are conditions that an evaluation must meet before the switch.

        An alias that there is not yet names the default space from now on. Raises InvalidInput for
        names that would mean two things, NotFound and ModelError for a space that cannot be opened
        here, StoreError while another migration of the alias is under way.
        """
        self._policy.permits(principal, Action.MANAGE)
        alias, wanted = alias or DEFAULT, as_names(require)
        encoder = self._models.get(space) if isinstance(space, str) else self._models.add(space)
        joint = encoder.joint
        with self._changing() as (writer, view):
            known = view.migrations.get(joint.name)
            if known is not None and known.state.under_way and known.alias == alias:
                missing = [one for one in wanted if one not in known.require]
                if missing:
                    known = known.changed(require=(*known.require, *missing))
                    self._commit(writer, known, f"migration to {joint.name}: more conditions")
            else:
                aliases.check_names(alias, joint.name, view.aliases, view.spaces)
                source = aliases.resolved(alias if alias in view.aliases else None, view.aliases,
                                          self._default)  # fmt: skip
                self._check_new(view, joint.name, source, alias)
                writer.add_space(joint.space, encoder_facts(joint))
                now = datetime.now(UTC)
                record = Record(joint.name, source, alias, State.REGISTERED, now, now, wanted)
                pointing = {} if alias in view.aliases else {alias: Alias(source, None, now)}
                self._commit(writer, record, f"migration from {source} to {joint.name}", pointing)
        return self._after(joint.name)

    def _check_new(self, view: View, space: str, source: str, alias: str) -> None:
        if source == space:
            raise InvalidInput(f"the alias {alias!r} names {space!r} already", space=space)
        if source not in view.spaces:
            raise StoreError(
                f"nothing is stored for the space {source!r} yet: there is nothing to migrate, "
                f"ingest for {space!r} right away",
                space=source,
            )
        for other in view.migrations.values():
            if other.state.under_way and alias == other.alias:
                raise StoreError(
                    f"the migration of {alias!r} to {other.space!r} is under way "
                    f"({other.state}): finish or abandon it first",
                    space=other.space,
                )
            if other.state.under_way and space == other.space:
                raise StoreError(
                    f"{space!r} is the target of the alias {other.alias!r} already", space=space
                )

    def run(
        self,
        space: str,
        *,
        rate: float | None = None,
        limit: int | None = None,
        on_progress: OnProgress | None = None,
        stop: threading.Event | None = None,
        principal: Principal = LOCAL,
    ) -> BackfillProgress:
        """Embeds, for the new space, the items that are lacking there, and returns how it ended.

        `rate`: items per second at the most; `limit`: items in this run at the most; `on_progress`
        is called after every commit; `stop` ends it after the batch that it is at. A killed run is
        continued by the next one. An item that cannot be embedded is among `Catalog.failures` and
        is tried again by the next run. Raises ModelError, EncoderMismatch if the space cannot be
        embedded for here, InvalidInput while it runs already.
        """
        self._policy.permits(principal, Action.MANAGE)
        if rate is not None and not 0 < rate < float("inf"):
            raise InvalidInput(f"a rate is a positive number of items per second, not {rate}")
        if limit is not None and limit < 1:
            raise InvalidInput(f"a limit is at least 1, not {limit}")
        with self._starting:
            if space in self._running:
                raise InvalidInput(f"a backfill of {space!r} is running in this process already")
            self._running[space] = BackfillProgress(space, backfilling.Phase.RUNNING)

        def told(progress: BackfillProgress) -> None:
            self._running[space] = progress
            if on_progress is not None:
                on_progress(progress)

        try:
            view = self._views.refresh()
            record = self._under_way(view, space)
            with self._writer.use() as writer:
                job = backfilling.Job(
                    self._store, writer, self._writer.lock, self._models, rate, limit,
                    stop or threading.Event(), told,
                )  # fmt: skip
                self._begin(writer, space, job.lacks(view.spaces[space], record))
                ended = job.run(view.spaces[space], record)
                self._end(writer, space, ended)
        finally:
            del self._running[space]
            self._views.refresh()
        return ended

    def _begin(self, writer: Writer, space: str, something: bool) -> None:
        with self._writer.lock:
            record = self._under_way(self._views.refresh(), space)
            if something and record.state in (State.REGISTERED, State.READY):
                record = record.changed(state=State.BACKFILLING)
                self._commit(writer, record, f"backfill of {space} begins")

    def _end(self, writer: Writer, space: str, ended: BackfillProgress) -> None:
        with self._writer.lock:
            view = self._views.refresh()
            record = view.migrations.get(space)
            if record is None or not record.state.under_way:
                return
            changed: dict[str, Any] = {}
            if ended.embedded + ended.copied or not record.completed_snapshot:
                changed["completed_snapshot"] = writer.snapshot.id
            parts = self._coverage(view, record)
            complete = all(part.lacking == part.failed for part in parts)
            if complete and record.state in (State.REGISTERED, State.BACKFILLING):
                changed["state"] = State.READY
            if changed:
                self._commit(writer, record.changed(**changed), f"backfill of {space} ended")

    # Judging and switching

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
        """Keeps what an evaluation of the new space found: `summary` (a JSON object), whether it
        `passed`, and the `snapshot` that it was measured on (None: the newest). The switch wants
        the last one to have passed and to be no older than the end of the backfill. `require`
        adds conditions."""
        self._policy.permits(principal, Action.MANAGE)
        kept, more = migrating.as_json(summary), as_names(require)
        with self._changing() as (writer, view):
            record = self._under_way(view, space)
            on = view.snapshot.id if snapshot is None else snapshot
            if not 0 < on <= view.snapshot.id:
                raise InvalidInput(f"there was no snapshot {on} yet", snapshot=on)
            evaluation = ShadowEvaluation(kept, bool(passed), on, datetime.now(UTC))
            conditions = tuple(dict.fromkeys([*record.require, *more]))
            self._commit(
                writer,
                record.changed(evaluation=evaluation, require=conditions),
                f"evaluation of {space}: {'passed' if passed else 'not passed'}",
            )
        return self._after(space)

    def switch(
        self,
        space: str,
        *,
        allow_missing: int | str = 0,
        force: str = "",
        principal: Principal = LOCAL,
    ) -> Migration:
        """Points the alias to the new space, in one commit: every answer is of the old space or of
        the new one as a whole.

        Before that the indexes of the new space are built and its models loaded here. Raises
        StoreError naming every gate that is shut: items that were not embedded (`allow_missing`
        lets so many, or such a share, of those that cannot be embedded stay behind), an evaluation
        that is missing, old or did not pass, models that are not at hand. `force` is a reason to
        pass them all with, which is recorded.
        """
        self._policy.permits(principal, Action.MANAGE)
        view = self._views.refresh()
        record = self._under_way(view, space)
        migrating.allowance(allow_missing, 0)
        reasons = []
        if record.state is not State.LIVE:
            try:
                self._models.load(view.spaces[space])
            except TrichordError as error:
                reasons.append(f"this process cannot embed for it ({error})")
            building.build_due(self._store, self._views, everything=False, spaces={space})
        with self._changing() as (writer, view):
            record = self._under_way(view, space)
            if record.state is not State.LIVE:
                alias = view.aliases[record.alias]
                if alias.space != record.source:
                    raise StoreError(
                        f"the alias {record.alias!r} names {alias.space!r} now, not "
                        f"{record.source!r} from which this migration came: abandon it and "
                        "register it anew",
                        space=space,
                    )
                parts = self._coverage(view, record)
                reasons += migrating.shut(record, parts, view.spaces[space], allow_missing)
                if reasons and not force:
                    raise StoreError(
                        f"the switch to {space!r} is refused: {'; '.join(reasons)}", space=space
                    )
                forced = f"{force} (passed by: {'; '.join(reasons)})" if reasons else ""
                self._commit(
                    writer,
                    record.changed(state=State.LIVE, forced=forced),
                    f"{record.alias} switched from {record.source} to {space}",
                    {record.alias: Alias(space, record.source, datetime.now(UTC))},
                )
        return self._after(space)

    def rollback(self, space: str, *, principal: Principal = LOCAL) -> Migration:
        """Points the alias back to the space that it named before the switch, in one commit.

        Nothing is lost: both spaces were written all the time. Raises StoreError unless `space` is
        live (or was rolled back already).
        """
        self._policy.permits(principal, Action.MANAGE)
        with self._changing() as (writer, view):
            record = self._under_way(view, space)
            if record.state is not State.ROLLED_BACK:
                self._must(record, (State.LIVE,), "there is nothing to roll back")
                self._commit(
                    writer,
                    record.changed(state=State.ROLLED_BACK),
                    f"{record.alias} rolled back from {space} to {record.source}",
                    {record.alias: Alias(record.source, space, datetime.now(UTC))},
                )
        return self._after(space)

    # Ending

    def finish(
        self, space: str, *, remove: bool = False, principal: Principal = LOCAL
    ) -> Migration:
        """Ends a migration that went live: new items are embedded for the new space only, and
        there is no way back but another migration. `remove` drops the old space."""
        self._policy.permits(principal, Action.MANAGE)
        with self._changing() as (writer, view):
            record = self._record(view, space)
            if record.state is not State.FINISHED:
                self._must(record, (State.LIVE,), "switch first, or abandon it")
                record = record.changed(state=State.FINISHED)
                self._commit(writer, record, f"migration to {space} finished", forget=record.source)
            if remove:
                self._remove(writer, record.source)
        return self._after(space)

    def abandon(
        self, space: str, *, remove: bool = False, principal: Principal = LOCAL
    ) -> Migration:
        """Ends a migration that is not live: new items are no longer embedded for the new space.
        `remove` drops it. A backfill that runs ends by itself."""
        self._policy.permits(principal, Action.MANAGE)
        with self._changing() as (writer, view):
            record = self._record(view, space)
            if record.state is not State.ABANDONED:
                if not record.state.under_way or record.state is State.LIVE:
                    live = record.state is State.LIVE
                    self._must(record, (), "roll it back first" if live else "it is over")
                record = record.changed(state=State.ABANDONED)
                self._commit(writer, record, f"migration to {space} abandoned", forget=space)
            if remove:
                self._remove(writer, space)
        return self._after(space)

    def _remove(self, writer: Writer, space: str) -> None:
        view = self._views.refresh()
        if space not in view.spaces:
            return
        users = [f"the alias {name!r}" for name in aliases.of_space(space, view.aliases)]
        users += [
            f"the migration to {one.space!r}"
            for one in view.migrations.values()
            if one.state.under_way and space in (one.space, one.source)
        ]
        if users:
            raise StoreError(f"{space!r} is not removed: {users[0]} needs it", space=space)
        # Its indexes before, so that none outlives it, and after, if one was built meanwhile.
        indexes = self._store.path / "indexes" / space
        shutil.rmtree(indexes, ignore_errors=True)
        reader = self._store.reader()
        calibrated = {space: None} if space in reader.records(calibration.KIND) else {}
        records = {**forgotten(reader, space), calibration.KIND: calibrated}
        writer.remove_space(space, records=records)
        self._views.refresh()
        shutil.rmtree(indexes, ignore_errors=True)
