"""Where bytes come from: memory, or a regular file that is opened only as far as needed."""

from __future__ import annotations

import io
import stat
from pathlib import Path
from typing import BinaryIO

from trichord.embedders.media.limits import Limits
from trichord.embedders.media.sniff import HEAD_BYTES
from trichord.errors import MediaError

Source = bytes | Path


def open_source(source: Source, limits: Limits) -> BinaryIO:
    """A seekable binary stream over `source`, for the caller to close.

    Raises `MediaError` if the path is not a regular file (a pipe would block), cannot be opened,
    or holds more than `limits.max_bytes`.
    """
    if isinstance(source, bytes):
        size, stream = len(source), io.BytesIO(source)
    else:
        try:
            status = source.stat()
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            raise MediaError(f"{source.name!r}: no such file, or not reachable") from error
        if not stat.S_ISREG(status.st_mode):
            raise MediaError(f"{source.name!r}: not a regular file")
        size = status.st_size
    if size > limits.max_bytes:
        raise MediaError(f"{size} bytes; the limit is {limits.max_bytes} (max_bytes)")
    if isinstance(source, bytes):
        return stream
    try:
        return source.open("rb")
    except OSError as error:
        raise MediaError(f"{source.name!r}: cannot be read ({error.strerror})") from error


def read_head(source: Source, limits: Limits) -> bytes:
    """The first bytes of `source`, for `sniff`."""
    return _read(source, limits, HEAD_BYTES)


def read_all(source: Source, limits: Limits) -> bytes:
    """All bytes of `source`; raises `MediaError` as `open_source` does."""
    if isinstance(source, bytes) and len(source) <= limits.max_bytes:
        return source
    data = _read(source, limits, limits.max_bytes + 1)
    if len(data) > limits.max_bytes:
        raise MediaError(f"more than {limits.max_bytes} bytes (max_bytes)")
    return data


def _read(source: Source, limits: Limits, count: int) -> bytes:
    with open_source(source, limits) as stream:
        try:
            return stream.read(count)
        except OSError as error:
            raise MediaError(f"reading failed ({error.strerror})") from error
