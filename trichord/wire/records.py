"""Records of an ingest and their acknowledgements <-> messages."""

from __future__ import annotations

from trichord.errors import InvalidInput
from trichord.query import Record
from trichord.results import Acknowledgement
from trichord.types import Frame
from trichord.v1 import ingest_pb2
from trichord.wire.enums import (
    MODALITIES,
    OUTCOME_NUMBERS,
    OUTCOMES,
    member,
    modality_number,
)
from trichord.wire.status import from_status, to_status
from trichord.wire.values import (
    as_time,
    from_timestamp,
    read_attributes,
    to_timestamp,
    write_attributes,
)
from trichord.wire.vectors import one_vector, to_vector


def to_record(record: Record) -> ingest_pb2.Record:
    """Raises InvalidInput for more than one content and values of no attribute type."""
    message = ingest_pb2.Record(item_id=record.item_id or "", entity_id=record.entity_id or "")
    given = [
        name for name in ("data", "text", "uri", "vector") if getattr(record, name) is not None
    ]
    if len(given) > 1:
        raise InvalidInput(f"a record has one content, this one has {' and '.join(given)}")
    if record.modality:
        message.modality = modality_number(record.modality)
    if record.data is not None:
        message.data = record.data
    elif record.text is not None:
        message.text = record.text
    elif record.uri is not None:
        message.uri = record.uri
    elif record.vector is not None:
        message.vector.CopyFrom(to_vector(record.vector, record.frame))
    write_attributes(record.attributes, message.attributes)
    if record.event_timestamp not in (None, ""):
        message.event_timestamp.CopyFrom(to_timestamp(as_time(record.event_timestamp)))
    return message


def from_record(message: ingest_pb2.Record, frame: Frame | None = None) -> Record:
    """Raises InvalidInput, VectorError and FrameMismatch for what cannot be meant."""
    modality = member(MODALITIES, message.modality, "modality")
    content = message.WhichOneof("content")
    return Record(
        item_id=message.item_id or None,
        entity_id=message.entity_id or None,
        modality=modality,
        data=message.data if content == "data" else None,
        text=message.text if content == "text" else None,
        uri=message.uri if content == "uri" else None,
        vector=one_vector(message.vector, frame) if content == "vector" else None,
        attributes=read_attributes(message.attributes),
        event_timestamp=(
            from_timestamp(message.event_timestamp) if message.HasField("event_timestamp") else None
        ),
        frame=message.vector.frame if content == "vector" else "",
    )


def to_acknowledgement(request_id: int, given: Acknowledgement) -> ingest_pb2.IngestResponse:
    response = ingest_pb2.IngestResponse(
        request_id=request_id,
        item_id=given.item_id,
        snapshot=given.snapshot,
        segments=given.segments,
    )
    if given.error is not None:
        response.error.CopyFrom(to_status(given.error))
    elif given.outcome is not None:
        response.outcome = OUTCOME_NUMBERS[given.outcome]
    return response


def from_acknowledgement(message: ingest_pb2.IngestResponse) -> Acknowledgement:
    failed = message.WhichOneof("result") == "error"
    return Acknowledgement(
        item_id=message.item_id,
        outcome=None if failed else member(OUTCOMES, message.outcome, "outcome"),
        error=from_status(message.error) if failed else None,
        snapshot=message.snapshot,
        segments=message.segments,
    )
