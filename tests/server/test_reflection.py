"""A client that knows nothing but the address: no code of ours, only reflection."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.server.serving import channel, serving
from trichord.catalog import Catalog
from trichord.server.app import SERVICES, Server

GENERIC = """
import json, sys
import grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

with grpc.insecure_channel(sys.argv[1]) as channel:
    database = ProtoReflectionDescriptorDatabase(channel)
    services = sorted(database.get_services())
    pool = descriptor_pool.DescriptorPool(database)
    method = pool.FindServiceByName(sys.argv[2]).FindMethodByName(sys.argv[3])
    request = message_factory.GetMessageClass(method.input_type)()
    answer = message_factory.GetMessageClass(method.output_type)
    json_format.ParseDict(json.loads(sys.argv[4]), request)
    call = channel.unary_unary(
        f"/{method.containing_service.full_name}/{method.name}",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=answer.FromString,
    )
    response = json_format.MessageToDict(call(request, timeout=20))
assert not [name for name in sys.modules if name.split(".")[0] == "trichord"]
print(json.dumps({"services": services, "response": response}))
"""


def generic(server: Server, folder: Path, service: str, method: str, request: dict) -> dict:
    done = subprocess.run(
        [sys.executable, "-c", GENERIC, server.address, service, method, json.dumps(request)],
        cwd=folder,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    result: dict = json.loads(done.stdout)
    return result


def test_a_generic_client_lists_the_services_and_searches(server: Server, tmp_path: Path) -> None:
    request = {
        "queries": [{"terms": [{"input": {"text": "red"}}]}],
        "modalities": ["MODALITY_IMAGE"],
        "filter": {"expression": "year <= 2001"},
        "attributes": ["market"],
        "pageSize": 2,
    }
    result = generic(server, tmp_path, "trichord.v1.SearchService", "Search", request)
    assert result["services"] == sorted(
        [*SERVICES, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"]
    )
    hits = result["response"]["hits"]
    assert hits["itemIds"] == ["covers/red.png", "covers/green.png"]
    assert hits["scores"][0] == pytest.approx(1.0, abs=1e-5)
    assert hits["attributes"][0]["strings"]["values"] == ["SE", "NO"]
    assert result["response"]["basis"]["frame"] == "hash/32"


def services(server: Server) -> list[str]:
    with channel(server) as opened:
        stub = reflection_pb2_grpc.ServerReflectionStub(opened)
        asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        (answer,) = stub.ServerReflectionInfo(asked, timeout=20)
        return [service.name for service in answer.list_services_response.service]


def test_reflection_can_be_switched_off_and_needs_the_token(catalog: Catalog) -> None:
    with serving(catalog) as server:
        assert set(SERVICES) < set(services(server))
    with serving(catalog, reflection=False) as server:
        with pytest.raises(grpc.RpcError) as raised:
            services(server)
        assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
    with serving(catalog, tokens={"team": "right-token-1"}) as server:
        with pytest.raises(grpc.RpcError) as raised:
            services(server)
        assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED
