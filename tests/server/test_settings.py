from __future__ import annotations

import socket
from pathlib import Path

import pytest

from trichord.errors import InvalidInput
from trichord.server.settings import Settings

TOKENS = {"team": "a-secret-token"}
TLS = {"tls_cert": Path("cert.pem"), "tls_key": Path("key.pem")}


@pytest.mark.parametrize(
    "listen", ["127.0.0.1:0", "127.9.9.9:5", "localhost:0", "[::1]:0", "unix:/tmp/t.sock"]
)
def test_loopback_needs_nothing(listen: str) -> None:
    assert not Settings(listen=listen).secure


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0", "10.1.2.3:50051", "[fe80::1]:1"])
def test_other_addresses_need_tls_and_a_token(listen: str) -> None:
    with pytest.raises(InvalidInput, match=r"TLS \(a certificate and its key\) and a token"):
        Settings(listen=listen)
    with pytest.raises(InvalidInput, match="needs a token;"):
        Settings(listen=listen, **TLS)
    with pytest.raises(InvalidInput, match=r"needs TLS \("):
        Settings(listen=listen, tokens=TOKENS)
    assert Settings(listen=listen, tokens=TOKENS, **TLS).secure


def test_a_name_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"inside": ["127.0.0.1", "::1"], "both": ["127.0.0.1", "10.0.0.1"]}

    def lookup(host: str, port: int, **_: object) -> list:
        if host not in found:
            raise socket.gaierror(-2, "Name or service not known")
        return [(None, None, None, "", (number, port)) for number in found[host]]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    assert Settings(listen="inside:1")
    with pytest.raises(InvalidInput, match="other machines"):
        Settings(listen="both:1")
    with pytest.raises(InvalidInput, match="not known"):
        Settings(listen="nowhere:1")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"listen": "here"}, None),
        ({"listen": "::1"}, "no address"),
        ({"workers": 0}, "workers"),
        ({"streams": 0}, "streams"),
        ({"queue": -1}, "negative"),
        ({"grace_s": float("nan")}, "negative"),
        ({"max_message_bytes": 10}, "max_message_bytes"),
        ({"tls_cert": Path("c")}, "tls_key is missing"),
        ({"tls_key": Path("k")}, "tls_cert is missing"),
        ({"tokens": {"a": "short"}}, "8 characters"),
        ({"tokens": {"a": "with a space in it"}}, "spaces"),
        ({"media_root": Path("no/such/folder")}, "no folder"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    wrong: dict, says: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere(*_: object, **__: object) -> list:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    with pytest.raises(InvalidInput, match=says):
        Settings(**wrong)


def test_tokens_are_not_shown() -> None:
    assert "a-secret-token" not in repr(Settings(tokens=TOKENS))
