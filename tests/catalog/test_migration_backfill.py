"""Backfills: killed, slowed, stopped, failing, beside other writers; what is copied, what is not
embedded again."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from tests.catalog import moving
from tests.catalog.moving import NEW, OLD, CountingSpace, counting, prepare, texts, vectors
from tests.fakes import embed_text, png
from trichord.catalog import Catalog, backfilling, ingesting
from trichord.catalog.backfilling import Bucket
from trichord.errors import InvalidInput, ModelError, StoreError
from trichord.query import Record
from trichord.results import BackfillProgress, MigrationState
from trichord.types import Embedder, Modality

ROOT = Path(__file__).parents[2]


def start(path: Path, records: list[Record], new: CountingSpace) -> Catalog:
    catalog = Catalog.open(path, space=OLD, spaces={"new": new})
    with catalog.ingestion() as ingestion:
        assert not [one.error for one in ingestion.add(records) if one.error]
    catalog.migrations.register("new")
    return catalog


def covered(catalog: Catalog) -> set[str]:
    return {item_id for item_id, _ in vectors(catalog, "new")}


# Killed


def test_killed_at_random_it_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    number, generator = 60, random.Random(7)
    path, log = tmp_path / "store", tmp_path / "log"
    log.touch()
    start(path, texts(number), counting(NEW)).close()
    text_of = {record.item_id: record.text for record in texts(number)}
    finished: set[str] = set()
    kills, points = 0, ["segments-written", "items-written", "snapshot-written", ""]
    for point in [*points, "items-written", ""]:
        read = len(log.read_text().splitlines())
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.catalog.moving",
                str(path),
                str(log),
                point,
                str(generator.randint(1, 3)),
            ],  # fmt: skip
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        if not point:
            time.sleep(generator.uniform(0.02, 0.25))
            process.kill()
        rest = process.stdout.read()
        process.stdout.close()
        kills += process.wait(60) == -signal.SIGKILL
        # What was finished before this run was not embedded in it.
        again = {text_of[item_id] for item_id in finished}
        assert not again & set(log.read_text().splitlines()[read:]), point
        with Catalog.open(path, space=OLD) as catalog:
            assert covered(catalog) >= finished
            finished = covered(catalog)
            assert catalog.search("note", limit=100).space == "old"
        if "done" in rest:
            break
    assert kills >= 4 and finished
    ended = subprocess.run(
        [sys.executable, "-m", "tests.catalog.moving", str(path), str(log), "none", "0"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.stdout == f"ready\ndone {number - len(finished)}\n", ended.stderr

    new = counting(NEW)
    with start(tmp_path / "other", texts(number), new) as other:
        other.migrations.run("new")
        with Catalog.open(path, space=OLD, spaces={"new": NEW}) as catalog:
            assert vectors(catalog, "new") == vectors(other, "new")
            assert vectors(catalog, "old") == vectors(other, "old")
            assert catalog.stats().items == other.stats().items
            assert catalog.stats().segments == other.stats().segments == 2 * number
            assert catalog.verify().problems == () and catalog.failures() == []
            one, two = catalog.migrations.get("new"), other.migrations.get("new")
            assert (one.state, one.coverage) == (two.state, two.coverage)
            assert one.state is MigrationState.READY


# What is copied, and what is embedded


def test_a_new_projector_embeds_only_audio_again(tmp_path: Path) -> None:
    """The frame and the encoders of texts and pictures stay, so their vectors are copied."""
    known = prepare(tmp_path / "media")
    projected = CountingSpace(name="projected", encoder_versions=((Modality.AUDIO, 2),))
    with Catalog.open(tmp_path / "store", space=OLD) as catalog:
        catalog.ingest(tmp_path / "media")
        catalog.migrations.register(projected)
        ended = catalog.migrations.run("projected")
        assert (ended.copied, ended.embedded, ended.total) == (16, 8, 24)
        assert projected.counted() == {"audio": 16}
        assert vectors(catalog, "projected") == vectors(catalog, "old")
        # Written to both, such an item is embedded once.
        projected.seen.clear()
        with catalog.ingestion() as ingestion:
            (answer,) = ingestion.add([Record("new", text="red words")])
        assert answer.segments == 2 and projected.seen == []
        assert catalog.migrations.switch("projected").state is MigrationState.LIVE
        assert catalog.search("red", limit=50).space == "projected"
        assert len(catalog.search("red", limit=50)) == len(known) + 1
        assert catalog.verify().problems == ()


def test_other_cuts_make_other_numbers_of_segments(tmp_path: Path) -> None:
    known = prepare(tmp_path / "media", 3)
    coarse = counting(NEW, name="coarse", audio_window_ms=2_000, audio_hop_ms=2_000)
    with Catalog.open(tmp_path / "store", space=OLD) as catalog:
        catalog.ingest(tmp_path / "media")
        catalog.migrations.register(coarse)
        assert catalog.migrations.run("coarse").embedded == len(known)
        per_item = {"old": 0, "coarse": 0}
        for name in per_item:
            per_item[name] = sum(item_id == "s0.wav" for item_id, _ in vectors(catalog, name))
        assert per_item == {"old": 2, "coarse": 1}
        assert catalog.verify().problems == ()


# Errors


def test_what_fails_is_told_and_tried_again(tmp_path: Path) -> None:
    prepare(tmp_path / "media", 4)
    (tmp_path / "media/notes.srt").write_text(
        "1\n00:00:01,000 --> 00:00:04,000\nred sea\n\n2\n00:00:05,000 --> 00:00:09,000\nlow horn\n"
    )
    with Catalog.open(tmp_path / "store", space=OLD, spaces={"new": NEW}) as catalog:
        catalog.ingest(tmp_path / "media")
        catalog.migrations.register("new")
        (tmp_path / "media/p0.png").write_bytes(png("blue", seed=50))
        kept = (tmp_path / "media/s1.wav").read_bytes()
        (tmp_path / "media/s1.wav").unlink()
        (tmp_path / "media/t2.txt").write_text("something else by now")
        first = catalog.migrations.run("new")
        assert (first.embedded, first.failed, first.done) == (11, 2, 13)
        told = {one.item_id: one.message for one in catalog.failures()}
        assert set(told) == {"p0.png", "s1.wav"}
        assert "'p0.png' is no longer what was ingested" in told["p0.png"]
        assert "its file cannot be read" in told["s1.wav"]
        # Of a text the store has what was ingested.
        text = embed_text("green words1 of a text", 32, "other")
        np.testing.assert_allclose(vectors(catalog, "new")["t1.txt", 0], text, atol=2e-5)
        stored = vectors(catalog, "new")["t2.txt", 0]
        text = embed_text("blue words2 of a text", 32, "other")
        np.testing.assert_allclose(stored, text, atol=2e-5)
        spans = [
            (row["start_ms"], row["end_ms"])
            for name in ("old", "new")
            for row in catalog._views.refresh()
            .reader.item_segments(name, ["notes.srt"])
            .to_pylist()
        ]
        assert len(set(spans)) == 1 and spans[0][0] == 1_000

        (tmp_path / "media/s1.wav").write_bytes(kept)
        second = catalog.migrations.run("new")
        assert (second.total, second.embedded, second.failed) == (2, 1, 1)
        (left,) = catalog.failures()
        assert left.item_id == "p0.png" and left.message.endswith("(attempt 2)")
        # Ingested again it is new content, written for both.
        catalog.ingest(tmp_path / "media/p0.png")
        assert catalog.failures() == []
        assert catalog.migrations.run("new").total == 0
        catalog.delete("s1.wav")
        assert catalog.verify().problems == ()


def test_failures_of_deleted_items_are_forgotten(tmp_path: Path) -> None:
    with start(tmp_path / "store", texts(2), counting(NEW)) as catalog:
        with catalog.ingestion() as ingestion:
            ingestion.add([Record("v", modality="image", vector=np.ones(32, np.float32))])
        assert catalog.migrations.run("new").failed == 1
        catalog.delete("v")
        assert catalog.failures() == []
        assert catalog.migrations.switch("new").state is MigrationState.LIVE
        catalog.migrations.rollback("new")
        catalog.migrations.abandon("new")


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    class Absent(CountingSpace):
        def embedder(self, modality: Modality) -> Embedder:
            raise ModelError("the weights are missing")

    with start(tmp_path / "store", texts(3), Absent(name="new", anchor="other")) as catalog:
        with pytest.raises(ModelError, match="weights are missing"):
            catalog.migrations.run("new")
        assert catalog.migrations.get("new").state is MigrationState.BACKFILLING
        assert catalog.failures() == [] and covered(catalog) == set()
        with pytest.raises(StoreError, match="weights are missing"):
            catalog.migrations.switch("new")


# Pace


def test_limits_and_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingesting, "BATCH_RECORDS", 4)
    with start(tmp_path / "store", texts(30), counting(NEW)) as catalog:
        first = catalog.migrations.run("new", limit=7)
        assert (first.embedded, first.total, first.phase) == (7, 7, "done")
        assert catalog.migrations.get("new").state is MigrationState.BACKFILLING
        stop = threading.Event()

        def some(progress: BackfillProgress) -> None:
            if progress.done >= 8:
                stop.set()

        second = catalog.migrations.run("new", on_progress=some, stop=stop)
        assert (second.embedded, second.total, second.phase) == (8, 23, "cancelled")
        assert len(covered(catalog)) == 15
        assert catalog.migrations.run("new").embedded == 15
        assert catalog.migrations.get("new").state is MigrationState.READY


def test_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a clock of its own: what is taken in a span of time stays below the rate."""
    now = [100.0]

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            now[0] += timeout or 0.0
            return False

    monkeypatch.setattr(backfilling.time, "monotonic", lambda: now[0])
    bucket, generator = Bucket(10.0), random.Random(1)
    taken: list[tuple[float, int]] = []
    for _ in range(200):
        count = generator.randint(1, bucket.most() or 0)
        assert bucket.take(count, Stop())
        taken.append((now[0], count))
        now[0] += generator.choice([0.0, 0.01, 1.0])
    assert bucket.most() == 30
    for start_ in range(0, 200, 7):
        for end in range(start_ + 1, 200, 13):
            span = taken[end][0] - taken[start_][0]
            assert sum(count for _, count in taken[start_:end]) <= 10 * span + 1e-6
    assert Bucket(0.1).most() == 1 and Bucket(None).most() is None


def test_one_at_a_time(tmp_path: Path) -> None:
    with start(tmp_path / "store", texts(3), counting(NEW)) as catalog:
        tried: list[Exception] = []

        def once(progress: BackfillProgress) -> None:
            try:
                catalog.migrations.run("new")
            except InvalidInput as error:
                tried.append(error)
            current = catalog.migrations.get("new").backfill
            assert current == progress

        catalog.migrations.run("new", on_progress=once)
        assert tried and "running in this process already" in str(tried[0])
        assert catalog.migrations.get("new").backfill is None


def test_an_abandoned_migration_ends_its_backfill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingesting, "BATCH_RECORDS", 4)
    with start(tmp_path / "store", texts(20), counting(NEW)) as catalog:

        def abandon(progress: BackfillProgress) -> None:
            if progress.done == 8:
                catalog.migrations.abandon("new", remove=True)

        with pytest.raises(StoreError, match="is abandoned: the backfill ends"):
            catalog.migrations.run("new", on_progress=abandon)
        assert [info.space.name for info in catalog.spaces()] == ["old"]
        assert catalog.verify().problems == ()


# Beside other writers


def test_beside_ingests_and_deletes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No vector of old content is ever attached to an item, and nothing that is deleted comes
    back: every vector of the new space is that of the text that the item has."""
    monkeypatch.setattr(ingesting, "BATCH_RECORDS", 3)
    generator = random.Random(3)
    text_of = {record.item_id: record.text or "" for record in texts(90)}

    class Slow(CountingSpace):
        """Embeds for so long that others write meanwhile."""

        def embedder(self, modality: Modality) -> Embedder:
            time.sleep(0.004)
            return super().embedder(modality)  # type: ignore[return-value]

    slow = Slow(name="new", anchor="other", version=2)
    with start(tmp_path / "store", texts(90), slow) as catalog:
        running = threading.Event()
        done = threading.Event()
        failed: list[Exception] = []

        def change() -> None:
            try:
                running.wait(30)
                for turn in range(40):
                    if done.is_set():
                        break
                    names = generator.sample(sorted(text_of), 3)
                    with catalog.ingestion() as ingestion:
                        news = [Record(name, text=f"turn {turn} of {name}") for name in names[:2]]
                        news.append(Record(f"n{turn:03}", text=f"fresh {turn}"))
                        for answer in ingestion.add(news):
                            assert answer.error is None
                    text_of.update({r.item_id or "": r.text or "" for r in news})
                    catalog.delete(names[2])
                    del text_of[names[2]]
            except Exception as error:
                failed.append(error)

        changing = threading.Thread(target=change)
        changing.start()
        ended = catalog.migrations.run("new", on_progress=lambda _: running.set())
        done.set()
        changing.join()
        assert not failed and ended.failed == 0
        for space in (OLD, NEW):
            stored = vectors(catalog, space.name)
            assert {item_id for item_id, _ in stored} == set(text_of)
            for item_id, text in text_of.items():
                expected = embed_text(text, 32, space.anchor)
                np.testing.assert_allclose(stored[item_id, 0], expected, atol=2e-5)
        assert catalog.migrations.run("new").total == 0
        assert catalog.verify().problems == ()


def test_the_way_back_is_filled_too(tmp_path: Path) -> None:
    """What the old space could not take while the new one was live, a later run embeds for it."""
    broken: list[bool] = []

    class Moody(CountingSpace):
        def embedder(self, modality: Modality) -> Embedder:
            if broken:
                raise ModelError("not now")
            return super().embedder(modality)  # type: ignore[return-value]

    moody = Moody(name="old")
    spaces = {"new": counting(NEW)}
    with Catalog.open(tmp_path / "store", space=moody, spaces=spaces) as catalog:
        with catalog.ingestion() as ingestion:
            ingestion.add(texts(3))
        catalog.migrations.register("new")
        catalog.migrations.run("new")
        catalog.migrations.switch("new")
        broken.append(True)
        with catalog.ingestion() as ingestion:
            (answer,) = ingestion.add([Record("late", text="late words")])
        assert answer.error is None
        assert [one.source for one in catalog.failures()] == ["backfill:old:late"]
        broken.clear()
        assert catalog.migrations.run("new").embedded == 1
        assert catalog.failures() == []
        catalog.migrations.rollback("new")
        assert catalog.search("late words", limit=1).item_ids == ["late"]


def test_a_slow_process_of_another_kind(tmp_path: Path) -> None:
    """One that cannot embed for the new space ingests all the same; the backfill makes it up."""
    with start(tmp_path / "store", texts(2), counting(NEW)):
        pass
    with Catalog.open(tmp_path / "store", space=OLD) as catalog:
        with catalog.ingestion() as ingestion:
            (answer,) = ingestion.add([Record("z", text="blue words")])
        assert answer.error is None and catalog.failures() == []
    with Catalog.open(tmp_path / "store", space=OLD, spaces={"new": NEW}) as catalog:
        assert catalog.migrations.run("new").embedded == 3
        assert moving.vectors(catalog, "new").keys() == moving.vectors(catalog, "old").keys()
