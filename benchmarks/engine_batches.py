"""Batches of 64 by vector in process, k = 10, answers in columns with ids, scores, two attributes.

FAISS IVF-Flat  `IVF1024,Flat`, the fewest probed lists for recall@10 0.95, two threads
HNSW, IVF       the catalogue with either index, at a measured recall of 0.95
exact           the catalogue with `exact`, beside FAISS Flat
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks import baselines, engine_calls
from benchmarks.engine_stores import MODALITY, OneLeg
from benchmarks.measure import Result, Times, Verdict, interleaved, ratio, share_verdict
from trichord.catalog import Catalog
from trichord.types import F32

RECALL = 0.95
FASTEST_S = 0.4
"""A round of a quick contender repeats its pass until it has taken about so long."""
EXACT_QUERIES = 256
IVF_FLAT, FLAT = "FAISS IVF-Flat", "FAISS Flat"


def measure(result: Result, given: OneLeg, catalogs: Mapping[str, Catalog]) -> None:
    """`catalogs`: hnsw and ivf."""
    baseline = _tuned(result, given)
    approximate = engine_calls.batch_options(modality=(MODALITY,), recall=RECALL)
    exact = engine_calls.batch_options(modality=(MODALITY,), exact=True)
    flat = baselines.flat(given.vectors)
    few = given.queries[:EXACT_QUERIES]
    passes: dict[str, Callable[[], list[Any]]] = {
        IVF_FLAT: engine_calls.batched(baseline.many, given.queries),
        "HNSW": _catalogue(catalogs["hnsw"], given.queries, approximate),
        "IVF": _catalogue(catalogs["ivf"], given.queries, approximate),
        FLAT: engine_calls.batched(lambda part: flat.search(part, baselines.LIMIT)[1], few),
        "exact": _catalogue(catalogs["hnsw"], few, exact),
    }
    last: dict[str, list[Any]] = {}
    actions: dict[str, Callable[[], tuple[float, float]]] = {}
    with baselines.threads(baselines.THREADS):
        for name, once in passes.items():
            began = time.perf_counter()
            last[name] = once()  # warm
            often = max(1, round(FASTEST_S / (time.perf_counter() - began)))
            actions[name] = _repeated(name, once, often, last)
        times_of = interleaved(given.context.rounds, actions)
    queries = {name: len(few) if name in (FLAT, "exact") else len(given.queries) for name in passes}
    per_query = {
        name: Times([v / queries[name] for v in t.values], [v / queries[name] for v in t.cpu])
        for name, t in times_of.items()
    }
    result.add({f"{name}, batches of 64, per query": t for name, t in per_query.items()})
    for name, times in per_query.items():
        result.figure(f"{name}, batches of 64", 1 / times.median, "queries/s")
    few_truth = given.truth.part(slice(0, EXACT_QUERIES))
    for name in (IVF_FLAT, FLAT):
        found = [rows for part in last[name] for rows in part.tolist()]
        truth = few_truth if name == FLAT else given.truth
        result.figure(f"{name}, recall@10", truth.recall(found))
    for name, bar, truth in (
        ("HNSW", RECALL, given.truth),
        ("IVF", RECALL, given.truth),
        ("exact", 1.0, few_truth),
    ):
        recall = truth.recall(engine_calls.rows_of_batches(last[name]))
        result.judge(Verdict(f"{name}, batches of 64: recall@10", recall, bar, at_least=True))
    for name, other, bar in (
        ("HNSW", IVF_FLAT, 12.0),
        ("IVF", IVF_FLAT, 7.0),
        ("exact", FLAT, 3.0),
    ):
        result.judge(
            share_verdict(
                f"{name}, batches of 64: throughput relative to {other}",
                ratio(per_query[other], per_query[name]),
                bar,
                at_least=True,
            )
        )


def _catalogue(catalog: Catalog, queries: F32, options: Any) -> Callable[[], list[Any]]:
    return engine_calls.batched(lambda part: engine_calls.many(catalog, part, options), queries)


def _repeated(
    name: str, once: Callable[[], list[Any]], times: int, last: dict[str, list[Any]]
) -> Callable[[], tuple[float, float]]:
    """Seconds of one of `times` passes; the answers of the last one are kept."""

    def action() -> tuple[float, float]:
        began, processed = time.perf_counter(), time.process_time()
        for _ in range(times):
            answers = once()
        took, used = time.perf_counter() - began, time.process_time() - processed
        last[name] = answers
        return took / times, used / times

    return action


def _tuned(result: Result, given: OneLeg) -> baselines.IvfFlat:
    baseline = baselines.IvfFlat(given.vectors)
    reached = baseline.tune(given.tuning, given.tuning_truth, RECALL)
    result.note(
        f"{IVF_FLAT}: {baseline.lists} lists built in {baseline.build_seconds:.1f} s, "
        f"{baseline.probes} probed, recall {reached:.3f} on the tuning queries"
    )
    result.parameters["baseline_probes"] = baseline.probes
    return baseline
