"""sha256 of weight files, remembered while a file stays as it was."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from trichord.errors import ModelError

_SETTLED_NS = 2_000_000_000
"""A file changed so recently may change again within the tick of the file system's clock without
its time showing it: its checksum is not remembered yet."""


class _Seen(NamedTuple):
    path: Path
    size: int
    mtime_ns: int


_known: dict[_Seen, str] = {}
_lock = threading.Lock()


def _seen(path: Path) -> _Seen:
    try:
        stat = path.stat()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}", path=path) from error
    if not path.is_file():
        raise ModelError(f"{path} is not a file", path=path)
    return _Seen(path, stat.st_size, stat.st_mtime_ns)


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file's bytes, in constant memory.

    The answer is remembered in this process by (path, size, modification time), links resolved.
    Raises ModelError when the file is missing, unreadable, or changes while it is read.
    """
    path = Path(path).resolve()
    before = _seen(path)
    with _lock:
        known = _known.get(before)
    if known is not None:
        return known
    try:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}", path=path) from error
    if _seen(path) != before:
        raise ModelError(f"{path} changed while it was read", path=path)
    if time.time_ns() - before.mtime_ns > _SETTLED_NS:
        with _lock:
            _known[before] = digest
    return digest


def sha256_of_files(folder: Path, names: Sequence[str]) -> str:
    """Hex sha256 over the relative names and contents of several files of a folder.

    The order of `names` does not matter and a name given twice counts once; a file under another
    name changes the result. Raises ModelError as `sha256_of` does, and for no names at all.
    """
    if not names:
        raise ModelError(f"no files of {folder} were named", path=folder)
    whole = hashlib.sha256()
    for name in sorted({Path(name).as_posix() for name in names}):
        # A checksum has a fixed length and a name no NUL: no two lists make the same bytes.
        whole.update(name.encode() + b"\0" + bytes.fromhex(sha256_of(Path(folder) / name)))
    return whole.hexdigest()
