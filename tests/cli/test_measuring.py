"""space calibrate and space health, as people type them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from trichord.catalog import Catalog
from trichord.cli import cli
from trichord.query import Record


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("measured") / "store"
    generator = np.random.default_rng(5)
    with Catalog.open(path, space="pocket") as catalog, catalog.ingestion() as ingestion:
        vectors = generator.standard_normal((600, 384)).astype(np.float32)
        ingestion.add(
            [
                Record(f"{'image' if n % 2 else 'audio'}-{n}", modality=m, vector=v)
                for n, v in enumerate(vectors)
                for m in ["image" if n % 2 else "audio"]
            ]
        )
        ingestion.add([Record("words", text="rain on a window")])
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(one) for one in arguments], catch_exceptions=True)


def test_calibrate_then_search_by_significance(store: Path, tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(f"a picture of {n} red boats" for n in range(200)))
    made = run("space", "calibrate", "--store", store, "--texts", texts, "--minimum-pairs", 40_000)
    assert made.exit_code == 0, made.output
    assert "score at 3" in made.output and "text" in made.output
    assert "audio -> text: not calibrated" in made.output
    found = run("search", "boats", "--store", store, "--modality", "image", "--json")
    hits = json.loads(found.output)["hits"]
    assert all(hit["significance"] >= 0 and hit["probability"] is None for hit in hits)
    level = hits[3]["significance"]
    fewer = run(
        "search", "boats", "--store", store, "--modality", "image", "--json",
        "--min-significance", level,
    )  # fmt: skip
    assert [hit["item_id"] for hit in json.loads(fewer.output)["hits"]] == [
        hit["item_id"] for hit in hits if hit["significance"] >= np.float32(level)
    ]
    table = run("search", "boats", "--store", store, "--modality", "image")
    assert "significance" in table.output and "probability" not in table.output


def test_calibrate_says_what_is_wrong(store: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.txt"
    empty.write_text("\n\n")
    for arguments, says in (
        (("--texts", empty), "holds no line"),
        (("--texts", tmp_path / "no-such"), "cannot read"),
        (("--golden", tmp_path / "no-such"), "no-such"),
    ):
        result = run("space", "calibrate", "--store", store, *arguments)
        assert result.exit_code != 0
        assert says in str(result.exception)


def test_health_shows_counts_and_canaries(store: Path) -> None:
    shown = run("space", "health", "--store", store)
    assert shown.exit_code == 0, shown.output
    assert "canaries: audio cosine 1.0000" in shown.output
    said = json.loads(run("space", "health", "--store", store, "--json", "--no-drift").output)
    of = {one["modality"]: one for one in said["modalities"]}
    assert (of["audio"]["items"], of["image"]["items"], of["text"]["items"]) == (300, 300, 1)
    assert of["audio"]["coverage"] == 1.0 and said["canaries"] == "not compared"
    assert abs(of["image"]["mean_cosine"]) < 0.01 and of["image"]["effective_dimension"] > 100
