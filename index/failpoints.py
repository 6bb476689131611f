"""Named places in the writing of an index at which a test may stop the process."""

from __future__ import annotations

from collections.abc import Callable

NAMES = ("index-files-written", "index-manifest-written", "index-renamed")

_hook: Callable[[str], None] | None = None


def set_hook(hook: Callable[[str], None] | None) -> None:
    """Call `hook(name)` at every failpoint of this process from now on; None stops it."""
    global _hook
    _hook = hook


def reach(name: str) -> None:
    if name not in NAMES:
        raise ValueError(f"unknown failpoint {name!r}")
    if _hook is not None:
        _hook(name)
