"""One of several server processes: serves until it is told to end, or until who started it is gone.

Light to import: what is heavy is imported once the signals are in order.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Mapping
from multiprocessing.connection import Connection, wait
from typing import Any

from trichord.errors import TrichordError
from trichord.server.settings import Settings
from trichord.wire.status import to_status

LOGGER = logging.getLogger("trichord.server")


def run(
    tell: Connection, path: str, settings: Settings, options: Mapping[str, Any], level: int | None
) -> None:
    """Tells its address once it serves, or a `google.rpc.Status` as bytes where it cannot; then it
    ends with 1. `level` is that of the log on standard error; None: none was set up."""
    # Ctrl-C reaches all processes of a terminal; it is for `serve` to take it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if level is not None:
        logging.basicConfig(
            level=level, format="%(asctime)s %(levelname)s %(name)s[%(process)d] %(message)s"
        )
    threading.Thread(target=_end_with_parent, name="trichord-parent", daemon=True).start()
    try:
        from trichord.server.app import serve

        serve(path, settings, started=tell.send, **options)
    except TrichordError as error:
        tell.send(to_status(error).SerializeToString())
        sys.exit(1)
    except Exception as error:
        LOGGER.exception("a server process failed")
        failure = TrichordError(f"a server process failed: {type(error).__name__}: {error}")
        tell.send(to_status(failure).SerializeToString())
        sys.exit(1)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
