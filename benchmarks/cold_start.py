"""From process start to the first answer, beside `np.load` of the vectors in the same run.

`by vector` is a new Python process that opens the catalogue with its kept indexes, searches once
and prints the best id. `server` is a new process that serves the store, until a client that was
there before has its first answer. `np.load` reads the whole matrix in this process. All files are
in the page cache, as they are for a process that restarts. `by text` (the bundled models, over a
small store of its own) is told apart.
"""

from __future__ import annotations

import importlib.util
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.context import Context
from benchmarks.measure import Result, Times, Verdict, interleaved, times_of
from benchmarks.serving import ROOT, served
from trichord.catalog import Catalog
from trichord.client import Client
from trichord.errors import TrichordError
from trichord.query import Record

ALLOWANCE_S = 3.0

BY_VECTOR = """
import sys
from trichord.catalog import Catalog
from benchmarks import data
import numpy as np
with Catalog.open(sys.argv[1], space=data.space(int(sys.argv[2])), create=False) as catalog:
    vector = np.load(sys.argv[3], mmap_mode="r")[0]
    hits = catalog.search(vector, limit=10, attributes=("market", "year"))
    print(hits[0].item_id, flush=True)
"""

BY_TEXT = """
import sys
from trichord.catalog import Catalog
with Catalog.open(sys.argv[1], space="pocket", create=False) as catalog:
    print(catalog.search("rain on a window", limit=3)[0].item_id, flush=True)
"""


def run(context: Context) -> Result:
    result = Result("cold-start", {"rows": context.rows, "dim": context.dim})
    store, matrix = context.indexed_store, context.matrix_file
    queries = context.work / "queries.npy"
    np.save(queries, context.queries)
    given = [str(store), str(context.dim), str(queries)]
    times = interleaved(
        context.rounds,
        {
            "np.load of the matrix": lambda: _load(matrix),
            "first answer by vector": lambda: _process(BY_VECTOR, given),
            "an empty Python process": lambda: _process("print()", []),
        },
    )
    result.add(times)
    answer = times["first answer by vector"]
    allowed = Times([2 * s + ALLOWANCE_S for s in times["np.load of the matrix"].values])
    low, high = answer.quartiles
    result.judge(
        Verdict(
            "first answer by vector, seconds from process start",
            answer.median,
            allowed.median,
            at_least=False,
            spread=f"quartiles {low:.2f}-{high:.2f}, n={len(answer.values)}",
        )
    )
    result.add(
        interleaved(
            min(3, context.rounds),
            {"first answer of a new server": lambda: _server(store, context)},
        )
    )
    _by_text(context, result)
    return result


def _load(matrix: Path) -> None:
    np.load(matrix)


def _process(code: str, given: list[str]) -> tuple[float, float]:
    """Wall and processor seconds of a new Python process, from start to end."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", code, *given], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout is not None
    said = process.stdout.readline()
    took = time.perf_counter() - began
    if process.wait() or not said:
        raise RuntimeError(f"the process ended with {process.returncode} and said {said!r}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return took, used


def _server(store: Path, context: Context) -> None:
    """From the start of a serving process to its first answer over gRPC."""
    with served(store, context.dim) as address, Client(address) as client:
        client.search(context.queries[0], limit=10)


def _by_text(context: Context, result: Result) -> None:
    """The first answer of the bundled space, over a few texts."""
    if importlib.util.find_spec("trichord.embedders.pocket.space") is None:
        return
    path = context.cleared("texts")
    try:
        with Catalog.open(path, space="pocket") as catalog, catalog.ingestion() as ingestion:
            ingestion.add([Record(item_id=w, text=w) for w in ("rain", "a dog barks", "a piano")])
    except TrichordError as error:
        result.note(f"by text: not measured ({json.dumps(str(error))})")
        return
    times = [_process(BY_TEXT, [str(path)]) for _ in range(min(3, context.rounds))]
    result.add({"first answer by text, bundled models": times_of(times)})
