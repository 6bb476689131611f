"""What Lance does when two writers insert the same keys, and why this store has one writer.

Should the first test fail one day, Lance has closed the trap, and the recipe may be reconsidered.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import lance
import pyarrow as pa

from trichord.store.tables import merge

THREADS, ROUNDS, KEYS = 4, 3, 10
SCHEMA = pa.schema(
    [
        pa.field(
            "id", pa.string(), False, metadata={"lance-schema:unenforced-primary-key": "true"}
        ),
        pa.field("by", pa.int64()),
    ]
)


def duplicates(path: Path, *, use_index: bool) -> int:
    """Rows too many after THREADS merges of the same new keys at once, over ROUNDS rounds."""
    seed = pa.table({"id": ["seed"], "by": [0]}, schema=SCHEMA)
    lance.write_dataset(seed, path).create_scalar_index("id", "BTREE")

    def upsert(arguments: tuple[Barrier, int, int]) -> None:
        barrier, round_, thread = arguments
        ids = [f"{round_}-{n}" for n in range(KEYS)]
        rows = pa.table({"id": ids, "by": [thread] * KEYS}, schema=SCHEMA)
        data = lance.dataset(path)
        barrier.wait()
        builder = data.merge_insert("id").when_matched_update_all().when_not_matched_insert_all()
        builder.use_index(use_index).execute(rows)

    with ThreadPoolExecutor(THREADS) as pool:
        for round_ in range(ROUNDS):
            barrier = Barrier(THREADS)
            list(pool.map(upsert, [(barrier, round_, thread) for thread in range(THREADS)]))
    return int(lance.dataset(path).count_rows()) - 1 - ROUNDS * KEYS


def test_merging_through_an_indexed_key_writes_duplicates_without_an_error(tmp_path: Path) -> None:
    assert duplicates(tmp_path / "unsafe.lance", use_index=True) > 0


def test_merging_on_a_declared_key_without_an_index_does_not(tmp_path: Path) -> None:
    assert duplicates(tmp_path / "safe.lance", use_index=False) == 0


def test_our_merge_replaces_and_adds(tmp_path: Path) -> None:
    rows = pa.table({"id": ["a", "b"], "by": [1, 1]}, schema=SCHEMA)
    data = lance.write_dataset(rows, tmp_path / "t.lance")
    data.create_scalar_index("id", "BTREE")
    rows = pa.table({"id": ["b", "c"], "by": [2, 2]}, schema=SCHEMA)
    after = merge(data, "id", rows, updated=1).to_table().sort_by("id").to_pydict()
    assert after == {"id": ["a", "b", "c"], "by": [1, 2, 2]}
