"""Sounds made ready in a thread while the model works on the ones before them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

import torch


class Ahead:
    """`prepare(i)` for i in range(count), in order, at most `ahead` items before they are taken.

    Items stay until `done`, so that a batch that did not fit into memory can be run again in
    halves. Use as a context manager; what is prepared at exit is waited for and dropped.
    """

    def __init__(self, count: int, prepare: Callable[[int], torch.Tensor], ahead: int) -> None:
        self._count = count
        self._prepare = prepare
        self._ahead = ahead
        self._next = 0
        self._held: dict[int, Future[torch.Tensor]] = {}
        self._thread = ThreadPoolExecutor(1, "trichord-clap")

    def __enter__(self) -> Ahead:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._held.clear()

    def take(self, indices: Sequence[int]) -> torch.Tensor:
        """The prepared items stacked, (len(indices), …); those that follow are begun."""
        until = min(self._count, max(indices) + 1 + self._ahead)
        while self._next < until:
            self._held[self._next] = self._thread.submit(self._prepare, self._next)
            self._next += 1
        return torch.stack([self._held[index].result() for index in indices])

    def done(self, indices: Sequence[int]) -> None:
        for index in indices:
            del self._held[index]
