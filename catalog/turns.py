"""Writers of several processes that take turns.

The store's lease is one lock, and who holds it does not learn that another waits. So who waits
stands in a line, which is a lock of its own, on `writer.queue`: the first holds it until it has the
lease. Who has the lease looks at the line between two commits, and lets the first one in.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trichord.errors import StoreLocked
from trichord.store import Store, Writer

FILE = "writer.queue"
POLL_S = 0.02
RETRY_AFTER_S = 1.0


class Line:
    """Who waits for the lease of a store. On a disk that takes no file nobody waits."""

    def __init__(self, store: Path) -> None:
        self._path = store / FILE

    def waiting(self) -> bool:
        """Whether another process, or another catalogue of this one, waits."""
        handle = self._opened()
        if handle is None:
            return False
        try:
            return not _locked(handle, fcntl.LOCK_SH)
        finally:
            os.close(handle)

    @contextmanager
    def first(self, until: float) -> Iterator[None]:
        """Once all who came before have had their turn, or it is `until` (`time.monotonic`)."""
        handle = self._opened()
        try:
            while handle is not None and not _locked(handle, fcntl.LOCK_EX):
                if time.monotonic() >= until:
                    break
                time.sleep(POLL_S)
            yield
        finally:
            if handle is not None:
                os.close(handle)

    def _opened(self) -> int | None:
        try:
            return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError:
            return None


def _locked(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def writer_in_turn(store: Store, line: Line, owner: str, patience_s: float) -> Writer:
    """The store's writer, waited for in the line; without patience it is tried once.

    Raises StoreLocked, which says when to come again.
    """
    until = time.monotonic() + patience_s
    if not patience_s:
        return store.writer(owner=owner)
    with line.first(until):
        while True:
            try:
                return store.writer(owner=owner)
            except StoreLocked as error:
                if time.monotonic() >= until:
                    error.retry_after_s = RETRY_AFTER_S
                    raise
            time.sleep(POLL_S)
