"""What every index is and what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from trichord.errors import InvalidInput, VectorError
from trichord.index.plan import Plan, Trace
from trichord.index.rowset import Allowed
from trichord.types import F32, I64

PADDING = -1
"""The row number in an answer that has no neighbour left; its score is -inf."""

UNIT_TOLERANCE = 1e-3
"""How far the squared length of a unit row may be from 1 (bfloat16 rows pass, raw ones do not)."""


@dataclass(frozen=True)
class Neighbours:
    """`scores` float32 (n, k), cosine, descending; `rows` int64 (n, k). Padding: -inf and -1."""

    scores: F32
    rows: I64

    @classmethod
    def none(cls, queries: int, k: int) -> Neighbours:
        """`k` places of padding for each of `queries` queries."""
        return cls(
            np.full((queries, k), -np.inf, dtype=np.float32),
            np.full((queries, k), PADDING, dtype=np.int64),
        )


@dataclass(frozen=True)
class IndexInfo:
    """How an index came to be: for manifests, statistics and reports.

    kind: "exact", "hnsw" or "ivf"; requested: what was asked for, maybe "auto".
    recall: measured recall at `k` against exact search, per kind of sample query, with the efforts
    for `recall_target`. targets: the same for every target that was reached, by its text ("0.95").
    reason: why this kind was taken. index_bytes: what the engine takes beside the vectors.
    """

    kind: str
    requested: str = "exact"
    recall: Mapping[str, float] = field(default_factory=dict)
    recall_target: float = 1.0
    k: int = 10
    parameters: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    build_seconds: float = 0.0
    targets: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    index_bytes: int = 0


class VectorIndex(Protocol):
    """Nearest rows by cosine over unit vectors. A row is its position in the matrix that the
    index was built from. Immutable; any number of threads may search at the same time."""

    @property
    def size(self) -> int:
        """Number of rows, removed ones included."""
        ...

    @property
    def dim(self) -> int: ...

    @property
    def info(self) -> IndexInfo: ...

    @property
    def pieces(self) -> Sequence[F32]:
        """The rows as consecutive matrices, without a copy."""
        ...

    def search(
        self,
        queries: F32,
        k: int,
        *,
        allowed: Allowed = None,
        recall: float | None = None,
        trace: Trace = None,
    ) -> Neighbours:
        """The `k` best of the allowed rows per query.

        queries: float32 (n, dim), unit rows. allowed: bool (size,) or a RowSet; None allows all.
        recall: share of the true neighbours to be found on average, in (0, 1]; None takes what the
        index was tuned to, with a filter at least 0.99. An exact index always finds all. trace:
        a list to which the steps that were taken are appended. Equal scores are ordered by the
        lower row. An answer is shorter than `k` (padded) only when fewer rows are allowed. Raises
        VectorError and InvalidInput.
        """
        ...

    def plan(
        self, queries: int, k: int, allowed: Allowed = None, recall: float | None = None
    ) -> Plan:
        """How a search by `queries` queries at once would begin. Raises InvalidInput."""
        ...

    def scores(self, queries: F32, rows: I64) -> F32:
        """Exact cosines of given rows: rows int64 (n, m), -1 gives -inf; float32 (n, m)."""
        ...


def checked_queries(queries: F32, dim: int) -> F32:
    """Queries as C-contiguous float32 (n, dim); VectorError unless they are finite unit rows."""
    queries = np.ascontiguousarray(queries, dtype=np.float32)
    if queries.ndim != 2 or queries.shape[1] != dim:
        raise VectorError(
            f"queries have the shape {queries.shape}, this index needs (n, {dim})",
            expected=dim,
        )
    if not _all_unit(queries):
        raise VectorError("queries must be finite unit vectors: divide each by its length")
    return queries


def checked_vectors(vectors: F32) -> F32:
    """A matrix that can be indexed, as C-contiguous float32 (n, dim) (a memory map stays one);
    VectorError unless its rows are finite unit vectors."""
    vectors = np.ascontiguousarray(np.asarray(vectors), dtype=np.float32)
    if vectors.ndim != 2 or vectors.shape[1] == 0:
        raise VectorError(f"vectors have the shape {vectors.shape}, not (rows, dim)")
    for start in range(0, len(vectors), 16384):
        if not _all_unit(vectors[start : start + 16384]):
            raise VectorError(
                f"rows {start} to {min(start + 16384, len(vectors)) - 1} hold a vector that is "
                "not finite or not of length 1: normalise rows and leave failed ones out"
            )
    return vectors


def checked_k(k: int) -> int:
    if k < 1:
        raise InvalidInput(f"k must be at least 1, not {k}")
    return int(k)


def checked_recall(recall: float | None) -> float:
    """None stands for 1."""
    if recall is None:
        return 1.0
    if not 0 < recall <= 1:
        raise InvalidInput(f"recall must lie in (0, 1], not {recall}")
    return float(recall)


def _all_unit(vectors: F32) -> bool:
    if len(vectors) == 1:  # one query is the hot path: a third of the time of the general way
        return abs(float(np.vdot(vectors, vectors)) - 1.0) <= UNIT_TOLERANCE
    lengths = np.einsum("ij,ij->i", vectors, vectors)
    # Written so that NaN, which compares false, counts as bad.
    return bool((np.abs(lengths - 1.0) <= UNIT_TOLERANCE).all())
