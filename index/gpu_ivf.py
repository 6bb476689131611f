"""Inverted lists in GPU memory: whole rows, or 4-bit product codes where those do not fit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from trichord.index.costs import Line
from trichord.index.gpu import Gpu, NoGpu
from trichord.index.gpu_engine import CALL, CANDIDATE, GpuEngine
from trichord.index.plan import Effort
from trichord.types import F32

Coding = Literal["flat", "pq"]

SLACK = 1.3
"""Lists grow in steps and are padded: bytes taken per byte stored."""
TRAINING_ROWS_PER_LIST = 64
ADDED_AT_ONCE = 1 << 18
"""cuVS copies all rows that are added at once to the device a second time."""
PQ_SURPLUS = (4, 8, 16, 32)
FLAT_SURPLUS = (1, 2)
SCANNED_ROW = {"flat": 1e-3, "pq": 2e-4}
"""Microseconds per row of a probed list. Estimates, like CALL."""


class GpuIvfEngine(GpuEngine):
    """kind "gpu-ivf-flat" or "gpu-ivf-pq"."""

    def __init__(self, index: Any, gpu: Gpu, coding: Coding) -> None:
        super().__init__(index, gpu, gpu.lists_limit)
        self.coding: Coding = coding
        self.kind = f"gpu-ivf-{coding}"

    @classmethod
    def build(
        cls,
        vectors: F32,
        gpu: Gpu,
        *,
        coding: Coding | None = None,
        lists: int | None = None,
        seed: int = 0,
    ) -> GpuIvfEngine:
        """coding: None takes whole rows if they fit, else codes. lists: None takes the power of
        two nearest to 2.3 times the root of the row count. Raises NoGpu."""
        size, dim = vectors.shape
        if lists is None:
            lists = max(1, 2 ** round(math.log2(max(1.0, 2.3 * math.sqrt(size)))))
        if coding is None:
            try:
                gpu.require(_bytes(size, dim, lists, "flat"), "an IVF index of whole rows")
                coding = "flat"
            except NoGpu:
                coding = "pq"
        what = "an IVF index of whole rows" if coding == "flat" else "an IVF index of codes"
        gpu.require(_bytes(size, dim, lists, coding), what)
        picks = np.random.default_rng(seed).permutation(size)[: TRAINING_ROWS_PER_LIST * lists]
        sample = vectors[np.sort(picks)]
        with gpu.use(what):
            if coding == "flat":
                index = gpu.ivf_flat(dim, lists)
            else:
                index = gpu.ivf_pq(dim, lists, subspaces(dim))
            index.cp.seed = seed + 1234
            index.cp.min_points_per_centroid = 1  # or FAISS writes warnings to stderr
            index.train(sample)
            for start in range(0, size, ADDED_AT_ONCE):
                index.add(vectors[start : start + ADDED_AT_ONCE])
        return cls(index, gpu, coding)

    @property
    def parameters(self) -> dict[str, Any]:
        return {**super().parameters, "coding": self.coding, "lists": int(self.index.nlist)}

    @property
    def typical(self) -> Line:  # type: ignore[override]
        return Line(CALL, (SCANNED_ROW[self.coding], CANDIDATE))

    def work(self, effort: Effort) -> tuple[float, ...]:
        return effort.breadth * self.size / int(self.index.nlist), float(effort.candidates)

    def scanned(self, effort: Effort) -> int:
        return min(self.size, math.ceil(effort.breadth * self.size / int(self.index.nlist)))

    def probes(self) -> Sequence[Effort]:
        lists = min(int(self.index.nlist), self.gpu.lists_limit)
        few, many = max(1, lists // 128), max(1, lists // 8)
        more = min(512, self.limit)
        some = max(1, more // 8)
        return [Effort(8, few, some), Effort(8, many, some), Effort(8, few, more)]

    def ladders(self, depth: int) -> Sequence[Sequence[Effort]]:
        if depth > self.limit:
            return []
        most = min(int(self.index.nlist), self.gpu.lists_limit)
        probes = sorted({min(most, math.ceil(2 ** (step / 3))) for step in range(40)})
        surpluses = FLAT_SURPLUS if self.coding == "flat" else PQ_SURPLUS
        return [
            [Effort(depth, probe, count) for probe in probes]
            for count in sorted({min(self.limit, depth * surplus) for surplus in surpluses})
        ]

    def search_parameters(self, breadth: int) -> Any:
        return self.gpu.probing(min(breadth, int(self.index.nlist), self.gpu.lists_limit))


def subspaces(dim: int) -> int:
    """Four dimensions each, if that divides them; an even number where there is one, since cuVS
    takes codes of whole bytes only."""
    divisors = [count for count in range(max(1, dim // 4), 0, -1) if dim % count == 0]
    return next((count for count in divisors if count % 2 == 0), divisors[0])


def _bytes(size: int, dim: int, lists: int, coding: Coding) -> int:
    row = 4 * dim if coding == "flat" else subspaces(dim) // 2 + 1
    return round(SLACK * size * (row + 8)) + 4 * dim * lists
