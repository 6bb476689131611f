"""Inputs that could not be taken, kept until a later run takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from trichord.store.schema import FAILURES_SCHEMA
from trichord.store.tables import append, lance_errors, replace
from trichord.types import IngestFailure


def read_failures(data: Any) -> list[IngestFailure]:
    """Rows of the dataset `failures`, oldest first."""
    with lance_errors("reading table 'failures'"):
        rows = data.to_table().sort_by("failed_at").to_pylist()
    return [IngestFailure(**row) for row in rows]


class FailureBook:
    """The failures of a writer: at most one per (source, item), the last one."""

    def __init__(self, known: Sequence[IngestFailure]) -> None:
        self._known = {(f.source, f.item_id): f for f in known}
        self._sources = {f.source for f in known}

    def __len__(self) -> int:
        return len(self._known)

    def write(
        self, data: Any, failures: Sequence[IngestFailure], resolved_sources: Sequence[str]
    ) -> tuple[Any, FailureBook] | None:
        """The table's next version and the book that describes it; None if nothing changes."""
        resolved = self._sources.intersection(resolved_sources) if self._sources else set()
        if not failures and not resolved:
            return None
        kept = {key: f for key, f in self._known.items() if key[0] not in resolved}
        fresh = {(f.source, f.item_id): f for f in failures}
        book = FailureBook([*{**kept, **fresh}.values()])
        if len(book) == len(self._known) + len(fresh):
            return append(data, _rows([*fresh.values()])), book
        return replace(data, _rows([*book._known.values()])), book


def _rows(failures: Sequence[IngestFailure]) -> pa.Table:
    return pa.Table.from_pylist([asdict(f) for f in failures], schema=FAILURES_SCHEMA)
