from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2

import trichord
from tests.server.serving import SPACE, Gate, channel, serving
from tests.server.test_overload import SEARCH, until
from trichord.catalog import Catalog
from trichord.client import Client
from trichord.errors import InvalidInput, NotFound, Unavailable
from trichord.server.app import SERVICES, Server, serve
from trichord.server.settings import Settings
from trichord.v1 import ingest_pb2
from trichord.wire.plans import Stubs

ROOT = Path(trichord.__file__).parents[1]
SERVING, NOT_SERVING = 1, 2


def test_health_names_every_service(server: Server, stubs: Stubs) -> None:
    for name in ("", *SERVICES):
        request = health_pb2.HealthCheckRequest(service=name)
        assert stubs.health.Check(request).status == SERVING
    with pytest.raises(grpc.RpcError) as raised:
        stubs.health.Check(health_pb2.HealthCheckRequest(service="nothing"))
    assert raised.value.code() is grpc.StatusCode.NOT_FOUND


def test_it_serves_once_the_catalog_is_warm(catalog: Catalog) -> None:
    class Slow:
        def __init__(self) -> None:
            self.warm = threading.Event()

        def __getattr__(self, name: str) -> object:
            return getattr(catalog, name)

        def warm_up(self) -> None:
            assert self.warm.wait(30)

    slow = Slow()
    server = Server(slow, Settings(listen="127.0.0.1:0"))  # type: ignore[arg-type]
    starting = threading.Thread(target=server.start)
    starting.start()
    with channel(server) as opened:
        watch = Stubs(opened).health.Watch(
            health_pb2.HealthCheckRequest(), timeout=20, wait_for_ready=True
        )
        assert next(watch).status == NOT_SERVING
        slow.warm.set()
        assert next(watch).status == SERVING
        starting.join()
        server.stop()
        assert next(watch).status == NOT_SERVING
        watch.cancel()


def test_a_catalog_that_cannot_warm_up_stops_the_server(catalog: Catalog) -> None:
    class Cold:
        def __getattr__(self, name: str) -> object:
            return getattr(catalog, name)

        def warm_up(self) -> None:
            raise NotFound("an index is gone")

    server = Server(Cold(), Settings(listen="127.0.0.1:0"))  # type: ignore[arg-type]
    with pytest.raises(NotFound, match="an index is gone"):
        server.start()
    with Client(server.address, timeout=5) as client, pytest.raises(Unavailable):
        client.health()


def test_a_second_server_on_the_port_fails_in_one_line(
    server: Server, catalog: Catalog, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InvalidInput) as raised:
        Server(catalog, Settings(listen=server.address))
    assert f"another program listens on {server.address}" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert capfd.readouterr() == ("", "")


def test_an_address_of_another_machine_fails(catalog: Catalog, tmp_path: Path) -> None:
    settings = Settings(
        listen="192.0.2.1:50051",
        tokens={"a": "long-enough"},
        tls_cert=tmp_path / "no-cert.pem",
        tls_key=tmp_path / "no-key.pem",
    )
    with pytest.raises(InvalidInput, match="cannot listen on 192.0.2.1:50051"):
        Server(catalog, settings)


def test_missing_certificates_are_said(catalog: Catalog, tmp_path: Path) -> None:
    settings = Settings(
        listen="127.0.0.1:0", tls_cert=tmp_path / "cert.pem", tls_key=tmp_path / "key.pem"
    )
    with pytest.raises(NotFound, match="tls_key .*key.pem"):
        Server(catalog, settings)


def test_a_unix_socket(catalog: Catalog, tmp_path: Path) -> None:
    listen = f"unix:{tmp_path}/t.sock"
    with serving(catalog, listen=listen) as server, Client(server.address) as client:
        assert client.health() and len(client.search("red")) == 9
        with pytest.raises(InvalidInput, match="another program"):
            Server(catalog, Settings(listen=listen))
    with (
        serving(catalog, listen=listen),
        Client(listen) as client,
    ):  # the old file is in nobody's way
        assert client.health()


def test_running_calls_end_and_new_ones_are_refused(catalog: Catalog) -> None:
    gate = Gate(catalog)
    with serving(gate, grace_s=20) as server, channel(server) as opened:
        stubs = Stubs(opened)
        running = stubs.search.Search.future(SEARCH)
        assert gate.entered.acquire(timeout=10)
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        until(server._stopping.is_set)
        with Client(server.address, timeout=5) as client, pytest.raises(Unavailable):
            client.search("red")
        gate.open.set()
        assert running.result(10).answers[0].count == 9
        stopping.join(10)
        assert not stopping.is_alive()


def test_an_open_stream_ends_after_what_it_has_sent(catalog: Catalog, tmp_path: Path) -> None:
    hold = threading.Event()

    def records() -> Iterator[dict]:
        yield {"item_id": "before", "text": "red"}
        assert hold.wait(30)

    with Catalog.open(tmp_path / "store", space=SPACE) as store:
        with serving(store, grace_s=20) as server, Client(server.address) as client:
            stream = client.ingest_stream(records())
            assert next(stream).item_id == "before"
            server.stop()
            with pytest.raises(Unavailable, match="stopping; what was acknowledged is stored"):
                next(stream)
            hold.set()
        assert store.get("before").items


SCRIPT = """
import logging, sys
from tests.server.serving import SPACE
from trichord.server.app import serve
from trichord.server.settings import Settings

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(name)s %(message)s")
    serve(sys.argv[1], Settings(listen="127.0.0.1:0"), space=SPACE, create=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_a_server_process(tmp_path: Path, number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "store")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        address = ""
        for line in process.stderr:
            if line.startswith("trichord.server listening on "):
                address = line.split()[3]
                break
        with Client(address) as client:
            assert client.health()
            assert client.ingest({"item_id": "a", "text": "red"}).added == 1
            stream = client.ingest_stream(forever := _Forever())
            assert next(stream).item_id == "b"
            process.send_signal(number)
            with pytest.raises(Unavailable):
                list(stream)
            forever.end.set()
        rest = process.stderr.read()
        assert process.wait(20) == 0, rest
        assert "stopping" in rest and "Traceback" not in rest
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
    with Catalog.open(tmp_path / "store", create=False, space=SPACE) as store:
        assert len(store.get(["a", "b"]).items) == 2


class _Forever:
    def __init__(self) -> None:
        self.end = threading.Event()

    def __iter__(self) -> Iterator[dict]:
        yield {"item_id": "b", "text": "blue"}
        assert self.end.wait(30)


def test_serve_refuses_a_store_that_is_not_there(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(NotFound, match="no store"):
        serve(tmp_path / "nothing", Settings(listen="127.0.0.1:0"))
    assert signal.getsignal(signal.SIGTERM) is before
    assert not (tmp_path / "nothing").exists()


def test_stubs_of_another_version_are_told(server: Server) -> None:
    with channel(server) as opened:
        unknown = opened.unary_unary(
            "/trichord.v1.SearchService/Nothing",
            request_serializer=ingest_pb2.DeleteRequest.SerializeToString,
            response_deserializer=ingest_pb2.DeleteResponse.FromString,
        )
        with pytest.raises(grpc.RpcError) as raised:
            unknown(ingest_pb2.DeleteRequest())
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
