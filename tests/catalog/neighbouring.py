"""Neighbours by brute force over plain lists, and a job that can be killed.

Run as a program it works on a job in a process of its own, which kills itself at a named point or
waits to be killed.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tests.catalog.reference import ORDER, Segment
from tests.fakes import HashSpace
from trichord.catalog import Catalog, neighbour_files
from trichord.query import Record

DIGITS = 6
"""Scores of equal vectors are equal; those that differ do so by more than this in these tests."""


def everything(_: Segment) -> bool:
    return True


def expected(
    segments: Sequence[Segment],
    *,
    group: str = "item",
    from_modality: Iterable[str] = ORDER,
    to_modality: Iterable[str] = (),
    limit: int = 10,
    asks: Callable[[Segment], bool] = everything,
    may_be: Callable[[Segment], bool] = everything,
    min_score: float = -2.0,
) -> list[dict[str, Any]]:
    """The rows of all shards in their order, with the ordinals of the best pairs."""
    rows: list[dict[str, Any]] = []
    for modality in sorted(from_modality, key=ORDER.index):
        mine = [one for one in segments if one.modality == modality and asks(one)]
        for thing in sorted({key(one, group) for one in mine}):
            asking = [one for one in mine if key(one, group) == thing]
            for target in sorted(to_modality or [modality], key=ORDER.index):
                found: dict[Any, tuple[Any, ...]] = {}
                for there in segments:
                    if there.modality != target or not may_be(there):
                        continue
                    if own(there, group) == own(asking[0], group):
                        continue
                    for one in asking:
                        score = float(one.vector.astype(np.float64) @ there.vector)
                        place = (-round(score, DIGITS), one.item, one.ordinal)
                        place += (there.item, there.ordinal, score, one, there)
                        other = key(there, group)
                        found[other] = min(found.get(other, place), place, key=lambda p: p[:5])
                ranked = sorted(found.items(), key=lambda pair: (pair[1][0], pair[0]))
                for rank, (_, place) in enumerate(ranked[:limit], 1):
                    score, one, there = place[5:]
                    if score >= min_score:
                        rows.append(_row(one, there, rank, score))
    return rows


def key(segment: Segment, group: str) -> Any:
    """What a segment's thing is called, in the order of its things."""
    if group == "segment":
        return (segment.item, segment.ordinal)
    return segment.item if group == "item" else segment.entity


def own(segment: Segment, group: str) -> str:
    return segment.entity if group == "entity" else segment.item


def _row(one: Segment, there: Segment, rank: int, score: float) -> dict[str, Any]:
    return {
        "item_id": one.item,
        "entity_id": one.entity,
        "modality": one.modality,
        "rank": rank,
        "neighbour_id": there.item,
        "neighbour_entity_id": there.entity,
        "neighbour_modality": there.modality,
        "score": score,
        "ordinal": one.ordinal,
        "neighbour_ordinal": there.ordinal,
    }


def written(folder: Path) -> pl.DataFrame:
    """All rows, shard after shard."""
    return pl.concat([pl.read_parquet(path) for path in sorted(folder.glob("*.parquet"))])


def agrees(found: pl.DataFrame, rows: Sequence[Mapping[str, Any]]) -> None:
    """The rows that were written are the expected ones, in their order."""
    for name in found.columns:
        if name == "score":
            np.testing.assert_allclose(found[name], [row[name] for row in rows], atol=1e-5)
        elif name in (rows[0] if rows else {}):
            assert found[name].to_list() == [row[name] for row in rows], name
    assert len(found) == len(rows)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def moments(folder: Path) -> dict[str, tuple[int, int]]:
    """What changes when a shard is written again."""
    stats = {path.name: path.stat() for path in folder.glob("*.parquet")}
    return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in stats.items()}


OPTIONS: dict[str, Any] = {"limit": 4, "shard": 7, "batch": 5, "to_modality": "audio,text"}
"""Of the job that is killed: 12 shards, and shards of several batches."""


def fill(store: Path, records: list[Record]) -> None:
    with Catalog.open(store, space=HashSpace()) as catalog, catalog.ingestion() as ingestion:
        ingestion.add(records)


def main(store: str, folder: str, point: str, count: str) -> None:
    left = int(count)

    def hook(name: str) -> None:
        nonlocal left
        if name == point:
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    neighbour_files.set_hook(hook)
    with Catalog.open(store, space=HashSpace()) as catalog:
        sys.stdout.write("ready\n")
        sys.stdout.flush()

        def slowly(done: int, total: int) -> None:
            time.sleep(0.02)  # so that a moment of the test falls into the work

        catalog.neighbours(folder, on_progress=None if point else slowly, **OPTIONS)
        sys.stdout.write("done\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
