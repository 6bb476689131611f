"""Which spaces this process was found to compute as the store holds them; each is checked once."""

from __future__ import annotations

import threading

from trichord.catalog.admitting import Recorder, admit
from trichord.embedders.spaces import JointSpace
from trichord.errors import EncoderMismatch
from trichord.store import Store


class Admissions:
    """Of one catalogue; safe to use from many threads. Spaces that do not say where they run
    (`runtime`) have nothing that could differ and are taken as they are."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._checked: set[tuple[str, bool]] = set()
        self._refused: dict[str, EncoderMismatch] = {}

    def refused(self, space: str) -> EncoderMismatch | None:
        """Why this process may not embed for a space, as far as it was found out."""
        return self._refused.get(space)

    def check(self, joint: JointSpace, writer: Recorder | None = None) -> None:
        """Compares the canaries, loading the models, unless this was done; with a `writer` the
        store learns of what it did not know. Raises EncoderMismatch and ModelError."""
        if getattr(joint, "runtime", None) is None:
            return
        done = (joint.name, writer is not None)
        if done in self._checked:
            return
        with self._lock:
            refused = self._refused.get(joint.name)
            if refused is not None:
                raise refused
            if done in self._checked:
                return
            try:
                admit(self._store, writer, joint)
            except EncoderMismatch as error:
                self._refused[joint.name] = error
                raise
            self._checked.add(done)
