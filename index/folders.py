"""Replacing a folder as a whole, so that a killed writer leaves the old one or none."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trichord.index.failpoints import reach


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """Yields an empty folder beside `folder`; when the block ends well, it takes its place.

    All files are on disk before the rename. A writer that is killed leaves a hidden sibling, which
    the next call for the same `folder` removes. A lock on the sibling, which the kernel drops with
    its owner, tells a dead writer's from one that is at work.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(folder)
    scratch = folder.parent / f"{_prefix(folder)}{uuid.uuid4().hex}"
    scratch.mkdir()
    with _locked(scratch):
        try:
            yield scratch
            for path in scratch.iterdir():
                _sync(path)
            _sync(scratch)
            _swap(scratch, folder)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
        _sync(folder.parent)
        reach("index-renamed")
    _remove_leftovers(folder)


def _swap(scratch: Path, folder: Path) -> None:
    """Between the two renames there is no folder: a missing index, never a mixed one."""
    if folder.exists():
        folder.rename(folder.parent / f"{_prefix(folder)}{uuid.uuid4().hex}")
    scratch.rename(folder)


def _prefix(folder: Path) -> str:
    return f".{folder.name}.unfinished-"


def _remove_leftovers(folder: Path) -> None:
    for path in folder.parent.glob(f"{_prefix(folder)}*"):
        with contextlib.suppress(FileNotFoundError, BlockingIOError), _locked(path):
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the folder's lock; BlockingIOError if another holder is alive."""
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
