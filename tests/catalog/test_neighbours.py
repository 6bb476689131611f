"""The neighbours job: its lists by brute force, its resumption byte for byte, its refusals."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.catalog import neighbouring
from tests.catalog.conftest import add, some_records
from tests.catalog.neighbouring import OPTIONS, agrees, expected, files, moments, written
from tests.catalog.reference import Segment, segments_of
from tests.fakes import HashSpace
from trichord.catalog import Catalog, neighbour_files
from trichord.catalog.leg_rows import Rows
from trichord.catalog.legs import Leg
from trichord.catalog.neighbour_lists import Askers, Ranks, Side, Target, lists
from trichord.errors import (
    FilterError,
    InvalidInput,
    NotFound,
    PermissionDenied,
    StorageFull,
    StoreDamaged,
    StoreError,
    StoreLocked,
    TrichordError,
)
from trichord.filters import Compare, Filter, Not, Op
from trichord.index.exact import ExactIndex
from trichord.index.live import LiveIndex
from trichord.index.rowset import RowSet
from trichord.policy import Action, AllowAll, Principal
from trichord.query import Record
from trichord.types import Group, Modality

ROOT = Path(neighbouring.__file__).resolve().parents[2]
World = tuple[Catalog, list[Segment]]


class Cut(BaseException):
    """Stands for a kill that nothing catches."""


@pytest.fixture(autouse=True)
def _no_hooks() -> Iterator[None]:
    yield
    neighbour_files.set_hook(None)


# What the lists hold


@pytest.mark.parametrize("group", ["item", "segment", "entity"])
@pytest.mark.parametrize(
    ("from_modality", "to_modality"),
    [(None, None), ("text", "image"), ("audio", "text"), ("text,image", ["text", "audio"])],
)
@pytest.mark.parametrize("batch", [1, 512])
def test_lists_are_those_of_brute_force(
    world: World, tmp_path: Path, group: str, from_modality: Any, to_modality: Any, batch: int
) -> None:
    catalog, segments = world
    report = catalog.neighbours(
        tmp_path / "out",
        group=group,
        from_modality=from_modality,
        to_modality=to_modality,
        limit=6,
        batch=batch,
        shard=25,
    )
    split = {} if from_modality is None else {"from_modality": from_modality.split(",")}
    to = to_modality.split(",") if isinstance(to_modality, str) else to_modality or ()
    rows = expected(segments, group=group, to_modality=to, limit=6, **split)
    found = written(tmp_path / "out")
    agrees(found, rows)
    assert report.rows == len(rows) > 0
    assert ("ordinal" in found.columns) == (group == "segment")
    things = {(row["modality"], neighbouring.key(_asker(row), group)) for row in rows}
    assert report.asked == len(things)


def _asker(row: dict[str, Any]) -> Segment:
    return Segment(
        row["item_id"], row["entity_id"], row["modality"], row["ordinal"], np.zeros(0, np.float32)
    )


def test_spans_are_those_of_the_segments(world: World, tmp_path: Path) -> None:
    catalog, _ = world
    catalog.neighbours(tmp_path / "out", group="segment", limit=3)
    reader = catalog._views.newest.reader
    spans = {
        (row["item_id"], row["ordinal"]): [row[name] for name in ("start_ms", "end_char")]
        for batch in reader.segments("hash")
        for row in batch.to_pylist()
    }
    for row in written(tmp_path / "out").to_dicts():
        assert [row["start_ms"], row["end_char"]] == spans[row["item_id"], row["ordinal"]]
        there = [row["neighbour_start_ms"], row["neighbour_end_char"]]
        assert there == spans[row["neighbour_id"], row["neighbour_ordinal"]]


def number(segment: Segment) -> int:
    return int(segment.item.split("-")[1])


@pytest.mark.parametrize("group", ["item", "segment", "entity"])
@pytest.mark.parametrize("exact", [False, True])
def test_filters_floors_and_lists_longer_than_there_are(
    world: World, tmp_path: Path, group: str, exact: bool
) -> None:
    catalog, segments = world
    catalog.neighbours(
        tmp_path / "out",
        group=group,
        where="item_id != 'text-3' and (modality = 'text' or number < 20)",
        to_where="even = true or modality = 'text'",
        to_modality="image,text",
        limit=5_000,
        min_score=0.1,
        exact=exact,
    )
    rows = expected(
        segments,
        group=group,
        to_modality=["image", "text"],
        asks=lambda s: s.item != "text-3" and (s.modality == "text" or number(s) < 20),
        may_be=lambda s: s.modality == "text" or number(s) % 2 == 0,
        limit=5_000,
        min_score=0.1,
    )
    agrees(written(tmp_path / "out"), rows)
    assert {row["modality"] for row in rows} == {"audio", "image", "text"}


def test_what_is_deleted_or_changed_neither_asks_nor_answers(
    catalog: Catalog, tmp_path: Path
) -> None:
    records = some_records()
    add(catalog, records)
    catalog.build_indexes(everything=True, threads=1)
    catalog.delete([f"audio-{n}" for n in range(1, 20, 2)], entity_ids=["entity-4"])
    changed = [
        Record("text-1", "entity-1", text="other words than before"),
        Record("image-2", "entity-2", "image", vector=-np.asarray(records[0].vector)),
        Record("text-new", "entity-9", text=" ".join(f"winter{n} choir{n}" for n in range(30))),
    ]
    add(catalog, changed)
    gone = {f"audio-{n}" for n in range(1, 20, 2)}
    kept = [
        one
        for one in records
        if one.item_id not in {*gone, "text-1", "image-2"} and one.entity_id != "entity-4"
    ]
    segments = segments_of(catalog, [*kept, *changed])
    for group in Group:
        catalog.neighbours(tmp_path / group, group=group, limit=8, to_modality="audio,image,text")
        rows = expected(segments, group=group, limit=8, to_modality=["audio", "image", "text"])
        agrees(written(tmp_path / group), rows)


def test_copies_are_ordered_by_id_and_own_segments_fill_no_list(
    catalog: Catalog, tmp_path: Path
) -> None:
    """Equal scores everywhere: 30 copies of a picture, and texts of 60 equal chunks."""
    order = np.random.default_rng(3).permutation(30)
    same = np.random.default_rng(4).standard_normal((2, 32)).astype(np.float32)
    records = [
        Record(f"image-{n:02}", f"entity-{n % 7}", "image", vector=same[int(n > 24)])
        for n in order.tolist()
    ]
    words = [f"w{n}" for n in range(12)]
    records += [Record(f"text-{name}", text=" ".join(words * 60)) for name in ("b", "a", "c")]
    records.append(Record("text-other", text=" ".join(words[:5])))
    add(catalog, records)
    segments = segments_of(catalog, records)
    assert sum(one.item == "text-a" for one in segments) > 50
    for group in Group:
        catalog.neighbours(tmp_path / group, group=group, limit=5, shard=11)
        found, rows = written(tmp_path / group), expected(segments, group=group, limit=5)
        if group is Group.ENTITY:  # which of its equally near items is not said
            found = found.drop("neighbour_id")
        agrees(found, rows)


def test_approximate_lists_have_the_recall_of_the_index(catalog: Catalog, tmp_path: Path) -> None:
    generator = np.random.default_rng(8)
    centres = generator.standard_normal((40, 32))
    vectors = centres[generator.integers(0, 40, 3_000)] + generator.standard_normal((3_000, 32)) / 2
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    add(catalog, [Record(f"i{n:04}", None, "image", vector=v) for n, v in enumerate(vectors)])
    catalog.build_indexes(everything=True, kind="hnsw", recall_target=0.95, threads=1)
    catalog.neighbours(tmp_path / "out", limit=10)
    catalog.neighbours(tmp_path / "exact", limit=10, exact=True)
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -2)
    best = np.argsort(-scores, axis=1)[:, :10]
    exact = written(tmp_path / "exact")["neighbour_id"].to_numpy().reshape(3_000, 10)
    found = written(tmp_path / "out")
    near = found["neighbour_id"].to_numpy().reshape(3_000, 10)
    truth = np.array([[f"i{n:04}" for n in row] for row in best])
    overlap = [len({*mine} & {*true}) for mine, true in zip(near, truth, strict=True)]
    assert np.mean(overlap) / 10 >= 0.93
    assert np.mean(exact == truth) > 0.999  # but for the rounding of near-equal scores
    of = np.repeat(np.arange(3_000), 10)
    at = np.array([int(name[1:]) for name in near.reshape(-1)])
    np.testing.assert_allclose(found["score"], scores[of, at], atol=1e-5)
    told = [
        json.loads((tmp_path / name / "manifest.json").read_text()) for name in ("out", "exact")
    ]
    indexes = [one["shards"][0]["indexes"]["image"] for one in told]
    assert indexes[0].startswith("hnsw of snapshot") and indexes[1] == "exact"


CORNERS = np.array(
    [
        *(sign * axis for axis in np.eye(4) for sign in (1, -1)),
        *itertools.product([-0.5, 0.5], repeat=4),
    ],
    np.float32,
)
"""Unit vectors whose cosines are multiples of a quarter, without rounding: equal scores are equal
wherever they come from."""


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    group=st.sampled_from(list(Group)),
    limit=st.integers(1, 6),
    batch=st.integers(1, 7),
    floor=st.sampled_from([-2.0, 0.0, 0.5]),
    same=st.booleans(),
    filtered=st.booleans(),
)
def test_lists_over_random_worlds(
    seed: int, group: Group, limit: int, batch: int, floor: float, same: bool, filtered: bool
) -> None:
    """Few different vectors, so that there are ties of all kinds; removed and filtered rows."""
    generator = np.random.default_rng(seed)
    items = int(generator.integers(2, 12))
    names = [f"item-{n}" for n in generator.permutation(items)]
    entities = [f"entity-{n}" for n in generator.integers(0, max(1, items // 2), items)]
    ranks = Ranks(
        np.append(np.searchsorted(sorted(names), names), 0),
        np.append(np.searchsorted(sorted(set(entities)), entities), 0),
    )
    palette = CORNERS[generator.integers(0, 24, int(generator.integers(2, 9)))]
    sides, segments = [], []
    for modality in (Modality.AUDIO, Modality.IMAGE):
        mine = [n for n in range(items) if (n % 2 == 0) == (modality is Modality.AUDIO)]
        pairs = [(n, o) for n in mine for o in range(int(generator.integers(1, 6)))]
        pairs = [pairs[i] for i in generator.permutation(len(pairs))]
        item, ordinal = np.array(pairs, np.int64).reshape(-1, 2).T
        vectors = palette[generator.integers(0, len(palette), len(pairs))].reshape(-1, 4)
        removed = np.flatnonzero(generator.random(len(pairs)) < 0.2)
        index = LiveIndex(ExactIndex(vectors)).with_changes(None, removed)
        rows = Rows(item, ordinal, ordinal * 0, np.zeros((len(pairs), 4), np.int64))
        sides.append(Side(Leg("s", modality, index, rows, 1, 1), ranks, group))
        segments += [
            Segment(names[item[n]], entities[item[n]], str(modality), int(ordinal[n]), vectors[n])
            for n in np.flatnonzero(index.alive)
        ]
    asking, answering = sides[0], sides[0 if same else 1]
    allowed = None
    if filtered:
        passing = generator.random(items) < 0.6
        allowed = RowSet(answering.leg.index.alive & passing[answering.leg.rows.item])
    askers = Askers(asking, asking.leg.index.alive)
    target = Target(answering, allowed, exact=True)
    found, places = lists(askers, 0, len(askers), target, limit, floor, batch)
    rows_expected = expected(
        segments,
        group=group,
        from_modality=["audio"],
        to_modality=[str(answering.leg.modality)],
        limit=limit,
        may_be=lambda one: not filtered or bool(passing[names.index(one.item)]),
        min_score=floor,
    )
    for side, rows, item_id, prefix in (
        (asking, found.asking, "item_id", ""),
        (answering, found.answering, "neighbour_id", "neighbour_"),
    ):
        of = side.leg.rows.item[rows]
        if group is Group.ENTITY and prefix:  # which of its equally near items is not said
            assert [entities[n] for n in of] == [r[prefix + "entity_id"] for r in rows_expected]
            continue
        assert [names[n] for n in of] == [row[item_id] for row in rows_expected]
        if group is Group.SEGMENT:
            ordinals = side.leg.rows.ordinal[rows].tolist()
            assert ordinals == [row[prefix + "ordinal"] for row in rows_expected]
    assert places.tolist() == [row["rank"] for row in rows_expected]
    assert found.score.tolist() == [row["score"] for row in rows_expected]
    both = asking.leg.index.take(found.asking) * answering.leg.index.take(found.answering)
    assert both.sum(axis=1).tolist() == found.score.tolist()


# Who may ask


class HidesOdd(AllowAll):
    denied = False

    def permits(self, principal: Principal, action: Action) -> None:
        if self.denied and action is Action.SEARCH:
            raise PermissionDenied("no")

    def visible(self, principal: Principal) -> Filter | None:
        return Not(Compare("even", Op.EQ, False)) if principal.name == "guest" else None


def test_what_a_policy_hides_neither_asks_nor_answers(tmp_path: Path) -> None:
    policy, guest = HidesOdd(), Principal("guest")
    with Catalog.open(tmp_path / "store", space=HashSpace(), policy=policy) as catalog:
        records = some_records()
        add(catalog, records)
        segments = segments_of(catalog, records)
        wanted = {"to_modality": ["audio", "image", "text"], "limit": 90}
        catalog.neighbours(tmp_path / "guest", principal=guest, **wanted)
        shown = [one for one in segments if one.modality != "audio"]
        agrees(written(tmp_path / "guest"), expected(shown, **wanted))
        with pytest.raises(InvalidInput, match="other items are shown"):
            catalog.neighbours(tmp_path / "guest", **wanted)
        policy.denied = True
        with pytest.raises(PermissionDenied):
            catalog.neighbours(tmp_path / "guest", principal=guest, **wanted)


# Stopped and gone on with


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """A store, and the files of an undisturbed job."""
    folder = tmp_path_factory.mktemp("stopped")
    neighbouring.fill(folder / "store", some_records())
    with Catalog.open(folder / "store", space=HashSpace()) as catalog:
        report = catalog.neighbours(folder / "whole", **OPTIONS)
    assert report.computed == report.shards == 13
    return folder / "store", files(folder / "whole")


def test_rows_and_bytes_depend_on_no_batch(
    stopped: tuple[Path, dict[str, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, whole = stopped
    with Catalog.open(store, space=HashSpace()) as catalog:
        for batch in (1, 3, 1000):
            catalog.neighbours(tmp_path / str(batch), **{**OPTIONS, "batch": batch})
            assert files(tmp_path / str(batch)) == whole
        monkeypatch.setattr(neighbour_files, "GROUP_ROWS", 10)
        for batch in (2, 1000):
            catalog.neighbours(tmp_path / f"g{batch}", **{**OPTIONS, "batch": batch})
        assert files(tmp_path / "g2") == files(tmp_path / "g1000")
        path = tmp_path / "g2" / "audio-00000.parquet"
        groups = pq.ParquetFile(path).metadata
        assert [groups.row_group(i).num_rows for i in range(groups.num_row_groups)] == [10] * 5 + [
            6
        ]
        assert written(tmp_path / "g2").equals(written(tmp_path / "1"))


def finish(store: Path, folder: Path, whole: dict[str, bytes]) -> int:
    """Goes on; returns how many shards it computed, none of which was done before."""
    before = moments(folder) if folder.exists() else {}
    path = folder / "manifest.json"
    known = json.loads(path.read_text())["shards"] if path.exists() else []
    done = [shard["file"] for shard in known if shard["xxh3"]]
    with Catalog.open(store, space=HashSpace()) as catalog:
        report = catalog.neighbours(folder, **OPTIONS)
        assert files(folder) == whole
        assert report.computed == report.shards - len(done)
        after = moments(folder)
        assert {name: after[name] for name in done} == {name: before[name] for name in done}
        again = catalog.neighbours(folder, **OPTIONS)
    assert (again.computed, again.rows, moments(folder)) == (0, report.rows, after)
    return report.computed


@pytest.mark.parametrize("point", neighbour_files.POINTS)
@pytest.mark.parametrize("count", [0, 5])
def test_cut_off_at_every_point(
    stopped: tuple[Path, dict[str, bytes]], tmp_path: Path, point: str, count: int
) -> None:
    store, whole = stopped
    left = count

    def hook(name: str) -> None:
        nonlocal left
        left -= name == point
        if left < 0:
            raise Cut

    neighbour_files.set_hook(hook)
    with Catalog.open(store, space=HashSpace()) as catalog:
        if point == "job-begun" and count:
            catalog.neighbours(tmp_path / "out", **OPTIONS)
            return
        with pytest.raises(Cut):
            catalog.neighbours(tmp_path / "out", **OPTIONS)
    neighbour_files.set_hook(None)
    assert finish(store, tmp_path / "out", whole) == 13 - count - (point == "shard-recorded")


def test_cut_off_within_a_shard(stopped: tuple[Path, dict[str, bytes]], tmp_path: Path) -> None:
    """Anywhere between batches, again and again, until it is done."""
    store, whole = stopped
    generator, rounds, told = random.Random(5), 0, list[list[int]]()
    calls = 0

    def advance(done: int, total: int) -> None:
        nonlocal calls
        assert total == 80
        told[-1].append(done)
        calls -= 1
        if calls < 0:
            raise Cut

    with Catalog.open(store, space=HashSpace()) as catalog:
        for rounds in range(200):  # noqa: B007
            told.append([])
            calls = generator.randint(1, 8)
            with contextlib.suppress(Cut):
                catalog.neighbours(tmp_path / "out", on_progress=advance, **OPTIONS)
                break
    assert rounds > 4 and files(tmp_path / "out") == whole
    assert all(done == sorted(done) for done in told)
    begins = [done[0] for done in told]
    assert begins == sorted(begins) and begins[-1] > 0 and told[-1][-1] == 80


@pytest.mark.parametrize(
    ("point", "count"), [("shard-written", 4), ("shard-renamed", 7), ("", 0), ("", 1)]
)
def test_killed_for_real(
    stopped: tuple[Path, dict[str, bytes]], tmp_path: Path, point: str, count: int
) -> None:
    """By SIGKILL, at a point (with its unfinished file left behind) and at random moments."""
    store, whole = stopped
    folder = tmp_path / "out"
    command = [sys.executable, "-m", "tests.catalog.neighbouring", str(store), str(folder)]
    with subprocess.Popen(
        [*command, point, str(count)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as child:
        assert child.stdout is not None and child.stdout.readline() == "ready\n"
        if not point:
            time.sleep(random.Random(count).uniform(0.05, 0.4))
            child.kill()
        child.wait(timeout=120)
    assert child.returncode == -signal.SIGKILL
    left = [path.name for path in folder.glob(".unfinished-*")] if folder.exists() else []
    assert len(left) == (point == "shard-written") or not point
    finish(store, folder, whole)


def test_going_on_stays_on_its_snapshot(tmp_path: Path) -> None:
    store, folder = tmp_path / "store", tmp_path / "out"
    neighbouring.fill(store, some_records())
    with Catalog.open(store, space=HashSpace()) as catalog:
        first = catalog.neighbours(folder, **OPTIONS)
        whole = files(folder)
        (folder / "text-00000.parquet").unlink()
        (folder / "audio-00001.parquet").unlink()
        add(catalog, [Record("text-9000", text="rain harbour organ")])
        catalog.delete(["audio-3", "text-1"])
        catalog.build_indexes(everything=True, threads=1)
        report = catalog.neighbours(folder, **OPTIONS)
        assert (report.snapshot, report.computed) == (first.snapshot, 2)
        assert report.repaired == ("audio-00001.parquet", "text-00000.parquet")
        assert {**files(folder), "manifest.json": b""} == {**whole, "manifest.json": b""}
        anew = catalog.neighbours(folder, restart=True, **OPTIONS)
        assert anew.snapshot == catalog.refresh() > first.snapshot
        ids = set(written(folder)["item_id"])
        assert "text-9000" in ids and not {"audio-3", "text-1"} & ids


@pytest.mark.parametrize("harm", ["flip", "cut", "remove", "swap"])
def test_a_damaged_shard_is_found_and_computed_again(
    stopped: tuple[Path, dict[str, bytes]], tmp_path: Path, harm: str
) -> None:
    store, whole = stopped
    folder = tmp_path / "out"
    with Catalog.open(store, space=HashSpace()) as catalog:
        catalog.neighbours(folder, **OPTIONS)
        before, path = moments(folder), folder / "image-00002.parquet"
        data = bytearray(path.read_bytes())
        if harm == "flip":
            data[len(data) // 2] ^= 1
        elif harm == "cut":
            data = data[:-1]
        elif harm == "swap":
            data = bytearray((folder / "image-00001.parquet").read_bytes())
        path.write_bytes(data)
        if harm == "remove":
            path.unlink()
        report = catalog.neighbours(folder, **OPTIONS)
    assert (report.computed, report.repaired) == (1, ("image-00002.parquet",))
    assert files(folder) == whole
    changed = {name for name, moment in moments(folder).items() if moment != before[name]}
    assert changed == {"image-00002.parquet"}


# What is refused


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"limit": 5}, "limit 4, not 5"),
        ({"group": "entity"}, "group 'item', not 'entity'"),
        ({"exact": True}, "exact False, not True"),
        ({"where": "even = true"}, "another filter in where"),
        ({"to_where": "even = true"}, "another filter in to_where"),
        ({"min_score": 0.5}, "min_score None, not 0.5"),
        ({"from_modality": "audio"}, "from_modality"),
        ({"to_modality": "audio"}, "to_modality"),
        ({"shard": 8}, "shard 30, not 8"),
    ],
)
def test_a_changed_option_is_refused(
    stopped: tuple[Path, dict[str, bytes]], tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    store, _ = stopped
    folder, begun = tmp_path / "out", {**OPTIONS, "shard": 30}
    with Catalog.open(store, space=HashSpace()) as catalog:
        catalog.neighbours(folder, **begun)
        whole = files(folder)
        with pytest.raises(InvalidInput, match=f"{says}.*--restart"):
            catalog.neighbours(folder, **{**begun, **change})
        assert files(folder) == whole
        # Said otherwise it is the same job.
        spelled = {"to_modality": ["text", "audio"], "group": Group.ITEM, "where": " "}
        assert catalog.neighbours(folder, space="hash", **{**begun, **spelled}).computed == 0
        anew = catalog.neighbours(folder, restart=True, **{**begun, **change})
        assert anew.computed == anew.shards
        shards = json.loads((folder / "manifest.json").read_text())["shards"]
        assert set(files(folder)) == {*(one["file"] for one in shards), "manifest.json"}


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"limit": 0}, InvalidInput, "limit"),
        ({"limit": 10_001}, InvalidInput, "limit"),
        ({"min_score": 1.5}, InvalidInput, "min_score"),
        ({"shard": 0}, InvalidInput, "shard"),
        ({"batch": 0}, InvalidInput, "batch"),
        ({"group": "album"}, InvalidInput, "group"),
        ({"from_modality": "video"}, InvalidInput, "no modality 'video'"),
        ({"to_modality": "video"}, InvalidInput, "no modality 'video'"),
        ({"where": "nope = 1"}, FilterError, "nope"),
        ({"to_where": "nope = 1"}, FilterError, "nope"),
        ({"where": 3}, FilterError, "a filter is"),
        ({"space": "nowhere"}, NotFound, "nowhere"),
        ({"depth": 3}, InvalidInput, "no option 'depth'"),
    ],
)
def test_a_wrong_request_leaves_no_folder(
    world: World, tmp_path: Path, options: dict[str, Any], error: type[TrichordError], says: str
) -> None:
    with pytest.raises(error, match=says):
        world[0].neighbours(tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_space_without_the_modality(tmp_path: Path) -> None:
    only = HashSpace(modalities=(Modality.TEXT,))
    with Catalog.open(tmp_path / "store", space=only) as catalog:
        report = catalog.neighbours(tmp_path / "empty")
        assert (report.asked, report.shards, report.rows) == (0, 0, 0)
        add(catalog, [Record("one", text="rain")])
        with pytest.raises(InvalidInput, match="has no audio"):
            catalog.neighbours(tmp_path / "out", to_modality="audio")
        # Nothing but itself is there.
        alone = catalog.neighbours(tmp_path / "alone")
        assert (alone.asked, alone.shards, alone.rows) == (1, 1, 0)
        assert written(tmp_path / "alone").columns[0] == "item_id"
        catalog.delete("one")
        assert catalog.neighbours(tmp_path / "none").asked == 0
        assert catalog.neighbours(tmp_path / "none", where=" ").shards == 0


def test_the_snapshot_is_gone(tmp_path: Path) -> None:
    store, folder = tmp_path / "store", tmp_path / "out"
    neighbouring.fill(store, some_records()[:30])
    with Catalog.open(store, space=HashSpace()) as catalog:
        first = catalog.neighbours(folder, **OPTIONS)
        catalog.delete(["audio-3"])
        catalog.compact(keep_snapshots=1, retain=timedelta(0))
        assert catalog.neighbours(folder, **OPTIONS).computed == 0  # it is done
        (folder / "audio-00000.parquet").unlink()
        with pytest.raises(NotFound, match=f"snapshot {first.snapshot}, which compaction.*restart"):
            catalog.neighbours(folder, **OPTIONS)
        anew = catalog.neighbours(folder, restart=True, **OPTIONS)
        assert anew.computed == anew.shards and "audio-3" not in set(written(folder)["item_id"])


def test_a_job_of_another_store(stopped: tuple[Path, dict[str, bytes]], tmp_path: Path) -> None:
    store, _ = stopped
    with Catalog.open(store, space=HashSpace()) as catalog:
        catalog.neighbours(tmp_path / "out", **OPTIONS)
    (tmp_path / "out" / "audio-00000.parquet").unlink()
    for number, records in enumerate((some_records(1)[:3], [])):  # of as many snapshots, of fewer
        other = tmp_path / f"other-{number}"
        neighbouring.fill(other, records)
        with (
            Catalog.open(other, space=HashSpace()) as catalog,
            pytest.raises(InvalidInput, match="another store"),
        ):
            catalog.neighbours(tmp_path / "out", **OPTIONS)


def test_other_folders_are_left_alone(world: World, tmp_path: Path) -> None:
    catalog, _ = world
    for name, text in (("notes.txt", "mine"), ("manifest.json", '{"kind": "another"}')):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_text(text)
        for restart in (False, True):
            with pytest.raises(InvalidInput, match="of no job"):
                catalog.neighbours(folder, restart=restart)
        assert files(folder) == {name: text.encode()}
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="not a folder"):
        catalog.neighbours(tmp_path / "file")
    with pytest.raises(StoreError, match="cannot write"):
        catalog.neighbours(tmp_path / "file" / "below")


def test_a_damaged_manifest(world: World, tmp_path: Path) -> None:
    catalog, _ = world
    catalog.neighbours(tmp_path, **OPTIONS)
    path = tmp_path / "manifest.json"
    text = path.read_text()
    for bad in (text[:-40], text.replace('"limit": 4', '"limit": 5'), text[:60] + "\udce4"):
        path.write_bytes(bad.encode("utf-8", "surrogateescape"))
        with pytest.raises(StoreDamaged, match="--restart"):
            catalog.neighbours(tmp_path, **OPTIONS)
    assert catalog.neighbours(tmp_path, restart=True, **OPTIONS).computed == 13


def test_one_at_a_time(world: World, tmp_path: Path) -> None:
    catalog, _ = world
    catalog.neighbours(tmp_path)
    handle = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    for restart in (False, True):
        with pytest.raises(StoreLocked, match="another process"):
            catalog.neighbours(tmp_path, restart=restart)
    os.close(handle)
    assert catalog.neighbours(tmp_path).computed == 0


@pytest.mark.parametrize(
    ("number", "error"),
    [
        (errno.ENOSPC, StorageFull),
        (errno.EDQUOT, StorageFull),
        (errno.EROFS, StoreError),
        (errno.EACCES, StoreError),
    ],
)
def test_a_folder_that_cannot_be_written(
    stopped: tuple[Path, dict[str, bytes]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    error: type[TrichordError],
) -> None:
    store, whole = stopped
    calls, real = 0, os.fsync

    def failing(handle: int) -> None:
        nonlocal calls
        calls += 1
        if calls > 14:
            raise OSError(number, os.strerror(number))
        real(handle)

    monkeypatch.setattr(os, "fsync", failing)
    with Catalog.open(store, space=HashSpace()) as catalog:
        with pytest.raises(error, match=str(tmp_path)) as raised:
            catalog.neighbours(tmp_path / "out", **OPTIONS)
        assert type(raised.value) is error
        assert not list((tmp_path / "out").glob(".unfinished-*"))
    monkeypatch.undo()
    assert finish(store, tmp_path / "out", whole) == 10


def test_a_file_that_may_not_grow(stopped: tuple[Path, dict[str, bytes]], tmp_path: Path) -> None:
    """A real limit, met by what writes Parquet."""
    before, options = resource.getrlimit(resource.RLIMIT_FSIZE), {"limit": 50, "batch": 16}
    with Catalog.open(stopped[0], space=HashSpace()) as catalog:
        catalog.neighbours(tmp_path / "whole", **options)
        sizes = {name: len(data) for name, data in files(tmp_path / "whole").items()}
        most = sizes.pop("manifest.json") + 500
        assert min(sizes.values()) > most
        ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
        try:
            with pytest.raises(StorageFull, match="no space to write"):
                catalog.neighbours(tmp_path / "out", **options)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, ignored)
        assert list(files(tmp_path / "out")) == ["manifest.json"]
        catalog.neighbours(tmp_path / "out", **options)
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def test_shards_say_what_they_are_of(world: World, tmp_path: Path) -> None:
    catalog, _ = world
    report = catalog.neighbours(tmp_path, limit=2)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["done"] and manifest["snapshot"] == report.snapshot == catalog.refresh()
    assert sum(shard["rows"] for shard in manifest["shards"]) == report.rows
    for shard in manifest["shards"]:
        table = pq.read_table(tmp_path / shard["file"])
        assert table.num_rows == shard["rows"]
        assert table.schema.metadata[b"trichord.snapshot"] == str(report.snapshot).encode()
        assert set(table["modality"].to_pylist()) == {shard["modality"]}
    assert pl.scan_parquet(tmp_path / "*.parquet").select(pl.len()).collect().item() == report.rows
