"""Costs measured on the machine at hand, in a tenth of a second.

Counted is the processor time of the measuring thread, and of several runs the least: whatever else
the machine does must not change what is chosen. What runs on several threads is measured on one
and divided.
"""

from __future__ import annotations

from collections.abc import Callable
from time import thread_time

import numpy as np

from trichord.index._faiss import faiss
from trichord.index.ann import AnnIndex, Engine
from trichord.index.base import IndexInfo
from trichord.index.costs import Costs, ExactCosts, Line, machine
from trichord.index.exact import exact_search
from trichord.index.plan import Curve, Effort
from trichord.index.rowset import RowSet
from trichord.index.threads import omp_threads
from trichord.index.tuning import perturbed_rows
from trichord.types import F32, I64

STREAMED_ROWS = 16_384
ALLOWED = (256, 2048)
"""Rows that exact search is timed over: more would say the same and take longer."""
K = 10
ALONE, TOGETHER = 8, 64
"""Queries that are timed one by one (how long one takes depends on the query), and as a batch."""
REPEATS = 3
LEAST = 1e-6
"""No rate is less: a row is never free."""


def fit(vectors: F32, engine: Engine, *, threads: int | None = None, seed: int = 0) -> Costs:
    """What searches over the matrix cost here, by exact search and by the engine. threads: those
    that a batch will have; None is the process default."""
    queries = perturbed_rows(vectors[: 4 * STREAMED_ROWS], TOGETHER, seed)
    exact = _exact(vectors, queries, seed)
    return Costs(exact, *_lines(vectors, engine, queries, threads), machine=machine())


def _exact(vectors: F32, queries: F32, seed: int) -> ExactCosts:
    size = len(vectors)
    generator = np.random.default_rng(seed)
    some = [min(count, max(1, size // 8 * (number + 1))) for number, count in enumerate(ALLOWED)]
    few, more = (_rowset(size, generator.choice(size, count, replace=False)) for count in some)
    block = vectors[:STREAMED_ROWS]

    def alone(rows: F32, rowset: RowSet | None) -> float:
        return _one_by_one(queries, lambda query: exact_search(rows, query, K, rowset))

    def together(rows: F32, rowset: RowSet | None) -> float:
        return _least(lambda: exact_search(rows, queries, K, rowset)) / len(queries)

    least = alone(vectors, few)
    gathered = max(LEAST, (alone(vectors, more) - least) / max(1, some[1] - some[0]))
    call = max(0.0, least - gathered * some[0])
    return ExactCosts(
        call=call,
        gathered=gathered,
        streamed=max(LEAST, (alone(block, None) - call) / len(block)),
        batch_gathered=max(LEAST, together(vectors, more) / some[1]),
        batch_streamed=max(LEAST, together(block, None) / len(block)),
    )


def _lines(vectors: F32, engine: Engine, queries: F32, threads: int | None) -> tuple[Line, Line]:
    """From one effort, and from others that differ from it in one amount of work each."""
    index = AnnIndex(vectors, engine, Curve(()), IndexInfo(kind=engine.kind))
    efforts = engine.probes()
    works = [engine.work(effort) for effort in efforts]
    shared = threads or int(faiss.omp_get_max_threads())

    def alone(effort: Effort) -> float:
        return _one_by_one(queries, lambda query: index.attempt(query, K, effort))

    def together(effort: Effort) -> float:
        return _least(lambda: index.attempt(queries, K, effort)) / len(queries) / shared

    with omp_threads(1):
        return (
            _line([alone(effort) for effort in efforts], works),
            _line([together(effort) for effort in efforts], works),
        )


def _line(times: list[float], works: list[tuple[float, ...]]) -> Line:
    rates = []
    for number, (spent, work) in enumerate(zip(times[1:], works[1:], strict=True)):
        more = work[number] - works[0][number]
        rates.append(max(LEAST, (spent - times[0]) / more) if more else LEAST)
    base = sum(rate * amount for rate, amount in zip(rates, works[0], strict=True))
    return Line(max(0.0, times[0] - base), tuple(rates))


def _one_by_one(queries: F32, search: Callable[[F32], object]) -> float:
    singles = [queries[i : i + 1] for i in range(min(ALONE, len(queries)))]

    def run() -> None:
        for query in singles:
            search(query)

    return _least(run) / len(singles)


def _least(run: Callable[[], object]) -> float:
    """Microseconds of processor time of the quickest of some runs; one before them warms up."""
    run()
    times = []
    for _ in range(REPEATS):
        began = thread_time()
        run()
        times.append(thread_time() - began)
    return 1e6 * min(times)


def _rowset(size: int, rows: I64) -> RowSet:
    mask = np.zeros(size, dtype=bool)
    mask[rows] = True
    return RowSet(mask)
