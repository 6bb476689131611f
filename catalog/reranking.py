"""A second opinion on the best hits: a cross-encoder under a deadline.

One thread runs the model, a few texts at a time and the requests by turns, so that a long request
delays a short one by a slice and not by its length. Whoever's time is up leaves with what is there.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Sequence

import numpy as np
import xxhash

from trichord.embedders.rerank import Reranker
from trichord.errors import InvalidInput, ModelError, TrichordError
from trichord.types import F32

AT_ONCE = 16
"""Requests that are taken at a time; one more is answered at once, without the reranker."""

REMEMBERED = 20_000
"""Scores that are kept for the next page and the next who asks the same."""

log = logging.getLogger("trichord.catalog")


class Reranking:
    """Safe to use from many threads. The thread starts with the first request; `close` ends it."""

    def __init__(self, reranker: Reranker, *, at_once: int = AT_ONCE) -> None:
        if at_once < 1:
            raise InvalidInput(f"at least 1 request must be taken at a time, not {at_once}")
        self.reranker = reranker
        self._at_once = at_once
        self._changed = threading.Condition()
        self._waiting: deque[_Request] = deque()
        self._taken = 0
        self._remembered: OrderedDict[bytes, float] = OrderedDict()
        self._thread: threading.Thread | None = None
        self._closed = False

    def scores(self, query: str, texts: Sequence[str], deadline_s: float) -> tuple[F32, str | None]:
        """Scores of the first m texts, float32 (m,), higher is better, and why there are not more
        (None: m is all).

        Returns within `deadline_s`, whatever the model does. A text that is empty has the score
        -inf. The model's own failures are a reason why there are not more; InvalidInput, for a
        query that is no text, is raised.
        """
        request = _Request(query, list(texts), time.monotonic() + deadline_s)
        with self._changed:
            self._recall(request)
            if request.complete:
                return request.ready(), None
            if self._closed:
                return request.ready(), f"the reranker was closed: {_LEFT}"
            if self._taken >= self._at_once:
                why = f"the reranker is busy with {self._taken} other searches: {_LEFT}"
                return request.ready(), why
            self._taken += 1
            self._waiting.append(request)
            self._changed.notify_all()
            self._start()
        _wait(request.over, deadline_s)
        with self._changed:
            request.left = True
            self._taken -= 1
            if request in self._waiting:
                self._waiting.remove(request)
            if isinstance(request.error, InvalidInput):
                raise request.error
            return request.ready(), request.why(deadline_s)

    def load(self) -> None:
        """Loads the model ahead of the first request. Raises ModelError."""
        self.reranker.load()

    def close(self) -> None:
        """Ends the thread; a request that it is at is given up."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(timeout=5)

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, daemon=True, name="trichord-rerank")
            self._thread.start()

    def _work(self) -> None:
        while (request := self._next()) is not None:
            some = request.missing[: max(1, self.reranker.batch)]
            texts = [request.texts[at] for at in some]
            try:
                found = self.reranker.score(request.query, texts)
                if found.shape != (len(texts),) or np.isnan(found).any():
                    raise ModelError(f"it gave {found.shape} or NaN for {len(texts)} texts")
            except Exception as error:  # a model may raise anything; the thread must live on
                if not isinstance(error, TrichordError):
                    log.warning("the reranker failed", exc_info=error)
                with self._changed:
                    request.fail(error)
                continue
            with self._changed:
                for at, score in zip(some, found.tolist(), strict=True):
                    request.put(at, score)
                    self._remember(request.key(at), score)
                if request.complete:
                    request.over.set()
                else:
                    self._waiting.append(request)  # behind those who came meanwhile

    def _next(self) -> _Request | None:
        """The next request that somebody still waits for; None when closed."""
        with self._changed:
            while not self._closed:
                while self._waiting:
                    request = self._waiting.popleft()
                    if not request.left and time.monotonic() < request.deadline:
                        return request
                self._changed.wait()
            return None

    def _recall(self, request: _Request) -> None:
        for at in request.missing:
            score = self._remembered.get(request.key(at))
            if score is not None:
                self._remembered.move_to_end(request.key(at))
                request.put(at, score)

    def _remember(self, key: bytes, score: float) -> None:
        self._remembered[key] = score
        while len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)


_LEFT = "the hits stand in the order in which they were found"


class _Request:
    """What one caller waits for. Changed under the lock of `Reranking`."""

    def __init__(self, query: str, texts: list[str], deadline: float) -> None:
        self.query, self.texts, self.deadline = query, texts, deadline
        self.over = threading.Event()
        self.left = False
        self.error: Exception | None = None
        self._scores: F32 = np.full(len(texts), -np.inf, np.float32)
        self._known = np.array([not text.strip() for text in texts], np.bool_)

    @property
    def missing(self) -> list[int]:
        found: list[int] = np.flatnonzero(~self._known).tolist()
        return found

    @property
    def complete(self) -> bool:
        return bool(self._known.all())

    def key(self, at: int) -> bytes:
        text = f"{len(self.query)} {self.query}{self.texts[at]}"
        return xxhash.xxh3_128_digest(text.encode("utf-8", "surrogatepass"))

    def put(self, at: int, score: float) -> None:
        self._scores[at] = score
        self._known[at] = True

    def fail(self, error: Exception) -> None:
        self.error = error
        self.over.set()

    def ready(self) -> F32:
        """The scores before the first that is not there."""
        missing = self.missing
        return self._scores[: missing[0] if missing else len(self.texts)].copy()

    def why(self, deadline_s: float) -> str | None:
        count, total = len(self.ready()), len(self.texts)
        if self.error is not None:
            return f"the reranker failed ({self.error or type(self.error).__name__}): {_LEFT}"
        if count == total:
            return None
        within = f"within {round(deadline_s * 1e3)} ms"
        if not count:
            return f"the reranker scored nothing {within}: {_LEFT}"
        return (
            f"the reranker scored {count} of {total} hits {within}; the others follow in the order"
            " in which they were found"
        )


def _wait(over: threading.Event, seconds: float) -> None:
    over.wait(seconds)
