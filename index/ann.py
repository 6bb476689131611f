"""Approximate search that answers like an exact one, only with a measured recall below 1.

An engine proposes candidates by its compressed vectors. Here they are screened by the filter,
scored exactly on the float matrix, ordered, and, where too few are left, searched for again with
more effort, finally exactly: an answer is never short while enough rows are allowed, a score is
never that of a compressed vector, and no row that the filter excludes can appear.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from trichord.index.base import (
    PADDING,
    IndexInfo,
    Neighbours,
    checked_k,
    checked_queries,
)
from trichord.index.exact import exact_search
from trichord.index.plan import Curve, Effort, exact_cost, needed_depth
from trichord.index.rowset import Allowed, RowSet, rowset_of
from trichord.index.scoring import best, checked_pair_scores, pair_scores
from trichord.index.threads import omp_threads
from trichord.types import F32, I64, Bool

WIDENING = 4
"""Depth grows by this factor when an answer came out short."""


class Engine(Protocol):
    """A FAISS index that proposes rows; it never sees a filter."""

    @property
    def kind(self) -> str: ...

    @property
    def parameters(self) -> dict[str, Any]:
        """What it was built with, as JSON values."""
        ...

    def candidates(self, queries: F32, effort: Effort) -> I64:
        """effort.candidates rows per query, best first by the engine's own distance; -1 pads."""
        ...

    def cost(self, effort: Effort) -> float:
        """Row reads (see plan) that one query costs."""
        ...

    def ladders(self, depth: int) -> Sequence[Sequence[Effort]]:
        """Efforts worth trying for a depth, each ladder from cheap to thorough."""
        ...

    def write(self, path: Path) -> None: ...


class AnnIndex:
    """An engine over `vectors`, with the efforts that were tuned for it.

    threads: OpenMP threads for a batch; None leaves the process default.
    """

    def __init__(
        self,
        vectors: F32,
        engine: Engine,
        curve: Curve,
        info: IndexInfo,
        *,
        threads: int | None = None,
    ) -> None:
        self.vectors = vectors
        self.engine = engine
        self.curve = curve
        self._info = info
        self._threads = threads

    @property
    def size(self) -> int:
        return len(self.vectors)

    @property
    def dim(self) -> int:
        return int(self.vectors.shape[1])

    @property
    def info(self) -> IndexInfo:
        return self._info

    @property
    def pieces(self) -> Sequence[F32]:
        return (self.vectors,)

    def search(self, queries: F32, k: int, *, allowed: Allowed = None) -> Neighbours:
        queries, k = checked_queries(queries, self.dim), checked_k(k)
        rowset = rowset_of(allowed, self.size)
        if len(queries) == 1:
            return self._search(queries, k, rowset)
        with omp_threads(self._threads):
            return self._search(queries, k, rowset)

    def scores(self, queries: F32, rows: I64) -> F32:
        return checked_pair_scores(self.vectors, checked_queries(queries, self.dim), rows)

    def effort(self, queries: int, k: int, allowed: int) -> Effort | None:
        """What a search by `queries` queries over `allowed` rows starts with; None: exact."""
        wanted = min(k, allowed)
        return self._affordable(needed_depth(wanted, allowed, self.size), queries, allowed)

    def attempt(
        self, queries: F32, k: int, effort: Effort, rowset: RowSet | None = None
    ) -> tuple[Neighbours, Bool]:
        """One search at one effort, and per query whether it went deep enough for its answer."""
        rows = self.engine.candidates(queries, effort)
        if rowset is None:
            answer = best(pair_scores(self.vectors, queries, rows), rows, k)
            return answer, answer.rows[:, min(k, self.size) - 1] != PADDING
        seen = rows != PADDING
        passed = rowset.mask[rows] & seen  # padding reads the last row's flag; `seen` drops it
        enough = _enough(min(k, rowset.count), passed, seen, effort)
        rows = rows[passed][None, :] if len(rows) == 1 else np.where(passed, rows, PADDING)
        return best(pair_scores(self.vectors, queries, rows), rows, k), enough

    def _search(self, queries: F32, k: int, rowset: RowSet | None) -> Neighbours:
        available = self.size if rowset is None else rowset.count
        if available == 0 or len(queries) == 0:
            return Neighbours.none(len(queries), k)
        effort = self.effort(len(queries), k, available)
        if effort is None:
            return exact_search(self.vectors, queries, k, rowset)
        answer, enough = self.attempt(queries, k, effort, rowset)
        if enough.all():
            return answer
        depth = effort.depth
        while not enough.all():
            open_ = np.flatnonzero(~enough)
            depth *= WIDENING
            effort = self._affordable(depth, len(open_), available)
            if effort is None:
                found = exact_search(self.vectors, queries[open_], k, rowset)
                enough[open_] = True
            else:
                found, enough[open_] = self.attempt(queries[open_], k, effort, rowset)
            answer.scores[open_], answer.rows[open_] = found.scores, found.rows
        return answer

    def _affordable(self, depth: int, queries: int, allowed: int) -> Effort | None:
        effort = self.curve.at(depth)
        if effort is None:
            return None
        cheaper = self.engine.cost(effort) < exact_cost(queries, allowed, self.size)
        return effort if cheaper else None


def _enough(wanted: int, passed: Bool, seen: Bool, effort: Effort) -> Bool:
    """Whether `wanted` allowed rows stand among the first `depth` of the candidates.

    An engine hands over more candidates than the depth it reaches, since its own order is rough.
    Allowed rows must therefore be as frequent among all candidates as `wanted` is in the depth.
    """
    surplus = np.maximum(1.0, seen.sum(axis=1) / effort.depth)
    enough: Bool = passed.sum(axis=1) >= np.minimum(wanted * surplus, effort.candidates)
    return enough
