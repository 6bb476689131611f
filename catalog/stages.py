"""What the stages of a search took, where somebody wants to know."""

from __future__ import annotations

from time import perf_counter


class Stages:
    """`done(name)` gives the time since the last call to the stage `name`; nothing unless
    `wanted`."""

    def __init__(self, wanted: bool) -> None:
        self.spent: dict[str, float] = {}
        self._wanted = wanted
        self._last = perf_counter() if wanted else 0.0

    def done(self, name: str) -> None:
        if self._wanted:
            now = perf_counter()
            self.spent[name] = self.spent.get(name, 0.0) + (now - self._last) * 1e6
            self._last = now
