"""A whole ingest: sources in batches through an `Ingestion`, counted and reported."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from trichord.catalog import vectors
from trichord.catalog.failing import failure_of
from trichord.catalog.ingestion import Ingestion
from trichord.query import Record
from trichord.results import Outcome
from trichord.sources import Source, Table, count, records, sources
from trichord.types import IngestFailure, IngestReport

FIRST_RECORDS = 32
BATCH_RECORDS = 1_024
COMMIT_EVERY_S = 3.0
"""Records per commit: few at first, then as many as take about this long. A killed run loses
seconds of embedding however slow the model is; quick texts do not make a version per handful."""

BATCH_VECTORS = 50_000
"""Ready vectors per commit: one version per many rows keeps Lance fast."""

Progress = Callable[[int, int], None]


def run(
    ingestion: Ingestion, paths: Sequence[str | Path], on_progress: Progress | None
) -> IngestReport:
    """Takes everything below the paths; see `Catalog.ingest`."""
    found = sources(paths)
    total, done = count(found), 0
    outcomes: dict[Outcome, int] = dict.fromkeys(Outcome, 0)
    errors: list[IngestFailure] = []
    segments = snapshot = 0
    pace = Pace()
    for batch in _batches(found, ingestion, pace):
        if isinstance(batch, Table):
            before, rows = done, len(batch.frame)
            for taken in ingestion.add_parts(batch, BATCH_VECTORS):
                counted, failed, written, snapshot = taken
                for outcome, number in counted.items():
                    outcomes[outcome] += number
                errors += failed
                segments += written
                done = min(done + BATCH_VECTORS, before + rows)
                if on_progress is not None:
                    on_progress(done, total)
        else:
            began = time.monotonic()
            answers = ingestion.add(batch)
            pace.took(len(batch), time.monotonic() - began)
            for record, answer in zip(batch, answers, strict=True):
                segments += answer.segments
                snapshot = max(snapshot, answer.snapshot)
                if answer.outcome is not None:
                    outcomes[answer.outcome] += 1
                elif answer.error is not None:
                    errors.append(failure_of(record, answer.error, datetime.now(UTC)))
            done += len(batch)
            if on_progress is not None:
                on_progress(done, total)
    return IngestReport(
        outcomes[Outcome.ADDED],
        outcomes[Outcome.CHANGED],
        outcomes[Outcome.UNCHANGED],
        len(errors),
        segments,
        snapshot or ingestion.writer.snapshot.id,
        tuple(errors),
    )


class Pace:
    """How many records the next commit takes."""

    def __init__(self) -> None:
        self.records = min(FIRST_RECORDS, BATCH_RECORDS)

    def took(self, records: int, seconds: float) -> None:
        """Twice as many at the most: one quick batch of known content says little of the next."""
        fitting = int(records * COMMIT_EVERY_S / max(seconds, 1e-3))
        self.records = max(1, min(fitting, 2 * self.records, BATCH_RECORDS))


def _batches(
    found: Sequence[Source], ingestion: Ingestion, pace: Pace
) -> Iterator[Table | list[Record]]:
    waiting: list[Record] = []
    for source in found:
        if isinstance(source, Table) and vectors.problem(source.frame, ingestion.space) is None:
            if waiting:
                yield waiting
                waiting = []
            yield source
            continue
        for record in records(source) if isinstance(source, Table) else [source]:
            waiting.append(record)
            if len(waiting) >= pace.records:
                yield waiting
                waiting = []
    if waiting:
        yield waiting
