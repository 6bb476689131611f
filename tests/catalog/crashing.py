"""A piece of work on a catalogue that can be cut off anywhere and done again.

Run as a program it works in a process of its own, which kills itself at a named point.
"""

from __future__ import annotations

import os
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.fakes import HashSpace, png, wav
from trichord.catalog import Catalog, ingesting
from trichord.index import failpoints as index_failpoints
from trichord.store import failpoints as store_failpoints


def prepare(folder: Path) -> None:
    """Files of all kinds, some of them bad, and a table about them."""
    folder.mkdir()
    colours, pitches = ("red", "green", "blue"), ("low", "middle", "high")
    for number in range(9):
        (folder / f"p{number}.png").write_bytes(png(colours[number % 3], seed=number))
        (folder / f"s{number}.wav").write_bytes(
            wav([pitches[number % 3], pitches[number % 2]], seed=number)
        )
        (folder / f"t{number}.txt").write_text(f"words {number} of a text that is stored")
    (folder / "bad.png").write_bytes(b"\x00\x01")
    lines = [f"p{n}.png,SE,{n}\n" for n in range(6)] + ["nowhere,NO,1\n"]
    (folder / "facts.csv").write_text("id,market,rank\n" + "".join(lines))
    (folder / "things.csv").write_text("entity,mood\np1.png,calm\nnobody,wild\n")


def work(store: Path, folder: Path) -> None:
    """Ingests, deletes, compacts, indexes; doing it again changes nothing more."""
    ingesting.BATCH_RECORDS = 7
    with Catalog.open(store, space=HashSpace()) as catalog:
        catalog.ingest(folder, folder / "facts.csv", folder / "things.csv")
        gone = [item.item_id for item in catalog.get(["p0.png", "s3.wav"]).items]
        if gone:
            catalog.delete(gone)
        catalog.compact(keep_snapshots=1, retain=timedelta(0))
        catalog.build_indexes(everything=True, threads=1)


def state(store: Path) -> dict[str, Any]:
    """All that the store holds but for times, versions and numbers of commits."""
    with Catalog.open(store, space=HashSpace()) as catalog:
        reader = catalog._views.newest.reader
        # The fingerprint of what a record says covers its path, which is another in each test.
        vary = {"created_timestamp", "revision", "generation", "attributes_fingerprint"}

        def rows(table: Any) -> list[dict[str, Any]]:
            return [{k: v for k, v in row.items() if k not in vary} for row in table.to_pylist()]

        segments = [row for batch in reader.segments("hash") for row in rows(batch)]
        vectors = {
            (row["item_id"], row["ordinal"]): [round(x, 5) for x in row.pop("vector")]
            for row in segments
        }
        problems = catalog.verify().problems
        assert problems == (), problems
        hits = catalog.search("red words", limit=100, group="segment", exact=True)
        places = zip(hits.item_ids, hits.segment_ordinals.tolist(), strict=True)
        return {
            "items": sorted(rows(reader.items()), key=lambda row: row["item_id"]),
            "entities": sorted(rows(reader.entities()), key=lambda row: row["entity_id"]),
            "segments": sorted(segments, key=lambda row: (row["item_id"], row["ordinal"])),
            "vectors": vectors,
            "failures": {(f.source, f.item_id, f.reason, f.message) for f in catalog.failures()},
            "found": {place: round(s, 5) for place, s in zip(places, hits.scores, strict=True)},
        }


def main(store: str, folder: str, point: str, count: str) -> None:
    left = int(count)

    def hook(name: str) -> None:
        nonlocal left
        if name == point or not point:
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    store_failpoints.set_hook(hook)
    index_failpoints.set_hook(hook)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    work(Path(store), Path(folder))
    sys.stdout.write("done\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
