"""The port: one server each, and one clear error for the second; or several processes of one."""

from __future__ import annotations

import errno
import socket
from typing import Any

import grpc

from trichord.errors import InvalidInput, NotFound
from trichord.server.settings import Settings
from trichord.wire.addresses import Address


def bind(server: grpc.Server, settings: Settings) -> Address:
    """Binds the server and returns where it listens (port 0 becomes the one that was given).

    Raises InvalidInput where another program listens, or the address is not of this machine.
    """
    address = settings.address
    if not settings.share_port:
        _refuse_taken(address)
    try:
        if settings.secure:
            port = server.add_secure_port(address.target, _credentials(settings))
        else:
            port = server.add_insecure_port(address.target)
    except RuntimeError as error:
        raise InvalidInput(f"cannot listen on {address.target}: {error}", field="listen") from None
    return address if address.path else Address(address.host, port)


class SharedPort:
    """Keeps an address for processes that listen on it together (`Settings.share_port`), so that
    other servers are refused it even when none of them listens; port 0 becomes a free one.

    Raises InvalidInput where another program listens, for a unix socket, and on systems on which
    processes cannot share a port.
    """

    def __init__(self, address: Address) -> None:
        if address.path or not hasattr(socket, "SO_REUSEPORT"):
            raise InvalidInput(
                f"several processes cannot listen on {address.target} together: that needs an "
                "address with a port, on a system with SO_REUSEPORT",
                field="listen",
            )
        _refuse_taken(address)
        family, kind, protocol, _, where = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM
        )[0]
        self._held = socket.socket(family, kind, protocol)  # bound and never listening
        self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            self._held.bind(where)
        except OSError:
            # Connections of an earlier server linger. Now others are refused only once we listen.
            self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._held.bind(where)
        self.address = Address(address.host, int(self._held.getsockname()[1]))

    def __enter__(self) -> SharedPort:
        return self

    def __exit__(self, *raised: object) -> None:
        self._held.close()


def _refuse_taken(address: Address) -> None:
    # gRPC would write several lines of its own, and take over a socket file without asking.
    if address.path:
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(address.path) == 0:
                raise _taken(address)
        return
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise InvalidInput(
            f"cannot listen on {address.target}: {error.strerror}", field="listen"
        ) from None
    problems = [_problem(*one) for one in found]
    if any(problem is not None and problem.errno == errno.EADDRINUSE for problem in problems):
        raise _taken(address)
    # `localhost` may have a number that this machine does not: one that works is enough.
    if None not in problems:
        why = problems[0].strerror if problems[0] is not None else ""
        raise InvalidInput(f"cannot listen on {address.target}: {why}", field="listen")


def _problem(family: int, kind: int, protocol: int, _: str, where: Any) -> OSError | None:
    try:
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
    except OSError as error:
        return error
    return None


def _taken(address: Address) -> InvalidInput:
    return InvalidInput(
        f"another program listens on {address.target}: stop it, or choose another address",
        field="listen",
    )


def _credentials(settings: Settings) -> grpc.ServerCredentials:
    assert settings.tls_cert is not None and settings.tls_key is not None
    parts = []
    for what, path in (("tls_key", settings.tls_key), ("tls_cert", settings.tls_cert)):
        try:
            parts.append(path.read_bytes())
        except OSError as error:
            raise NotFound(f"cannot read {what} {str(path)!r}: {error.strerror}") from None
    return grpc.ssl_server_credentials([(parts[0], parts[1])])
