"""Stored things by key."""

from __future__ import annotations

import grpc

from trichord.catalog import Catalog
from trichord.server.calls import principal
from trichord.v1 import feature_pb2, feature_pb2_grpc
from trichord.wire.items import to_found


class FeatureService(feature_pb2_grpc.FeatureServiceServicer):
    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def Get(
        self, request: feature_pb2.GetRequest, context: grpc.ServicerContext
    ) -> feature_pb2.GetResponse:
        return to_found(
            self._catalog.get(
                list(request.item_ids),
                entity_ids=list(request.entity_ids),
                attributes=list(request.attributes),
                principal=principal(),
            )
        )
