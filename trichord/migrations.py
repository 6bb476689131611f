"""The verbs of a migration over gRPC: `client.migrations`, the same as `catalog.migrations`.

with Client("localhost:50051") as trichord:
    trichord.migrations.register("omni")
    trichord.migrations.run("omni", rate=50)
    trichord.migrations.switch("omni")
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import grpc

from trichord.errors import Unavailable
from trichord.results import AliasInfo, BackfillProgress, Migration
from trichord.wire import lifecycle
from trichord.wire.channel import Connection
from trichord.wire.plans import Plan, Stubs

T = TypeVar("T")

OnProgress = Callable[[BackfillProgress], object]


class _Run(Protocol):
    def __call__(self, plan: Plan[T], /) -> T: ...


class _AsyncRun(Protocol):
    def __call__(self, plan: Plan[T], /) -> Awaitable[T]: ...


class ClientMigrations:
    """`docs/migration.md` says what each verb does and when it is refused."""

    def __init__(self, run: _Run, stubs: Callable[[], Stubs], connection: Connection) -> None:
        self._run = run
        self._stubs = stubs
        self._connection = connection

    def register(
        self, space: str, *, alias: str = "", require: str | Sequence[str] = ()
    ) -> Migration:
        """Makes `space`, which the server knows by this name, the target of an alias (empty: the
        one of searches that name no space). New items are embedded for both from now on."""
        return self._run(lifecycle.register(space, alias, require))

    def get(self, space: str) -> Migration:
        return self._run(lifecycle.get(space))

    def list(self) -> list[Migration]:
        """The newest last."""
        return self._run(lifecycle.listed())

    def aliases(self) -> Sequence[AliasInfo]:
        return self._run(lifecycle.aliases())

    def run(
        self,
        space: str,
        *,
        rate: float | None = None,
        limit: int | None = None,
        on_progress: OnProgress | None = None,
    ) -> BackfillProgress:
        """Embeds what is lacking, in the server, and returns how it ended. If the call breaks, the
        server goes on; `rate` in items per second, `limit` items at the most."""
        last = None
        call = self._stubs().migration.Backfill(
            lifecycle.backfill(space, rate, limit), metadata=self._connection.metadata
        )
        for last in self._progress(call):
            if on_progress is not None:
                on_progress(last)
        return _ended(last)

    def watch(self, space: str) -> Iterator[BackfillProgress]:
        """How a backfill that runs in the server goes; NotFound where none runs."""
        call = self._stubs().migration.WatchBackfill(
            lifecycle.watch(space), metadata=self._connection.metadata
        )
        return self._progress(call)

    def cancel(self, space: str) -> bool:
        """Stops a backfill in the server; whether one ran."""
        return self._run(lifecycle.cancel(space))

    def record_evaluation(
        self,
        space: str,
        summary: Mapping[str, Any],
        passed: bool,
        *,
        snapshot: int | None = None,
        require: str | Sequence[str] = (),
    ) -> Migration:
        """Keeps what an evaluation found; `require` adds conditions that the switch demands."""
        return self._run(lifecycle.record_evaluation(space, summary, passed, snapshot, require))

    def switch(self, space: str, *, allow_missing: int | str = 0, force: str = "") -> Migration:
        """Points the alias to `space`. Raises StoreError naming the gate that is shut."""
        return self._run(lifecycle.switch(space, allow_missing, force))

    def rollback(self, space: str) -> Migration:
        return self._run(lifecycle.rollback(space))

    def finish(self, space: str, *, remove: bool = False) -> Migration:
        return self._run(lifecycle.finish(space, remove))

    def abandon(self, space: str, *, remove: bool = False) -> Migration:
        return self._run(lifecycle.abandon(space, remove))

    def _progress(self, call: Any) -> Iterator[BackfillProgress]:
        try:
            for response in call:
                yield lifecycle.progress(response)
        except grpc.RpcError as failed:
            raise self._connection.error(failed) from None
        finally:
            call.cancel()


class AsyncClientMigrations:
    """As ClientMigrations, awaited; `on_progress` may be a coroutine function."""

    def __init__(self, run: _AsyncRun, stubs: Callable[[], Stubs], connection: Connection) -> None:
        self._run = run
        self._stubs = stubs
        self._connection = connection

    async def register(
        self, space: str, *, alias: str = "", require: str | Sequence[str] = ()
    ) -> Migration:
        return await self._run(lifecycle.register(space, alias, require))

    async def get(self, space: str) -> Migration:
        return await self._run(lifecycle.get(space))

    async def list(self) -> list[Migration]:
        return await self._run(lifecycle.listed())

    async def aliases(self) -> Sequence[AliasInfo]:
        return await self._run(lifecycle.aliases())

    async def run(
        self,
        space: str,
        *,
        rate: float | None = None,
        limit: int | None = None,
        on_progress: OnProgress | None = None,
    ) -> BackfillProgress:
        last = None
        call = self._stubs().migration.Backfill(
            lifecycle.backfill(space, rate, limit), metadata=self._connection.metadata
        )
        async for last in self._progress(call):
            if on_progress is not None:
                told = on_progress(last)
                if inspect.isawaitable(told):
                    await told
        return _ended(last)

    def watch(self, space: str) -> AsyncIterator[BackfillProgress]:
        call = self._stubs().migration.WatchBackfill(
            lifecycle.watch(space), metadata=self._connection.metadata
        )
        return self._progress(call)

    async def cancel(self, space: str) -> bool:
        return await self._run(lifecycle.cancel(space))

    async def record_evaluation(
        self,
        space: str,
        summary: Mapping[str, Any],
        passed: bool,
        *,
        snapshot: int | None = None,
        require: str | Sequence[str] = (),
    ) -> Migration:
        plan = lifecycle.record_evaluation(space, summary, passed, snapshot, require)
        return await self._run(plan)

    async def switch(
        self, space: str, *, allow_missing: int | str = 0, force: str = ""
    ) -> Migration:
        return await self._run(lifecycle.switch(space, allow_missing, force))

    async def rollback(self, space: str) -> Migration:
        return await self._run(lifecycle.rollback(space))

    async def finish(self, space: str, *, remove: bool = False) -> Migration:
        return await self._run(lifecycle.finish(space, remove))

    async def abandon(self, space: str, *, remove: bool = False) -> Migration:
        return await self._run(lifecycle.abandon(space, remove))

    async def _progress(self, call: Any) -> AsyncIterator[BackfillProgress]:
        try:
            async for response in call:
                yield lifecycle.progress(response)
        except grpc.RpcError as failed:
            raise self._connection.error(failed) from None
        finally:
            call.cancel()


def _ended(last: BackfillProgress | None) -> BackfillProgress:
    if last is None:
        raise Unavailable("the server ended the backfill's stream without a word")
    return last
