"""Tables, bars and the page from results that are written by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.peers import bars, figures, page, results, tables
from benchmarks.peers.engines import ENGINES
from benchmarks.peers.wording import one_line


def timed(*milliseconds: float, calls: int = 100) -> list[dict[str, float]]:
    return [{"p50": ms / 1e3, "p99": ms / 500, "calls": calls} for ms in milliseconds]


def measured(single: list[Any], batch: list[Any], effort: Any = None, **other: Any) -> Any:
    return {
        "effort": effort or {},
        "recall": 0.961,
        "queries": 500,
        "short": 0,
        "outside": 0,
        "single": single,
        "batch": batch,
        **other,
    }


@pytest.fixture
def tree() -> Any:
    ours = measured(timed(0.05, 0.06, 0.04), timed(1, 2, 1.5))
    theirs = measured(timed(0.5, 0.5, 0.5), timed(16, 24, 32), {"nprobe": 8})
    lance = measured(timed(2, 2, 2), timed(32, 32, 32), {"nprobes": 20})
    return {
        "measured": "2026-01-02T03:04:05+00:00",
        "machine": {"cpu": "a processor", "cores": 2, "memory_gib": 8, "python": "3.11"},
        "versions": {"faiss-cpu": "1.2.3"},
        "took_seconds": 600,
        "parameters": {
            "sizes": {
                "rows": 200_000,
                "dim": 512,
                "measured": 500,
                "tuning": 400,
                "fresh": 6000,
                "deleted": 20_000,
            },
            "rounds": 3,
            "threads": 2,
            "insert_size": 2000,
            "mixed": True,
        },
        "engines": {
            "faiss-ivf-flat": {
                "workloads": {
                    "unfiltered": {"lowest": theirs},
                    "half": {"same": theirs, "lowest": {"as": "same"}},
                    "thousandth": {
                        "same": measured(timed(0.4), [], {"nprobe": 8}, recall=0.2),
                        "lowest": {"failed": "recall 0.95 not reached (at most 0.400)"},
                    },
                },
                "plain": {
                    "build": {"seconds": 5.4, "parts": {}, "disk": 420_000_000},
                    "open": {"seconds": 0.1},
                    "memory": {"anonymous": 450_000_000, "mapped": 90_000_000},
                    "idle": {"anonymous": 23_000_000, "mapped": 50_000_000},
                },
            },
            "trichord": {
                "workloads": {
                    "unfiltered": {"lowest": ours},
                    "half": {"same": {**ours, "outside": 3}, "lowest": {"as": "same"}},
                    "insert": {
                        "effort": {},
                        "inserted": 6000,
                        "insert": [0.2, 0.3, 0.4],
                        "found": [0.001, 0.25, 0.002],
                        "searching": {"p50": 0.0001, "p99": 0.002, "calls": 900},
                        "after": {"recall": 0.97, "fresh": 1.0, "queries": 500, "outside": 0},
                        "single": {"p50": 0.00007, "p99": 0.0001, "calls": 900},
                    },
                    "delete": {
                        "effort": {},
                        "seconds": 0.5,
                        "after": {"recall": 0.96, "gone": 0, "outside": 0},
                        "by_deleted": {"recall": 0.96, "gone": 1, "outside": 0},
                        "single": {"p50": 0.00008, "p99": 0.0001, "calls": 900},
                    },
                },
                "plain": {"build": {"seconds": 21.0, "parts": {"ingest": 1.5, "index": 19.5}}},
            },
            "lancedb-ivf-flat": {"workloads": {"unfiltered": {"lowest": lance}}, "plain": {}},
            "hnswlib": {"workloads": {}, "plain": {"failed": "did not finish in 240 s"}},
        },
    }


def cells(table: str, label: str) -> list[str]:
    (line,) = [line for line in table.splitlines() if line.startswith(f"| {label} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (4.9e-5, "49 µs"),
        (9.996e-4, "1.00 ms"),
        (0.0123, "12.3 ms"),
        (0.2, "200 ms"),
        (1.234, "1.23 s"),
        (61.0, "61.0 s"),
        (240, "240 s"),
    ],
)
def test_seconds(value: float, said: str) -> None:
    assert figures.seconds(value) == said


def test_quartiles_are_inclusive() -> None:
    assert results.quartiles([4.0, 1.0, 2.0, 3.0]) == (1.75, 2.5, 3.25)
    assert results.quartiles([7.0]) == (7.0, 7.0, 7.0)


def test_a_summary_of_calls() -> None:
    said = results.summary([*[0.002] * 98, 0.001, 0.5, 0.9])
    assert said == {"p50": 0.002, "p99": 0.5, "calls": 101}


def test_the_unfiltered_table(tree: Any) -> None:
    table = tables.unfiltered(tree)
    row = cells(table, ENGINES["trichord"].label)
    # The middle round took 1.5 ms for 64 queries; quartiles lie between the rounds.
    assert row[1:5] == ["0.961", "50 µs (45 µs to 55 µs)", "100 µs", "42,667 (37,333 to 53,333)"]
    assert cells(table, ENGINES["faiss-ivf-flat"].label)[-1] == "nprobe 8"
    assert cells(table, "hnswlib")[1:] == ["–", "–", "–", "–", "did not finish in 240 s"]


def test_a_filter_that_is_not_reached_says_so(tree: Any) -> None:
    row = cells(tables.filtered(tree, "thousandth"), ENGINES["faiss-ivf-flat"].label)
    assert row[1:] == [
        "0.200",
        "400 µs, once",
        "–",
        "–",
        "–",
        "–",
        "recall 0.95 not reached (at most 0.400)",
    ]
    assert cells(tables.filtered(tree, "half"), "hnswlib")[-1] == "did not finish in 240 s"


def test_the_same_effort_stands_in_both_columns(tree: Any) -> None:
    row = cells(tables.filtered(tree, "half"), ENGINES["faiss-ivf-flat"].label)
    assert row[1] == row[3] == "0.961" and row[2] == row[4] == "500 µs (500 µs to 500 µs)"


def test_writes_and_resources(tree: Any) -> None:
    label = ENGINES["trichord"].label
    assert cells(tables.inserts(tree), label)[1:] == [
        "300 ms",
        "250 ms",
        "50 µs",
        "100 µs",
        "2.00 ms",
        "70 µs",
        "0.970 / 1.000",
    ]
    assert cells(tables.deletes(tree), label)[1:] == ["500 ms", "1", "0.960", "80 µs"]
    assert cells(tables.resources(tree), ENGINES["faiss-ivf-flat"].label)[1:] == [
        "5.40 s",
        "–",
        "100 ms",
        "450 MB (23 MB before)",
        "90 MB",
        "420 MB",
    ]


def test_bars_are_judged_by_the_quotient_of_each_round(tree: Any) -> None:
    found = {bar.said: bar for bar in bars.bars(tree)}
    batches = found["batches, throughput of the baseline's"]
    assert batches.values == pytest.approx([16, 12, 32 / 1.5])
    assert batches.verdict == "met"
    lance = found[f"one query, p50 of LanceDB's best ({ENGINES['lancedb-ivf-flat'].label})"]
    assert lance.values == pytest.approx([0.025, 0.03, 0.02])
    assert found["50 % pass: recall@10"].verdict == "missed"
    assert found["50 % pass: p50 of the baseline's unfiltered"].values == pytest.approx(
        [0.1, 0.12, 0.08]
    )
    assert found["cross-modal: recall@10"].verdict == "not measured"
    # Three outside the filter, counted once, and one that had been deleted.
    wrong = found["results outside a filter, or deleted"]
    assert wrong.values == [4.0] and wrong.verdict == "missed"


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([12.0, 12.5, 13.0], "met"),
        ([11.0, 11.5, 14.0], "missed, within the spread"),
        ([10.0, 10.5, 11.0], "missed"),
        ([], "not measured"),
    ],
)
def test_a_miss_within_the_spread_is_said_as_such(values: list[float], verdict: str) -> None:
    assert bars.Bar("throughput", values, 12, True).verdict == verdict


def test_the_page_is_written_between_its_marks(tree: Any, tmp_path: Path) -> None:
    kept = tmp_path / "performance.md"
    kept.write_text(f"# Before\n\n{page.BEGIN}\nold\n{page.END}\n\nafter\n", encoding="utf-8")
    page.write(tree, kept)
    text = kept.read_text(encoding="utf-8")
    assert text.startswith(f"# Before\n\n{page.BEGIN}\n200,000 rows of 512 dimensions, 3 rounds")
    assert text.endswith(f"\n{page.END}\n\nafter\n") and "\nold\n" not in text
    for name in ("peers-unfiltered.png", "peers-filters.png", "peers-inserts.png"):
        assert f"](figures/{name})" in text
        drawn = (tmp_path / "figures" / name).read_bytes()
        assert drawn.startswith(b"\x89PNG") and len(drawn) < 150_000
    page.write(tree, kept)
    assert kept.read_text(encoding="utf-8") == text


def test_a_page_without_marks_is_left_alone(tree: Any, tmp_path: Path) -> None:
    kept = tmp_path / "performance.md"
    kept.write_text("# Nothing here\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="has no section"):
        page.write(tree, kept)
    assert kept.read_text(encoding="utf-8") == "# Nothing here\n"


def test_results_are_kept_as_they_come(tmp_path: Path) -> None:
    kept = results.Results(tmp_path / "found.json", {"benchmark": "peers"})
    kept.engine("trichord")["plain"] = {"build": {"seconds": 1.5}}
    kept.save()
    kept.engine("hnswlib")
    found = results.load(tmp_path / "found.json")
    assert found["engines"] == {"trichord": {"workloads": {}, "plain": {"build": {"seconds": 1.5}}}}
    kept.save()
    assert "hnswlib" in json.loads((tmp_path / "found.json").read_text())["engines"]


def test_the_page_in_the_repository_has_its_marks() -> None:
    text = page.FILE.read_text(encoding="utf-8")
    assert 0 < text.index(page.BEGIN) < text.index(page.END)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("ef must be at least k, /home/a/registry/lance/hnsw.rs:1:2", "ef must be at least k, …"),
        ("no such file: '/srv/x/rows.json'", "no such file: '…"),
        ("see https://example.org/a/b for more", "see … for more"),
        ("and/or 3/4 of it", "and/or 3/4 of it"),
        ("\n  first \nsecond", "first"),
        ("", ""),
    ],
)
def test_messages_name_no_path_and_no_address(said: str, shown: str) -> None:
    assert one_line(said) == shown
