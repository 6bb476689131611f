"""What the rows of an index are: segments of items, as the store has and as a base keeps them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from trichord.catalog.items import ItemTable
from trichord.types import ABSENT, F32, I64

SPANS = ("start_ms", "end_ms", "start_char", "end_char")
COLUMNS = ("item_id", "ordinal", "generation", *SPANS, "vector")


@dataclass(frozen=True)
class Rows:
    """What each row of an index is: `item` is the row of the item table, -1 for one that is gone.
    `ordinal`, `generation` int64 (n,), `spans` int64 (n, 4) in the order of SPANS."""

    item: I64
    ordinal: I64
    generation: I64
    spans: I64

    def __add__(self, other: Rows) -> Rows:
        if not len(other.item):
            return self
        return Rows(
            np.concatenate([self.item, other.item]),
            np.concatenate([self.ordinal, other.ordinal]),
            np.concatenate([self.generation, other.generation]),
            np.concatenate([self.spans, other.spans]),
        )

    def live(self, items: ItemTable) -> Any:
        """Which rows a live item names, bool (n,)."""
        known = (self.item >= 0) & (self.item < len(items))
        at = np.where(known, self.item, 0)
        if not len(items):
            return np.zeros(len(self.item), bool)
        return known & items.alive[at] & (items.generation[at] == self.generation)


@dataclass(frozen=True)
class Segments:
    """Rows as stored, item ids instead of rows of an item table."""

    item_ids: pa.LargeStringArray
    ordinal: I64
    generation: I64
    spans: I64

    def __len__(self) -> int:
        return len(self.ordinal)

    def rows(self, items: ItemTable) -> Rows:
        return Rows(items.rows_of(self.item_ids), self.ordinal, self.generation, self.spans)

    def packed(self) -> dict[str, npt.NDArray[Any]]:
        """As plain arrays; ids as UTF-8 bytes and offsets."""
        ids, count = self.item_ids, len(self) + 1
        _, offsets, data = ids.buffers()
        starts, text = np.zeros(1, np.int64), np.zeros(0, np.uint8)
        if len(self):
            starts = np.frombuffer(offsets, np.int64)[ids.offset : ids.offset + count]
        if data is not None:
            text = np.frombuffer(data, np.uint8)[starts[0] : starts[-1]]
        return {
            "item_id_offsets": starts - starts[0],
            "item_id_bytes": text,
            "ordinal": self.ordinal,
            "generation": self.generation,
            "spans": self.spans,
        }

    @classmethod
    def unpacked(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Segments:
        """What `packed` made, also where the arrays are memory maps."""
        offsets, text = arrays["item_id_offsets"], arrays["item_id_bytes"]
        ids = pa.LargeStringArray.from_buffers(
            len(offsets) - 1,
            pa.py_buffer(np.ascontiguousarray(offsets)),
            pa.py_buffer(np.ascontiguousarray(text)),
        )
        return cls(
            ids,
            np.asarray(arrays["ordinal"], np.int64),
            np.asarray(arrays["generation"], np.int64),
            np.asarray(arrays["spans"], np.int64),
        )


def drained(
    batches: Iterable[pa.RecordBatch],
    dim: int,
    take: Callable[[F32], object],
    heard: Callable[[int], object] = lambda rows: None,
) -> Segments:
    """What the batches (with the columns COLUMNS) say beside their vectors, each of which goes to
    `take` as float32 (n, dim) and is not held. `heard` is called with the rows so far."""
    parts: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        flat = batch.column("vector").flatten().to_numpy(zero_copy_only=True)
        take(flat.reshape(-1, dim))
        # Copied, or a view would keep the vectors of its batch alive.
        parts.append(_copied(batch.drop_columns(["vector"])))
        rows += len(batch)
        heard(rows)
    if not parts:
        nothing = np.zeros(0, np.int64)
        ids = pa.array([], pa.large_string())
        return Segments(ids, nothing, nothing, np.zeros((0, len(SPANS)), np.int64))
    table = pa.Table.from_batches(parts)
    spans = np.empty((len(table), len(SPANS)), np.int64)
    for number, name in enumerate(SPANS):
        spans[:, number] = table[name].fill_null(ABSENT).to_numpy()
    return Segments(
        pa.chunked_array(table["item_id"]).cast(pa.large_string()).combine_chunks(),
        table["ordinal"].to_numpy().astype(np.int64),
        table["generation"].to_numpy().astype(np.int64),
        spans,
    )


def _copied(batch: pa.RecordBatch) -> pa.RecordBatch:
    return pa.concat_batches([batch.slice(0, 0), batch])
