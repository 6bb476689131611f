"""What the interceptors do with errors, ids and log lines."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from tests.server.serving import channel, reason_of, serving, status_of
from trichord import errors
from trichord.catalog import Catalog
from trichord.client import Client
from trichord.v1 import feature_pb2, ingest_pb2
from trichord.wire.plans import Stubs


class Broken:
    """A catalog whose `get` and `ingestion` raise what they are told."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self.error: Exception = RuntimeError("secret detail")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._catalog, name)

    def get(self, *_: Any, **__: Any) -> None:
        raise self.error

    def ingestion(self, **_: Any) -> None:
        raise self.error


@pytest.fixture(scope="module")
def broken(catalog: Catalog) -> Broken:
    return Broken(catalog)


@pytest.fixture(scope="module")
def address(broken: Broken) -> Iterator[str]:
    with serving(broken) as server:
        yield server.address


@pytest.fixture
def stubs_of_broken(address: str) -> Iterator[Stubs]:
    with grpc.insecure_channel(address) as opened:
        yield Stubs(opened)


def get(stubs: Stubs, **metadata: str) -> grpc.RpcError:
    pairs = [(key.replace("_", "-"), value) for key, value in metadata.items()]
    with pytest.raises(grpc.RpcError) as raised:
        stubs.feature.Get(feature_pb2.GetRequest(), metadata=pairs)
    return raised.value


def ingest(stubs: Stubs) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as raised:
        list(stubs.ingest.Ingest(iter([ingest_pb2.IngestRequest()])))
    return raised.value


@pytest.mark.parametrize("call", [get, ingest])
def test_a_bug_shows_its_request_id_and_nothing_else(
    broken: Broken, stubs_of_broken: Stubs, caplog: pytest.LogCaptureFixture, call: Any
) -> None:
    broken.error = RuntimeError("secret detail")
    with caplog.at_level(logging.INFO, "trichord.server"):
        error = call(stubs_of_broken)
    assert (error.code(), reason_of(error)) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    request_id = dict(error.trailing_metadata())["x-request-id"]
    assert request_id in error.details()
    assert "secret" not in str(status_of(error)) and "Traceback" not in error.details()
    (bug,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert request_id in bug.getMessage() and bug.exc_info is not None
    assert "secret detail" in str(bug.exc_info[1])


@pytest.mark.parametrize("call", [get, ingest])
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.StoreLocked("another writer"), grpc.StatusCode.ABORTED),
        (errors.StorageFull("disk full"), grpc.StatusCode.RESOURCE_EXHAUSTED),
        (errors.StoreDamaged("checksum"), grpc.StatusCode.DATA_LOSS),
        (errors.EncoderMismatch("other encoder"), grpc.StatusCode.FAILED_PRECONDITION),
        (errors.MissingExtra("faiss", "cpu"), grpc.StatusCode.FAILED_PRECONDITION),
    ],
)
def test_our_errors_have_their_codes(
    broken: Broken, stubs_of_broken: Stubs, call: Any, error: Exception, code: grpc.StatusCode
) -> None:
    broken.error = error
    failed = call(stubs_of_broken)
    assert failed.code() is code
    assert failed.details() == str(error)


def test_the_client_raises_the_class_that_the_server_raised(broken: Broken, address: str) -> None:
    broken.error = errors.StorageFull("the disk is full", path="/data")
    with Client(address) as client:
        with pytest.raises(errors.StorageFull, match="the disk is full") as raised:
            client.get("a")
        assert raised.value.details["path"] == "/data"
        assert re.fullmatch("[0-9a-f]{16}", raised.value.details["request_id"])
        with pytest.raises(errors.StorageFull):
            client.ingest({"item_id": "a", "text": "b"})


def test_a_long_message_still_arrives(broken: Broken, address: str) -> None:
    broken.error = errors.NotFound("ü" * 100_000, ids="x" * 100_000)
    with Client(address) as client, pytest.raises(errors.NotFound, match="üüü"):
        client.get("a")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("my-id_1.2", True),
        ("x" * 64, True),
        ("x" * 65, False),
        ("a b", False),
        ("code=OK", False),
        ("", False),
    ],
)
def test_request_ids_are_taken_if_they_are_harmless(
    broken: Broken, stubs_of_broken: Stubs, given: str, kept: bool
) -> None:
    error = get(stubs_of_broken, x_request_id=given)
    returned = dict(error.trailing_metadata())["x-request-id"]
    assert (returned == given) is kept
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", returned)


def test_every_call_is_one_line_of_the_log(
    catalog: Catalog, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.INFO, "trichord.server.calls"),
        serving(catalog) as server,
        channel(server) as opened,
    ):
        stubs = Stubs(opened)
        _, call = stubs.feature.Get.with_call(
            feature_pb2.GetRequest(), metadata=[("x-request-id", "mine")]
        )
        assert ("x-request-id", "mine") in call.trailing_metadata()
        with pytest.raises(grpc.RpcError):
            stubs.ingest.Delete(ingest_pb2.DeleteRequest(item_ids=["nobody"]))
        assert list(stubs.ingest.Ingest(iter(()))) == []
    lines = [r.getMessage() for r in caplog.records if r.name == "trichord.server.calls"]
    shape = r"call method=(\S+) code=(\S+) ms=\d+\.\d\d principal=local peer=ipv4:\S+ id=(\S+)"
    found = [re.fullmatch(shape, line) for line in lines]
    assert all(found), lines
    assert [match.groups()[:2] for match in found if match] == [
        ("/trichord.v1.FeatureService/Get", "OK"),
        ("/trichord.v1.IngestService/Delete", "NOT_FOUND"),
        ("/trichord.v1.IngestService/Ingest", "OK"),
    ]
    assert found[0] and found[0].group(3) == "mine"
