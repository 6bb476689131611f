"""What a server may be told. Only the command line reads the environment; this takes arguments."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from trichord.errors import InvalidInput
from trichord.wire.addresses import DEFAULT_PORT, Address, parse
from trichord.wire.channel import MAX_MESSAGE_BYTES

MIN_TOKEN_LENGTH = 8


@dataclass(frozen=True)
class Settings:
    """How a server listens and what it may use; raises InvalidInput for what cannot be meant.

    `listen`: host:port, [::1]:port or unix:path; port 0 takes a free one. Any address but a
    loopback one needs `tls_cert` and `tls_key` (PEM files) and a token. `tokens`: name of a caller
    -> the token that proves it; with none, everybody on this machine is `local`.
    `media_root`: folder whose files may be named by uri; None: no uri is accepted.
    `max_message_bytes`: of one message in either direction.
    `workers`: calls answered at once; `queue`: calls that may wait for a worker, about a second of
    searches; `streams`: open streams (ingest, reflection), which have threads of their own;
    `search_streams`: open streams of searches, a thread each. Beyond these calls are refused.
    `ingest_records`, `ingest_bytes`: at most this much of a stream is taken into one commit.
    `grace_s`: seconds that running calls get when the server stops.
    `share_port`: other processes listen on the same address and share its calls; for those that
    `trichord.server.supervisor` starts.
    """

    listen: str = f"127.0.0.1:{DEFAULT_PORT}"
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tokens: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    media_root: Path | None = None
    max_message_bytes: int = MAX_MESSAGE_BYTES
    workers: int = 8
    queue: int = 1024
    streams: int = 8
    search_streams: int = 64
    ingest_records: int = 256
    ingest_bytes: int = MAX_MESSAGE_BYTES
    grace_s: float = 10.0
    reflection: bool = True
    share_port: bool = False

    def __post_init__(self) -> None:
        for name in ("workers", "streams", "search_streams", "ingest_records", "ingest_bytes"):
            if getattr(self, name) < 1:
                raise InvalidInput(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.queue < 0 or not self.grace_s >= 0:
            raise InvalidInput("queue and grace_s cannot be negative")
        if not 64 * 1024 <= self.max_message_bytes < 2**31:
            raise InvalidInput(
                f"max_message_bytes must be 65536 to 2147483647, not {self.max_message_bytes}"
            )
        if (self.tls_cert is None) != (self.tls_key is None):
            missing = "tls_key" if self.tls_key is None else "tls_cert"
            raise InvalidInput(f"TLS needs a certificate and its key: {missing} is missing")
        for name, token in self.tokens.items():
            if not (token.isascii() and token.isprintable() and " " not in token):
                raise InvalidInput(f"the token of {name!r} holds spaces or is not ASCII")
            if len(token) < MIN_TOKEN_LENGTH:
                raise InvalidInput(
                    f"the token of {name!r} is shorter than {MIN_TOKEN_LENGTH} characters"
                )
        if self.media_root is not None and not self.media_root.is_dir():
            raise InvalidInput(f"media_root {str(self.media_root)!r} is no folder")
        self._refuse_exposure()

    @property
    def address(self) -> Address:
        return parse(self.listen)

    @property
    def secure(self) -> bool:
        return self.tls_cert is not None

    def _refuse_exposure(self) -> None:
        if stays_local(self.address):
            return
        missing = [
            what
            for what, there in (
                ("TLS (a certificate and its key)", self.secure),
                ("a token", bool(self.tokens)),
            )
            if not there
        ]
        if missing:
            raise InvalidInput(
                f"{self.listen} can be reached from other machines: that needs "
                f"{' and '.join(missing)}; without, listen on a loopback address such as "
                f"127.0.0.1:{DEFAULT_PORT}",
                field="listen",
            )


def stays_local(address: Address) -> bool:
    """Whether only this machine reaches the address; a name is looked up, and all its numbers
    must be loopback ones."""
    if address.local:
        return True
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise InvalidInput(f"cannot listen on {address.target}: {error.strerror}") from None
    return all(ip_address(str(where[4][0]).partition("%")[0]).is_loopback for where in found)
