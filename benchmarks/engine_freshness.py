"""What is committed in one process and seen in another, and an index that is swapped under load.

A server process over data set A (HNSW); this process writes to the same store.
  seen        one item added, one of its attributes changed, the item deleted, each asked for over
              gRPC from the return of the commit on: while nothing else happens, and once a second
              under the load of the last part
  attribute   one attribute of all rows set anew: no index may be built
  swap        30 % of the capacity by a schedule (`open_loop`), before, and from the commit of so
              many rows that the server builds a new index until 3 s after it was swapped; every
              second round the rows are deleted instead
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from benchmarks import data, engine_grpc
from benchmarks.context import Context
from benchmarks.engine_stores import MODALITY, OneLeg, add, home
from benchmarks.freshness_cycles import ADDED, CHANGED, DELETED, Cycles, Repeated, of_rows
from benchmarks.load import Load, write_requests
from benchmarks.measure import Result, Times, Verdict, share_verdict
from benchmarks.open_loop import Log
from benchmarks.serving import served
from benchmarks.truth import nearest, violations
from trichord.catalog import Catalog
from trichord.client import Client
from trichord.index.manifest import MANIFEST
from trichord.query import Record
from trichord.types import F32, Bool

IDLE_CYCLES = 20
EVERY_S = 1.0
UPDATE_BATCH = 10_000
QUIET_S = 12.0
"""A server looks for an index to build every five seconds."""
SHARE = 0.3
MOST_ROUNDS = 3
BEFORE_S, AFTER_S = 10.0, 3.0
BUILT_WITHIN_S = 240.0
CHANGED_ROWS, CHANGED_SHARE = 25_000, 0.3
"""More rows than this come or go before a round of the last part: the base is stale then."""
NEW_SEED, CYCLE_SEED = 5, 6
GONE_CHECKED = 50
CHECKED_QUERIES = 50


def run(context: Context) -> Result:
    given = OneLeg(context)
    result = Result("engine-freshness", {"rows": context.rows, "dim": context.dim})
    store = given.copy("hnsw", "engine-freshness")
    with ExitStack() as stack:
        enter = stack.enter_context
        address = enter(served(store, context.dim))
        client = enter(Client(address))
        writer = enter(Catalog.open(store, space=data.space(context.dim), create=False))
        load = enter(Load())
        vectors = data.one_modality(500, context.dim, seed=CYCLE_SEED)
        cycles = Cycles(writer, client, vectors, MODALITY)
        for _ in range(IDLE_CYCLES):
            cycles.once()
        idle = {what: Times(taken) for what, taken in cycles.seen.items()}
        result.add({f"{what}, seen by the server": taken for what, taken in idle.items()})
        cycles.seen.clear()
        _attribute_of_all(result, given, writer, client, store)
        _swaps(result, given, store, writer, client, load, address, cycles)
        _seen(result, idle, cycles)
    context.cleared("engine-freshness")
    return result


def _seen(result: Result, idle: Mapping[str, Times], cycles: Cycles) -> None:
    loaded = {what: Times(taken) for what, taken in cycles.seen.items()}
    result.add({f"{what}, seen under load and builds": taken for what, taken in loaded.items()})
    for what in (ADDED, CHANGED, DELETED):
        slowest = max(*idle[what].values, *loaded[what].values)
        bar = f"{what}: seen by the server, seconds, the slowest of "
        count = len(idle[what].values) + len(loaded[what].values)
        result.judge(Verdict(f"{bar}{count}", slowest, 1.0, at_least=False))
    for told in cycles.wrong[:5]:
        result.note(told)
    bar = "answers with an item that was deleted or that the filter excludes"
    result.judge(Verdict(bar, len(cycles.wrong), 0, at_least=False))


def _attribute_of_all(
    result: Result, given: OneLeg, writer: Catalog, client: Client, store: Path
) -> None:
    """Sets `popularity` of all rows; a number from 0 to 999, another one than `bucket`."""
    popularity = data.buckets(np.arange(given.rows) + given.rows)
    before, on_disk = _built(client), _on_disk(store)
    began = time.perf_counter()
    snapshot = 0
    with writer.ingestion() as ingestion:
        for start in range(0, given.rows, UPDATE_BATCH):
            part = range(start, min(start + UPDATE_BATCH, given.rows))
            records = [
                Record(item_id=data.item_id(row), attributes={"popularity": float(popularity[row])})
                for row in part
            ]
            for answer in ingestion.add(records):
                if answer.error is not None:
                    raise answer.error
                snapshot = max(snapshot, answer.snapshot)
    result.figure("one attribute of all rows set", time.perf_counter() - began, "s")
    began = time.perf_counter()
    while client.search(given.queries[0], modality=MODALITY, limit=1).snapshot < snapshot:
        time.sleep(0.01)
    result.figure("the last of it seen by the server", time.perf_counter() - began, "s")
    _right(result, given, client, popularity < 50)
    time.sleep(QUIET_S)
    built = int(_built(client) != before) + int(_on_disk(store) != on_disk)
    bar = "indexes built after one attribute of all rows was set"
    result.judge(Verdict(bar, built, 0, at_least=False))


def _right(result: Result, given: OneLeg, client: Client, allowed: Bool) -> None:
    """Answers under a filter by the new attribute, against exact search."""
    queries = given.queries[:CHECKED_QUERIES]
    truth = nearest(given.vectors, queries, allowed=allowed)
    found = []
    for query in queries:
        hits = client.search(query, modality=MODALITY, limit=10, where="popularity < 50")
        found.append([data.number_of(one) for one in hits.item_ids])
    if wrong := violations(found, allowed):
        raise AssertionError(f"{wrong} rows do not pass the filter by the new attribute")
    result.figure("filter by the new attribute, recall@10", truth.recall(found))


def _built(client: Client) -> int:
    """The snapshot that the index of the leg was built from."""
    indexes = client.stats().indexes
    return next(one.built_from_snapshot for one in indexes if one.modality == MODALITY)


def _swaps(
    result: Result,
    given: OneLeg,
    store: Path,
    writer: Catalog,
    client: Client,
    load: Load,
    address: str,
    cycles: Cycles,
) -> None:
    context = given.context
    made = [engine_grpc.request(given.queries[n : n + 1]).SerializeToString() for n in range(500)]
    requests = write_requests(context.work / "requests-freshness", made)
    capacity = max(_capacity(load, address, requests, clients) for clients in (8, 32))
    rate = SHARE * capacity
    result.figure("capacity, closed loop", capacity, "searches/s")
    result.figure("offered load", rate, "searches/s")
    count = max(CHANGED_ROWS, int(CHANGED_SHARE * given.rows)) + 1
    new = data.one_modality(count, context.dim, seed=NEW_SEED)
    parts: dict[str, list[float]] = {"before": [], "commits": [], "build and swap": []}
    errors, calls, built = 0, 0, []
    for number in range(min(MOST_ROUNDS, context.rounds)):
        log = context.work / f"open-loop-{number}.npz"
        began = time.perf_counter()
        load.begin(address, requests, rate=rate)
        with Repeated(cycles, EVERY_S):
            time.sleep(BEFORE_S)
            before, on_disk = _built(client), _on_disk(store)
            moments = [began + 1.0, time.perf_counter()]
            first = given.rows + number // 2 * count  # an id that was deleted never comes again
            _change_many(writer, cycles, new, first, deleted=number % 2 == 1)
            moments.append(time.perf_counter())
            _wait_for_build(store, on_disk)
            built.append(time.perf_counter() - moments[-1])
            time.sleep(AFTER_S)
            moments.append(time.perf_counter())
        load.end(log)
        if _built(client) == before:
            raise AssertionError("the server did not take over the index that it built")
        told = Log.load(log)
        errors, calls = errors + told.errors, calls + len(told)
        for part, (start, end) in zip(parts, zip(moments, moments[1:], strict=False), strict=True):
            parts[part].append(told.between(start, end).percentile(0.99))
    p99 = {part: Times(values) for part, values in parts.items()}
    result.add({f"open loop, {part}, p99 of each round": taken for part, taken in p99.items()})
    result.add({"from the last commit to the new index on disk": Times(built)})
    result.figure("open loop, calls", calls)
    refused = errors + cycles.refused
    result.judge(Verdict("open loop through build and swap: errors", refused, 0, at_least=False))
    shares = Times([a / b for a, b in zip(parts["build and swap"], parts["before"], strict=True)])
    bar = "open loop: p99 through build and swap relative to before"
    result.judge(share_verdict(bar, shares, 3.0, at_least=False))


def _capacity(load: Load, address: str, requests: Path, clients: int) -> float:
    told = load.closed(address, requests, clients=clients, seconds=2.0)
    rate: float = told["calls"] / told["seconds"]
    return rate


def _change_many(writer: Catalog, cycles: Cycles, new: F32, first: int, *, deleted: bool) -> None:
    """Adds the rows as items `first` and on, or deletes these items."""
    if not deleted:
        add(writer, new, first=first, modality=MODALITY)
        return
    items = of_rows(range(first, first + len(new)))
    writer.delete(items)
    cycles.remember(new[:GONE_CHECKED], items, writer.refresh())


def _on_disk(store: Path) -> int:
    """What becomes another one when a new index takes the place of the old one."""
    return (home(store) / MANIFEST).stat().st_ino


def _wait_for_build(store: Path, before: int) -> None:
    """Looks at the files, for asking the server would be a load of its own."""
    until = time.monotonic() + BUILT_WITHIN_S
    while True:
        try:
            if _on_disk(store) != before:
                return
        except FileNotFoundError:  # between two names
            pass
        if time.monotonic() > until:
            raise TimeoutError(f"no index was built within {BUILT_WITHIN_S} s")
        time.sleep(0.05)
