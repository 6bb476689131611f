"""Several server processes behind one port: Python runs one thread at a time, so a machine with
more cores serves more calls with more processes.

Each opens the store by itself, maps the same index files, and takes the connections that the kernel
gives it. This process serves nothing: it keeps the port, starts the others, starts one anew that
died, and ends them all.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from pickle import PicklingError
from types import FrameType
from typing import Any

from google.rpc import status_pb2

from trichord.errors import InvalidInput, TrichordError
from trichord.server.bind import SharedPort
from trichord.server.settings import Settings
from trichord.server.worker import run
from trichord.wire.status import from_status

LOGGER = logging.getLogger("trichord.server")

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 30.0
"""Before a process that died is started again; doubled while it dies again soon."""

STEADY_S = 30.0
"""A process that served so long did not die of its start."""

GIVE_UP = 5
"""So many failed starts in a row, while no other process serves, end it all."""

KILL_AFTER_S = 60.0
"""Beyond `grace_s`: a process that is still there then is killed."""


@dataclass
class _Place:
    """One of the processes, and how it fares. `failures`: deaths in a row, each soon after the
    start."""

    number: int
    process: BaseProcess | None = None
    heard: Connection | None = None
    began: float = 0.0
    serves: bool = False
    address: str = ""
    error: TrichordError | None = None
    failures: int = 0
    due: float = field(default=0.0)


def supervise(
    path: str | Path, settings: Settings | None = None, *, processes: int, **options: Any
) -> None:
    """Serves the store with so many processes, and returns after SIGTERM or SIGINT once all have
    ended, each after what it was at.

    To be called in the main thread. Options are those of `trichord.server.app.serve`; they and the
    settings travel to other processes, so they must be picklable. Raises what keeps the first ones
    from serving (NotFound, InvalidInput …), and TrichordError if later on none serves any more.
    """
    if processes < 1:
        raise InvalidInput(f"there must be at least 1 process, not {processes}")
    settings = settings or Settings()
    with SharedPort(settings.address) as port, _told() as (told, wake):
        shared = replace(settings, listen=port.address.target, share_port=True)
        _Supervisor(str(path), shared, processes, options, told, wake).run()


class _Supervisor:
    def __init__(
        self,
        path: str,
        settings: Settings,
        processes: int,
        options: dict[str, Any],
        told: list[int],
        wake: int,
    ) -> None:
        self._path = path
        self._settings = settings
        self._options = options
        self._told = told
        self._wake = wake
        self._context = multiprocessing.get_context("spawn")
        self._places = [_Place(number) for number in range(processes)]
        self._complete = False

    def run(self) -> None:
        try:
            # The first one alone: it makes the store if that is to be made, and says what is wrong.
            self._begin(self._places[:1])
            self._begin(self._places[1:])
            self._complete = True
            LOGGER.info("%d processes on %s", len(self._places), self._settings.listen)
            while not self._told:
                self._look()
        finally:
            self._end()

    def _begin(self, places: Sequence[_Place]) -> None:
        """Starts processes and waits until they serve."""
        for place in places:
            self._start(place)
        while not self._told and not all(place.serves for place in places):
            self._look()

    def _start(self, place: _Place) -> None:
        heard, tell = self._context.Pipe(duplex=False)
        level = logging.getLogger().level if logging.getLogger().handlers else None
        process = self._context.Process(
            target=run,
            args=(tell, self._path, self._settings, self._options, level),
            name=f"trichord-server-{place.number}",
        )
        try:
            process.start()
        except (PicklingError, AttributeError, TypeError) as error:
            heard.close()
            raise InvalidInput(
                f"the options of a server with several processes must be picklable: {error}"
            ) from error
        finally:
            tell.close()
        place.process, place.heard, place.began = process, heard, time.monotonic()
        place.serves, place.error = False, None

    def _look(self) -> None:
        """Waits for news, and deals with them."""
        now = time.monotonic()
        for place in self._places:
            if place.process is None and self._complete and place.due <= now:
                self._start(place)
        asleep = [place.due - now for place in self._places if place.process is None]
        running = [place for place in self._places if place.process is not None]
        waited: list[Any] = [place.process.sentinel for place in running if place.process]
        waited += [place.heard for place in running if place.heard is not None]
        pause = max(0.0, min(asleep)) if asleep and self._complete else None
        news = wait([self._wake, *waited], pause)
        for place in running:
            if place.heard in news:
                self._hear(place)
            if place.process is not None and place.process.sentinel in news:
                self._hear(place)
                self._died(place)

    def _hear(self, place: _Place) -> None:
        while place.heard is not None:
            try:
                if not place.heard.poll():
                    return
                said = place.heard.recv()
            except (EOFError, OSError):
                place.heard.close()
                place.heard = None
                return
            if isinstance(said, bytes):
                place.error = from_status(status_pb2.Status.FromString(said))
            else:
                place.serves, place.address = True, said

    def _died(self, place: _Place) -> None:
        assert place.process is not None
        place.process.join()
        code, pid = place.process.exitcode, place.process.pid
        steady = place.serves and time.monotonic() - place.began > STEADY_S
        place.process, place.serves = None, False
        place.failures = 0 if steady else place.failures + 1
        if self._told:
            return
        why = place.error or TrichordError(
            f"a server process ended with {code} before it served; its log says more"
        )
        lost = not any(other.serves for other in self._places) and place.failures >= GIVE_UP
        if not self._complete or lost:
            raise why
        pause = 0.0
        if not steady:
            pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (place.failures - 1))
        place.due = time.monotonic() + pause
        LOGGER.warning(
            "process %s ended with %s%s; another one is started in %.2f s",
            pid,
            code,
            f" ({place.error})" if place.error else "",
            pause,
        )

    def _end(self) -> None:
        """Tells all to stop, which each does after what it is at, and waits."""
        running = [place.process for place in self._places if place.process is not None]
        for process in running:
            process.terminate()
        until = time.monotonic() + self._settings.grace_s + KILL_AFTER_S
        for process in running:
            process.join(max(0.0, until - time.monotonic()))
            if process.is_alive():
                LOGGER.warning("process %s does not end and is killed", process.pid)
                process.kill()
                process.join()


@contextmanager
def _told() -> Iterator[tuple[list[int], int]]:
    """The signals to stop that came, and what becomes readable when one comes."""
    told: list[int] = []
    wake, write = os.pipe()

    def tell(number: int, frame: FrameType | None) -> None:
        told.append(number)
        os.write(write, b"\0")

    before = {number: signal.signal(number, tell) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield told, wake
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(wake)
        os.close(write)
