"""Aliases, the states of a migration, its gates, and that both spaces are written meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.catalog.moving import (
    NEW,
    OLD,
    Content,
    CountingSpace,
    counting,
    prepare,
    texts,
    vectors,
)
from tests.fakes import HashSpace, direction, embed_text, png
from trichord.catalog import Catalog
from trichord.catalog.preparing import _former_fingerprint
from trichord.errors import (
    FrameMismatch,
    InvalidInput,
    ModelError,
    NotFound,
    PageTokenError,
    StoreError,
    VectorError,
)
from trichord.query import ItemRef, Record, Vector
from trichord.results import MigrationState, Outcome
from trichord.types import Embedder, Frame, Modality

State = MigrationState


@pytest.fixture
def old() -> CountingSpace:
    return counting(OLD)


@pytest.fixture
def new() -> CountingSpace:
    return counting(NEW)


@pytest.fixture
def known(tmp_path: Path) -> dict[str, Content]:
    return prepare(tmp_path / "media")


@pytest.fixture
def catalog(
    tmp_path: Path, old: CountingSpace, new: CountingSpace, known: dict[str, Content]
) -> Iterator[Catalog]:
    with Catalog.open(tmp_path / "store", space=old, spaces={"new": new}) as opened:
        report = opened.ingest(tmp_path / "media")
        assert (report.added, report.failed) == (24, 0)
        old.seen.clear()
        yield opened


def agrees(catalog: Catalog, space: HashSpace, known: dict[str, Content]) -> None:
    """Every item has, in the space, the vectors of its content made by that space."""
    stored = vectors(catalog, space.name)
    expected = {
        (item_id, ordinal): vector
        for item_id, content in known.items()
        for ordinal, vector in enumerate(content.vectors(space))
    }
    assert stored.keys() == expected.keys()
    for key, vector in expected.items():
        np.testing.assert_allclose(stored[key], vector, atol=2e-5)


def test_the_whole_way(catalog: Catalog, old: CountingSpace, new: CountingSpace, known) -> None:  # type: ignore[no-untyped-def]
    before = catalog.search("red", limit=5)
    assert (before.space, before.frame) == ("old", "hash/32")
    made = catalog.migrations.register("new")
    assert (made.state, made.source, made.alias) == (State.REGISTERED, "old", "default")
    assert [(c.items, c.covered, c.failed) for c in made.coverage] == [(8, 0, 0)] * 3
    told = []
    ended = catalog.migrations.run("new", on_progress=told.append)
    assert (ended.phase, ended.embedded, ended.copied, ended.failed) == ("done", 24, 0, 0)
    assert told[0].done == 0 and [one.done for one in told] == sorted(one.done for one in told)
    assert told[-1] == ended and ended.total == ended.done == 24
    assert new.counted() == {"audio": 16, "image": 8, "text": 8} and not old.seen
    agrees(catalog, old, known)
    agrees(catalog, new, known)
    ready = catalog.migrations.get("new")
    assert ready.state is State.READY and ready.at_hand and ready.completed_snapshot > 0
    assert catalog.search("red", limit=5).space == "old"
    assert catalog.search("red", space="new").space == "new"

    live = catalog.migrations.switch("new")
    assert live.state is State.LIVE and catalog.space_name == "new"
    after = catalog.search("red", limit=5, fuse="score")
    assert (after.space, after.frame) == ("new", "other/32")
    best = embed_text("red", 32, "other")
    assert after[0].score == pytest.approx(
        max(float(v @ best) for c in known.values() for v in c.vectors(new)), abs=1e-5
    )
    assert catalog.search("red", space="default").space == "new"
    assert catalog.search("red", space="old").item_ids == before.item_ids or len(before) == 5
    (alias,) = catalog.migrations.aliases()
    assert (alias.name, alias.space, alias.previous) == ("default", "new", "old")

    back = catalog.migrations.rollback("new")
    assert back.state is State.ROLLED_BACK and catalog.search("red").space == "old"
    assert catalog.migrations.switch("new").state is State.LIVE
    done = catalog.migrations.finish("new", remove=True)
    assert done.state is State.FINISHED
    assert [info.space.name for info in catalog.spaces()] == ["new"]
    with pytest.raises(NotFound, match="no space 'old'"):
        catalog.search("red", space="old")
    assert catalog.search("red").space == "new"
    agrees(catalog, new, known)
    assert catalog.verify().problems == () and catalog.failures() == []


def test_every_verb_twice(catalog: Catalog) -> None:
    def twice(verb: str, space: str = "new", **options: object) -> None:
        first = getattr(catalog.migrations, verb)(space, **options)
        snapshot = catalog.refresh()
        assert getattr(catalog.migrations, verb)(space, **options) == first
        assert catalog.refresh() == snapshot

    twice("register", require="ndcg@10>=0.6")
    catalog.migrations.run("new")
    snapshot = catalog.refresh()
    again = catalog.migrations.run("new")
    assert (again.total, again.embedded, again.failed) == (0, 0, 0)
    assert catalog.refresh() == snapshot
    catalog.record_evaluation("new", {"ndcg@10": 0.7}, True)
    twice("switch")
    twice("rollback")
    twice("switch")
    twice("finish")
    twice("finish", remove=True)
    catalog.migrations.register(replace(NEW, name="third", anchor="third"))
    twice("abandon", space="third")
    twice("abandon", space="third", remove=True)


def test_what_is_refused(catalog: Catalog, tmp_path: Path) -> None:
    verbs = catalog.migrations
    for verb in (verbs.get, verbs.run, verbs.switch, verbs.rollback, verbs.finish, verbs.abandon):
        with pytest.raises(NotFound, match="no migration to 'new'"):
            verb("new")
    with pytest.raises(NotFound, match="no migration"):
        catalog.record_evaluation("new", {}, True)
    with pytest.raises(NotFound, match="no space 'nowhere'"):
        verbs.register("nowhere")
    with pytest.raises(InvalidInput, match="names 'old' already"):
        verbs.register("old")
    with pytest.raises(InvalidInput, match="'old' is the name of a space"):
        verbs.register("new", alias="old")
    with pytest.raises(InvalidInput, match="is not a name"):
        verbs.register("new", alias="no such/alias")
    with pytest.raises(InvalidInput, match="'default' is an alias"):
        verbs.register(replace(OLD, name="default", anchor="x"))
    verbs.register("new")
    with pytest.raises(StoreError, match="to 'new' is under way"):
        verbs.register(replace(OLD, name="third", anchor="x"))
    with pytest.raises(StoreError, match="is registered: there is nothing to roll back"):
        verbs.rollback("new")
    with pytest.raises(StoreError, match="is registered: switch first"):
        verbs.finish("new")
    with pytest.raises(StoreError, match="24 of 24 items were not embedded for it yet"):
        verbs.switch("new")
    for wrong in ("-1", "x", "101%", "1.5"):
        with pytest.raises(InvalidInput, match="a number of items"):
            verbs.switch("new", allow_missing=wrong)
    for wrong_rate in (0.0, -1.0, float("nan")):
        with pytest.raises(InvalidInput, match="a rate is a positive"):
            verbs.run("new", rate=wrong_rate)
    with pytest.raises(InvalidInput, match="at least 1"):
        verbs.run("new", limit=0)
    with pytest.raises(InvalidInput, match="no JSON object"):
        catalog.record_evaluation("new", {"ndcg": float("nan")}, True)
    with pytest.raises(InvalidInput, match="no snapshot"):
        catalog.record_evaluation("new", {}, True, snapshot=10**6)
    verbs.abandon("new")
    with pytest.raises(StoreError, match="is abandoned: register it anew"):
        verbs.run("new")
    # With what was embedded before it goes on from there.
    assert verbs.register("new").state is State.REGISTERED
    with (
        Catalog.open(tmp_path / "empty", space=OLD, spaces={"new": NEW}) as empty,
        pytest.raises(StoreError, match="ingest for 'new' right away"),
    ):
        empty.migrations.register("new")
    assert catalog.search("red").space == "old"


def test_live_is_left_by_rollback_or_finish(catalog: Catalog) -> None:
    catalog.migrations.register("new")
    catalog.migrations.run("new")
    catalog.migrations.switch("new")
    with pytest.raises(StoreError, match="is live: roll it back first"):
        catalog.migrations.abandon("new")
    catalog.migrations.finish("new")
    with pytest.raises(StoreError, match="is finished: register it anew"):
        catalog.migrations.rollback("new")
    # The way back is another migration, for which nothing has to be embedded.
    assert catalog.migrations.register("old").source == "new"
    assert catalog.migrations.switch("old").state is State.LIVE
    assert catalog.search("red").space == "old"


def test_both_spaces_are_written(
    catalog: Catalog, old: CountingSpace, new: CountingSpace, known: dict[str, Content]
) -> None:
    def add(word: str) -> None:
        with catalog.ingestion() as ingestion:
            answers = ingestion.add(
                [
                    Record(f"{word}-t", text=f"{word} words"),
                    Record(f"{word}-p", data=png("blue", seed=99)),
                    # New content for what is stored.
                    Record("t1.txt", text=f"{word} instead"),
                ]
            )
        assert [one.error for one in answers] == [None] * 3
        known[f"{word}-t"] = Content("text", [f"{word} words"])
        known[f"{word}-p"] = Content("image", ["blue"])
        known["t1.txt"] = Content("text", [f"{word} instead"])

    catalog.migrations.register("new")
    add("before")
    assert new.counted() == {"text": 2, "image": 1}
    ended = catalog.migrations.run("new")
    assert ended.embedded == 23  # t1.txt was written already
    add("filled")
    agrees(catalog, old, known)
    agrees(catalog, new, known)
    catalog.migrations.switch("new")
    add("live")
    catalog.migrations.rollback("new")
    add("back")
    catalog.migrations.switch("new")
    agrees(catalog, old, known)
    agrees(catalog, new, known)
    catalog.delete("t2.txt")
    del known["t2.txt"]
    agrees(catalog, old, known)
    agrees(catalog, new, known)
    catalog.migrations.finish("new")
    old.seen.clear()
    add("after")
    assert not old.seen
    agrees(catalog, new, known)
    assert catalog.verify().problems == ()


def test_a_repetition_embeds_nothing(
    catalog: Catalog, old: CountingSpace, new: CountingSpace, tmp_path: Path
) -> None:
    """In every state; where an item lacks one space, only that one is embedded."""

    def again() -> tuple[int, int, int]:
        old.seen.clear(), new.seen.clear()
        report = catalog.ingest(tmp_path / "media")
        assert (report.added, report.changed, report.unchanged) == (0, 0, 24)
        return len(old.seen), len(new.seen), report.segments

    assert again() == (0, 0, 0)
    catalog.migrations.register("new")
    # What was sent without a file to read again is filled by sending it again.
    assert again() == (0, 32, 32)
    assert again() == (0, 0, 0)
    assert catalog.migrations.switch("new").state is State.LIVE
    snapshot = catalog.refresh()
    assert again() == (0, 0, 0)
    assert catalog.refresh() == snapshot
    catalog.migrations.finish("new", remove=True)
    assert again() == (0, 0, 0)


def test_fingerprints_of_earlier_stores(tmp_path: Path) -> None:
    """There the encoder was in the fingerprint; the same content is known all the same."""
    space = counting(OLD)
    with Catalog.open(tmp_path / "store", space=space) as catalog:
        with catalog.ingestion() as ingestion:
            ingestion.add([Record("a", text="red barn")])
        with catalog._writer.use() as writer:
            reader = catalog._store.reader()
            (row,) = reader.get_items(["a"]).to_pylist()
            former = _former_fingerprint(
                row["content_hash"], "text", space.encoders[Modality.TEXT].id
            )
            assert former != row["fingerprint"]
            table = reader.get_items(["a"])
            kept = [n for n in table.column_names if n not in
                    ("generation", "revision", "created_timestamp", "deleted", "spaces",
                     "segments", "fingerprint")]  # fmt: skip
            import pyarrow as pa

            table = table.select(kept).append_column(
                "fingerprint", pa.array([former], pa.binary(16))
            )
            table = table.append_column("attributes_only", pa.array([True]))
            writer.commit(items=table)
        space.seen.clear()
        with catalog.ingestion() as ingestion:
            (answer,) = ingestion.add([Record("a", text="red barn")])
        assert answer.outcome is Outcome.UNCHANGED and not space.seen
        with catalog.ingestion() as ingestion:
            (answer,) = ingestion.add([Record("a", text="red house")])
        assert answer.outcome is Outcome.CHANGED and len(space.seen) == 1


def test_the_other_space_never_fails_an_item(tmp_path: Path) -> None:
    class Picky(CountingSpace):
        def embedder(self, modality: Modality) -> Embedder:
            if modality is Modality.IMAGE:
                raise ModelError("no weights for pictures")
            return super().embedder(modality)  # type: ignore[return-value]

    picky = Picky(name="new", anchor="other", version=2)
    with Catalog.open(tmp_path / "store", space=OLD, spaces={"new": picky}) as catalog:
        with catalog.ingestion() as ingestion:
            ingestion.add([Record("first", text="red")])
        catalog.migrations.register("new")
        with catalog.ingestion() as ingestion:
            answers = ingestion.add([Record("t", text="blue"), Record("p", data=png("blue"))])
        assert [one.outcome for one in answers] == [Outcome.ADDED] * 2
        (failure,) = catalog.failures()
        assert (failure.source, failure.reason) == ("backfill:new:p", "MODEL")
        assert set(catalog.search("blue").item_ids) == {"first", "t", "p"}
        got = {c.modality: (c.covered, c.failed) for c in catalog.migrations.get("new").coverage}
        assert got == {"audio": (0, 0), "image": (0, 1), "text": (1, 0)}
        with pytest.raises(StoreError, match="no weights for pictures"):
            catalog.migrations.switch("new")
        # The same bytes again, once the model is there: only what lacks is embedded.
        mended = counting(picky)
        catalog._models.add(mended)
        with catalog.ingestion() as ingestion:
            (answer,) = ingestion.add([Record("p", data=png("blue"))])
        assert answer.outcome is Outcome.UNCHANGED and mended.counted() == {"image": 1}
        assert catalog.failures() == []


def test_gates(catalog: Catalog) -> None:
    with catalog.ingestion() as ingestion:
        ingestion.add([Record("sent", data=png("red", seed=7))])
    catalog.migrations.register("new", require=["ndcg@10>=0.6"])
    ended = catalog.migrations.run("new")
    assert (ended.embedded, ended.failed) == (24, 1)
    (failure,) = catalog.failures()
    assert failure.source == "backfill:new:sent" and "sent and are not stored" in failure.message
    assert catalog.migrations.get("new").state is State.READY
    with pytest.raises(StoreError) as refused:
        catalog.migrations.switch("new")
    assert "1 of 25 items could not be embedded" in str(refused.value)
    assert "no evaluation showed ndcg@10>=0.6" in str(refused.value)
    for allowed in (1, "1", "4%", "100%"):
        with pytest.raises(StoreError, match="no evaluation") as refused:
            catalog.migrations.switch("new", allow_missing=allowed)
        assert "could not be embedded" not in str(refused.value)
    with pytest.raises(StoreError, match="could not be embedded"):
        catalog.migrations.switch("new", allow_missing="3.9%")
    catalog.record_evaluation("new", {"ndcg@10": 0.5, "queries": [1, 2]}, False)
    with pytest.raises(StoreError, match="the evaluation did not pass"):
        catalog.migrations.switch("new", allow_missing=1)
    told = catalog.record_evaluation("new", {"ndcg@10": 0.7}, True, snapshot=1).evaluation
    assert told is not None and told.summary == {"ndcg@10": 0.7}
    with pytest.raises(StoreError, match="of snapshot 1, before the backfill ended"):
        catalog.migrations.switch("new", allow_missing=1)
    # A failed item is tried again by the next run, and counted.
    assert catalog.migrations.run("new").failed == 1
    assert catalog.failures()[0].message.endswith("(attempt 2)")
    catalog.record_evaluation("new", {"ndcg@10": 0.7}, True, require="recall@10>=0.9")
    assert catalog.migrations.get("new").require == ("ndcg@10>=0.6", "recall@10>=0.9")
    assert catalog.migrations.switch("new", allow_missing=1).forced == ""


def test_force_is_recorded(catalog: Catalog) -> None:
    catalog.migrations.register("new", require="x>=1")
    live = catalog.migrations.switch("new", force="the old model is on fire")
    assert live.forced.startswith("the old model is on fire (passed by: 24 of 24 items")
    assert "no evaluation showed x>=1" in live.forced
    assert len(catalog.search("red")) == 0
    assert catalog.migrations.rollback("new").state is State.ROLLED_BACK
    assert len(catalog.search("red")) == 10


def test_a_space_that_lacks_a_modality(catalog: Catalog) -> None:
    part = replace(NEW, name="part", modalities=(Modality.TEXT, Modality.IMAGE))
    catalog.migrations.register(part)
    assert catalog.migrations.run("part").embedded == 16
    with pytest.raises(StoreError, match="the new space has no audio, of which there are 8"):
        catalog.migrations.switch("part")
    assert catalog.migrations.switch("part", allow_missing=8).state is State.LIVE


def test_vectors_of_the_old_frame_are_refused_after_the_switch(catalog: Catalog) -> None:
    catalog.migrations.register("new")
    catalog.migrations.run("new")
    asked = Vector(direction("red", 32), "hash/32")
    assert catalog.search(asked, modality="image").frame == "hash/32"
    record = Record("v", modality="image", vector=direction("red", 32), frame="hash/32")
    catalog.migrations.switch("new")
    with pytest.raises(FrameMismatch, match="'hash/32', the space 'new' to 'other/32'"):
        catalog.search(asked)
    assert catalog.search(asked, space="old", modality="image").space == "old"
    with catalog.ingestion() as ingestion:
        (answer,) = ingestion.add([record])
    assert isinstance(answer.error, FrameMismatch)
    with pytest.raises(VectorError):
        catalog.search(Vector(np.ones(16)))


def test_ready_vectors_belong_to_the_live_space(catalog: Catalog) -> None:
    """They go to another space only where its vectors are the same."""
    twin = replace(OLD, name="twin", version=2)
    same = CountingSpace(
        name="twin", version=2, encoder_versions=((Modality.IMAGE, 1),), anchor="hash"
    )
    assert same.space.encoders[Modality.IMAGE] == OLD.space.encoders[Modality.IMAGE]
    assert same.space.encoders[Modality.TEXT] == twin.space.encoders[Modality.TEXT]
    catalog.migrations.register(same)
    with catalog.ingestion() as ingestion:
        answers = ingestion.add(
            [
                Record("vi", modality="image", vector=direction("red", 32)),
                Record("va", modality="audio", vector=direction("low", 32)),
            ]
        )
    assert [(one.outcome, one.segments) for one in answers] == [("added", 2), ("added", 1)]
    assert {key[0] for key in vectors(catalog, "twin")} == {"vi"}
    with catalog.ingestion() as ingestion:
        again = ingestion.add([Record("vi", modality="image", vector=direction("red", 32))])
    assert again[0].outcome is Outcome.UNCHANGED
    ended = catalog.migrations.run("twin")
    assert (ended.copied, ended.embedded, ended.failed) == (8, 16, 1)
    (failure,) = catalog.failures()
    assert failure.item_id == "va" and "given as a vector" in failure.message


def test_pages_stay_in_the_space_they_began_in(catalog: Catalog) -> None:
    first = catalog.search("red", limit=4)
    whole = catalog.search("red", limit=24)
    catalog.migrations.register("new")
    catalog.migrations.run("new")
    begun = catalog.search("red", limit=4)
    catalog.migrations.switch("new")
    for page in (first, begun):
        following = catalog.search("red", limit=20, page_token=page.next_page_token)
        assert (following.space, following.frame) == ("old", "hash/32")
        assert [*page.item_ids, *following.item_ids] == list(whole.item_ids)
    with pytest.raises(PageTokenError, match="another question"):
        catalog.search("red", limit=4, page_token=begun.next_page_token, space="new")
    assert catalog.search("red", limit=4).next_page_token


def test_further_aliases(catalog: Catalog, new: CountingSpace) -> None:
    """An alias of its own moves by itself, and what it names is written."""
    catalog.migrations.register("new", alias="news")
    assert catalog.search("red", space="news").space == "old"
    catalog.migrations.run("new")
    catalog.migrations.switch("new")
    assert catalog.search("red", space="news").space == "new"
    assert catalog.search("red").space == "old"
    assert catalog.space_name == "old"
    infos = {info.space.name: info for info in catalog.spaces()}
    assert (infos["old"].default, infos["old"].aliases) == (True, ())
    assert (infos["new"].default, infos["new"].aliases) == (False, ("news",))
    assert all(part.share == 1.0 for part in infos["new"].coverage)
    catalog.migrations.finish("new")
    new.seen.clear()
    with catalog.ingestion() as ingestion:
        ingestion.add(texts(3))
    assert len(new.seen) == 3
    with pytest.raises(NotFound, match="no space 'nope' here; there is old, new, news"):
        catalog.search("red", space="nope")


def test_a_store_is_reopened_by_alias(catalog: Catalog, tmp_path: Path) -> None:
    catalog.migrations.register("new")
    catalog.migrations.run("new")
    catalog.migrations.switch("new")
    spaces = {"old": OLD, "new": NEW}
    for name in (None, "default", OLD):
        with Catalog.open(tmp_path / "store", space=name, spaces=spaces) as other:
            assert other.search("red").space == "new"
            assert other.frame == Frame("other", 32)
            assert other.search("red", space="old").space == "old"
    # Without the new model stored things can ask, and content cannot.
    with Catalog.open(tmp_path / "store", space=OLD) as other:
        assert other.search(ItemRef("t1.txt")).space == "new"
        with pytest.raises(StoreError, match="no encoder of space 'new'"):
            other.search("red")


def test_a_removed_space_comes_back_empty(catalog: Catalog) -> None:
    catalog.migrations.register("new")
    catalog.migrations.run("new")
    catalog.build_indexes(everything=True)
    assert len(catalog.search("red", space="new")) == 10
    catalog.migrations.abandon("new", remove=True)
    catalog.migrations.register("new")
    assert len(catalog.search("red", space="new")) == 0
    assert [part.covered for part in catalog.migrations.get("new").coverage] == [0, 0, 0]
    assert catalog.migrations.run("new").embedded == 24
    found = catalog.search("red", space="new", limit=100, group="segment")
    assert len(found) == len(set(zip(found.item_ids, found.segment_ordinals, strict=True))) == 32
    assert catalog.verify().problems == ()


def test_a_reader_sees_a_space_removed_and_added_between_two_looks(
    catalog: Catalog, tmp_path: Path
) -> None:
    catalog.migrations.register("new")
    catalog.migrations.run("new")
    spaces = {"new": NEW}
    with Catalog.open(tmp_path / "store", space=OLD, spaces=spaces) as other:
        assert len(other.search("red", space="new", limit=50)) == 24
        catalog.migrations.abandon("new", remove=True)
        catalog.migrations.register("new")
        catalog.migrations.run("new", limit=3)
        other.refresh()
        assert len(other.search("red", space="new", limit=50)) == 3
