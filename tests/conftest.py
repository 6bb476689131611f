"""For all tests: no network, no model hub, no second copy of a module."""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from collections.abc import Iterator

import pytest

# Before anything imports a hub client: what is not on this machine does not exist.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

BARE = ("embedders", "store", "index", "catalog", "evaluation", "server", "proto")


def _stays_here(address: object) -> bool:
    if not isinstance(address, tuple):
        return True  # a unix socket
    host = str(address[0])
    try:
        return host in ("", "localhost") or ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


@pytest.fixture(autouse=True)
def _only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        if not _stays_here(address):
            raise AssertionError(f"a test tried to reach {address}")
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(autouse=True, scope="session")
def _one_copy_of_each_module() -> Iterator[None]:
    """`embedders.x` beside `trichord.embedders.x` would be two modules with two of every class."""
    yield
    doubled = [name for name in sys.modules if name.split(".")[0] in BARE]
    assert not doubled, f"imported by a bare name: {doubled}"
