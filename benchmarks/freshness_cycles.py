"""One item added, changed and deleted, and how long a server in another process takes to see it."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import numpy as np

from benchmarks import data
from benchmarks.context import table_of
from trichord.catalog import Catalog
from trichord.client import Client
from trichord.errors import DeadlineExceeded, ResourceExhausted, Unavailable
from trichord.hits import Hits
from trichord.query import Record
from trichord.types import F32

POLL_S = 0.01
GIVEN_UP_S = 10.0
ADDED, CHANGED, DELETED = "item committed", "attribute changed", "item deleted"


class Cycles:
    """Commits through `writer`, asks through `client`, one item after the other.

    `seen`: what happened -> seconds from the return of the commit to the first answer that shows
    it. `wrong`: answers that rest on the snapshot of a commit or on a later one and contradict it:
    an item that is deleted, or that a filter excludes since. `refused`: calls that the server did
    not take.
    """

    def __init__(self, writer: Catalog, client: Client, vectors: F32, modality: str) -> None:
        self._writer, self._client = writer, client
        self._vectors, self._modality = vectors, modality
        self._numbers = count()
        self.seen: dict[str, list[float]] = defaultdict(list)
        self.wrong: list[str] = []
        self.refused = 0
        self._gone: list[tuple[F32, frozenset[str], int]] = []
        self._lock = threading.Lock()

    def once(self) -> None:
        number = next(self._numbers)
        vector = self._vectors[number % len(self._vectors)]
        item, market = f"fresh-{number:06d}", f"market-{number}"
        added = self._add(item, vector)
        self._await(ADDED, vector, added, lambda hits: item in hits.item_ids)
        changed = self._change(item, market)
        where = f"market = '{market}'"
        self._await(CHANGED, vector, changed, lambda hits: item in hits.item_ids, where=where)
        self._never(item, vector, changed, where="market = 'SE'")
        self._writer.delete(item)
        deleted = self._writer.refresh()
        self._await(DELETED, vector, deleted, lambda hits: item not in hits.item_ids)
        self.remember(vector[None, :], [item], deleted)
        self.check()

    def remember(self, vectors: F32, items: Sequence[str], deleted: int) -> None:
        """From here on the items must not be in any answer that rests on the snapshot `deleted` or
        a later one; `vectors`, float32 (n, dim), would find them."""
        gone = frozenset(items)
        with self._lock:
            self._gone += [(vector, gone, deleted) for vector in vectors]

    def check(self) -> None:
        """Asks for one that is gone, each in turn."""
        with self._lock:
            if not self._gone:
                return
            self._gone.append(self._gone.pop(0))
            vector, items, deleted = self._gone[-1]
        hits = self._ask(vector)
        there = items.intersection(hits.item_ids) if hits is not None else set()
        if hits is not None and hits.snapshot >= deleted and there:
            self.wrong.append(f"{min(there)} was deleted in {deleted}, found in {hits.snapshot}")

    def _add(self, item: str, vector: F32) -> int:
        rows = data.engine_table(vector[None, :], modality=self._modality)
        rows = rows.set_column(0, "item_id", [[item]])
        rows = rows.set_column(rows.schema.get_field_index("market"), "market", [["SE"]])
        with self._writer.ingestion() as ingestion:
            return ingestion.add_vectors(table_of(rows))[3]

    def _change(self, item: str, market: str) -> int:
        with self._writer.ingestion() as ingestion:
            (answer,) = ingestion.add([Record(item_id=item, attributes={"market": market})])
        if answer.error is not None:
            raise answer.error
        return answer.snapshot

    def _ask(self, vector: F32, **options: Any) -> Hits | None:
        """None where the server does not take the call."""
        try:
            return self._client.search(vector, modality=self._modality, limit=10, **options)
        except (ResourceExhausted, Unavailable, DeadlineExceeded):
            self.refused += 1
            return None

    def _await(
        self,
        what: str,
        vector: F32,
        snapshot: int,
        shown: Callable[[Hits], bool],
        **options: Any,
    ) -> None:
        began = time.perf_counter()
        while True:
            hits = self._ask(vector, **options)
            took = time.perf_counter() - began
            if hits is not None and shown(hits):
                break
            if hits is not None and hits.snapshot >= snapshot:
                self.wrong.append(f"{what}: not shown by snapshot {hits.snapshot} of {snapshot}")
                break
            if took > GIVEN_UP_S:
                break
            time.sleep(POLL_S)
        with self._lock:
            self.seen[what].append(took)

    def _never(self, item: str, vector: F32, changed: int, **options: Any) -> None:
        hits = self._ask(vector, **options)
        if hits is not None and hits.snapshot >= changed and item in hits.item_ids:
            self.wrong.append(f"{item} is excluded since {changed}, found in {hits.snapshot}")


class Repeated:
    """Runs the cycles in a thread, one every `every_s` seconds, until the block ends."""

    def __init__(self, cycles: Cycles, every_s: float) -> None:
        self._cycles, self._every_s = cycles, every_s
        self._stopping = threading.Event()
        self._failed: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, name="cycles", daemon=True)

    def __enter__(self) -> Repeated:
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._stopping.set()
        self._thread.join()
        if self._failed:
            raise self._failed[0]

    def _run(self) -> None:
        try:
            while not self._stopping.wait(self._every_s):
                self._cycles.once()
        except BaseException as error:
            self._failed.append(error)


def of_rows(rows: Sequence[int]) -> list[str]:
    return [data.item_id(int(row)) for row in np.asarray(rows)]
