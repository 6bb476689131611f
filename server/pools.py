"""Threads, and how much may wait for them.

Four pools, so that none starves another: answers (unary calls), streams and searches (streams of
them), which hold their thread for as long as they are open, and control (health and refusals, which
must come even when all others are busy).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from trichord.server.settings import Settings

T = TypeVar("T")


class CountingPool(ThreadPoolExecutor):
    """Knows how many tasks wait or run, however they end."""

    def __init__(self, threads: int, name: str) -> None:
        super().__init__(max_workers=threads, thread_name_prefix=f"trichord-{name}")
        self._counting = threading.Lock()
        self._unfinished = 0

    @property
    def unfinished(self) -> int:
        return self._unfinished

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        with self._counting:
            self._unfinished += 1
        try:
            future = super().submit(fn, *args, **kwargs)
        except BaseException:
            self._done(None)
            raise
        future.add_done_callback(self._done)
        return future

    def _done(self, _: object) -> None:
        with self._counting:
            self._unfinished -= 1


@dataclass(frozen=True)
class Pools:
    answers: CountingPool
    streams: CountingPool
    searches: CountingPool
    control: CountingPool

    @classmethod
    def of(cls, settings: Settings) -> Pools:
        return cls(
            CountingPool(settings.workers, "answer"),
            CountingPool(settings.streams, "stream"),
            CountingPool(settings.search_streams, "search"),
            CountingPool(2, "control"),
        )

    @property
    def _all(self) -> tuple[CountingPool, ...]:
        return self.answers, self.streams, self.searches, self.control

    @property
    def busy(self) -> bool:
        return any(pool.unfinished for pool in self._all)

    def shutdown(self) -> None:
        for pool in self._all:
            pool.shutdown(wait=False, cancel_futures=True)
