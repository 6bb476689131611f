"""One thread for work that must not hold up searches."""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
from collections.abc import Callable

NICENESS = 10

log = logging.getLogger("trichord.index")


class Background:
    """Runs jobs one after the other in a thread that yields to all others. The thread starts with
    the first job and ends with the process, which does not wait for it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def run(self, job: Callable[[], None]) -> None:
        """Soon, in the order of the calls. What it raises is logged."""
        self._jobs.put(job)
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                self._thread.start()

    def _work(self) -> None:
        be_nice()
        while True:
            job = self._jobs.get()
            try:
                job()
            except Exception:
                log.warning("%s failed", self._name, exc_info=True)
            del job  # it may hold an index that nobody else needs any more


def be_nice() -> None:
    """Lower the priority of this thread, and of threads that it starts, where each has its own."""
    if sys.platform == "linux":  # elsewhere it would be that of the whole process
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


FRESH = Background("trichord-fresh")
