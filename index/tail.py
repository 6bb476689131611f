"""The rows that came since an index was built: a growing matrix, and a graph over most of them.

Rows are searched exactly at first. A thousand of them cost as much as a graph over 50,000 (0.2 ms
at 512 dimensions), so a graph is grown over them in the background, some rows behind the newest.
Adding to a FAISS index while others search it is not safe: every growth is on a copy (33 MB for
50,000 x 512, a hundredth of the time that adding takes), which then takes the place of the old one.
"""

from __future__ import annotations

import math
import threading
import weakref
from dataclasses import dataclass
from time import monotonic

import numpy as np

from trichord.index.ann import AnnIndex
from trichord.index.background import FRESH
from trichord.index.fresh import Grower
from trichord.index.reduction import Reduction
from trichord.types import F32


@dataclass(frozen=True)
class Tiers:
    """The graph begins to grow when more than `exact_rows` stand behind it, and goes on until no
    more than `rest` do. step: rows that are added at once, or `step_share` of the graph if that is
    more."""

    exact_rows: int = 512
    rest: int = 128
    step: int = 512
    step_share: float = 1 / 32


TIERS = Tiers()


class Tail:
    """A growing matrix that the successive values of one LiveIndex share.

    A value sees the first rows only, so appending behind them disturbs no one. If two values are
    made from the same one, the first appends in place and the second copies. grower: makes graphs;
    None: all rows are searched one by one. reduction: rows are kept reduced as well, for that.
    """

    def __init__(
        self,
        dim: int,
        grower: Grower | None,
        tiers: Tiers,
        capacity: int = 0,
        *,
        reduction: Reduction | None = None,
    ) -> None:
        self._rows: F32 = np.empty((capacity, dim), dtype=np.float32)
        self.reduction = reduction
        width = 0 if reduction is None else reduction.width
        self._narrow: F32 = np.empty((capacity, width), dtype=np.float32)
        self._used = 0
        self._grower, self._tiers = grower, tiers
        self._growing = False
        self._left = False
        """Its rows go on in a copy: growing graphs for both would be twice the work."""
        self._changed = threading.Condition()
        self.graph: AnnIndex | None = None
        """Over the first rows. It is replaced, never changed."""

    def view(self, count: int) -> F32:
        view = self._rows[:count]
        view.flags.writeable = False
        return view

    def narrow(self, first: int, count: int) -> F32:
        """Rows `first` to `count - 1`, reduced: float32 (count - first, width)."""
        view = self._narrow[first:count]
        view.flags.writeable = False
        return view

    def appended(self, count: int, rows: F32) -> tuple[Tail, F32]:
        """The tail and its view after `rows` were put behind its first `count` rows."""
        total = count + len(rows)
        with self._changed:
            if self._used == count and total <= len(self._rows):
                self._put(count, rows)
                self._grow_if_over(self._tiers.exact_rows)
                return self, self.view(total)
        return self._copied(count, rows, total)

    def settled(self, count: int, timeout: float) -> bool:
        """Waits until the graph has caught up with the first `count` rows; False: it did not."""
        until = monotonic() + timeout
        with self._changed:
            while self._growing or count - self._covered > self._most_behind:
                left = until - monotonic()
                if left <= 0:
                    return False
                self._changed.wait(left)
        return True

    @property
    def _most_behind(self) -> float:
        stays = self._grower is None or self._left
        return math.inf if stays else self._tiers.exact_rows

    @property
    def _covered(self) -> int:
        return 0 if self.graph is None else self.graph.size

    def _copied(self, count: int, rows: F32, total: int) -> tuple[Tail, F32]:
        other = Tail(
            self._rows.shape[1],
            self._grower,
            self._tiers,
            capacity=max(64, 2 * total),
            reduction=self.reduction,
        )
        other._rows[:count] = self._rows[:count]
        other._narrow[:count] = self._narrow[:count]
        other._put(count, rows)
        graph = self.graph
        if graph is not None and graph.size <= count:
            other.graph = graph.over(other.view(graph.size))
        with other._changed:
            other._grow_if_over(self._tiers.exact_rows)
        with self._changed:
            if self._used == count:
                self._left = True
        return other, other.view(total)

    def _put(self, first: int, rows: F32) -> None:
        total = first + len(rows)
        self._rows[first:total] = rows
        if self.reduction is not None:
            self._narrow[first:total] = self.reduction.rows(rows)
        self._used = total

    def _grow_if_over(self, rest: int) -> None:
        """Soon, if more rows than that stand behind the graph. With the lock held."""
        if self._grower is None or self._left or self._growing:
            return
        if self._used - self._covered <= rest:
            return
        self._growing = True
        itself = weakref.ref(self)

        def grow() -> None:
            tail = itself()
            if tail is not None:
                tail._grow()

        FRESH.run(grow)

    def _grow(self) -> None:
        """One step; further ones get in line behind those of other indexes."""
        covered, tiers = self._covered, self._tiers
        target = min(self._used, covered + max(tiers.step, int(covered * tiers.step_share)))
        grown: AnnIndex | None = None
        try:
            if self._grower is not None and not self._left:
                grown = self._grower.grown(self.graph, self.view(target))
        finally:
            with self._changed:
                self._growing = False
                if grown is not None:
                    self.graph = grown
                    self._grow_if_over(tiers.rest)
                self._changed.notify_all()
