"""A writer that follows one deterministic history and may be killed anywhere.

    python -m tests.store.writer_process STORE --until REVISION [--kill-at POINT] [--seed N]

Every step is one commit, so that the store's revision says where to go on. It prints a line after
its first commit; killed at a named point it dies by SIGKILL, as if the power of the process went.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from tests.store.history import (
    FAILED_AT,
    Model,
    Step,
    commit,
    prepare_store,
    random_step,
    random_third,
)
from trichord.store import Store
from trichord.store.failpoints import set_hook
from trichord.types import IngestFailure

COMPACT_EVERY = 3


class History:
    """States after 0, 1, 2, … steps, worked out as far as they are asked for."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._states = [Model()]
        self._steps: list[Step] = []
        self._lock = threading.Lock()

    def state(self, revision: int) -> Model:
        with self._lock:
            return self._state(revision)

    def _state(self, revision: int) -> Model:
        while len(self._states) <= revision:
            model = self._states[-1].copy()
            number = len(self._steps)
            step = random_step(random.Random(f"{self._seed}/{number}"), model)
            kind = {2: "fill", 3: "copy", 4: "remove"}.get(number % 6)
            if kind is not None:
                step = random_third(random.Random(f"{self._seed}/{number}"), model, kind)
            if number % 6 == 1:
                broken = IngestFailure(f"file-{number}", None, "MEDIA", "broken", FAILED_AT)
                step = replace(step, failures=[*step.failures, broken])
            model.apply(step)
            self._steps.append(step)
            self._states.append(model)
        return self._states[revision]

    def step(self, revision: int) -> Step:
        """What leads from `revision` to the next."""
        self.state(revision + 1)
        return self._steps[revision]


def run(path: Path, until: int, seed: int) -> None:
    history = History(seed)
    store = Store.open(path) if Store.exists(path) else Store.create(path)
    with store.writer(owner="history") as writer:
        prepare_store(writer)
        while True:
            revision = store.latest().revision
            if revision and revision % COMPACT_EVERY == 0:
                writer.compact(retain=timedelta(0), keep_snapshots=2)
            if revision >= until:
                return
            commit(writer, history.state(revision).copy(), history.step(revision))
            sys.stdout.write(f"{revision + 1}\n")
            sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("store", type=Path)
    parser.add_argument("--until", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kill-at", default="")
    arguments = parser.parse_args()

    def hook(name: str) -> None:
        if name == arguments.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    set_hook(hook)
    run(arguments.store, arguments.until, arguments.seed)


if __name__ == "__main__":
    main()
