"""Rows in fewer dimensions, for an engine to find candidates by; scores stay those of full rows.

Embeddings lie close to a subspace of a few dozen dimensions. Distances there cost a fraction of
those in full, in arithmetic and even more in memory that has to be read, and what they confuse is
put right by exact scores of a few more candidates (LeanVec: Tepper et al., arXiv 2312.16335).

The subspace is that of the leading eigenvectors of the rows' second moments, not centred, so that
dot products are what is kept. A projected row is shorter than 1; one more dimension, in which
queries are 0, brings every row back to length 1, and so the nearest by Euclidean distance remain
the nearest by dot product (Bachrach et al., RecSys 2014).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from trichord.index._faiss import faiss
from trichord.types import F32

WIDTHS = (32, 64, 96, 128, 192, 256, 384, 512)
"""Dimensions tried, the one more included: multiples of what a register holds."""
AT_MOST = 0.5
"""Of the full dimension: less would be gained than exact scores of more candidates cost."""
SLACK, KEPT = 3, 0.99
"""So large a share of the true neighbours must be among so many times as many of the reduced."""
FITTED_ROWS = 16_384
COMPARED_BYTES = 1 << 27
"""Rows that reduced and full neighbours are compared among."""
QUERIES, BLOCK = 64, 16_384


class Reduction:
    """`projection`: float32 (dim, width - 1), orthonormal columns."""

    def __init__(self, projection: F32) -> None:
        self.projection = projection
        # By FAISS, whose threads are those of its searches: two libraries that take turns keep each
        # other waiting (a product by numpy before a batch of 64 made it 10 times slower).
        self._transform = faiss.LinearTransform(self.dim, self.width, False)
        matrix = np.zeros((self.width, self.dim), np.float32)
        matrix[:-1] = projection.T
        faiss.copy_array_to_vector(matrix.ravel(), self._transform.A)
        self._transform.is_trained = True

    @property
    def dim(self) -> int:
        return int(self.projection.shape[0])

    @property
    def width(self) -> int:
        return int(self.projection.shape[1]) + 1

    @property
    def bytes(self) -> int:
        """What it takes in memory and in a file."""
        return 4 * self.dim * self.width

    def rows(self, vectors: F32) -> F32:
        """Unit rows float32 (n, dim) -> unit rows float32 (n, width)."""
        reduced = np.empty((len(vectors), self.width), np.float32)
        for start in range(0, len(vectors), BLOCK):
            part = reduced[start : start + BLOCK]
            part[:] = self._transform.apply(np.ascontiguousarray(vectors[start : start + BLOCK]))
            squares = np.einsum("ij,ij->i", part, part)  # the last dimension is still 0
            part[:, -1] = np.sqrt(np.maximum(0.0, 1.0 - squares))
        return reduced

    def queries(self, vectors: F32) -> F32:
        """Queries float32 (n, dim) -> float32 (n, width), 0 in the last dimension."""
        if len(vectors) == 1:  # too little for either library to wake a thread, if numpy does it
            one = np.zeros((1, self.width), np.float32)
            one[0, :-1] = vectors[0] @ self.projection
            return one
        reduced: F32 = self._transform.apply(vectors)
        return reduced

    def before(self, index: Any) -> Any:
        """A FAISS index that takes full queries and asks `index`, which holds reduced rows."""
        return faiss.IndexPreTransform(self._transform, index)


def split(index: Any) -> tuple[Reduction | None, Any]:
    """What `Reduction.before` put together: the reduction, None if there is none, and the index of
    its rows, in FAISS's own class."""
    index = faiss.downcast_index(index)
    if not isinstance(index, faiss.IndexPreTransform):
        return None, index
    transform = faiss.downcast_VectorTransform(index.chain.at(0))
    matrix = faiss.vector_to_array(transform.A).reshape(transform.d_out, transform.d_in)
    return Reduction(np.ascontiguousarray(matrix[:-1].T)), faiss.downcast_index(index.index)


def fitted(vectors: F32, samples: Mapping[str, F32], k: int, *, seed: int = 0) -> Reduction | None:
    """The narrowest reduction that suffices for every kind of sample query (float32 (m, dim)), or
    None where none does. Takes about a second."""
    size, dim = vectors.shape
    widths = [width for width in WIDTHS if width <= AT_MOST * dim]
    samples = {kind: queries[:QUERIES] for kind, queries in samples.items() if len(queries)}
    if not widths or not samples or size < SLACK * k:
        return None
    compared = _some(vectors, max(SLACK * k, COMPARED_BYTES // (4 * dim)), seed)
    leading = _leading(_some(vectors, FITTED_ROWS, seed + 1), widths[-1] - 1)
    full = {kind: queries @ compared.T for kind, queries in samples.items()}
    true = {kind: np.argpartition(-scores, k - 1, axis=1)[:, :k] for kind, scores in full.items()}
    for width in widths:
        projection = leading[:, : width - 1]
        reduced = compared @ projection
        if all(
            _kept((queries @ projection) @ reduced.T, true[kind]) >= KEPT
            for kind, queries in samples.items()
        ):
            return Reduction(np.ascontiguousarray(projection))
    return None


def _kept(scores: F32, true: Any) -> float:
    """Share of the `true` rows among SLACK times as many of the best."""
    place = scores.shape[1] - SLACK * true.shape[1]
    bar = np.partition(scores, place, axis=1)[:, place : place + 1]
    return float((np.take_along_axis(scores, true, axis=1) >= bar).mean())


def _leading(rows: F32, count: int) -> F32:
    """The eigenvectors of the second moments with the largest eigenvalues: float32 (dim, count)."""
    moments = (rows.T @ rows / len(rows)).astype(np.float64)
    vectors = np.linalg.eigh(moments)[1]  # ascending
    leading: F32 = vectors[:, ::-1][:, :count].astype(np.float32)
    return leading


def _some(vectors: F32, count: int, seed: int) -> F32:
    if len(vectors) <= count:
        return vectors
    picks = np.random.default_rng(seed).choice(len(vectors), count, replace=False)
    return vectors[np.sort(picks)]
