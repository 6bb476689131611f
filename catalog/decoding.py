"""Decoding ahead: while a model works on some content, threads decode what comes next.

Pillow, libsndfile, libsoxr and the tokenizers let other threads run while they work. What comes out
is the same, in the same order, as from decoding one content after the other.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence

import numpy as np

from trichord.errors import TrichordError
from trichord.types import Piece, Waveform

Cut = Callable[[int], Iterator[Piece]]
"""The pieces of the content at a position; raises TrichordError for what cannot be decoded."""

Came = tuple[int, Piece | TrichordError]

AHEAD_BYTES = 256 * 1024 * 1024
"""Decoded pieces that wait for the model hold no more than this."""

MOST_THREADS = 8


def decoders() -> int:
    """Threads that decode: one per core that this process may use, few on a large machine."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        cores = os.cpu_count() or 1
    return min(cores, MOST_THREADS)


def in_turn(positions: Sequence[int], cut: Cut) -> Generator[Came, None, None]:
    """The pieces of all positions, one after the other, in the thread that asks for them; the error
    of a position comes in its turn, behind the pieces before it."""
    for position in positions:
        try:
            for piece in cut(position):
                yield position, piece
        except TrichordError as error:
            yield position, error


def ahead(
    groups: Sequence[Sequence[int]],
    cut: Cut,
    *,
    threads: int | None = None,
    most_bytes: int = AHEAD_BYTES,
) -> Generator[Came, None, None]:
    """Like `in_turn` of all groups, but threads decode a group each ahead of the one that asks.

    Pieces that wait hold `most_bytes` at the most; the group whose turn it is may always bring one
    more. Close the iterator (contextlib.closing) when not all of it is read: its threads end with
    it. What `cut` raises besides TrichordError comes out here, in its turn.
    """
    return _Ahead(groups, cut, most_bytes).run(min(threads or decoders(), len(groups)))


class _Ahead:
    def __init__(self, groups: Sequence[Sequence[int]], cut: Cut, most_bytes: int) -> None:
        self._groups = groups
        self._cut = cut
        self._most_bytes = most_bytes
        self._changed = threading.Condition()
        self._came: list[deque[tuple[Came, int]]] = [deque() for _ in groups]
        self._done = [False] * len(groups)
        self._failed: dict[int, BaseException] = {}
        self._held = 0
        self._turn = 0
        self._next = 0
        self._stopped = False

    def run(self, count: int) -> Generator[Came, None, None]:
        threads = [
            threading.Thread(target=self._work, name=f"trichord-decode-{number}", daemon=True)
            for number in range(count)
        ]
        try:
            for thread in threads:
                thread.start()
            for group in range(len(self._groups)):
                yield from self._of(group)
        finally:
            with self._changed:
                self._stopped = True
                self._changed.notify_all()
            for thread in threads:
                if thread.ident is not None:
                    thread.join()

    def _of(self, group: int) -> Iterator[Came]:
        waiting = self._came[group]
        with self._changed:
            self._turn = group
            self._changed.notify_all()
        while True:
            with self._changed:
                while not waiting and not self._done[group]:
                    self._changed.wait()
                if not waiting:
                    break
                came, size = waiting.popleft()
                self._held -= size
                self._changed.notify_all()
            yield came
        if group in self._failed:
            raise self._failed[group]

    def _work(self) -> None:
        while True:
            with self._changed:
                if self._stopped or self._next == len(self._groups):
                    return
                group = self._next
                self._next += 1
            try:
                for came in in_turn(self._groups[group], self._cut):
                    if not self._put(group, came):
                        return
            except BaseException as error:
                self._failed[group] = error
            finally:
                with self._changed:
                    self._done[group] = True
                    self._changed.notify_all()

    def _put(self, group: int, came: Came) -> bool:
        """False once nobody wants it any more."""
        size = _bytes(came[1])
        waiting = self._came[group]
        with self._changed:
            while not self._stopped and self._held + size > self._most_bytes:
                if group == self._turn and not waiting:
                    break
                self._changed.wait()
            if self._stopped:
                return False
            waiting.append((came, size))
            self._held += size
            self._changed.notify_all()
        return True


def _bytes(came: Piece | TrichordError) -> int:
    if not isinstance(came, Piece):
        return 0
    content = came.content
    if isinstance(content, Waveform):
        return int(content.samples.nbytes)
    return int(content.nbytes) if isinstance(content, np.ndarray) else 4 * len(content)
