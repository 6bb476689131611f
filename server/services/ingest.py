"""Writing: records in, one acknowledgement per record out."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace

import grpc

from trichord.catalog import Catalog
from trichord.catalog.ingestion import Ingestion
from trichord.errors import TrichordError, Unavailable
from trichord.query import Record
from trichord.results import Acknowledgement
from trichord.server.calls import principal
from trichord.server.inputs import attempted
from trichord.server.intake import Intake
from trichord.server.settings import Settings
from trichord.server.uris import MediaRoot
from trichord.v1 import ingest_pb2, ingest_pb2_grpc
from trichord.wire.records import from_record, to_acknowledgement


class IngestService(ingest_pb2_grpc.IngestServiceServicer):
    """`stopping` is set when the server drains: a stream then ends after what it has taken."""

    def __init__(
        self, catalog: Catalog, media: MediaRoot, settings: Settings, stopping: threading.Event
    ) -> None:
        self._catalog = catalog
        self._media = media
        self._settings = settings
        self._stopping = stopping

    def Ingest(
        self, request_iterator: Iterator[ingest_pb2.IngestRequest], context: grpc.ServicerContext
    ) -> Iterator[ingest_pb2.IngestResponse]:
        with (
            closing(Intake(request_iterator, self._settings)) as intake,
            self._catalog.ingestion(principal=principal()) as ingestion,
        ):
            while (batch := intake.take(self._stopping)) is not None:
                yield from self._stored(batch, ingestion)
        if not intake.ended:
            raise Unavailable("the server is stopping; what was acknowledged is stored")

    def _stored(
        self, batch: Sequence[ingest_pb2.IngestRequest], ingestion: Ingestion
    ) -> Iterator[ingest_pb2.IngestResponse]:
        records = attempted(self._record, batch)
        stored = iter(ingestion.add([one for one in records if isinstance(one, Record)]))
        for request, record in zip(batch, records, strict=True):
            if isinstance(record, TrichordError):
                given = Acknowledgement(request.record.item_id, None, record)
            else:
                given = next(stored)
            yield to_acknowledgement(request.request_id, given)

    def _record(self, request: ingest_pb2.IngestRequest) -> Record:
        record = from_record(request.record)
        if record.uri is None:
            return record
        path, name = self._media.file(record.uri)
        return replace(record, uri=str(path), item_id=record.item_id or name, source=record.uri)

    def Delete(
        self, request: ingest_pb2.DeleteRequest, context: grpc.ServicerContext
    ) -> ingest_pb2.DeleteResponse:
        deleted = self._catalog.delete(
            list(request.item_ids), entity_ids=list(request.entity_ids), principal=principal()
        )
        return ingest_pb2.DeleteResponse(deleted_items=deleted, snapshot=self._catalog.refresh())
