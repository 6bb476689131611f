"""xxh3_64 of every file that a snapshot names, so that `verify` finds any flipped byte."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable
from pathlib import Path

import xxhash

_FOLDERS = ("data", "_deletions", "_versions")
_INDEXES = "_indices"  # one folder per index
_HINT = "latest_version_hint.json"  # rewritten in place, and only a hint


def digest(path: Path) -> str:
    """xxh3_64 of a file's bytes, 16 hexadecimal digits."""
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return xxhash.xxh3_64_hexdigest(b"")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return xxhash.xxh3_64_hexdigest(content)


class FileWatch:
    """Remembers which files of a store it has seen and tells the digests of new ones."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._seen: dict[str, set[str]] = {}

    def start(self, tables: Iterable[str]) -> None:
        """Take all present files of `tables` (directory names) as seen."""
        for table in tables:
            self._seen[table] = set(_files(self._directory / table))

    def news(self, tables: Iterable[str]) -> dict[str, str]:
        """{path below the store: digest} of the files that came since the last call."""
        found: dict[str, str] = {}
        for table in tables:
            seen = self._seen.setdefault(table, set())
            present = set(_files(self._directory / table))
            for name in present - seen:
                found[f"{table}/{name}"] = digest(self._directory / table / name)
            self._seen[table] = present
        return found


def _files(table: Path) -> list[str]:
    names = []
    for folder in _FOLDERS:
        names += [f"{folder}/{e.name}" for e in _entries(table / folder) if e.name != _HINT]
    for index in _entries(table / _INDEXES):
        names += [f"{_INDEXES}/{index.name}/{e.name}" for e in _entries(Path(index.path))]
    return names


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []
