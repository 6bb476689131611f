"""Vectors that are hard in the ways real ones are: clusters, low intrinsic dimension, and a gap
between modalities."""

from __future__ import annotations

import numpy as np

from trichord.types import F32, I64


class Synthetic:
    """A distribution to draw rows and held-out queries from.

    clusters overlapping gaussian clusters in `intrinsic` dimensions, a little noise in all of
    them, and one constant offset per modality, which sets the modalities apart as joint models do.
    """

    def __init__(
        self,
        dim: int,
        *,
        seed: int = 0,
        modalities: int = 1,
        clusters: int = 2000,
        intrinsic: int = 24,
        spread: float = 0.6,
        noise: float = 0.45,
        gap: float = 0.8,
    ) -> None:
        """spread: of a cluster, against the distance of the centres; noise: length of the part
        that lies off the clusters' subspace; gap: length of the offsets."""
        generator = np.random.default_rng(seed)
        intrinsic = min(intrinsic, dim)
        self._basis = np.linalg.qr(generator.standard_normal((dim, intrinsic)))[0].T
        self._centres = generator.standard_normal((clusters, intrinsic))
        offsets = generator.standard_normal((modalities, dim))
        self._offsets = gap * offsets / np.linalg.norm(offsets, axis=1, keepdims=True)
        self._spread, self._noise, self._seed = spread, noise, seed

    def draw(self, count: int, *, modality: int = 0, seed: int = 1) -> tuple[F32, I64]:
        """float32 (count, dim) unit rows, and the cluster of each, int64 (count,).

        Other seeds give other rows of the same clusters: use one for rows, another for queries.
        """
        generator = np.random.default_rng((self._seed, modality, seed))
        clusters = generator.integers(0, len(self._centres), count)
        dim = self._basis.shape[1]
        rows = np.empty((count, dim), dtype=np.float32)
        for start in range(0, count, 16384):
            of = clusters[start : start + 16384]
            points = self._centres[of] + self._spread * generator.standard_normal(
                (len(of), self._centres.shape[1])
            )
            wide = points @ self._basis
            wide /= np.linalg.norm(wide, axis=1, keepdims=True)
            wide += self._offsets[modality]
            wide += self._noise / np.sqrt(dim) * generator.standard_normal(wide.shape)
            rows[start : start + 16384] = wide / np.linalg.norm(wide, axis=1, keepdims=True)
        return rows, clusters.astype(np.int64, copy=False)


def clustered(n: int, dim: int, *, seed: int = 0, modality: int = 0, modalities: int = 1) -> F32:
    """`n` rows of one modality of the default distribution: float32 (n, dim)."""
    return Synthetic(dim, seed=seed, modalities=modalities).draw(n, modality=modality)[0]
