"""A real server as a process of its own, for as long as the demo asks."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trichord.client import Client
from trichord.errors import TrichordError, Unavailable

START_S = 180.0
STOP_S = 30.0
_LISTENING = re.compile(r"listening on (\S+)")


@contextmanager
def served(store: Path, log: Path) -> Iterator[str]:
    """Serves the store on a free port of the loopback address; yields host:port once it is healthy.

    The server's log goes to the file `log`. On leaving, it gets SIGTERM and finishes its calls.
    Raises Unavailable, with the end of the log, when it does not come up.
    """
    # -v: the port is known to nobody but the server, which logs it.
    command = [sys.executable, "-m", "trichord", "-v", "serve"]
    command += ["--store", str(store), "--listen", "127.0.0.1:0"]
    # A token or store set for other commands of this shell is not meant for the demo's server.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TRICHORD_")}
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        try:
            yield _ready(process, log)
        finally:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _ready(process: subprocess.Popen[bytes], log: Path) -> str:
    """The server's address, once it says that it serves."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        found = _LISTENING.search(log.read_text("utf-8", "replace"))
        if found is not None and _healthy(found[1]):
            return found[1]
        if process.poll() is not None:
            break
        time.sleep(0.1)
    said = log.read_text("utf-8", "replace").strip().splitlines()[-5:]
    state = "ended" if process.poll() is not None else f"is not ready after {START_S:.0f} s"
    raise Unavailable(f"the server {state}; the end of {log}:\n" + "\n".join(said))


def _healthy(address: str) -> bool:
    try:
        with Client(address, timeout=5.0) as client:
            return client.health()
    except TrichordError:
        return False
