from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from grpc_health.v1 import health_pb2

from tests.server.serving import channel, reason_of, serving
from trichord.aio import AsyncClient
from trichord.catalog import Catalog
from trichord.client import Client
from trichord.errors import InvalidInput, NotFound, Unauthenticated, Unavailable
from trichord.server.app import Server
from trichord.v1 import feature_pb2
from trichord.wire.plans import Stubs

TOKENS = {"team": "right-token-1", "other": "right-token-2"}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    alternatives = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture(scope="module")
def guarded(catalog: Catalog, certificate: tuple[Path, Path]) -> Iterator[Server]:
    """On all addresses, as it would run in earnest."""
    cert, key = certificate
    with serving(catalog, listen="0.0.0.0:0", tls_cert=cert, tls_key=key, tokens=TOKENS) as running:
        yield running


def port(server: Server) -> str:
    return server.address.rpartition(":")[2]


@pytest.mark.parametrize("token", TOKENS.values())
def test_tls_and_a_right_token(guarded: Server, certificate: tuple[Path, Path], token: str) -> None:
    for host in ("localhost", "127.0.0.1"):
        with Client(f"{host}:{port(guarded)}", token=token, tls_ca=certificate[0]) as client:
            assert client.search("red", limit=1)[0].item_id


@pytest.mark.parametrize("token", [None, "wrong", "right-token-", "right-token-11", ""])
def test_a_wrong_or_missing_token(
    guarded: Server, certificate: tuple[Path, Path], token: str | None
) -> None:
    with Client(f"localhost:{port(guarded)}", token=token, tls_ca=certificate[0]) as client:
        with pytest.raises(Unauthenticated, match="token"):
            client.search("red")
        with pytest.raises(Unauthenticated):
            client.ingest({"item_id": "x", "text": "x"})
        assert client.health()  # needs none
    assert catalog_is_unchanged(guarded)


def catalog_is_unchanged(server: Server) -> bool:
    return server._catalog.get("x").missing_item_ids == ("x",)


def test_the_asynchronous_client_too(guarded: Server, certificate: tuple[Path, Path]) -> None:
    address = f"localhost:{port(guarded)}"

    async def run() -> None:
        async with AsyncClient(address, token="right-token-2", tls_ca=certificate[0]) as client:
            assert len(await client.search("red")) == 9
        async with AsyncClient(address, tls_ca=certificate[0]) as client:
            with pytest.raises(Unauthenticated):
                await client.search("red")

    asyncio.run(run())


def test_plain_text_is_no_way_in(guarded: Server) -> None:
    with (
        Client(f"localhost:{port(guarded)}", tls=False, timeout=5) as client,
        pytest.raises(Unavailable, match="without TLS"),
    ):
        client.search("red")


def test_a_certificate_that_is_not_trusted(guarded: Server) -> None:
    with (
        Client(f"localhost:{port(guarded)}", tls=True, token="right-token-1") as client,
        pytest.raises(Unavailable, match="with TLS"),
    ):
        client.search("red")


def call(stubs: Stubs, *metadata: tuple[str, str]) -> feature_pb2.GetResponse:
    return stubs.feature.Get(feature_pb2.GetRequest(item_ids=["notes/sea"]), metadata=metadata)


def test_a_token_on_a_loopback_address_is_checked_too(catalog: Catalog) -> None:
    with serving(catalog, tokens=TOKENS) as server, channel(server) as opened:
        stubs = Stubs(opened)
        assert call(stubs, ("authorization", "Bearer right-token-1")).items
        for metadata in (
            [],
            [("authorization", "right-token-1")],
            [("authorization", "bearer right-token-1")],
            [("authorization", "Bearer right-token-1 ")],
            [("authorization", "Basic right-token-1")],
            [("authorization-bin", b"Bearer right-token-1")],
        ):
            with pytest.raises(grpc.RpcError) as raised:
                call(stubs, *metadata)
            assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED
            assert reason_of(raised.value) == "UNAUTHENTICATED"
        assert stubs.health.Check(health_pb2.HealthCheckRequest()).status == 1
        assert server.counters.snapshot()["/trichord.v1.FeatureService/Get UNAUTHENTICATED"] == 6


def test_the_principal_reaches_the_policy(tmp_path: Path) -> None:
    from tests.server.serving import SPACE, records
    from trichord.errors import PermissionDenied
    from trichord.filters import Filter, parse
    from trichord.policy import Action, Principal

    class Rules:
        def permits(self, principal: Principal, action: Action) -> None:
            if principal.name == "other" and action in (Action.INGEST, Action.DELETE):
                raise PermissionDenied(f"{principal.name} may only read")

        def visible(self, principal: Principal) -> Filter | None:
            return parse("market = 'SE'") if principal.name == "other" else None

    with Catalog.open(tmp_path / "store", space=SPACE, policy=Rules()) as catalog:
        with catalog.ingestion() as ingestion:
            ingestion.add(records())
        with serving(catalog, tokens=TOKENS) as server:
            with Client(server.address, token=TOKENS["team"]) as team:
                assert len(team.search("red")) == 9
            with Client(server.address, token=TOKENS["other"]) as other:
                assert set(other.search("red").item_ids) == {"covers/red.png", "clips/low.wav"}
                assert other.get("notes/sea").missing_item_ids == ("notes/sea",)
                with pytest.raises(PermissionDenied, match="other may only read"):
                    other.ingest({"item_id": "x", "text": "x"})
                with pytest.raises(PermissionDenied):
                    other.delete("notes/sea")
                assert len(other.similar("covers/red.png")) == 1
                with pytest.raises(NotFound):
                    other.similar("notes/sea")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"address": "music.example:1", "token": "t", "tls": False}, "no token is sent"),
        ({"tls": False, "tls_ca": "ca.pem"}, "tls_ca needs TLS"),
        ({"token": "naïve"}, "not ASCII"),
        ({"token": "a\nb"}, "not ASCII"),
        ({"timeout": 0}, "positive"),
    ],
)
def test_a_client_that_would_be_unsafe_is_refused(arguments: dict, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        Client(**arguments)
    with pytest.raises(InvalidInput, match=says):
        AsyncClient(**arguments)


def test_a_missing_authority_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="ca.pem"):
        Client(tls_ca=tmp_path / "ca.pem")
