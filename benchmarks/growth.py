"""What a batch costs as the store grows: the same 10 k rows into 200 k and into 2 M rows.

Both stores hold vectors of the same dimension and attributes. Measured in turn at both: a batch of
new ids, the same batch again (nothing changed), how long the view takes to show the new batch, and
opening the writer (it reads all ids). Then, apart, opening a catalogue over each without indexes
on disk, which reads every vector.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack

from benchmarks import data
from benchmarks.context import Context, table_of
from benchmarks.measure import Clock, Result, Times, interleaved, ratio, times_of
from trichord.catalog import Catalog

DIM = 128
FILL = 50_000

Seconds = tuple[float, float]


def run(context: Context) -> Result:
    sizes = (context.rows, context.large)
    result = Result("growth", {"rows": sizes, "dim": DIM, "batch": context.batch})
    with ExitStack() as stack:
        catalogs = {}
        for size in sizes:
            path = context.cleared(f"store-{size}")
            with Catalog.open(path, space=data.space(DIM)) as filled:
                _fill(filled, size)
            opened = _open(path)
            result.figure(f"opening the catalogue without indexes at {size}", opened, "s")
            catalogs[size] = stack.enter_context(Catalog.open(path, space=data.space(DIM)))
        times = _batches(context, catalogs)
        result.add(times)
    small, large = sizes
    for what in ("new batch", "unchanged batch", "view shows the batch", "opening the writer"):
        share = ratio(times[f"{what} at {large}"], times[f"{what} at {small}"])
        result.figure(f"{what}: at {large} relative to {small}", share.median)
    for size in sizes:
        context.cleared(f"store-{size}")
    return result


def _fill(catalog: Catalog, rows: int) -> None:
    began = time.perf_counter()
    with catalog.ingestion() as ingestion:
        for start in range(0, rows, FILL):
            count = min(FILL, rows - start)
            table = data.table(data.filler(count, DIM, seed=start), start)
            ingestion.add_vectors(table_of(table))
        took = time.perf_counter() - began
    print(f"  {rows} rows of {DIM} dimensions written in {took:.1f} s", flush=True)


def _open(path: object) -> float:
    began = time.perf_counter()
    with Catalog.open(str(path), space=data.space(DIM), create=False):
        return time.perf_counter() - began


def _batches(context: Context, catalogs: dict[int, Catalog]) -> dict[str, Times]:
    names = ("new batch", "unchanged batch", "view shows the batch", "opening the writer")
    taken: dict[str, list[Seconds]] = {f"{n} at {size}": [] for n in names for size in catalogs}
    made = dict.fromkeys(catalogs, 0)

    def measure(size: int) -> Callable[[], None]:
        def once() -> None:
            catalog, number = catalogs[size], made[size]
            made[size] += 1
            first = size + number * context.batch
            batch = data.table(data.filler(context.batch, DIM, seed=10**9 + number), first)
            clock = Clock()
            with catalog.ingestion() as ingestion:
                taken[f"opening the writer at {size}"].append(clock.read())
                for what in ("new batch", "unchanged batch"):
                    clock = Clock()
                    ingestion.add_vectors(table_of(batch))
                    taken[f"{what} at {size}"].append(clock.read())
                clock = Clock()
            catalog.refresh()
            taken[f"view shows the batch at {size}"].append(clock.read())

        return once

    interleaved(context.rounds, {str(size): measure(size) for size in catalogs})
    return {label: times_of(values) for label, values in taken.items()}
