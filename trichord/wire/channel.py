"""What a client opens: limits, retries, credentials, and errors that say what to do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import grpc
from google.rpc import status_pb2

from trichord.errors import (
    DeadlineExceeded,
    InvalidInput,
    NotFound,
    ResourceExhausted,
    TrichordError,
    Unavailable,
)
from trichord.wire.addresses import Address, parse
from trichord.wire.status import from_status

MAX_MESSAGE_BYTES = 32 * 1024 * 1024
"""Of one message in either direction; the server has the same option under the same name."""

DEFAULT_TIMEOUT_S = 30.0

_SAFE_TO_REPEAT = (
    ("trichord.v1.SearchService", "Search"),
    ("trichord.v1.EmbeddingService", "Embed"),
    ("trichord.v1.FeatureService", "Get"),
    ("trichord.v1.RegistryService", "ListSpaces"),
    ("trichord.v1.RegistryService", "GetStats"),
)
SERVICE_CONFIG = json.dumps(
    {
        "methodConfig": [
            {
                "name": [{"service": s, "method": m} for s, m in _SAFE_TO_REPEAT],
                "retryPolicy": {
                    "maxAttempts": 4,
                    "initialBackoff": "0.1s",
                    "maxBackoff": "1s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ]
    }
)
"""Reads are repeated while the server is unavailable; ingest and delete never are."""


@dataclass(frozen=True)
class Connection:
    """How to reach a server.

    `tls` None means: yes for every address but a loopback one, because a server listens on others
    only with TLS. `tls_ca` is a PEM file with the authority to trust in place of the system's; it
    switches TLS on. A token never travels without TLS except to a loopback address.
    """

    address: str
    token: str | None = field(default=None, repr=False)
    tls: bool | None = None
    tls_ca: str | PathLike[str] | None = None
    timeout_s: float | None = DEFAULT_TIMEOUT_S
    max_message_bytes: int = MAX_MESSAGE_BYTES

    def __post_init__(self) -> None:
        if self.timeout_s is not None and not self.timeout_s > 0:
            raise InvalidInput(f"the timeout must be positive, not {self.timeout_s}")
        if self.token is not None and not (self.token.isascii() and self.token.isprintable()):
            raise InvalidInput("the token holds characters that cannot be sent (not ASCII)")
        if self.tls is False and self.tls_ca is not None:
            raise InvalidInput("tls_ca needs TLS: leave tls out or set it to True")
        if self.token and not self.secure and not self.parsed.local:
            raise InvalidInput(
                f"no token is sent to {self.address} without TLS: leave tls out or set it to True"
            )

    @property
    def parsed(self) -> Address:
        return parse(self.address)

    @property
    def secure(self) -> bool:
        if self.tls is None:
            return self.tls_ca is not None or not self.parsed.local
        return self.tls

    @cached_property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()

    @property
    def options(self) -> list[tuple[str, Any]]:
        options: list[tuple[str, Any]] = [
            ("grpc.max_send_message_length", self.max_message_bytes),
            ("grpc.max_receive_message_length", self.max_message_bytes),
            ("grpc.service_config", SERVICE_CONFIG),
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.keepalive_timeout_ms", 10_000),
            # A connection of its own: else gRPC gives all channels of a process the same one, and
            # with it the same one of several server processes.
            ("grpc.use_local_subchannel_pool", 1),
        ]
        if self.parsed.local:
            options.append(("grpc.enable_http_proxy", 0))
        return options

    def open(self, kind: Any = grpc) -> Any:
        """A channel of `grpc`, or of `grpc.aio` where that is given."""
        target = self.parsed.target
        if not self.secure:
            return kind.insecure_channel(target, options=self.options)
        credentials = grpc.ssl_channel_credentials(self._authority())
        return kind.secure_channel(target, credentials, options=self.options)

    def _authority(self) -> bytes | None:
        if self.tls_ca is None:
            return None
        try:
            return Path(self.tls_ca).read_bytes()
        except OSError as error:
            raise NotFound(f"cannot read tls_ca {str(self.tls_ca)!r}: {error.strerror}") from None

    def error(self, failed: grpc.RpcError) -> TrichordError:
        """The error of a failed call, of the class that the server raised."""
        code: grpc.StatusCode = failed.code()
        trailing: Sequence[tuple[str, Any]] = failed.trailing_metadata() or ()
        metadata = {key: value for key, value in trailing}
        status = status_pb2.Status(code=code.value[0], message=failed.details() or code.name)
        packed = metadata.get("grpc-status-details-bin")
        if packed is not None:
            status.MergeFromString(packed)
        error = from_status(status)
        if packed is None:  # not an answer of our server, but of the transport
            error = self._explained(code, error)
        if request_id := metadata.get("x-request-id"):
            error.details["request_id"] = request_id
        return error

    def _explained(self, code: grpc.StatusCode, error: TrichordError) -> TrichordError:
        where = self.parsed.target
        match code:
            case grpc.StatusCode.UNAVAILABLE:
                how = "with TLS" if self.secure else "without TLS"
                return Unavailable(
                    f"no answer from {where} ({how}): is a Trichord server running there? Start one"
                    f" with `trichord serve`. The connection says: {error}",
                    address=where,
                )
            case grpc.StatusCode.DEADLINE_EXCEEDED:
                return DeadlineExceeded(
                    f"{where} did not answer within {self.timeout_s} s: raise the timeout, or ask "
                    "for less at once",
                    address=where,
                )
            case grpc.StatusCode.RESOURCE_EXHAUSTED if "larger than max" in str(error):
                return ResourceExhausted(
                    f"a message is larger than the limit (max_message_bytes, here "
                    f"{self.max_message_bytes}): {error}"
                )
            case grpc.StatusCode.UNIMPLEMENTED:
                return TrichordError(
                    f"{where} does not offer this call: is it a Trichord server of this version? "
                    f"It says: {error}"
                )
        return error
