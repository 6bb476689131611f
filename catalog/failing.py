"""How a record that was refused is remembered in the store's failures."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from trichord.errors import TrichordError
from trichord.query import Record
from trichord.types import IngestFailure


def source_of(record: Record) -> str:
    """What a record is called in failures: where it comes from, else its id."""
    return _storable(record.source or record.item_id or record.entity_id or "(no id)")


def failure_of(record: Record, error: TrichordError, when: datetime) -> IngestFailure:
    """How a record that was refused is remembered."""
    item_id = None if record.item_id is None else _storable(record.item_id)
    return IngestFailure(source_of(record), item_id, error.reason, _storable(str(error)), when)


def _storable(text: Any) -> str:
    """Names of files and ids may hold what is no Unicode text."""
    return str(text).encode("utf-8", "backslashreplace").decode()
