"""Load on a server from a process of its own, `benchmarks.load_process`, and the requests of it."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

from benchmarks.serving import ROOT

SEARCH = "/trichord.v1.SearchService/Search"
STREAM = "/trichord.v1.SearchService/StreamSearch"
_LENGTH = struct.Struct("<I")


class Load:
    """The process, and what it is told; ends with the block."""

    def __enter__(self) -> Load:
        command = [sys.executable, "-m", "benchmarks.load_process"]
        self._process = Popen(command, stdin=PIPE, stdout=PIPE, text=True, cwd=ROOT)
        return self

    def __exit__(self, *raised: object) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def closed(
        self,
        address: str,
        requests: Path,
        *,
        method: str = SEARCH,
        clients: int,
        seconds: float,
        window: int = 1,
        parse: bool = False,
    ) -> dict[str, Any]:
        """Every client waits for its answer before it sends again; in a stream, for that of the
        call `window` before. Returns `calls`, `seconds`, `cpu` (of this process), `errors`, and
        latencies `p50` and `p99`. Raises where a call failed."""
        answer = self._tell(
            {
                "do": "closed",
                "address": address,
                "requests": str(requests),
                "method": method,
                "clients": clients,
                "seconds": seconds,
                "window": window,
                "parse": parse,
            }
        )
        if answer["errors"]:
            raise AssertionError(f"{method} with {clients} clients: {answer['errors']}")
        return answer

    def begin(self, address: str, requests: Path, *, rate: float) -> None:
        """Starts an open loop of searches."""
        self._tell({"do": "begin", "address": address, "requests": str(requests), "rate": rate})

    def end(self, log: Path) -> None:
        """Ends it; what became of the calls is in the file, see `open_loop.Log`."""
        self._tell({"do": "end", "log": str(log)})

    def _tell(self, command: dict[str, Any]) -> dict[str, Any]:
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(command) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the load process ended with {process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "failed" in answer:
            raise RuntimeError(answer["failed"])
        return answer


def write_requests(path: Path, requests: Sequence[bytes]) -> Path:
    with path.open("wb") as file:
        for request in requests:
            file.write(_LENGTH.pack(len(request)) + request)
    return path


def read_requests(path: Path) -> list[bytes]:
    data, at, found = path.read_bytes(), 0, []
    while at < len(data):
        (size,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        found.append(data[at : at + size])
        at += size
    return found
