"""How a long build tells where it is, and how it is stopped."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""(done, total), in rows. What it raises ends the build."""

OnProgress = Callable[[str, int, int], None]
"""(stage, done, total): a build has several stages, each with its own total. What it raises ends
the build."""


def unheard(done: int, total: int) -> None:
    """Progress that nobody wants to know of."""


def unheeded(stage: str, done: int, total: int) -> None:
    """The same of a build in stages."""


def of_stage(stage: str, on_progress: OnProgress) -> Progress:
    """Progress of one stage of a build."""

    def told(done: int, total: int) -> None:
        on_progress(stage, done, total)

    return told
