"""neighbours, as people type it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner, Result

from trichord.catalog import Catalog
from trichord.cli import EXIT_CODES, cli
from trichord.errors import TrichordError
from trichord.query import Record


def vectors() -> np.ndarray:
    rows = np.random.default_rng(2).standard_normal((40, 384)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 sounds and 20 pictures, which take turns."""
    path = tmp_path_factory.mktemp("neighbours") / "store"
    with Catalog.open(path, space="pocket") as catalog, catalog.ingestion() as ingestion:
        ingestion.add(
            [
                Record(
                    f"item-{n:02}",
                    f"entity-{n // 2:02}",
                    "image" if n % 2 else "audio",
                    vector=vector,
                    attributes={"market": "SE" if n < 30 else "DE"},
                )
                for n, vector in enumerate(vectors())
            ]
        )
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(one) for one in arguments], catch_exceptions=True)


def code(result: Result) -> int:
    assert isinstance(result.exception, TrichordError), result.exception
    return next(number for kind, number in EXIT_CODES if isinstance(result.exception, kind))


def test_sounds_find_pictures(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = (
        "neighbours", out, "--store", store, "--from", "audio", "--to", "image", "--limit", 3,
        "--where", "market = 'SE'", "--to-where", "market = 'DE'", "--shard", 4,
    )  # fmt: skip
    done = run(*arguments)
    assert done.exit_code == 0, done.output
    assert "45 neighbours of 15 items of space pocket" in done.output and "4 files" in done.output
    rows = vectors()
    expected = [
        (f"item-{n:02}", rank, f"item-{m:02}")
        for n in range(0, 30, 2)
        for rank, m in enumerate(sorted(range(31, 40, 2), key=lambda m: -rows[n] @ rows[m])[:3], 1)
    ]
    found = pl.read_parquet(out / "*.parquet")
    assert found.select("item_id", "rank", "neighbour_id").rows() == expected
    scores = [rows[int(a[5:])] @ rows[int(b[5:])] for a, _, b in expected]
    np.testing.assert_allclose(found["score"], scores, atol=1e-5)
    again = run(*arguments, "--json")
    told = json.loads(again.output)
    assert (told["computed"], told["shards"], told["rows"]) == (0, 4, 45)
    assert "done already" in run(*arguments).output
    (out / "audio-00001.parquet").write_bytes(b"")
    (out / "audio-00003.parquet").unlink()
    mended = run(*arguments)
    assert "audio-00001.parquet was missing or damaged" in mended.output
    assert "in 4 files" in mended.output and "2 of them by earlier runs" in mended.output
    assert pl.read_parquet(out / "*.parquet").equals(found)
    assert json.loads(run(*arguments, "--restart", "--json").output)["computed"] == 4


def test_entities_without_options(store: Path, tmp_path: Path) -> None:
    done = run("neighbours", tmp_path, "--store", store, "--group", "entity", "--exact")
    assert "400 neighbours of 40 entities" in done.output, done.output


@pytest.mark.parametrize(
    ("options", "exit_code", "says"),
    [
        (("--limit", "0"), 2, "limit"),
        (("--where", "colour = 'red'", "--restart"), 2, "market"),
        (("--to-where", "market = 'DE'"), 2, "another filter in to_where.*--restart"),
        (("--from", "video"), 2, "audio, image, text"),
        (("--space", "nowhere"), 3, "nowhere"),
        (("--limit", "4"), 2, "limit 10, not 4.*--restart"),
        (("--min-score", "0.5", "--restart"), 0, "neighbours of"),
    ],
)
def test_one_clear_error(
    store: Path, tmp_path: Path, options: tuple[str, ...], exit_code: int, says: str
) -> None:
    out = tmp_path / "out"
    assert run("neighbours", out, "--store", store).exit_code == 0
    result = run("neighbours", out, "--store", store, *options)
    assert (code(result) if exit_code else result.exit_code) == exit_code
    text = str(result.exception) if exit_code else result.output
    assert re.search(says, text), text


def test_a_folder_of_other_files(store: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    result = run("neighbours", tmp_path, "--store", store, "--restart")
    assert code(result) == 2 and "notes.txt" in str(result.exception)
    missing = run("neighbours", tmp_path / "out", "--store", tmp_path / "no-store")
    assert code(missing) == 3 and not (tmp_path / "out").exists()
