"""The search engine in process, beside FAISS and LanceDB's own index, on data set A.

Sizes of the indexes here; batches in `engine_batches`, one query at a time in `engine_singles`.
Recall is that of the answers that were timed.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from benchmarks import data, engine_batches, engine_singles
from benchmarks.context import Context
from benchmarks.engine_stores import OneLeg, engine_file, index_files
from benchmarks.measure import Result, Verdict
from trichord.catalog import Catalog
from trichord.index.persist import VECTORS


def run(context: Context) -> Result:
    given = OneLeg(context)
    result = Result("engine", {"rows": context.rows, "dim": context.dim, "batch": 64, "limit": 10})
    with ExitStack() as stack:
        stores = {kind: given.store(kind) for kind in ("hnsw", "ivf")}
        stores["fresh"] = given.store_with_fresh("hnsw")
        catalogs = {
            name: stack.enter_context(
                Catalog.open(path, space=data.space(context.dim), create=False)
            )
            for name, path in stores.items()
        }
        _sizes(result, given, stores)
        engine_batches.measure(result, given, catalogs)
        engine_singles.measure(result, given, catalogs, stores)
    return result


def _sizes(result: Result, given: OneLeg, stores: Mapping[str, Path]) -> None:
    raw = given.rows * given.context.dim * 4
    for kind in ("hnsw", "ivf"):
        files = index_files(stores[kind])
        size = engine_file(stores[kind]).stat().st_size
        tables = sum(files.values()) - size - files[VECTORS]
        result.figure(f"{kind}: row tables beside the index, of raw float32", tables / raw)
        bar = f"{kind}: bytes of the index relative to the raw float32"
        result.judge(Verdict(bar, size / raw, 0.35, at_least=False))
