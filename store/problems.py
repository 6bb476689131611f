"""One thing that is wrong with a store."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """`kind` is a short word for programs, `key` the row, file or version it is about.

    Kinds: unreadable, missing-version, missing-file, changed-file, unrecorded-file, missing-table,
    frame, encoder-facts, duplicate-key, bad-row, count, orphan, missing-segments, ordinals,
    unknown-encoder, checksum, not-unit.
    """

    kind: str
    table: str
    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.kind} in {self.table}{f' ({self.key})' if self.key else ''}: {self.message}"
