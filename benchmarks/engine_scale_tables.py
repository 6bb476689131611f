"""The tables of docs/scale.md: what was measured, what a row costs, and what is drawn on."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.engine_paper import SHARD_ROWS, Layout, PerRow
from benchmarks.tables import gigabytes, spread, table, time

Told = Mapping[str, Any]
KINDS = {"hnsw": "HNSW-SQ8", "ivf": "IVF, 4-bit PQ"}
PAPER = (100_000_000, 1_000_000_000)


def scale(points: Sequence[Told]) -> str:
    rows = []
    for point in sorted(points, key=lambda point: (point["asked_kind"], point["rows"])):
        batch = statistics.median(point["batch_seconds_per_query"])
        rows.append(
            (
                KINDS[point["asked_kind"]],
                f"{point['rows']:,}",
                f"{point['recall']:.3f}",
                spread(point["p50"]),
                f"{1 / batch:,.0f}",
                time(point["build_seconds"]),
                time(point["open_seconds"]),
                gigabytes(point["anonymous_bytes"]),
                gigabytes(point["index_bytes"]) + ("" if point["index_is_mapped"] else " (inside)"),
                gigabytes(point["vectors_bytes"]),
                gigabytes(point["build_anonymous_most"]),
            )
        )
    return table(
        (
            "index",
            "rows",
            "recall@10",
            "p50, one query",
            "queries/s, batches of 64",
            "build",
            "open",
            "anonymous memory",
            "index",
            "raw vectors, mapped",
            "most anonymous memory while building",
        ),
        rows,
    )


def of_kinds(points: Sequence[Told]) -> dict[str, PerRow]:
    found = {}
    for kind in KINDS:
        mine = [point for point in points if point["asked_kind"] == kind]
        if len(mine) > 1:
            found[kind] = PerRow.of(mine)
    return found


def per_row(by_kind: Mapping[str, PerRow]) -> str:
    rows = [
        (
            KINDS[kind],
            f"{one.index:,.0f}",
            f"{one.anonymous:,.0f}",
            f"{one.tables:,.0f}",
            f"{one.vectors:,.0f} + {one.store:,.0f}",
            f"{one.build_seconds.exponent:.2f}",
            f"{one.query_seconds.exponent:.2f}",
            f"{one.batch_seconds.exponent:.2f}",
        )
        for kind, one in by_kind.items()
    ]
    return table(
        (
            "bytes a row",
            "index",
            "anonymous memory",
            "row tables, mapped",
            "vectors: mapped + store",
            "build time grows by rows to the",
            "p50 by rows to the",
            "batches by rows to the",
        ),
        rows,
    )


def paper(by_kind: Mapping[str, PerRow]) -> str:
    rows = []
    for total in PAPER:
        for kind, one in by_kind.items():
            layout = Layout.of(total, one)
            rows.append(
                (
                    f"{total / 1e6:,.0f} M",
                    KINDS[kind],
                    f"{layout.shards} of {SHARD_ROWS / 1e6:.0f} M",
                    str(layout.shards_per_node),
                    str(layout.nodes),
                    gigabytes(layout.node_memory),
                    gigabytes(layout.node_disk),
                    time(layout.build_seconds),
                    time(layout.query_seconds),
                    f"{layout.queries_per_second:,.0f}",
                )
            )
    return table(
        (
            "rows",
            "index",
            "shards",
            "shards a node",
            "nodes, two replicas",
            "memory of a node",
            "disk of a node",
            "build of a shard on two cores",
            "p50 of a shard",
            "queries/s of all nodes, every shard asked",
        ),
        rows,
    )
