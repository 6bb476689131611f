"""Moving a collection to another space while it is served."""

from __future__ import annotations

from collections.abc import Iterator

import grpc

from trichord.catalog import Catalog
from trichord.server.backfills import Backfills
from trichord.server.calls import principal
from trichord.v1 import migration_pb2 as messages
from trichord.v1 import migration_pb2_grpc
from trichord.wire.migration import from_struct, to_aliases, to_migration, to_progress


class MigrationService(migration_pb2_grpc.MigrationServiceServicer):
    def __init__(self, catalog: Catalog, backfills: Backfills) -> None:
        self._catalog = catalog
        self._backfills = backfills

    def RegisterMigration(
        self, request: messages.RegisterMigrationRequest, context: grpc.ServicerContext
    ) -> messages.RegisterMigrationResponse:
        made = self._catalog.migrations.register(
            request.space,
            alias=request.alias,
            require=list(request.require),
            principal=principal(),
        )
        return messages.RegisterMigrationResponse(migration=to_migration(made))

    def GetMigration(
        self, request: messages.GetMigrationRequest, context: grpc.ServicerContext
    ) -> messages.GetMigrationResponse:
        found = self._catalog.migrations.get(request.space, principal=principal())
        return messages.GetMigrationResponse(migration=to_migration(found))

    def ListMigrations(
        self, request: messages.ListMigrationsRequest, context: grpc.ServicerContext
    ) -> messages.ListMigrationsResponse:
        migrations = self._catalog.migrations
        return messages.ListMigrationsResponse(
            migrations=map(to_migration, migrations.list(principal=principal())),
            aliases=to_aliases(migrations.aliases(principal=principal())),
        )

    def Backfill(
        self, request: messages.BackfillRequest, context: grpc.ServicerContext
    ) -> Iterator[messages.BackfillResponse]:
        job = self._backfills.start(
            request.space, request.rate or None, request.limit or None, principal()
        )
        for progress in job.watched(context.is_active):
            yield messages.BackfillResponse(progress=to_progress(progress))

    def WatchBackfill(
        self, request: messages.WatchBackfillRequest, context: grpc.ServicerContext
    ) -> Iterator[messages.WatchBackfillResponse]:
        self._catalog.migrations.get(request.space, principal=principal())
        for progress in self._backfills.running(request.space).watched(context.is_active):
            yield messages.WatchBackfillResponse(progress=to_progress(progress))

    def CancelBackfill(
        self, request: messages.CancelBackfillRequest, context: grpc.ServicerContext
    ) -> messages.CancelBackfillResponse:
        self._catalog.migrations.may_manage(principal())
        return messages.CancelBackfillResponse(cancelled=self._backfills.cancel(request.space))

    def RecordEvaluation(
        self, request: messages.RecordEvaluationRequest, context: grpc.ServicerContext
    ) -> messages.RecordEvaluationResponse:
        changed = self._catalog.record_evaluation(
            request.space,
            from_struct(request.summary),
            request.passed,
            snapshot=request.snapshot or None,
            require=list(request.require),
            principal=principal(),
        )
        return messages.RecordEvaluationResponse(migration=to_migration(changed))

    def SwitchSpace(
        self, request: messages.SwitchSpaceRequest, context: grpc.ServicerContext
    ) -> messages.SwitchSpaceResponse:
        changed = self._catalog.migrations.switch(
            request.space,
            allow_missing=request.allow_missing,
            force=request.force,
            principal=principal(),
        )
        return messages.SwitchSpaceResponse(migration=to_migration(changed))

    def RollbackSwitch(
        self, request: messages.RollbackSwitchRequest, context: grpc.ServicerContext
    ) -> messages.RollbackSwitchResponse:
        changed = self._catalog.migrations.rollback(request.space, principal=principal())
        return messages.RollbackSwitchResponse(migration=to_migration(changed))

    def FinishMigration(
        self, request: messages.FinishMigrationRequest, context: grpc.ServicerContext
    ) -> messages.FinishMigrationResponse:
        changed = self._catalog.migrations.finish(
            request.space, remove=request.remove, principal=principal()
        )
        return messages.FinishMigrationResponse(migration=to_migration(changed))

    def AbandonMigration(
        self, request: messages.AbandonMigrationRequest, context: grpc.ServicerContext
    ) -> messages.AbandonMigrationResponse:
        self._catalog.migrations.may_manage(principal())
        self._backfills.cancel(request.space)
        changed = self._catalog.migrations.abandon(
            request.space, remove=request.remove, principal=principal()
        )
        return messages.AbandonMigrationResponse(migration=to_migration(changed))
