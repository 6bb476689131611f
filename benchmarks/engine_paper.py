"""From measured sizes to sizes that nobody measured here: powers fitted to what was, and the nodes
that a layout in shards would need. Paper: what it says beyond the largest size is drawn on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.engine_scale import memory_of

SHARD_ROWS = 10_000_000
"""Five times the largest size measured: as far as a fitted power is believed."""
REPLICAS = 2
NODE_CORES, NODE_BYTES, NODE_DISK_BYTES = 16, 64e9, 2e12
USABLE = 0.75
"""Of a node's memory and disk; the rest is the page cache's least, and room to rebuild a shard."""
MEASURED_CORES = 2


@dataclass(frozen=True)
class Power:
    """y = factor × rows ** exponent, by least squares in logarithms."""

    factor: float
    exponent: float

    @classmethod
    def fitted(cls, rows: Sequence[float], values: Sequence[float]) -> Power:
        """Raises ValueError for fewer than two sizes."""
        if len(set(rows)) < 2:
            raise ValueError("a power needs two sizes at least")
        exponent, constant = np.polyfit(np.log(rows), np.log(values), 1)
        return cls(float(np.exp(constant)), float(exponent))

    def at(self, rows: float) -> float:
        return float(self.factor * rows**self.exponent)


@dataclass(frozen=True)
class PerRow:
    """What a row costs: bytes of the index, of anonymous memory, of raw vectors (once mapped beside
    the index, once in the store), of row tables; and powers for what does not grow by the row."""

    index: float
    anonymous: float
    vectors: float
    tables: float
    store: float
    build_seconds: Power
    query_seconds: Power
    batch_seconds: Power

    @classmethod
    def of(cls, points: Sequence[Mapping[str, Any]]) -> PerRow:
        """From the points of one kind. Anonymous memory by the difference of the largest and the
        smallest size: a process has some before the first row."""
        ordered = sorted(points, key=lambda point: point["rows"])
        small, large = ordered[0], ordered[-1]
        rows = [float(point["rows"]) for point in ordered]

        def power(key: str) -> Power:
            return Power.fitted(rows, [float(np.median(point[key])) for point in ordered])

        grown = memory_of(large) - memory_of(small)
        more = large["rows"] - small["rows"]
        per_index = large["index_bytes"] / large["rows"]
        return cls(
            index=per_index,
            anonymous=grown / more - per_index,
            vectors=large["vectors_bytes"] / large["rows"],
            tables=large["tables_bytes"] / large["rows"],
            store=large["store_bytes"] / large["rows"],
            build_seconds=power("build_seconds"),
            query_seconds=power("p50"),
            batch_seconds=power("batch_seconds_per_query"),
        )


@dataclass(frozen=True)
class Layout:
    """Shards of one index each, every one on `REPLICAS` nodes."""

    rows: int
    shards: int
    shards_per_node: int
    nodes: int
    node_memory: float
    node_disk: float
    build_seconds: float
    query_seconds: float
    queries_per_second: float

    @classmethod
    def of(cls, rows: int, per_row: PerRow) -> Layout:
        """Memory and disk say how many shards a node holds. A query that asks every shard costs the
        work of all of them, shared by all cores; batches, no network."""
        shards = max(1, math.ceil(rows / SHARD_ROWS))
        size = rows / shards
        memory = size * (per_row.index + per_row.anonymous)
        disk = size * (per_row.index + per_row.vectors + per_row.tables + per_row.store)
        fits = min(USABLE * NODE_BYTES // memory, USABLE * NODE_DISK_BYTES // disk)
        each = max(1, min(shards, int(fits)))
        nodes = math.ceil(shards / each) * REPLICAS
        cores = nodes * NODE_CORES
        work = shards * per_row.batch_seconds.at(size) * MEASURED_CORES
        return cls(
            rows=rows,
            shards=shards,
            shards_per_node=each,
            nodes=nodes,
            node_memory=each * memory,
            node_disk=each * disk,
            build_seconds=per_row.build_seconds.at(size),
            query_seconds=per_row.query_seconds.at(size),
            queries_per_second=cores / work,
        )
