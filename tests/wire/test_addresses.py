from __future__ import annotations

import pytest

from trichord.errors import InvalidInput
from trichord.wire.addresses import DEFAULT_PORT, Address, parse


@pytest.mark.parametrize(
    ("text", "address", "target", "local"),
    [
        ("localhost:1234", Address("localhost", 1234), "localhost:1234", True),
        ("localhost", Address("localhost"), f"localhost:{DEFAULT_PORT}", True),
        ("127.3.2.1:0", Address("127.3.2.1", 0), "127.3.2.1:0", True),
        ("[::1]:5", Address("::1", 5), "[::1]:5", True),
        ("[::1]", Address("::1"), f"[::1]:{DEFAULT_PORT}", True),
        ("unix:/run/t.sock", Address(path="/run/t.sock"), "unix:/run/t.sock", True),
        ("unix:///run/t.sock", Address(path="/run/t.sock"), "unix:/run/t.sock", True),
        ("0.0.0.0:5", Address("0.0.0.0", 5), "0.0.0.0:5", False),
        ("[::]:5", Address("::", 5), "[::]:5", False),
        ("music.example:443", Address("music.example", 443), "music.example:443", False),
        ("localhost.example:1", Address("localhost.example", 1), "localhost.example:1", False),
    ],
)
def test_addresses(text: str, address: Address, target: str, local: bool) -> None:
    parsed = parse(text)
    assert parsed == address
    assert (parsed.target, parsed.local) == (target, local)


@pytest.mark.parametrize(
    "text",
    ["", ":50051", "host:", "host:x", "host:70000", "host:-1", "::1", "[::1", "[nope]:1",
     "[::1]x", "http://host:1", "a b:1", "unix:", "host:１"],
)  # fmt: skip
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse(text)
