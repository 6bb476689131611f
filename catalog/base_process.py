"""A base is built in a process of its own, so that searches keep this one's threads to themselves.

Threads of a build, even niced, take turns with searches for Python's lock, for OpenMP and for BLAS.
A process takes what is left over of the machine, its memory goes when it does, and it can be ended.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np

import trichord
from trichord import errors
from trichord.errors import StoreError, TrichordError
from trichord.index.progress import OnProgress, unheeded
from trichord.types import F32, Modality

NICENESS = 19
"""Nothing waits for a base: fresh rows are searched well without."""
PROGRAM = "from trichord.catalog.base_process import main; main()"


def write_base_apart(
    store: Path,
    snapshot: int,
    space: str,
    modality: Modality,
    *,
    queries: F32 | None,
    on_progress: OnProgress = unheeded,
    **options: Any,
) -> None:
    """As `write_base`, by a niced process that ends with this one; the base lies on disk then.

    options: JSON values. What `on_progress` raises ends the process. Raises what went wrong there,
    by its class, and StoreError if the process was ended.
    """
    with tempfile.TemporaryDirectory(prefix="trichord-") as scratch:
        samples = Path(scratch) / "queries.npy"
        if queries is not None:
            np.save(samples, queries, allow_pickle=False)
        request = {
            "store": str(store),
            "snapshot": snapshot,
            "space": space,
            "modality": str(modality),
            "queries": None if queries is None else str(samples),
            "options": options,
        }
        root = str(Path(trichord.__file__).resolve().parent.parent)
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # Threads that wait should sleep: those who search need the processor.
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_WAIT_POLICY": "PASSIVE"},
        )
        try:
            _followed(process, request, on_progress)
        finally:
            process.kill()
            process.communicate()


def _followed(
    process: subprocess.Popen[str], request: dict[str, Any], on_progress: OnProgress
) -> None:
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()  # and left open: when this process dies, the other one sees its end
    except BrokenPipeError:
        pass  # it says below what is wrong, or that it is gone
    for line in process.stdout:
        told = json.loads(line)
        if "error" in told:
            raise _error(told["error"], told["message"])
        if told.get("done"):
            return
        on_progress(told["stage"], told["rows"], told["total"])
    raise StoreError(f"the process that built an index ended with status {process.wait()}")


def _error(name: str, message: str) -> TrichordError:
    kind = getattr(errors, name, None)
    if isinstance(kind, type) and issubclass(kind, TrichordError):
        error = kind.__new__(kind)
        TrichordError.__init__(error, message)
        return error
    return StoreError(f"an index could not be built: {message} ({name})")


def main() -> None:
    """Builds the one base that a line of JSON on standard input asks for, and tells lines of JSON
    on standard output."""
    os.nice(NICENESS)
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def tell(**facts: Any) -> None:
        print(json.dumps(facts), flush=True)  # noqa: T201

    try:
        _build(request, lambda stage, rows, total: tell(stage=stage, rows=rows, total=total))
    except Exception as error:
        tell(error=type(error).__name__, message=str(error))
    else:
        tell(done=True)


def _build(request: dict[str, Any], on_progress: OnProgress) -> None:
    # Here, since the process that asks has no use for them in this module.
    from trichord.catalog.bases import write_base
    from trichord.errors import StorageFull
    from trichord.store import Store

    store = Store.open(request["store"])
    reader = store.reader(store.snapshot(request["snapshot"]))
    stored = next(one for one in reader.spaces() if one.space.name == request["space"])
    queries = None if request["queries"] is None else np.load(request["queries"])
    built = write_base(
        store.path,
        reader,
        stored,
        Modality(request["modality"]),
        queries=queries,
        on_progress=on_progress,
        **request["options"],
    )
    if not built.saved:
        raise StorageFull("no space to write the index that was built")


def _end_with_parent() -> None:
    """Its end of the pipe closes when it dies, however that comes."""
    sys.stdin.read()
    os._exit(1)
