"""Where a server listens: `host:port`, `[::1]:port` or `unix:path`."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from trichord.errors import InvalidInput

DEFAULT_PORT = 50_051


@dataclass(frozen=True)
class Address:
    """`path` is set for a unix socket, `host` and `port` otherwise (`host` without brackets)."""

    host: str = ""
    port: int = DEFAULT_PORT
    path: str = ""

    @property
    def target(self) -> str:
        """As gRPC writes it."""
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def local(self) -> bool:
        """A unix socket, `localhost` or a loopback number; other names are not looked up."""
        if self.path or self.host.lower() == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse(text: str) -> Address:
    """Raises InvalidInput for what is no address."""
    if text.startswith("unix:"):
        path = text.removeprefix("unix:").removeprefix("//")
        if not path:
            raise InvalidInput("the address unix: names no socket file", field="address")
        return Address(path=path)
    host, colon, port = text, "", ""
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        _number(host)
        if not closed or (rest and not rest.startswith(":")):
            raise _wrong(text)
        colon, port = rest[:1], rest[1:]
    elif ":" in text:
        host, colon, port = text.partition(":")
    if not host or "/" in host or any(letter.isspace() for letter in host):
        raise _wrong(text)
    if not colon:
        return Address(host)
    if not (port.isascii() and port.isdigit() and int(port) < 65_536):
        raise _wrong(text)
    return Address(host, int(port))


def _number(host: str) -> None:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        raise InvalidInput(f"[{host}] is no IPv6 address", field="address") from None


def _wrong(text: str) -> InvalidInput:
    return InvalidInput(
        f"{text!r} is no address: write host:port, [::1]:port or unix:/path/to/socket",
        field="address",
    )
