"""One query at a time in process, in turn call by call, all of the answer read into Python values.

FAISS alone   `index.search` of the HNSW index that is inside, at the effort used, k = 10
HNSW          the catalogue around it
HNSW, fresh   the same with a quarter more rows, committed since the index was built
IVF           the catalogue with the other index
LanceDB       its own IVF_FLAT at recall 0.95
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import baselines, data, engine_calls
from benchmarks.baselines import faiss
from benchmarks.engine_stores import MODALITY, OneLeg, engine_file
from benchmarks.measure import Result, Times, Verdict, in_turn, medians, ratio, share_verdict
from benchmarks.truth import Truth, nearest
from trichord.catalog import Catalog
from trichord.types import F32

RECALL = 0.95
CALLS, LANCE_CALLS = 200, 60
ALLOWANCE_S = 30e-6
ASKED: dict[str, Any] = {"modality": MODALITY, "recall": RECALL}
ALONE, LANCE = "FAISS alone", "LanceDB"
SINGLES = (ALONE, "HNSW", "HNSW, fresh", "IVF", LANCE)
"""Every one starts at another query: what was asked for just now is quicker to find again."""


def measure(
    result: Result,
    given: OneLeg,
    catalogs: Mapping[str, Catalog],
    stores: Mapping[str, Path],
) -> None:
    """`catalogs`: hnsw, ivf, and fresh; `stores` are theirs."""
    queries = given.queries
    lance = baselines.LanceOwn(
        given.context.cleared("engine-lance"),
        given.vectors,
        lambda part, first: data.engine_table(part, first, modality=MODALITY),
    )
    reached = lance.tune(given.tuning[:200], given.tuning_truth.part(slice(0, 200)), RECALL)
    result.note(
        f"LanceDB IVF_FLAT: built in {lance.build_seconds:.1f} s, {lance.probes} probed, recall "
        f"{reached:.3f} on the tuning queries"
    )
    effort = effort_of(catalogs["hnsw"], queries[0], **ASKED)
    result.parameters["hnsw_effort"] = effort
    alone = faiss.read_index(str(engine_file(stores["hnsw"])), faiss.IO_FLAG_MMAP_IFC)
    parameters = faiss.SearchParametersHNSW(efSearch=effort)

    shift = {name: place * len(queries) // len(SINGLES) for place, name in enumerate(SINGLES)}

    def query(name: str, number: int) -> F32:
        asked: F32 = queries[(number + shift[name]) % len(queries)]
        return asked

    def catalogue(name: str, catalog: Catalog) -> Callable[[int], Any]:
        return lambda n: engine_calls.one(catalog, query(name, n), **ASKED)

    quick: dict[str, Callable[[int], Any]] = {
        ALONE: lambda n: alone.search(query(ALONE, n)[None, :], 10, params=parameters)[1],
        "HNSW": catalogue("HNSW", catalogs["hnsw"]),
        "HNSW, fresh": catalogue("HNSW, fresh", catalogs["fresh"]),
        "IVF": catalogue("IVF", catalogs["ivf"]),
    }
    slow: dict[str, Callable[[int], Any]] = {LANCE: lambda n: lance.one(query(LANCE, n))}
    in_turn(1, 50, quick | slow)  # warm
    taken: dict[str, list[Times]] = {name: [] for name in SINGLES}
    answers: dict[str, list[Any]] = {name: [] for name in SINGLES}
    for round_ in range(given.context.rounds):
        # LanceDB's threads go on for a while behind an answer, so it has calls of its own.
        for actions, calls in ((quick, CALLS), (slow, LANCE_CALLS)):
            times, found = in_turn(1, calls, actions, first=round_ * calls)
            for name in actions:
                taken[name] += times[name]
                answers[name] += found[name]
    p50 = {name: medians(rounds) for name, rounds in taken.items()}
    result.add({f"{name}, one query, p50 of each round": times for name, times in p50.items()})
    for name, rounds in taken.items():
        together = Times([second for times in rounds for second in times.values])
        result.figure(f"{name}, one query, p99", together.percentile(0.99) * 1e6, "µs")
    _recalls(result, given, answers, shift)
    allowed = Times([1.5 * alone_s + ALLOWANCE_S for alone_s in p50[ALONE].values])
    for bar, shares, limit, at_least in (
        (
            "one query: p50 relative to 1.5 × FAISS alone + 30 µs",
            ratio(p50["HNSW"], allowed),
            1.0,
            False,
        ),
        (
            "one query: times faster than LanceDB's own index",
            ratio(p50[LANCE], p50["HNSW"]),
            20.0,
            True,
        ),
        (
            f"one query with {len(given.fresh)} fresh rows: p50 relative to without",
            ratio(p50["HNSW, fresh"], p50["HNSW"]),
            3.0,
            False,
        ),
    ):
        result.judge(share_verdict(bar, shares, limit, at_least=at_least))
    _not_rebuilt(catalogs["fresh"], len(given.fresh))


def _recalls(
    result: Result,
    given: OneLeg,
    answers: Mapping[str, Sequence[Any]],
    shift: Mapping[str, int],
) -> None:
    def asked(name: str, truth: Truth) -> Truth:
        numbers = [(n + shift[name]) % len(truth) for n in range(len(answers[name]))]
        return Truth(truth.rows[numbers], truth.scores[numbers], truth.k)

    with_fresh = nearest(np.concatenate([given.vectors, given.fresh]), given.queries)
    ways: dict[str, Callable[[Any], list[int]]] = {
        ALONE: lambda answer: list(answer[0].tolist()),
        LANCE: baselines.rows_of,
    }
    for name in SINGLES:
        truth = asked(name, with_fresh if name == "HNSW, fresh" else given.truth)
        recall = truth.recall([ways.get(name, engine_calls.rows_of)(one) for one in answers[name]])
        if name in ways:
            result.figure(f"{name}, one query, recall@10", recall)
        else:
            result.judge(Verdict(f"{name}, one query: recall@10", recall, RECALL, at_least=True))


def effort_of(catalog: Catalog, query: F32, **options: Any) -> int:
    """efSearch of the graph search that the catalogue makes of such a query."""
    explanation = catalog.search(query, explain=True, **options).explanation
    assert explanation is not None
    for leg in explanation.legs:
        for step in leg.steps:
            if step.way == "graph":
                return step.effort
    raise AssertionError(f"no graph was searched: {explanation}")


def _not_rebuilt(catalog: Catalog, fresh: int) -> None:
    """The fresh rows must not have gone into a new base, or what was measured is not fresh."""
    known = [info.fresh_rows for info in catalog.stats().indexes if info.modality == MODALITY]
    if known != [fresh]:
        raise AssertionError(f"{fresh} fresh rows were wanted, the index says {known}")
