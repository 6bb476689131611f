"""A server process of the benchmarks: `python -m benchmarks.serving STORE DIM`.

The real server over a store of ready vectors, and one method more, `/trichord.benchmark/Empty`,
which goes through the same interceptors, takes nothing and answers nothing. Prints its address.
"""

from __future__ import annotations

import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen
from typing import Any

from trichord.errors import TrichordError

EMPTY = "/trichord.benchmark/Empty"
ROOT = Path(__file__).parents[1]
STARTED_S = 60.0


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


@contextmanager
def served_by_command(store: Path, *, processes: int) -> Iterator[str]:
    """The address of a new server as `trichord serve` starts it, with processes that share the
    port; all of them serve by then."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = [sys.executable, "-m", "trichord", "serve", "--store", str(store)]
    command += ["--listen", address, "--processes", str(processes)]
    with Popen(command, stderr=DEVNULL, cwd=ROOT) as process:
        try:
            _await(process, address, processes)
            yield address
        finally:
            process.terminate()


def _await(process: Popen[Any], address: str, processes: int) -> None:
    """Returns once so many processes have answered. Each counts its own calls and every connection
    goes to one of them, so that as many have answered as ever gave the same count."""
    from trichord.client import Client

    counts: Counter[int] = Counter()
    until = time.monotonic() + STARTED_S
    while max(counts.values(), default=0) < processes:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}")
        if time.monotonic() > until:
            raise TimeoutError(f"no {processes} processes at {address} after {STARTED_S} s")
        try:
            with Client(address) as client:
                if client.health():
                    counts[sum(client.stats().calls.values())] += 1
        except TrichordError:
            time.sleep(0.1)


if __name__ == "__main__":
    main()
