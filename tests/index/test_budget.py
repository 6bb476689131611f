"""The kind of index that fits, and the bytes that it was said to take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trichord.errors import InvalidInput
from trichord.index import budget
from trichord.index.ann import AnnIndex
from trichord.index.build import build
from trichord.index.exact import ExactIndex
from trichord.index.synthetic import Synthetic


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2GB", 2_000_000_000),
        ("512 MiB", 512 * 1024**2),
        ("1.5g", 1_500_000_000),
        (" 300kb ", 300_000),
        ("12345", 12345),
        ("7 B", 7),
        (99, 99),
        (None, None),
    ],
)
def test_budgets_are_read(text: budget.Memory, expected: int | None) -> None:
    assert budget.in_bytes(text) == expected


@pytest.mark.parametrize("bad", ["", "GB", "two", "1 XB", "-1", 0, -5, "1e9", "0GB"])
def test_what_is_no_budget(bad: budget.Memory) -> None:
    with pytest.raises(InvalidInput, match="memory"):
        budget.in_bytes(bad)


def test_bytes_for_people() -> None:
    for count, text in ((12, "12 B"), (1500, "1.5 kB"), (131_263_454, "131.3 MB"), (4e9, "4.0 GB")):
        assert budget.told(int(count)) == text


@pytest.mark.parametrize("kind", ["hnsw", "ivf"])
@pytest.mark.parametrize(("rows", "dim"), [(3000, 32), (1500, 256)])
def test_estimates_are_near_what_is_written(tmp_path: Path, kind: str, rows: int, dim: int) -> None:
    vectors = Synthetic(dim, clusters=50).draw(rows)[0]
    how: Any = {"kind": kind, "threads": 1, "fitted": False, "recall_target": 0.5}
    for reduced in (False, True):
        index = build(vectors, reduced=reduced, **how)
        assert isinstance(index, AnnIndex), index.info.reason
        index.engine.write(tmp_path / "engine")
        written = (tmp_path / "engine").stat().st_size
        assert 0.9 * written <= index.info.index_bytes <= 1.25 * written
        if index.engine.reduction is None:  # type: ignore[attr-defined]
            assert index.info.index_bytes == budget.bytes_for(kind, rows, dim)
        else:  # what is not known beforehand is on the safe side
            assert index.info.index_bytes < budget.bytes_for(kind, rows, dim)


def test_an_hnsw_index_of_512_floats_is_a_third_of_them() -> None:
    assert budget.bytes_for("hnsw", 200_000, 512) <= 0.35 * budget.bytes_for("exact", 200_000, 512)


def test_the_fastest_that_fits() -> None:
    def choice(rows: int, memory: str | None, kind: str = "auto") -> tuple[str, str]:
        room = budget.in_bytes(memory)
        return budget.choice(kind, rows, 512, room, exact_below=20_000, ivf_from=2_000_000)

    assert choice(1000, None) == ("exact", "1000 rows are fewer than 20000")
    assert choice(200_000, None)[0] == "hnsw"
    assert choice(200_000, "200MB")[0] == "hnsw"
    kind, why = choice(200_000, "100MB")
    assert kind == "ivf" and "hnsw would take 132.8 MB of 100.0 MB" in why
    assert choice(10_000, "10MB")[0] == "ivf" and "exact would take" in choice(10_000, "10MB")[1]
    assert choice(2_000_000, None)[0] == "ivf"
    assert choice(200_000, "200MB", "ivf") == ("ivf", "asked for")
    for rows, memory, asked in (
        (200_000, "1MB", "auto"),
        (200_000, "100MB", "hnsw"),
        (200_000, "100MB", "exact"),
        (2_000_000, "100MB", "auto"),
    ):
        with pytest.raises(InvalidInput, match="fits|more than"):
            choice(rows, memory, asked)


def test_a_build_within_a_budget(world) -> None:
    rows = world.rows[:3000]
    needed = {kind: budget.bytes_for(kind, 3000, 32) for kind in ("exact", "hnsw", "ivf")}
    assert needed["ivf"] < needed["exact"] < needed["hnsw"]
    options = {"exact_below": 2000, "threads": 1, "fitted": False, "queries": world.tuning}
    assert build(rows, memory=needed["hnsw"], **options).info.kind == "hnsw"
    index = build(rows, memory=needed["hnsw"] - 1, **options)
    assert index.info.kind == "ivf" and "hnsw would take" in index.info.reason
    assert min(index.info.recall.values()) >= 0.95
    with pytest.raises(InvalidInput, match="the smallest takes about"):
        build(rows, memory=1000, **options)
    with pytest.raises(InvalidInput, match="hnsw over 3000 rows takes about"):
        build(rows, kind="hnsw", memory=1000, **options)


def test_a_recall_that_cannot_be_had_within_the_budget() -> None:
    """31 dimensions compress badly, and exact search would need all of the rows."""
    rows = np.random.default_rng(0).standard_normal((4000, 31))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    options = {"kind": "ivf", "recall_target": 0.999, "threads": 1, "fitted": False}
    with pytest.raises(InvalidInput, match=r"did not reach recall 0\.999.*does not fit"):
        build(rows, memory=450_000, **options)
    assert isinstance(build(rows, memory="1MB", **options), ExactIndex)


@pytest.mark.parametrize("kind", ["hnsw", "ivf"])
def test_a_build_tells_where_it_is_and_can_be_stopped(world, kind: str) -> None:
    rows = world.rows[:5000]
    heard: list[tuple[str, int, int]] = []
    build(
        rows, kind=kind, threads=1, fitted=False,  # type: ignore[arg-type]
        on_progress=lambda stage, done, total: heard.append((stage, done, total)),
    )  # fmt: skip
    stages = list(dict.fromkeys(stage for stage, _, _ in heard))
    assert stages == ["graph" if kind == "hnsw" else "lists", "tuning"]
    for stage in stages:
        dones = [done for one, done, _ in heard if one == stage]
        totals = {total for one, _, total in heard if one == stage}
        assert dones == sorted(dones) and {dones[-1]} == totals

    class Stopped(Exception):
        pass

    def stop(stage: str, done: int, total: int) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        build(rows, kind=kind, threads=1, fitted=False, on_progress=stop)  # type: ignore[arg-type]
