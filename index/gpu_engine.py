"""What the engines in GPU memory share: callers in batches, the device's limits, and a way out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trichord.errors import InvalidInput
from trichord.index._faiss import search_rows
from trichord.index.base import PADDING
from trichord.index.batching import Batcher
from trichord.index.costs import Line
from trichord.index.gpu import Gpu, NoGpu
from trichord.index.plan import Effort, Way
from trichord.index.rowset import RowSet
from trichord.types import F32, I64

CALL = 60.0
"""Microseconds for starting kernels and for copying a query and its answer. An estimate, as are the
other usual costs of GPUs: no device was at hand. A copy's own are measured when it is made."""
CANDIDATE = 0.14
"""Microseconds of the CPU per candidate, as for lists on the CPU."""
MOST_QUERIES = 4096

_Job = tuple[F32, Effort]


class GpuEngine:
    """An `Engine` over an index in GPU memory. It is a copy for speed: what is saved is the index
    on the CPU that it was made beside.

    A device that fails while searching proposes nothing, so that the search above widens until
    exact search answers; `failures` counts such calls.
    """

    kind = "gpu"
    plain: Way = "lists"
    typical = Line(CALL, ())
    selects = False
    """FAISS's own kernels take a selector and ignore it."""

    def __init__(self, index: Any, gpu: Gpu, limit: int) -> None:
        """limit: most candidates per query."""
        self.index = index
        self.gpu = gpu
        self.limit = min(limit, int(index.ntotal))
        self.failures = 0
        self.last_failure = ""
        self._parameters: dict[int, Any] = {}
        self._ask = Batcher[_Job, I64](
            self._run,
            key=lambda job: job[1],
            weight=lambda job: len(job[0]),
            most=MOST_QUERIES,
        )

    @property
    def parameters(self) -> dict[str, Any]:
        return {"device": self.gpu.name, "cuvs": self.gpu.cuvs}

    @property
    def size(self) -> int:
        return int(self.index.ntotal)

    @property
    def dim(self) -> int:
        return int(self.index.d)

    def candidates(self, queries: F32, effort: Effort) -> I64:
        return self._ask((queries, effort))

    @property
    def bytes(self) -> int:
        """None of the host's memory."""
        return 0

    def selected(self, queries: F32, effort: Effort, rowset: RowSet) -> I64:
        raise NotImplementedError

    def work(self, effort: Effort) -> tuple[float, ...]:
        raise NotImplementedError

    def scanned(self, effort: Effort) -> int:
        raise NotImplementedError

    def probes(self) -> Sequence[Effort]:
        raise NotImplementedError

    def ladders(self, depth: int) -> Sequence[Sequence[Effort]]:
        raise NotImplementedError

    def write(self, path: Path) -> None:
        raise InvalidInput(
            "an index in GPU memory is a copy: save the index on the CPU that it was made beside"
        )

    def search_parameters(self, breadth: int) -> Any:
        """FAISS's parameters for a breadth within the device's limits."""
        raise NotImplementedError

    def _run(self, jobs: Sequence[_Job]) -> list[I64]:
        queries = jobs[0][0] if len(jobs) == 1 else np.concatenate([job[0] for job in jobs])
        effort = jobs[0][1]
        parameters = self._parameters.get(effort.breadth)
        if parameters is None:
            parameters = self.search_parameters(effort.breadth)
            self._parameters[effort.breadth] = parameters  # never changed afterwards
        count = max(1, min(effort.candidates, self.limit))
        try:
            with self.gpu.use("a search"):
                rows = search_rows(self.index, queries, count, parameters)
        except NoGpu as failure:
            self.failures += 1
            self.last_failure = str(failure)
            rows = np.full((len(queries), count), PADDING, dtype=np.int64)
        answers, start = [], 0
        for job in jobs:
            stop = start + len(job[0])
            answers.append(rows[start:stop])
            start = stop
        return answers
