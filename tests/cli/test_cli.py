"""The command line: what it prints, what it exits with, that nothing ends in a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from trichord.cli import main


@dataclass
class Done:
    code: int
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["trichord", *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        captured = capfd.readouterr()
        assert "Traceback" not in captured.err
        return Done(int(left.value.code or 0), captured.out, captured.err)

    return run


def unit_rows(n: int, dim: int = 8) -> np.ndarray:
    rows = np.random.default_rng(1).standard_normal((n, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def filled(run: Run, tmp_path: Path) -> np.ndarray:
    """A store of 20 ready vectors with attributes; the vectors."""
    rows = unit_rows(20)
    pl.DataFrame(
        {
            "id": [f"item-{i}" for i in range(20)],
            "entity": [f"entity-{i // 2}" for i in range(20)],
            "modality": ["image", "audio"] * 10,
            "vector": rows.tolist(),
            "market": ["SE" if i % 3 else "DE" for i in range(20)],
            "year": list(range(2000, 2020)),
        }
    ).write_parquet(tmp_path / "vectors.parquet")
    done = run("ingest", "vectors.parquet", "--space", "mine", "--frame", "my-model/8")
    assert done.code == 0 and "20 added" in done.out
    np.save(tmp_path / "query.npy", rows[3])
    return rows


def test_search_by_vector_is_the_brute_force_answer(run: Run, filled: np.ndarray) -> None:
    done = run("search", "--vector", "query.npy", "--modality", "audio", "--limit", "4", "--json")
    hits = json.loads(done.out)["hits"]
    odd = np.arange(1, 20, 2)
    expected = odd[np.argsort(-(filled[odd] @ filled[3]))][:4]
    assert [hit["item_id"] for hit in hits] == [f"item-{i}" for i in expected]
    assert np.allclose([h["score"] for h in hits], filled[expected] @ filled[3], atol=1e-5)


def test_filters_attributes_groups_and_tables(run: Run, filled: np.ndarray) -> None:
    where = "market = 'DE' and year >= 2006"
    done = run(
        "search", "--vector", "query.npy", "--where", where, "--attributes", "*", "--json"
    )  # fmt: skip
    hits = json.loads(done.out)["hits"]
    assert {hit["item_id"] for hit in hits} == {f"item-{i}" for i in (6, 9, 12, 15, 18)}
    assert all(hit["attributes"]["market"] == "DE" for hit in hits)
    shown = run("search", "--vector", "query.npy", "--group", "entity", "--limit", "3")
    assert shown.out.count("entity-") == 3
    more = run("search", "--vector", "query.npy", "--limit", "3", "--json")
    token = json.loads(more.out)["next_page_token"]
    following = run(
        "search", "--vector", "query.npy", "--limit", "3", "--page-token", token, "--json"
    )  # fmt: skip
    pages = [json.loads(page.out)["hits"] for page in (more, following)]
    assert not {h["item_id"] for h in pages[0]} & {h["item_id"] for h in pages[1]}


def test_similar_get_delete_stats(run: Run, filled: np.ndarray) -> None:
    similar = json.loads(run("similar", "item-3", "--json").out)["hits"]
    assert "item-3" not in {hit["item_id"] for hit in similar}
    got = json.loads(run("get", "item-3", "--entity", "entity-1").out)
    assert got["items"][0]["attributes"] == {"market": "DE", "year": 2003}
    assert got["entities"][0]["item_ids"] == ["item-2", "item-3"]
    missing = run("get", "item-3", "no-such")
    assert missing.code == 3 and "no-such" in missing.err
    assert json.loads(missing.out)["missing_item_ids"] == ["no-such"]

    refused = run("delete", "item-3", "no-such")
    assert refused.code == 3 and "nothing was deleted" in refused.err
    assert run("delete", "item-3").out == "1 deleted\n"
    assert run("delete", "--entity", "entity-0").out == "2 deleted\n"
    stats = json.loads(run("stats", "--json").out)
    assert stats["items"] == {"audio": 8, "image": 9, "text": 0}
    assert run("verify").code == 0
    assert "3 deleted items" in run("compact", "--retain-hours", "0").out
    assert run("verify").code == 0
    assert json.loads(run("stats", "--json").out)["items"] == stats["items"]
    assert run("index", "build").out.count(": exact,") == 2
    assert run("stats").code == 0


def test_ingest_again_changes_nothing(run: Run, filled: np.ndarray) -> None:
    done = run("ingest", "vectors.parquet", "--space", "mine", "--frame", "my-model/8", "--json")
    report = json.loads(done.out)
    assert (report["added"], report["changed"], report["unchanged"]) == (0, 0, 20)


def test_what_cannot_be_taken_is_listed_and_the_rest_is_taken(run: Run, tmp_path: Path) -> None:
    bad = [[1.0, 0.0], [float("nan"), 1.0], [0.0, 0.0], [3.0, 4.0], [1.0]]
    pl.DataFrame({"id": list("abcde"), "modality": "image", "vector": bad}).write_parquet(
        "t.parquet"
    )
    done = run("ingest", "t.parquet", "--space", "s", "--frame", "m/2")
    assert done.code == 1 and "2 added" in done.out and "3 failed" in done.out
    errors = run("errors").out
    assert errors.count("t.parquet:") == 3 and "3 failed" in errors
    scaled = json.loads(run("search", "--item", "d", "--json").out)["hits"]
    assert scaled[0]["item_id"] == "a" and scaled[0]["score"] == pytest.approx(0.6, abs=1e-5)
    mended = [[1.0, 0.0]] * 5
    pl.DataFrame({"id": list("abcde"), "modality": "image", "vector": mended}).write_parquet(
        "t.parquet"
    )
    assert run("ingest", "t.parquet", "--space", "s", "--frame", "m/2").code == 0
    assert run("errors").out == "no errors\n"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("search", "rain"), 3, "there is no store"),
        (("search",), 2, "say what to search for"),
        (("ingest", "nowhere"), 3, "nowhere"),
        (("ingest", ".", "--frame", "m/2"), 2, "--frame needs --space"),
        (("ingest", ".", "--space", "s", "--frame", "m"), 2, "NAME/DIM"),
        (("serve", "--store", "nowhere"), 3, "there is no store"),
        (("serve", "--listen", "0.0.0.0:0"), 2, "TLS"),
        (("search", "rain", "--server", "127.0.0.1:1"), 5, "127.0.0.1:1"),
        (("frobnicate",), 2, "No such command"),
        (("space", "show", "nowhere"), 3, "pocket"),
    ],
)
def test_one_clear_error(run: Run, arguments: tuple[str, ...], code: int, says: str) -> None:
    done = run(*arguments)
    assert done.code == code
    assert says in done.err
    assert len(done.err.strip().splitlines()) <= 4


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (("--where", "colour = 'red'"), 2, "market"),
        (("--where", "year = 'red'"), 2, "int64"),
        (("--where", "year >="), 2, "column 8"),
        (("--modality", "video"), 2, "audio, image, text"),
        (("--limit", "0"), 2, "limit"),
        (("--attributes", "colour"), 2, "market"),
        (("--page-token", "abc"), 2, "page token"),
        (("--space", "other"), 3, "mine"),
        (("--item", "no-such"), 3, "no-such"),
    ],
)
def test_one_clear_error_of_a_search(
    run: Run, filled: np.ndarray, options: tuple[str, ...], code: int, says: str
) -> None:
    done = run("search", "--vector", "query.npy", *options)
    assert done.code == code
    assert says in done.err


def test_a_text_in_a_space_without_encoder(run: Run, filled: np.ndarray) -> None:
    done = run("search", "rain")
    assert done.code == 4 and "by vector" in done.err


def test_a_second_writer_is_told_who_is_first(run: Run, filled: np.ndarray, tmp_path: Path) -> None:
    from trichord.store import Store

    with Store.open(tmp_path / "store").writer(owner="somebody"):
        done = run("delete", "item-1")
    assert done.code == 4 and str(os.getpid()) in done.err
    assert run("delete", "item-1").code == 0


def test_a_closed_pipe_is_no_error(filled: np.ndarray, tmp_path: Path) -> None:
    command = f"{sys.executable} -m trichord search --vector query.npy --json | head -1"
    done = subprocess.run(
        command, shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.stdout == "{\n"
    assert done.stderr == ""
