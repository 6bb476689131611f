"""How much of a run one commit holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes import HashSpace
from trichord.catalog import Catalog, ingesting
from trichord.catalog.ingesting import BATCH_RECORDS, COMMIT_EVERY_S, FIRST_RECORDS, Pace


def test_slow_records_are_committed_in_smaller_batches() -> None:
    pace = Pace()
    assert pace.records == FIRST_RECORDS
    pace.took(FIRST_RECORDS, 4 * COMMIT_EVERY_S)
    assert pace.records == FIRST_RECORDS // 4
    pace.took(8, 1000.0)
    assert pace.records == 1


def test_quick_records_double_up_to_the_bound() -> None:
    pace, sizes = Pace(), []
    for _ in range(10):
        pace.took(pace.records, 0.0)
        sizes.append(pace.records)
    assert sizes[:3] == [64, 128, 256]
    assert sizes[-1] == BATCH_RECORDS == max(sizes)


def test_a_run_makes_several_commits_and_one_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(70):
        (tmp_path / f"{i:03}.txt").write_text(f"word{i} thing")
    monkeypatch.setattr(ingesting, "COMMIT_EVERY_S", 0.0)  # every record takes too long
    done: list[int] = []
    with Catalog.open(tmp_path / "store", space=HashSpace()) as catalog:
        report = catalog.ingest(tmp_path, on_progress=lambda at, total: done.append(at))
        assert done[0] == FIRST_RECORDS and done[1:] == list(range(FIRST_RECORDS + 1, 71))
        assert report.added == 70 and sum(catalog.stats().items.values()) == 70
        assert catalog.search("word69", modality="text")[0].item_id == "069.txt"
