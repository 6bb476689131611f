"""The queue between a stream and its commits: bounded, so that a fast sender waits."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar

from trichord.server.settings import Settings


class Sized(Protocol):
    def ByteSize(self) -> int: ...


T = TypeVar("T", bound=Sized)
POLL_S = 0.25


class Intake(Generic[T]):
    """A thread takes messages from the stream until the queue is full; `take` empties it.

    Nothing waits to fill a batch: what has arrived while the last commit ran is the next batch.
    """

    def __init__(self, messages: Iterable[T], settings: Settings) -> None:
        self._max_count = settings.ingest_records
        self._max_bytes = settings.ingest_bytes
        self._waiting: deque[tuple[T, int]] = deque()
        self._bytes = 0
        self._ended = False
        self._closed = False
        self._failure: Exception | None = None
        self._changed = threading.Condition()
        self._reader = threading.Thread(
            target=self._read, args=(messages,), name="trichord-intake", daemon=True
        )
        self._reader.start()

    @property
    def ended(self) -> bool:
        """The sender has said all."""
        return self._ended

    def take(self, stopping: threading.Event) -> list[T] | None:
        """At least one message and at most a batch, in order; None at the end of the stream, or
        when the server stops and nothing waits. Raises what reading the stream raised."""
        with self._changed:
            while not self._waiting:
                if self._failure is not None:
                    raise self._failure
                if self._ended or stopping.is_set():
                    return None
                self._changed.wait(POLL_S)
            batch = [message for message, _ in self._waiting]
            self._waiting.clear()
            self._bytes = 0
            self._changed.notify_all()
        return batch

    def close(self) -> None:
        """No more is wanted; the reader ends with the stream."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _read(self, messages: Iterable[T]) -> None:
        try:
            for message in messages:
                if not self._put(message):
                    return
        except Exception as error:
            with self._changed:
                self._failure = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _put(self, message: T) -> bool:
        size = message.ByteSize()
        with self._changed:
            while not self._closed and self._waiting and self._full(size):
                self._changed.wait()
            if self._closed:
                return False
            self._waiting.append((message, size))
            self._bytes += size
            self._changed.notify_all()
        return True

    def _full(self, size: int) -> bool:
        return len(self._waiting) >= self._max_count or self._bytes + size > self._max_bytes
