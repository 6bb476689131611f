"""Content to vectors."""

from __future__ import annotations

import grpc
import numpy as np

from trichord.catalog import Catalog
from trichord.errors import TrichordError
from trichord.query import Audio, Image, Input, Text
from trichord.server.calls import principal
from trichord.server.inputs import Inputs, alone, checked_count
from trichord.types import Modality
from trichord.v1 import embedding_pb2, embedding_pb2_grpc
from trichord.wire.enums import ROLES, member
from trichord.wire.status import to_status
from trichord.wire.vectors import to_vector

_MODALITIES = {Text: Modality.TEXT, Image: Modality.IMAGE, Audio: Modality.AUDIO}


class EmbeddingService(embedding_pb2_grpc.EmbeddingServiceServicer):
    def __init__(self, catalog: Catalog, inputs: Inputs) -> None:
        self._catalog = catalog
        self._inputs = inputs

    def Embed(
        self, request: embedding_pb2.EmbedRequest, context: grpc.ServicerContext
    ) -> embedding_pb2.EmbedResponse:
        checked_count(len(request.inputs), "inputs")
        role = member(ROLES, request.role, "role")
        space = request.space or None
        frame = self._inputs.frame(request.space)
        inputs = self._inputs.inputs(request.inputs, frame)
        alone(inputs)
        rows = [row for row, one in enumerate(inputs) if not isinstance(one, TrichordError)]
        good = [one for one in inputs if not isinstance(one, TrichordError)]
        embedded = self._catalog.embed(good, role=role, space=space, principal=principal())
        errors = {row: one for row, one in enumerate(inputs) if isinstance(one, TrichordError)}
        errors |= {rows[row]: error for row, error in embedded.errors.items()}
        alone([errors.get(row) for row in range(len(inputs))])
        vectors = np.zeros((len(inputs), embedded.vectors.shape[1]), np.float32)
        vectors[rows] = embedded.vectors
        response = embedding_pb2.EmbedResponse(
            vectors=to_vector(vectors, frame.id if frame is not None else "")
        )
        for row, one in enumerate(inputs):
            result = response.results.add()
            if row in errors:
                result.error.CopyFrom(to_status(errors[row]))
            elif not isinstance(one, TrichordError):
                result.encoder = self._encoder(one, space)
        return response

    def _encoder(self, one: Input, space: str | None) -> str:
        modality = _MODALITIES.get(type(one))
        return "" if modality is None else self._catalog.encoder_id(modality, space)
