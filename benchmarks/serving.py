"""A server process of the benchmarks: `python -m benchmarks.serving STORE DIM`.

The real server over a store of ready vectors, and one method more, `/trichord.benchmark/Empty`,
which goes through the same interceptors, takes nothing and answers nothing. Prints its address.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

EMPTY = "/trichord.benchmark/Empty"
ROOT = Path(__file__).parents[1]


def main() -> None:
    import grpc

    from benchmarks import data
    from trichord.catalog import Catalog
    from trichord.server.app import Server
    from trichord.server.settings import Settings

    class WithEmpty(Server):
        def _add_services(self) -> None:
            super()._add_services()
            service, method = EMPTY.strip("/").split("/")
            handler = grpc.unary_unary_rpc_method_handler(_nothing)
            self._server.add_generic_rpc_handlers(
                (grpc.method_handlers_generic_handler(service, {method: handler}),)
            )

    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told.set())
    store, dim = Path(sys.argv[1]), int(sys.argv[2])
    with (
        Catalog.open(store, space=data.space(dim), create=False, background=True) as catalog,
        WithEmpty(catalog, Settings(listen="127.0.0.1:0")) as server,
    ):
        print(server.address, flush=True)
        told.wait()


def _nothing(request: bytes, context: Any) -> bytes:
    return b""


@contextmanager
def served(store: Path, dim: int) -> Iterator[str]:
    """The address of a new server process, which ends with the block."""
    command = [sys.executable, "-m", "benchmarks.serving", str(store), str(dim)]
    with Popen(command, stdout=PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            if not address:
                raise RuntimeError(f"the server ended with {process.wait()}")
            yield address
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
