"""A stream of records on its way out, and what becomes of each: the state that both clients share.

Files are read here and travel as bytes. A record that cannot be sent (no such file, larger than a
message) is refused on this side, in its place among the acknowledgements.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from trichord.errors import InvalidInput, NotFound, PermissionDenied, TrichordError
from trichord.query import Record
from trichord.results import Acknowledgement, Outcome
from trichord.types import IngestFailure, IngestReport
from trichord.v1 import ingest_pb2
from trichord.wire.records import from_acknowledgement, to_record

Uris = Literal["read", "send"]
Recordlike = Record | Mapping[str, Any]
Sources = Recordlike | str | os.PathLike[str] | Iterable[Recordlike | str | os.PathLike[str]]

_FIELDS = frozenset(one.name for one in fields(Record))
_ENVELOPE_BYTES = 1_024


def recordlike(given: Sources) -> Iterator[Recordlike]:
    """Records as they come; the files, folders and tables among them as their records."""
    if isinstance(given, Record | Mapping | str | os.PathLike):
        given = [given]
    for one in given:
        if isinstance(one, str | os.PathLike):
            from trichord.sources import records_below  # needs polars, for tables

            yield from records_below([os.fspath(one)])
        else:
            yield one


def as_record(given: Recordlike) -> Record:
    """A mapping's keys are those of Record; all others are attributes."""
    if isinstance(given, Record):
        return given
    if not isinstance(given, Mapping):
        raise InvalidInput(f"a record is a Record or a mapping, not {type(given).__name__}")
    known = {name: value for name, value in given.items() if name in _FIELDS}
    others = {name: value for name, value in given.items() if name not in _FIELDS}
    known["attributes"] = {**known.get("attributes", {}), **others}
    return Record(**known)


class Outbox:
    """Records out, in order; acknowledgements back, in the same order."""

    def __init__(self, max_bytes: int, *, send_uris: bool) -> None:
        self._room = max_bytes - _ENVELOPE_BYTES
        self._send_uris = send_uris
        self._sent = 0
        # Written by the thread that sends, read by the one that receives.
        self._waiting: deque[tuple[str, Acknowledgement | None]] = deque()

    def request(self, given: Recordlike) -> ingest_pb2.IngestRequest | None:
        """The message for a record, or None where it is refused here."""
        source, item_id = "", ""
        try:
            record = as_record(given)
            source = record.source or record.uri or record.item_id or record.entity_id or ""
            item_id = record.item_id or ""
            message = self._message(record)
        except TrichordError as error:
            self._waiting.append((source, Acknowledgement(item_id, None, error)))
            return None
        self._sent += 1
        self._waiting.append((source, None))
        return ingest_pb2.IngestRequest(request_id=self._sent, record=message)

    def _message(self, record: Record) -> ingest_pb2.Record:
        if record.uri is not None and not self._send_uris:
            record = self._with_bytes(record)
        try:
            message = to_record(record)
        except UnicodeEncodeError:
            raise InvalidInput("the record holds half of a surrogate pair") from None
        if message.ByteSize() > self._room:
            raise InvalidInput(
                f"the record has {message.ByteSize()} bytes, more than one message may hold: raise "
                "max_message_bytes on both sides, or let the server read the file (uri)"
            )
        return message

    def _with_bytes(self, record: Record) -> Record:
        path = local_path(record.uri or "")
        try:
            if path.stat().st_size > self._room:
                raise InvalidInput(
                    f"{str(path)!r} has {path.stat().st_size} bytes, more than one message may "
                    "hold: raise max_message_bytes on both sides, or let the server read the file"
                )
            data = path.read_bytes()
        except (OSError, ValueError) as error:
            if isinstance(error, TrichordError):
                raise
            raise NotFound(f"cannot read {str(path)!r}: {error}") from None
        return replace(record, uri=None, data=data, item_id=record.item_id or path.name)

    def acknowledge(
        self, response: ingest_pb2.IngestResponse
    ) -> Iterator[tuple[str, Acknowledgement]]:
        """Sources and what became of them: what was refused here before this answer, and this."""
        yield from self.refused()
        source, _ = self._waiting.popleft()
        yield source, from_acknowledgement(response)

    def refused(self) -> Iterator[tuple[str, Acknowledgement]]:
        """What was refused here and is next in order."""
        while self._waiting:
            source, refusal = self._waiting[0]
            if refusal is None:
                return
            self._waiting.popleft()
            yield source, refusal


def local_path(uri: str) -> Path:
    """Raises PermissionDenied for anything but a local path or a file:// uri."""
    if "://" not in uri:
        return Path(uri)
    parts = urlsplit(uri)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        raise PermissionDenied(
            f"{uri!r} is not a local file: nothing is fetched from the network", uri=uri
        )
    return Path(unquote(parts.path))


class Tally:
    """Acknowledgements, counted into a report."""

    def __init__(self) -> None:
        self._outcomes: dict[Outcome | None, int] = {}
        self._segments = 0
        self._snapshot = 0
        self._errors: list[IngestFailure] = []

    def add(self, source: str, given: Acknowledgement) -> None:
        self._outcomes[given.outcome] = self._outcomes.get(given.outcome, 0) + 1
        self._snapshot = max(self._snapshot, given.snapshot)
        self._segments += given.segments
        if given.error is not None:
            self._errors.append(
                IngestFailure(
                    source=source,
                    item_id=given.item_id or None,
                    reason=given.error.reason,
                    message=str(given.error),
                    failed_at=datetime.now(UTC),
                )
            )

    def report(self) -> IngestReport:
        return IngestReport(
            added=self._outcomes.get(Outcome.ADDED, 0),
            changed=self._outcomes.get(Outcome.CHANGED, 0),
            unchanged=self._outcomes.get(Outcome.UNCHANGED, 0),
            failed=len(self._errors),
            segments=self._segments,
            snapshot=self._snapshot,
            errors=tuple(self._errors),
        )
