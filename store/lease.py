"""One writer per store: an exclusive advisory lock on `writer.lock`.

The kernel frees the lock when its holder dies, however it dies, so no lease is ever left behind.
The file's text only tells others who holds it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from trichord.errors import StoreError, StoreLocked

FILE = "writer.lock"


class Lease:
    """Holds the lock from construction to `release`. Raises StoreLocked with the holder's pid and
    host if another writer, in this process or another, has it."""

    def __init__(self, directory: Path, owner: str = "") -> None:
        try:
            self._file = os.open(directory / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StoreError(f"the store {directory} cannot be written: {error}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._sign(owner)
        except BlockingIOError:
            holder = _read(self._file)
            os.close(self._file)
            raise StoreLocked(_message(directory, holder), **holder) from None
        except BaseException:
            os.close(self._file)
            raise

    def _sign(self, owner: str) -> None:
        text = json.dumps(
            {
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "started": datetime.now(UTC).isoformat(timespec="seconds"),
                "owner": owner,
            }
        )
        # On a full disk the lock holds without a signature.
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, text.encode(), 0)

    def release(self) -> None:
        """Let the next writer in; harmless when done twice."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def _read(file: int) -> dict[str, Any]:
    try:
        holder = json.loads(os.pread(file, 4096, 0))
    except ValueError:
        return {}
    return holder if isinstance(holder, dict) else {}


def _message(directory: Path, holder: dict[str, Any]) -> str:
    owner = f" ({holder['owner']})" if holder.get("owner") else ""
    return (
        f"the store {directory} is being written by process {holder.get('pid', 'unknown')}{owner} "
        f"on {holder.get('host', 'unknown')} since {holder.get('started', 'unknown')}: wait until "
        "it is done or stop it"
    )
