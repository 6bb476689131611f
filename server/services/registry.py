"""What is here."""

from __future__ import annotations

import grpc

from trichord.catalog import Catalog
from trichord.server.calls import principal
from trichord.server.request_log import Counters
from trichord.v1 import registry_pb2, registry_pb2_grpc
from trichord.wire.registry import to_spaces, to_stats


class RegistryService(registry_pb2_grpc.RegistryServiceServicer):
    def __init__(self, catalog: Catalog, counters: Counters) -> None:
        self._catalog = catalog
        self._counters = counters

    def ListSpaces(
        self, request: registry_pb2.ListSpacesRequest, context: grpc.ServicerContext
    ) -> registry_pb2.ListSpacesResponse:
        return to_spaces(self._catalog.spaces(principal=principal()))

    def GetStats(
        self, request: registry_pb2.GetStatsRequest, context: grpc.ServicerContext
    ) -> registry_pb2.GetStatsResponse:
        return to_stats(self._catalog.stats(principal=principal()), self._counters.snapshot())
