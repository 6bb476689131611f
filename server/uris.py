"""Files below the media root. Nothing is fetched from a network, ever."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from trichord.errors import InvalidInput, NotFound, PermissionDenied

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


class MediaRoot:
    """Turns the uris of callers into files of the folder `root`; None: no uri is accepted."""

    def __init__(self, root: Path | None, max_bytes: int) -> None:
        self._root = None if root is None else root.resolve()
        self._max_bytes = max_bytes

    def file(self, uri: str) -> tuple[Path, str]:
        """The file that `uri` names, links resolved, and its name below the root.

        A relative path, or an absolute one (also as file:// uri) that lies below the root. Raises
        PermissionDenied for all else, before it looks whether the file exists, then NotFound.
        """
        if self._root is None:
            raise PermissionDenied(
                "this server opens no uris: send the bytes, or start it with a media root "
                "(--media-root) and name files below it"
            )
        path = self._root / _path(uri)
        try:
            resolved = path.resolve()
        except (OSError, RuntimeError):  # a loop of links, a name too long
            raise NotFound(f"there is no file {uri!r} below the media root", uri=uri) from None
        if not resolved.is_relative_to(self._root):
            raise PermissionDenied(f"{uri!r} lies outside of the server's media root", uri=uri)
        if not _is_file(resolved):
            raise NotFound(f"there is no file {uri!r} below the media root", uri=uri)
        return resolved, resolved.relative_to(self._root).as_posix()

    def read(self, uri: str) -> tuple[bytes, str]:
        """The bytes of the file, and its name; InvalidInput if it is larger than a message."""
        path, name = self.file(uri)
        try:
            size = path.stat().st_size
            if size > self._max_bytes:
                raise InvalidInput(
                    f"{name!r} has {size} bytes; a query takes files of at most {self._max_bytes}",
                    uri=uri,
                )
            return path.read_bytes(), name
        except OSError as error:
            raise NotFound(f"cannot read {name!r}: {error.strerror}", uri=uri) from None


def _path(uri: str) -> str:
    if not uri or "\x00" in uri:
        raise InvalidInput("the uri is empty or holds a NUL character")
    if not _SCHEME.match(uri):
        if uri.startswith("//"):
            raise _refused(uri)
        return uri
    try:
        parts = urlsplit(uri)
    except ValueError:
        raise InvalidInput(f"{uri!r} is no uri") from None
    if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        raise _refused(uri)
    path = unquote(parts.path)
    if not path.startswith("/") or "\x00" in path:
        raise _refused(uri)
    return path


def _refused(uri: str) -> PermissionDenied:
    return PermissionDenied(
        f"{uri!r} is not opened: this server reads only files below its media root (a relative "
        "path or a file:// uri) and fetches nothing from a network",
        uri=uri,
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False
