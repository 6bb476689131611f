"""Backfills that run in the server: started by one caller, watched by any, ended by none that
leaves."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from trichord.catalog import Catalog
from trichord.errors import NotFound, Unavailable
from trichord.policy import Principal
from trichord.results import BackfillPhase, BackfillProgress

POLL_S = 0.5
"""How often a watcher looks whether its caller is still there."""

TOLD_EVERY_S = 0.2
"""News of a quick backfill are told no more often."""


class Job:
    """One backfill in a thread of its own."""

    def __init__(
        self,
        catalog: Catalog,
        space: str,
        rate: float | None,
        limit: int | None,
        principal: Principal,
    ) -> None:
        self.stop = threading.Event()
        self._changed = threading.Condition()
        self._progress = self._nothing = BackfillProgress(space, BackfillPhase.RUNNING)
        self._failure: Exception | None = None
        self._over = False
        self._thread = threading.Thread(
            target=self._run,
            args=(catalog, space, rate, limit, principal),
            name="trichord-backfill",
        )
        self._thread.start()

    @property
    def over(self) -> bool:
        return self._over

    def join(self) -> None:
        self._thread.join()

    def watched(self, there: Callable[[], bool]) -> Iterator[BackfillProgress]:
        """How it goes until it ends, or until nobody is `there`; raises what it ended with."""
        seen = self._nothing
        while there():
            with self._changed:
                if not self._over and self._progress is seen:
                    self._changed.wait(POLL_S)
                progress, over, failure = self._progress, self._over, self._failure
            if over and failure is not None:
                raise failure
            if progress is not seen:
                seen = progress
                yield progress
            if over:
                return
            self.stop.wait(TOLD_EVERY_S)

    def _run(
        self,
        catalog: Catalog,
        space: str,
        rate: float | None,
        limit: int | None,
        principal: Principal,
    ) -> None:
        try:
            catalog.migrations.run(
                space,
                rate=rate,
                limit=limit,
                on_progress=self._told,
                stop=self.stop,
                principal=principal,
            )
        except Exception as error:
            self._failure = error
        finally:
            with self._changed:
                self._over = True
                self._changed.notify_all()

    def _told(self, progress: BackfillProgress) -> None:
        with self._changed:
            self._progress = progress
            self._changed.notify_all()


class Backfills:
    """At most one per space."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()
        self._closed = False

    def start(self, space: str, rate: float | None, limit: int | None, principal: Principal) -> Job:
        """The backfill that runs, else a new one; raises NotFound, PermissionDenied at once."""
        self._catalog.migrations.may_manage(principal)
        self._catalog.migrations.get(space, principal=principal)
        with self._lock:
            if self._closed:
                raise Unavailable("the server is stopping")
            job = self._jobs.get(space)
            if job is None or job.over:
                job = self._jobs[space] = Job(self._catalog, space, rate, limit, principal)
            return job

    def running(self, space: str) -> Job:
        """Raises NotFound where none runs."""
        job = self._jobs.get(space)
        if job is None or job.over:
            raise NotFound(f"no backfill of {space!r} runs in this server", space=space)
        return job

    def cancel(self, space: str) -> bool:
        """Stops one after the batch that it is at, and waits for that; whether one ran."""
        job = self._jobs.get(space)
        if job is None or job.over:
            return False
        job.stop.set()
        job.join()
        return True

    def close(self) -> None:
        """Stops all."""
        with self._lock:
            self._closed = True
        for job in self._jobs.values():
            job.stop.set()
        for job in self._jobs.values():
            job.join()
