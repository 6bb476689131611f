"""What is recorded of migrations: how it is read and described, and how it is changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from trichord.catalog import aliases, migrating
from trichord.catalog.aliases import Alias
from trichord.catalog.coverage import coverage
from trichord.catalog.migrating import Record
from trichord.catalog.models import Models
from trichord.catalog.view import View
from trichord.catalog.viewing import Views
from trichord.catalog.writing import SharedWriter
from trichord.errors import NotFound, StoreError
from trichord.policy import LOCAL, Action, Policy, Principal
from trichord.results import (
    AliasInfo,
    BackfillProgress,
    Coverage,
    Migration,
    MigrationState,
)
from trichord.store import Store, Writer
from trichord.types import Bool

State = MigrationState
Parts = tuple[Coverage, ...]


class Records:
    """The half of `Migrations` that knows of no verb. `_running`: backfills of this process."""

    def __init__(
        self, store: Store, views: Views, writer: SharedWriter, models: Models, policy: Policy
    ) -> None:
        self._store = store
        self._views = views
        self._writer = writer
        self._models = models
        self._policy = policy
        self._running: dict[str, BackfillProgress] = {}

    def get(self, space: str, *, principal: Principal = LOCAL) -> Migration:
        """The migration to `space`; raises NotFound if there never was one."""
        self._policy.permits(principal, Action.DESCRIBE)
        view = self._views.current()
        shown = view.shown(self._policy.visible(principal))
        return self._described(view, self._record(view, space), shown)

    def list(self, *, principal: Principal = LOCAL) -> list[Migration]:
        """All migrations, the newest last."""
        self._policy.permits(principal, Action.DESCRIBE)
        view = self._views.current()
        shown = view.shown(self._policy.visible(principal))
        return [self._described(view, record, shown) for record in view.migrations.values()]

    def aliases(self, *, principal: Principal = LOCAL) -> Sequence[AliasInfo]:
        self._policy.permits(principal, Action.DESCRIBE)
        return aliases.infos(self._views.current().aliases)

    @contextmanager
    def _changing(self) -> Iterator[tuple[Writer, View]]:
        """The writer, held, and the view of what it wrote last."""
        with self._writer.use() as writer, self._writer.lock:
            yield writer, self._views.refresh()

    def _commit(
        self,
        writer: Writer,
        record: Record,
        message: str,
        pointing: Mapping[str, Alias] | None = None,
        *,
        forget: str = "",
    ) -> None:
        """One commit; `forget`: failures to embed for this space are no longer of interest."""
        changed: dict[str, dict[str, Any]] = {migrating.KIND: {record.space: record.to_json()}}
        if pointing:
            changed[aliases.KIND] = {name: alias.to_json() for name, alias in pointing.items()}
        failed = migrating.failed_items(forget, self._store.failures()) if forget else {}
        writer.commit(
            records=changed,
            resolved_sources=[one.source for one in failed.values()],
            message=message,
        )

    def _after(self, space: str) -> Migration:
        view = self._views.refresh()
        return self._described(view, self._record(view, space))

    @staticmethod
    def _record(view: View, space: str) -> Record:
        if space not in view.migrations:
            there = ", ".join(view.migrations) or "none"
            raise NotFound(f"there is no migration to {space!r}; there are: {there}", space=space)
        return view.migrations[space]

    def _under_way(self, view: View, space: str) -> Record:
        record = self._record(view, space)
        if not record.state.under_way:
            raise StoreError(
                f"the migration to {space!r} is {record.state}: register it anew", space=space
            )
        return record

    @staticmethod
    def _must(record: Record, states: Sequence[State], otherwise: str) -> None:
        if record.state not in states:
            raise StoreError(
                f"the migration to {record.space!r} is {record.state}: {otherwise}",
                space=record.space,
                state=record.state,
            )

    def _coverage(self, view: View, record: Record, shown: Bool | None = None) -> Parts:
        if record.space not in view.stored:
            return ()
        spaces = [view.spaces[n] for n in (record.source, record.space) if n in view.stored]
        modalities = dict.fromkeys(m for space in spaces for m in space.encoders)
        failed = migrating.failed_items(record.space, self._store.failures())
        return coverage(view, record.space, modalities, shown=shown, failed=failed)

    def _described(self, view: View, record: Record, shown: Bool | None = None) -> Migration:
        stored = view.spaces.get(record.space)
        return record.described(
            coverage=self._coverage(view, record, shown),
            at_hand=stored is not None and all(self._models.at_hand(stored).values()),
            backfill=self._running.get(record.space),
        )
