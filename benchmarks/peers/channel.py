"""The coordinator's end of a worker: commands with a time limit, and what became of it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.peers.engines import About
from benchmarks.peers.wording import one_line

ROOT = Path(__file__).parents[2]
PEERS = ROOT / ".cache" / "peers"
SHARED_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "RAYON_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "TOKIO_WORKER_THREADS",
    "LANCE_CPU_THREADS",
    "LANCE_IO_THREADS",
)


class Failed(Exception):
    """An engine that cannot or could not do what it was asked; the message goes into the table."""


class Worker:
    """One engine's process. Every command raises Failed where the engine failed, died, or took
    longer than its limit; after the last two there is no process any more."""

    def __init__(self, about: About, dim: int, threads: int, log: Path) -> None:
        self._about = about
        python = Path(sys.executable)
        if about.environment == "peers":
            python = PEERS / "bin" / "python"
            reason = missing(about)
            if reason:
                raise Failed(reason)
        environment = {**os.environ, **dict.fromkeys(SHARED_THREADS, str(threads))}
        environment |= {
            "LANCE_LOG": "error",
            "RUST_LOG": "error",
            "ANONYMIZED_TELEMETRY": "False",
            "PYTHONPATH": str(ROOT),
        }
        self._log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [
                    str(python),
                    "-m",
                    "benchmarks.peers.worker",
                    about.name,
                    str(dim),
                    str(threads),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=ROOT,
                env=environment,
                start_new_session=True,
            )
        self._waiting = b""
        self._read("start", 120.0)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, do: str, limit: float, **arguments: Any) -> Any:
        """The answer to a command, within `limit` seconds."""
        if not self.alive:
            raise Failed("its process had ended")
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise Failed(self._died()) from None
        said = self._read(do, limit)
        if "error" in said:
            raise Failed(said["error"])
        return said["answer"]

    def _read(self, do: str, limit: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        until = time.monotonic() + limit
        while b"\n" not in self._waiting:
            ready, _, _ = select.select([descriptor], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                self.kill()
                raise Failed(f"did not finish in {limit:.0f} s")
            more = os.read(descriptor, 1 << 20)
            if not more:
                raise Failed(self._died())
            self._waiting += more
        line, _, self._waiting = self._waiting.partition(b"\n")
        said: dict[str, Any] = json.loads(line)
        return said

    def _died(self) -> str:
        self._end_group()
        code = self._process.wait()
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return f"its process ended with {code}" + (f": {one_line(lines[-1])}" if lines else "")

    def close(self) -> None:
        """Lets the engine close what it has open, and waits."""
        if self.alive:
            try:
                self.ask("close", 30.0)
                assert self._process.stdin is not None
                self._process.stdin.close()
                self._process.wait(30)
            except (Failed, OSError, subprocess.TimeoutExpired):
                pass
        self.kill()

    def kill(self) -> None:
        """Ends the process and what it started (its session holds nothing else)."""
        if self.alive:
            self._end_group()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _end_group(self) -> None:
        # Not yet waited for, so the number is still that of our process and its children.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)


def missing(about: About) -> str:
    """Why an engine cannot run here; empty if it can."""
    if about.environment != "peers":
        return ""
    if not (PEERS / "bin" / "python").exists():
        return "not installed: run scripts/peers"
    reason = PEERS / "failed" / f"{about.package}.txt"
    if reason.exists():
        return f"pip could not install it: {one_line(reason.read_text(encoding='utf-8'))}"
    return ""
