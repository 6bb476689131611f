"""trichord index: what it builds, and what it tells of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner, Result

from trichord.cli import cli
from trichord.commands import indexing
from trichord.errors import InvalidInput, NotFound


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments))


@pytest.fixture
def filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(1)
    centres = generator.standard_normal((20, 16))
    vectors = centres[generator.integers(0, 20, 3000)] + 0.4 * generator.standard_normal((3000, 16))
    rows = {
        "id": [f"p{n}" for n in range(3000)],
        "modality": ["image"] * 2600 + ["audio"] * 400,
        "vector": vectors.tolist(),
    }
    pl.DataFrame(rows).write_parquet("vectors.parquet")
    done = run("ingest", "vectors.parquet", "--space", "mine", "--frame", "m/16", "--no-index")
    assert done.exit_code == 0, done.stdoutput


def shown() -> dict[str, dict]:
    facts = json.loads(run("index", "show", "--json").stdout)
    return {one["modality"]: one for one in facts}


def test_nothing_is_built_yet(filled: None) -> None:
    facts = shown()
    assert facts["image"]["segments"] == 2600 and "there is none" in facts["image"]["problem"]
    told = run("index", "show")
    assert told.exit_code == 0
    assert "mine/image: none, 2600 vectors are searched one by one" in told.stdout


def test_build_and_show(filled: None) -> None:
    built = run("index", "build", "--kind", "hnsw", "--recall", "0.9", "--threads", "1")
    assert built.exit_code == 0, built.output
    facts = shown()
    image = facts["image"]
    assert image["kind"] == "hnsw" and image["rows"] == image["segments"] == 2600
    assert image["requested"] == "hnsw" and image["reason"] == "asked for"
    assert image["recall_target"] == 0.9
    for target, kinds in image["recall"].items():
        assert set(kinds) == {"own", "newest", "given"} and min(kinds.values()) >= float(target)
    assert image["vector_bytes"] == 128 + 2600 * 16 * 4
    assert 2600 * 16 < image["index_bytes"] < 2600 * (16 + 200)
    lines = run("index", "show").stdout.splitlines()
    assert "mine/image: hnsw, 2600 rows of snapshot 3 (asked for)" in lines
    # 400 rows are faster searched one by one, and it says so.
    assert any(line.startswith("mine/audio: exact, 400 rows") for line in lines)
    assert any(line.startswith("  recall 0.9 *: given 0.9") for line in lines)
    assert any("vectors 167 kB (mapped), built in " in line for line in lines)
    told = [line for line in built.stdout.splitlines() if " ago" not in line]
    assert told == [line for line in lines if " ago" not in line]
    assert run("index", "build", "--due").stdout == "nothing to build\n"
    found = run("similar", "p7", "--json")
    assert found.exit_code == 0


def test_what_has_come_since_is_told(filled: None) -> None:
    assert run("index", "build", "--due").stdout.count("rows are fewer than") == 2
    assert run("delete", "p1").exit_code == 0
    assert "2600 rows of snapshot" in run("index", "show").stdout
    assert ", 2599 now (" in run("index", "show").stdout


def test_a_budget(filled: None) -> None:
    for arguments, expected in (
        (["--memory", "10kB"], r"no index over .* fits into 10\.0 kB"),
        (["--memory", "much"], "write 2GB"),
        (["--kind", "hnsw", "--memory", "20kB"], "hnsw over"),
    ):
        with pytest.raises(InvalidInput, match=expected):
            CliRunner().invoke(cli, ["index", "build", *arguments], catch_exceptions=False)
    assert run("index", "build", "--memory", "1MB").exit_code == 0


def test_spaces_by_name(filled: None) -> None:
    with pytest.raises(NotFound, match="other"):
        CliRunner().invoke(cli, ["index", "build", "--space", "other"], catch_exceptions=False)
    assert "mine/image" in run("index", "build", "--space", "mine").stdout


def test_sizes_and_spans_for_people() -> None:
    assert [indexing._size(n) for n in (0, 999, 1000, 131_263_454, 4_096_000_128)] == [
        "0 B", "999 B", "1 kB", "131 MB", "4.1 GB",
    ]  # fmt: skip
    assert [indexing._span(s) for s in (3, 125, 7200, 200_000)] == ["3 s", "2 min", "2 h", "2 d"]
