"""Embedding for a further space what is stored: the store itself is the ledger.

An item lacks a space or it does not; each commit takes items off that list, so a run that was
killed is continued by looking at the list again, and nothing is embedded twice.
"""

from __future__ import annotations

import hashlib
import logging
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pyarrow as pa

from trichord.catalog import migrating, rows
from trichord.catalog.encoding import PLAIN_TEXT, Content, ContentEncoder, Segments
from trichord.catalog.ingesting import COMMIT_EVERY_S, Pace
from trichord.catalog.migrating import Record, failure_source
from trichord.catalog.models import Models
from trichord.embedders.media.source import open_source
from trichord.errors import MediaError, StoreError, TrichordError
from trichord.results import BackfillPhase, BackfillProgress, MigrationState
from trichord.store import Store, Writer
from trichord.types import IngestFailure, Modality, Space

Phase = BackfillPhase
OnProgress = Callable[[BackfillProgress], object]

PAGE_ROWS = 2_048
"""Lacking items that are looked up at once."""

COPY_ROWS = 4_096
"""Items whose vectors are copied in one commit."""

log = logging.getLogger("trichord.catalog")


class Bucket:
    """Lets so many items per second through; `rate` None lets all."""

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._free_at = time.monotonic()

    def most(self) -> int | None:
        """How many items to ask for at once, so that commits come as often as usual."""
        return None if self._rate is None else max(1, int(self._rate * COMMIT_EVERY_S))

    def take(self, count: int, stop: threading.Event) -> bool:
        """Waits until `count` items may go; False if told to stop meanwhile."""
        if self._rate is None:
            return not stop.is_set()
        now = time.monotonic()
        wait = self._free_at - now
        self._free_at = max(now, self._free_at) + count / self._rate
        return not (stop.wait(wait) if wait > 0 else stop.is_set())


@dataclass(frozen=True)
class Waiting:
    """An item that lacks the space, as it was seen; `generation` tells if it is still that."""

    item_id: str
    modality: Modality
    uri: str | None
    text: str | None
    content_hash: str
    generation: int


class Job:
    """One run of a backfill. `lock` is held while something is committed, so that others who
    write in this process take turns with it."""

    def __init__(
        self,
        store: Store,
        writer: Writer,
        lock: threading.RLock,
        models: Models,
        rate: float | None,
        limit: int | None,
        stop: threading.Event,
        told: OnProgress,
    ) -> None:
        self._store = store
        self._writer = writer
        self._lock = lock
        self._models = models
        self._bucket = Bucket(rate)
        self._left = limit
        self._stop = stop
        self._told = told
        self._began = time.monotonic()
        self._failed: set[str] = set()
        self._progress = BackfillProgress("", Phase.RUNNING)

    def lacks(self, space: Space, record: Record) -> bool:
        """Whether there is anything to do."""
        return any(self._counts(one) for one in self._sides(space, record))

    def run(self, space: Space, record: Record) -> BackfillProgress:
        """Until nothing that this run has not tried is lacking, or it is told to stop."""
        sides = self._sides(space, record)
        total = sum(self._counts(side) for side in sides)
        if self._left is not None:
            total = min(total, self._left)
        self._progress = BackfillProgress(space.name, Phase.RUNNING, total)
        self._tell()
        for side in sides:
            if self._counts(side):
                self._models.load(side)
                with self._lock:
                    self._models.admit(self._models.fitting(side), self._writer)
                self._failed = set()
                self._copy(side, record)
                while self._going and self._sweep(side, record):
                    pass  # what changed while it was embedded comes again
        phase = Phase.CANCELLED if self._stop.is_set() else Phase.DONE
        return self._tell(phase=phase, eta_s=None)

    @property
    def _going(self) -> bool:
        return not self._stop.is_set() and (self._left is None or self._left > 0)

    def _sides(self, space: Space, record: Record) -> list[Space]:
        """The new space, and once it is live the old one too, so that the way back stays open."""
        sides = [space]
        if record.state is MigrationState.LIVE:
            sides += [s for s in self._store.spaces() if s.name == record.source]
        return sides

    def _counts(self, space: Space) -> int:
        counted = self._store.reader().lacking_count(space.name, list(space.encoders))
        return sum(counted.values())

    # Vectors that another space has already

    def _copy(self, space: Space, record: Record) -> None:
        for stored in self._store.reader().spaces():
            donor = stored.space
            if donor.name == space.name or donor.frame != space.frame:
                continue
            same = [m for m, e in space.encoders.items() if donor.encoders.get(m) == e]
            if same:
                self._copy_from(donor.name, space, same, record)

    def _copy_from(
        self, donor: str, space: Space, modalities: Sequence[Modality], record: Record
    ) -> None:
        after = ""
        while self._going:
            with self._lock:
                self._check(record)
                reader = self._store.reader()
                most = COPY_ROWS if self._left is None else min(COPY_ROWS, self._left)
                page = reader.lacking(space.name, modalities, limit=most, after=after)
                if not page.num_rows:
                    return
                ids = page["item_id"].to_pylist()
                after = ids[-1]
                # Those that the donor lacks too are left out.
                added = self._writer.copy_segments(
                    donor,
                    space.name,
                    ids,
                    resolved_sources=[failure_source(space.name, one) for one in ids],
                    message=f"copied from {donor} to {space.name}",
                )
            self._dealt_with(added.items, added.id, copied=added.items)

    # Vectors that must be made

    def _sweep(self, space: Space, record: Record) -> int:
        """Goes through all that is lacking once; how many items it tried."""
        encoder = self._models.fitting(space)
        waiting: deque[Waiting] = deque()
        pace, after, tried = Pace(), "", 0
        while self._going:
            if not waiting:
                page, after = self._page(space, after)
                if not after:
                    break
                waiting.extend(one for one in page if one.item_id not in self._failed)
                continue
            sizes = (pace.records, len(waiting), self._bucket.most(), self._left)
            batch = [
                waiting.popleft() for _ in range(min(size for size in sizes if size is not None))
            ]
            if not self._bucket.take(len(batch), self._stop):
                break
            began = time.monotonic()
            made = self._embedded(batch, encoder)
            self._commit(space, record, batch, made)
            pace.took(len(batch), time.monotonic() - began)
            tried += len(batch)
        return tried

    def _page(self, space: Space, after: str) -> tuple[list[Waiting], str]:
        """The next lacking items and the id of the last; an empty id at the end."""
        columns = ["item_id", "modality", "uri", "text", "content_hash", "generation"]
        page = self._store.reader().lacking(
            space.name, list(space.encoders), limit=PAGE_ROWS, after=after
        )
        waiting = [
            Waiting(
                row["item_id"],
                Modality(row["modality"]),
                row["uri"],
                row["text"],
                row["content_hash"] or "",
                row["generation"],
            )
            for row in page.select(columns).to_pylist()
        ]
        return waiting, waiting[-1].item_id if waiting else ""

    def _embedded(self, batch: Sequence[Waiting], encoder: ContentEncoder) -> list[Segments]:
        contents: list[Content] = []
        made: list[Segments | None] = []
        for one in batch:
            try:
                contents.append(content_of(one, encoder))
                made.append(None)
            except TrichordError as error:
                made.append(Segments(error=error))
        encoded = iter(encoder.encode(contents))
        return [next(encoded) if one is None else one for one in made]

    def _commit(
        self, space: Space, record: Record, batch: Sequence[Waiting], made: Sequence[Segments]
    ) -> None:
        good = [(one, made_) for one, made_ in zip(batch, made, strict=True) if not made_.error]
        errors = {
            one.item_id: (one, made_.error)
            for one, made_ in zip(batch, made, strict=True)
            if made_.error
        }
        with self._lock:
            self._check(record)
            failures = self._failures(space, errors)
            message = f"{len(good)} items embedded for {space.name}"
            stale, items = 0, 0
            if good:
                table = rows.segments_table(
                    [(one.item_id, one.modality, segments) for one, segments in good], space
                )
                seen = [one.generation for one, segments in good for _ in segments.vectors]
                added = self._writer.add_segments(
                    space.name,
                    table.append_column("generation", pa.array(seen, pa.int64())),
                    failures=failures,
                    resolved_sources=[failure_source(space.name, one.item_id) for one, _ in good],
                    message=message,
                )
                snapshot, items, stale = added.id, added.items, len(added.skipped)
            else:
                snapshot = self._writer.commit(failures=failures, message=message).id
        self._failed.update(one.item_id for one in failures if one.item_id is not None)
        # What changed meanwhile counts once it comes again; what is gone is not missed.
        self._dealt_with(
            len(batch) - stale - (len(errors) - len(failures)),
            snapshot,
            embedded=items,
            failed=len(failures),
        )

    def _failures(
        self, space: Space, errors: Mapping[str, tuple[Waiting, TrichordError]]
    ) -> list[IngestFailure]:
        """Of those items that still are what was tried."""
        if not errors:
            return []
        before = migrating.failed_items(space.name, self._store.failures())
        now = self._writer.lookup(list(errors))
        there = now.has(self._store.reader().space_bit(space.name))
        return [
            failure(space.name, one.item_id, error, before)
            for (one, error), found, generation, has in zip(
                errors.values(), now.found, now.generation, there, strict=True
            )
            if found and not has and generation == one.generation
        ]

    def _check(self, record: Record) -> None:
        """Raises StoreError if the migration ended meanwhile."""
        now = migrating.read(self._store.reader().records(migrating.KIND)).get(record.space)
        if now is None or not now.state.under_way or now.registered_at != record.registered_at:
            state = "gone" if now is None else now.state
            raise StoreError(f"the migration to {record.space!r} is {state}: the backfill ends")

    def _dealt_with(self, count: int, snapshot: int, **counted: int) -> None:
        if self._left is not None:
            self._left -= count
        before = self._progress
        done = before.done + count
        rate = done / max(time.monotonic() - self._began, 1e-6)
        # More may have come in that another process took without embedding it for this space.
        total = max(before.total, done)
        self._tell(
            total=total,
            done=done,
            rate=rate,
            eta_s=(total - done) / rate if rate else None,
            snapshot=snapshot,
            **{name: getattr(before, name) + number for name, number in counted.items()},
        )

    def _tell(self, **changed: Any) -> BackfillProgress:
        self._progress = replace(self._progress, **changed)
        self._told(self._progress)
        return self._progress


def content_of(one: Waiting, encoder: ContentEncoder) -> Content:
    """The content that the item was ingested from, from its file or the stored text.

    Raises MediaError where neither is that any more.
    """
    why = "its bytes were sent and are not stored"
    if one.uri is not None:
        path = Path(one.uri.removeprefix("file://"))
        try:
            with open_source(path, encoder.limits) as file:
                digest = hashlib.file_digest(cast(Any, file), "sha256").hexdigest()
            if digest == one.content_hash:
                content = encoder.content(path)
                if content.media.modality is one.modality:
                    return content
            why = f"{path.name!r} is no longer what was ingested"
        except (TrichordError, OSError) as error:
            why = f"its file cannot be read ({error})"
    if one.modality is Modality.TEXT and one.text is not None:
        return Content(PLAIN_TEXT, one.text)
    if not one.content_hash:
        why = "it was given as a vector"
    raise MediaError(
        f"{why}: ingest it again, then only what is lacking is embedded", item_id=one.item_id
    )


_ATTEMPT = re.compile(r" \(attempt (\d+)\)$")


def failure(
    space: str, item_id: str, error: TrichordError, before: Mapping[str, IngestFailure]
) -> IngestFailure:
    """How it is remembered that an item could not be embedded for a space, and how often."""
    known = before.get(item_id)
    found = None if known is None else _ATTEMPT.search(known.message)
    attempt = 1 if known is None else int(found.group(1)) + 1 if found else 2
    return IngestFailure(
        failure_source(space, item_id),
        item_id,
        error.reason,
        f"{error} (attempt {attempt})" if attempt > 1 else str(error),
        datetime.now(UTC),
    )
