"""The threads of a serving catalogue: new snapshots are looked for, stale indexes rebuilt, models
of a space that a migration goes to loaded before it is switched to."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from trichord.errors import TrichordError
from trichord.index.background import be_nice

if TYPE_CHECKING:
    from trichord.catalog.catalog import Catalog

LOOK_EVERY_S = 0.25
BUILD_EVERY_S = 5.0
LOAD_EVERY_S = 1.0

log = logging.getLogger("trichord.catalog")


class _Stopped(Exception):
    """A build must end, because its catalogue is closed."""


class Keeper:
    """Refreshes a catalogue until `stop`. Index builds and loading run in threads of their own, so
    that a committed item is found within a second also meanwhile."""

    def __init__(
        self,
        catalog: Catalog,
        *,
        look_every_s: float = LOOK_EVERY_S,
        build_every_s: float = BUILD_EVERY_S,
        load_every_s: float = LOAD_EVERY_S,
    ) -> None:
        self._catalog = catalog
        self._stopping = threading.Event()
        tasks: list[tuple[str, Callable[[], object], float]] = [
            ("trichord-refresh", catalog.refresh, look_every_s),
            ("trichord-index", self._build, build_every_s),
            ("trichord-models", catalog.load_served, load_every_s),
        ]
        self._threads = [
            threading.Thread(target=self._repeat, args=(task, pause), daemon=True, name=name)
            for name, task, pause in tasks
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends the threads, and a build that is running; waits for them at most half a minute."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout=30)

    def _build(self) -> None:
        be_nice()
        try:
            self._catalog.build_indexes(apart=True, on_progress=self._heard)
        except _Stopped:
            log.info("the build of an index was ended; it begins anew with the next start")

    def _heard(self, *progress: object) -> None:
        if self._stopping.is_set():
            raise _Stopped

    def _repeat(self, task: Callable[[], object], pause: float) -> None:
        complained = ""
        while not self._stopping.wait(pause):
            try:
                task()
                complained = ""
            except Exception as error:
                # Reads go on with what is there, and the thread with the next round: one that
                # died would freeze the view. The same trouble is told once, not every round.
                if str(error) != complained:
                    complained = str(error)
                    expected = isinstance(error, TrichordError)
                    log.warning("%s", error, exc_info=None if expected else error)
