"""How much effort a search needs, and when exact search is the cheaper way.

The measure of everything here is depth: how many of a query's true nearest rows a search at some
effort finds at the recall that was tuned for. A filter that lets a share s of the rows pass turns
"the k best allowed" into "the allowed among some k / s best", so a filtered search is a deeper
unfiltered one whose candidates are screened. That is also what tells when it fails: if fewer
allowed rows than expected stand among the candidates (the filter picks rows that lie far from the
query), the depth was too small, and the search widens until exact search is cheaper.

No FAISS selector takes part. On HNSW a selector visits the same nodes and cannot report such a
failure; on IVF it returned the same rows (recall 0.943 either way at 5 %), a quarter to a third
faster; and some FAISS indexes accept a selector and ignore it.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

# Costs are in reads of one row at a random place (0.12 us at 512 dimensions); only their ratios
# matter, and these hold within a factor of two from machine to machine.
STREAMED_ROW = 0.55
"""One row of a scan over all rows, for one query."""
BATCHED_ROW = 0.1
"""One row within a matrix product of many queries."""


@dataclass(frozen=True)
class Effort:
    """depth: true neighbours found at the tuned recall; breadth: efSearch or nprobe;
    candidates: rows that the engine hands over to exact scoring."""

    depth: int
    breadth: int
    candidates: int


@dataclass(frozen=True)
class Curve:
    """Tuned efforts by ascending depth; between two of them, interpolation in logarithms."""

    efforts: tuple[Effort, ...]

    def at(self, depth: int) -> Effort | None:
        """The effort for a depth, or None beyond the deepest that was tuned."""
        efforts = self.efforts
        if not efforts or depth > efforts[-1].depth:
            return None
        if depth <= efforts[0].depth:
            return efforts[0]
        right = bisect_left([effort.depth for effort in efforts], depth)
        low, high = efforts[right - 1], efforts[right]
        if depth == high.depth:
            return high
        share = math.log(depth / low.depth) / math.log(high.depth / low.depth)
        return Effort(
            depth,
            _between(low.breadth, high.breadth, share),
            max(depth, _between(low.candidates, high.candidates, share)),
        )

    def as_json(self) -> list[list[int]]:
        return [[e.depth, e.breadth, e.candidates] for e in self.efforts]

    @classmethod
    def from_json(cls, rows: Sequence[Sequence[int]]) -> Curve:
        return cls(tuple(Effort(*(int(value) for value in row)) for row in rows))


def needed_depth(wanted: int, allowed: int, size: int) -> int:
    """The depth at which `wanted` allowed rows are expected with two standard deviations to spare
    if the filter picks rows independently of the query."""
    share = allowed / size
    spare = 2.0 * math.sqrt(wanted * (1.0 - share))
    return min(size, math.ceil((wanted + spare) / share))


def exact_cost(queries: int, allowed: int, size: int) -> float:
    """Row reads per query of exact search over the allowed rows."""
    per_row = BATCHED_ROW + (1.0 - BATCHED_ROW) / queries
    return min(allowed * per_row, size * min(per_row, STREAMED_ROW))


def _between(low: int, high: int, share: float) -> int:
    return math.ceil(low * math.exp(share * math.log(high / low)))
