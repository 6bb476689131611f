"""Content to vectors."""

from __future__ import annotations

import grpc
import numpy as np

from trichord.catalog import Catalog
from trichord.errors import TrichordError
from trichord.query import Audio, Image, Input, Text
from trichord.server.calls import principal
from trichord.server.inputs import Inputs, alone, checked_count
from trichord.types import Modality, Space
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
        # By its own name, so that all of the answer is of one space whatever an alias does.
        space = self._catalog.space_named(request.space or None)
        inputs = self._inputs.inputs(request.inputs)
        alone(inputs)
        rows = [row for row, one in enumerate(inputs) if not isinstance(one, TrichordError)]
        good = [one for one in inputs if not isinstance(one, TrichordError)]
        embedded = self._catalog.embed(good, role=role, space=space.name, principal=principal())
        errors = {row: one for row, one in enumerate(inputs) if isinstance(one, TrichordError)}
        errors |= {rows[row]: error for row, error in embedded.errors.items()}
        alone([errors.get(row) for row in range(len(inputs))])
        vectors = np.zeros((len(inputs), embedded.vectors.shape[1]), np.float32)
        vectors[rows] = embedded.vectors
        response = embedding_pb2.EmbedResponse(vectors=to_vector(vectors, space.frame.id))
        for row, one in enumerate(inputs):
            result = response.results.add()
            if row in errors:
                result.error.CopyFrom(to_status(errors[row]))
            elif not isinstance(one, TrichordError):
                result.encoder = _encoder(one, space)
        return response


def _encoder(one: Input, space: Space) -> str:
    modality = _MODALITIES.get(type(one))
    return "" if modality is None else space.encoders.get(modality, "")
