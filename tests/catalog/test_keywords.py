"""Keywords of a catalogue against BM25 written out, through any history."""

from __future__ import annotations

import errno
import re
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.bm25 import score
from tests.fakes import HashSpace
from trichord.catalog import Catalog, documents, keywords
from trichord.catalog.keywords import Keywords, folder
from trichord.catalog.latest_keywords import LatestKeywords
from trichord.errors import InvalidInput
from trichord.index import arrays, failpoints
from trichord.query import Record

VECTORS = np.random.default_rng(0).standard_normal((50, 32)).astype(np.float32)


@dataclass
class Model:
    """What the catalogue should hold: (entity, text or None, attributes) by item, and attributes
    by entity."""

    items: dict[str, tuple[str, str | None, dict[str, Any]]] = field(default_factory=dict)
    entities: dict[str, dict[str, Any]] = field(default_factory=dict)

    def documents(self) -> dict[str, list[str]]:
        found = {}
        for item, (entity, text, own) in self.items.items():
            effective = {**self.entities.get(entity, {}), **own}
            said = [text or ""]
            for value in effective.values():
                said += value if isinstance(value, list) else [value]
            strings = [value for value in said if isinstance(value, str)]
            if words := [w for s in strings for w in re.findall("[a-z0-9]+", s.lower())]:
                found[item] = words
        return found

    def put(self, item: str, entity: str, text: str | None, own: Mapping[str, Any]) -> Record:
        before = self.items.get(item, ("", None, {}))[2]
        self.items[item] = entity, text, {**before, **own}
        if text is not None:
            return Record(item, entity, "text", text=text, attributes=own)
        vector = VECTORS[np.random.default_rng(len(str(self.items))).integers(50)]
        return Record(item, entity, "image", vector=vector, attributes=own)


def add(catalog: Catalog, records: list[Record]) -> None:
    with catalog.ingestion() as ingestion:
        answers = ingestion.add(records)
    assert [answer.error for answer in answers if answer.error] == []


def latest(catalog: Catalog, words: LatestKeywords) -> Keywords:
    return words.at(catalog._views.refresh())


def found(
    made: Keywords, text: str, k: int = 100, allowed: np.ndarray | None = None
) -> dict[str, float]:
    """Items and scores, after a look at their order."""
    rows, scores = made.search(text, k, allowed)
    assert rows.dtype == np.int64 and scores.dtype == np.float32
    assert rows.tolist() == [row for _, row in sorted(zip(-scores, rows.tolist(), strict=True))]
    ids = made.items.frame["item_id"].gather(rows).to_list()
    assert len(set(ids)) == len(ids) and made.items.alive[rows].all()
    return dict(zip(ids, scores.tolist(), strict=True))


def agrees(made: Keywords, model: Model, asked: list[str]) -> None:
    live = model.documents()
    for text in asked:
        wanted = score(live, sorted(set(text.split())))
        assert found(made, text) == pytest.approx(wanted, rel=1e-5)


WORLD = Model()
WORLD.entities = {"e1": {"artist": "Copper Choir"}, "e2": {"artist": "Winter", "label": "Meadow"}}
RECORDS = [
    WORLD.put("t1", "e1", "Rain on a window, rain on the roof", {"title": "Rain"}),
    WORLD.put("t2", "e2", "The sea and the sun", {"tags": ["calm", "Rain"], "year": 1999}),
    WORLD.put("t3", "e3", "copper copper copper window", {}),
    WORLD.put("i1", "e1", None, {"title": "Window seat"}),
    WORLD.put("i2", "e2", None, {"artist": "Summer"}),
    WORLD.put("i3", "e4", None, {"year": 7}),
    *[Record(entity_id=entity, attributes=own) for entity, own in WORLD.entities.items()],
]
QUESTIONS = ["rain", "window rain", "copper choir", "calm", "winter", "summer", "meadow sun the"]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog.open(tmp_path / "store", space=HashSpace()) as catalog:
        add(catalog, RECORDS)
        yield catalog


@pytest.fixture
def words(world: Catalog) -> LatestKeywords:
    return LatestKeywords(world.path)


def test_texts_and_attributes_their_own_and_inherited(
    world: Catalog, words: LatestKeywords
) -> None:
    made = latest(world, words)
    agrees(made, WORLD, QUESTIONS)
    assert set(found(made, "choir")) == {"t1", "i1"}  # of their entity
    assert set(found(made, "winter")) == {"t2"}  # i2 has an artist of its own
    assert set(found(made, "calm")) == {"t2"}  # from a list
    assert found(made, "1999") == {}  # a number is no text
    assert found(made, "neverseen") == {}


def test_the_text_is_words_and_nothing_else(world: Catalog, words: LatestKeywords) -> None:
    made = latest(world, words)
    plain = found(made, "rain window")
    for text in [
        '"rain window"',
        "+rain -window",
        "rain* (window)",
        "RAIN\u00a0WINDOW!",
        "rain:window",
    ]:
        assert found(made, text) == plain
    assert found(made, "rain rain rain") == found(made, "rain")
    assert set(found(made, "rain AND window")) == set(found(made, "rain and window"))
    for text in ("", " ", "?! …", "\U0001f327"):
        with pytest.raises(InvalidInput, match="no letter and no digit"):
            made.search(text, 5)


def test_lines_are_those_of_the_rows_asked_for(world: Catalog) -> None:
    items = world._views.refresh().items
    ids = items.frame["item_id"].to_list()
    expected = {"t1": "Copper Choir\nRain", "t2": "Winter\nMeadow\ncalm\nRain", "t3": "", "i3": ""}
    expected |= {"i1": "Copper Choir\nWindow seat", "i2": "Summer\nMeadow"}
    for order in (list(range(6)), [5, 0, 3, 1, 2, 4], [2, 2], []):
        lines = documents.attribute_lines(items, np.array(order, np.int64))
        assert lines == [expected[ids[row]] for row in order]


def test_filters_and_how_many(world: Catalog, words: LatestKeywords) -> None:
    made = latest(world, words)
    whole = found(made, "rain window")
    rows, _ = made.search("rain window", 100)
    for k in range(1, len(whole) + 3):
        some, _ = made.search("rain window", k)
        assert some.tolist() == rows[:k].tolist()
    for kept in rows.tolist():
        allowed = np.zeros(len(made.items), bool)
        allowed[kept] = True
        again, scores = made.search("rain window", 10, allowed)
        assert again.tolist() == [kept]  # with the score that it has without the filter
        assert scores[0] == whole[made.items.frame["item_id"][kept]]
    assert made.search("rain", 10, np.zeros(len(made.items), bool))[0].tolist() == []
    with pytest.raises(InvalidInput, match="at least 1"):
        made.search("rain", 0)
    with pytest.raises(InvalidInput, match="over 2 items"):
        made.search("rain", 1, np.ones(2, bool))


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ("タワー", {"tower"}),
        ("東京", {"tower", "night"}),
        ("猫", {"cat"}),
        ("天安门", {"gate"}),
        ("ดนตรี", {"thai"}),
        ("노래", {"korean"}),
        ("bjork", {"iceland"}),
        ("BJÖRK", {"iceland"}),
        ("björk", {"iceland"}),  # decomposed
        ("STRASSE", {"street"}),
        ("ａｎｇｓｔｒｏｍ", {"street"}),
    ],
)
def test_titles_of_many_scripts(tmp_path: Path, asked: str, wanted: set[str]) -> None:
    titles = {
        "tower": "東京タワー",
        "night": "東京の夜",
        "cat": "黒猫の歌",
        "gate": "我爱北京天安门",
        "thai": "เสียงดนตรีไทย",
        "korean": "봄날의 노래",
        "iceland": "Björk",
        "street": "Ångström in der Straße",
    }
    with Catalog.open(tmp_path / "store", space=HashSpace()) as catalog:
        add(catalog, [
            Record(item, None, "image", vector=VECTORS[0], attributes={"title": title})
            for item, title in titles.items()
        ])  # fmt: skip
        assert set(found(latest(catalog, LatestKeywords(catalog.path)), asked)) == wanted


def test_what_changes_is_found_at_once_and_what_goes_never(
    world: Catalog, words: LatestKeywords
) -> None:
    agrees(latest(world, words), WORLD, QUESTIONS)
    model = Model(dict(WORLD.items), dict(WORLD.entities))
    base = latest(world, words).parts[0].postings
    add(world, [model.put("t4", "e1", "new rain", {})])
    agrees(latest(world, words), model, [*QUESTIONS, "new"])
    model.items["t1"] = ("e1", "Rain on a window, rain on the roof", {"title": "Storm"})
    add(world, [Record("t1", attributes={"title": "Storm"})])
    agrees(latest(world, words), model, [*QUESTIONS, "storm"])
    model.entities["e1"] = {"artist": "Iron"}
    add(world, [Record(entity_id="e1", attributes={"artist": "Iron"})])
    agrees(latest(world, words), model, [*QUESTIONS, "iron"])
    add(world, [model.put("t2", "e2", "other words about rain", {})])
    agrees(latest(world, words), model, [*QUESTIONS, "other"])
    world.delete("t3")
    del model.items["t3"]
    agrees(latest(world, words), model, [*QUESTIONS, "iron"])
    add(world, [model.put("t3", "e2", "back again", {})])
    agrees(latest(world, words), model, [*QUESTIONS, "back"])
    world.delete(entity_ids="e2")
    model.items = {item: one for item, one in model.items.items() if one[0] != "e2"}
    del model.entities["e2"]
    agrees(latest(world, words), model, [*QUESTIONS, "back"])
    assert latest(world, words).parts[0].postings is base  # all of it without a new base


def test_a_number_that_changes_everywhere_changes_no_document(
    world: Catalog, words: LatestKeywords
) -> None:
    before = latest(world, words)
    add(world, [Record(item, attributes={"rank": 5}) for item in WORLD.items])
    after = latest(world, words)
    assert after is not before and after.snapshot > before.snapshot
    assert after.parts is before.parts


def test_nothing_new_costs_nothing(world: Catalog, words: LatestKeywords) -> None:
    view = world._views.refresh()
    made = words.at(view)
    assert words.at(view) is made
    assert made.refreshed(view.reader, view.items) is made


def test_a_catalogue_that_is_not_asked_pays_nothing(world: Catalog) -> None:
    words = LatestKeywords(world.path)
    view = world._views.refresh()
    words.follow(view)
    assert not words.build_due(view) and not words.build_due(view, everything=True)
    assert not folder(world.path).exists()
    words.at(view)
    assert arrays.exists(folder(world.path))


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many documents were cut into words, per index that was made."""
    made: list[int] = []
    original = keywords._part

    def part(given_: Any) -> Any:
        one = original(given_)
        made.append(one.postings.size)
        return one

    monkeypatch.setattr(keywords, "_part", part)
    return made


def test_the_base_is_used_by_who_opens_later(
    world: Catalog, words: LatestKeywords, monkeypatch: pytest.MonkeyPatch
) -> None:
    latest(world, words)
    made = counted(monkeypatch)
    again = latest(world, LatestKeywords(world.path))
    assert made == []
    agrees(again, WORLD, QUESTIONS)
    model = Model(dict(WORLD.items), dict(WORLD.entities))
    add(world, [model.put("t4", "e1", "new rain", {})])
    world.delete("t3")
    del model.items["t3"]
    later = latest(world, LatestKeywords(world.path))
    assert made == [1]
    agrees(later, model, [*QUESTIONS, "new"])
    assert later.built_from == again.built_from < later.snapshot


def test_an_older_view_is_answered_as_it_was(world: Catalog, words: LatestKeywords) -> None:
    old = world._views.refresh()
    add(world, [Record("t4", "e1", "text", text="new rain")])
    world.delete("t1")
    assert set(found(latest(world, words), "rain")) == {"t2", "t4"}
    agrees(words.at(old), WORLD, QUESTIONS)  # whose base is newer than itself
    assert words.at(old) is words.at(old)
    assert set(found(latest(world, words), "rain")) == {"t2", "t4"}


@pytest.mark.parametrize("damage", ["flip", "remove", "manifest", "other rules", "all"])
def test_a_damaged_base_is_built_anew(world: Catalog, words: LatestKeywords, damage: str) -> None:
    latest(world, words)
    home = folder(world.path)
    if damage == "flip":
        data = bytearray((home / "array-counts.npy").read_bytes())
        data[-1] ^= 1
        (home / "array-counts.npy").write_bytes(data)
    elif damage == "remove":
        (home / "array-text.npy").unlink()
    elif damage == "manifest":
        (home / "manifest.json").write_text("{")
    elif damage == "all":
        shutil.rmtree(home)
    else:
        saved = arrays.load(home)
        arrays.save(home, dict(saved.arrays), {**saved.meta, "analysis": 0})
    agrees(latest(world, LatestKeywords(world.path)), WORLD, QUESTIONS)
    assert arrays.load(home).meta["analysis"] == keywords.ANALYSIS


def test_arrays_that_are_missing_from_a_sound_folder(world: Catalog, words: LatestKeywords) -> None:
    latest(world, words)
    saved = arrays.load(folder(world.path))
    for name in saved.arrays:
        rest = {other: array for other, array in saved.arrays.items() if other != name}
        arrays.save(folder(world.path), rest, saved.meta)
        agrees(latest(world, LatestKeywords(world.path)), WORLD, QUESTIONS)


class Cut(BaseException):
    """Stands for a kill: nothing catches it."""


@pytest.mark.parametrize("point", failpoints.NAMES)
@pytest.mark.parametrize("before", [False, True])
def test_cut_off_while_building(world: Catalog, point: str, before: bool) -> None:
    model = Model(dict(WORLD.items), dict(WORLD.entities))
    if before:
        latest(world, LatestKeywords(world.path))
        add(world, [model.put("t4", "e1", "new rain", {})])

    def cut(name: str) -> None:
        if name == point:
            raise Cut

    view = world._views.refresh()
    failpoints.set_hook(cut)
    try:
        with pytest.raises(Cut):
            Keywords.rebuild(world.path, view.reader, view.items)
    finally:
        failpoints.set_hook(None)
    if point == "index-renamed":
        assert arrays.load(folder(world.path)).meta["snapshot"] == view.snapshot.id
    elif before:
        assert arrays.load(folder(world.path)).meta["snapshot"] < view.snapshot.id
    else:
        assert not arrays.exists(folder(world.path))
    agrees(latest(world, LatestKeywords(world.path)), model, [*QUESTIONS, "new"])


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_a_disk_that_takes_nothing(
    world: Catalog, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(error, "no")

    monkeypatch.setattr(arrays.np, "save", refuse)
    words = LatestKeywords(world.path)
    agrees(latest(world, words), WORLD, QUESTIONS)
    assert not arrays.exists(folder(world.path))
    assert not latest(world, words).stale  # it is not tried again and again


def test_a_stale_base_is_due(
    world: Catalog, words: LatestKeywords, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keywords, "STALE_DOCUMENTS", 3)
    model = Model(dict(WORLD.items), dict(WORLD.entities))
    assert not latest(world, words).stale
    add(world, [model.put(f"n{n}", "e9", f"new rain {n}", {}) for n in range(3)])
    made = latest(world, words)
    assert not made.stale and not words.build_due(world._views.newest)
    add(world, [model.put("n3", "e9", "new rain 3", {})])
    made = latest(world, words)
    assert made.stale and len(made.parts) > 1
    view = world._views.newest
    assert words.build_due(view)
    built = words.at(view)
    assert not built.stale and len(built.parts) == 1 and built.built_from == view.snapshot.id
    agrees(built, model, [*QUESTIONS, "new"])
    # Who opens a base that is long past builds one instead of dragging all that came since along.
    add(world, [model.put(f"m{n}", "e9", f"more rain {n}", {}) for n in range(9)])
    late = latest(world, LatestKeywords(world.path))
    assert late.built_from == late.snapshot
    agrees(late, model, [*QUESTIONS, "more"])


def test_a_build_is_brought_up_to_what_was_committed_meanwhile(
    world: Catalog, words: LatestKeywords, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Model(dict(WORLD.items), dict(WORLD.entities))
    view = world._views.refresh()
    words.at(view)
    original = Keywords.rebuild

    def slow(*arguments: Any) -> Keywords:
        fresh = original(*arguments)
        add(world, [model.put("t4", "e1", "new rain", {})])
        agrees(latest(world, words), model, [*QUESTIONS, "new"])  # searched while it is built
        return fresh

    monkeypatch.setattr(Keywords, "rebuild", slow)
    assert words.build_due(view, everything=True)
    assert words.at(world._views.newest).built_from == view.snapshot.id
    agrees(words.at(world._views.newest), model, [*QUESTIONS, "new"])


def test_many_parts_become_few(world: Catalog, words: LatestKeywords) -> None:
    model = Model(dict(WORLD.items), dict(WORLD.entities))
    latest(world, words)
    most = 0
    for number in range(24):
        add(world, [model.put(f"n{number}", f"e{number % 4}", f"new {number} rain", {})])
        if number % 3 == 0:
            world.delete(f"n{number}")
            del model.items[f"n{number}"]
        most = max(most, len(latest(world, words).parts))
    assert 2 < most <= 5
    agrees(latest(world, words), model, [*QUESTIONS, "new", "17 31"])


def test_many_texts_are_read_by_what_changed(
    world: Catalog, words: LatestKeywords, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way that is taken for many items and the one for few give the same."""
    monkeypatch.setattr(documents, "FEW", 0)
    monkeypatch.setattr(documents, "DOCUMENTS_AT_ONCE", 2)
    monkeypatch.setattr(documents, "ROWS_AT_ONCE", 2)
    model = Model(dict(WORLD.items), dict(WORLD.entities))
    agrees(latest(world, words), model, QUESTIONS)
    add(world, [model.put(f"n{n}", "e1", f"new rain {n}", {}) for n in range(5)])
    model.entities["e2"] = {"artist": "Spring", "label": "Meadow"}
    add(world, [Record(entity_id="e2", attributes={"artist": "Spring"})])
    made = latest(world, words)
    agrees(made, model, [*QUESTIONS, "new", "spring"])
    agrees(latest(world, LatestKeywords(world.path)), model, [*QUESTIONS, "new", "spring"])


def test_many_threads_open_it_once(
    world: Catalog, words: LatestKeywords, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = counted(monkeypatch)
    view = world._views.refresh()
    barrier, answers = threading.Barrier(6), []

    def ask() -> None:
        barrier.wait()
        answers.append(found(words.at(view), "rain window"))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 6 and all(answer == answers[0] for answer in answers)
    assert made == [len(WORLD.documents())]


def test_searches_while_it_changes_see_one_snapshot(world: Catalog, words: LatestKeywords) -> None:
    """Threads ask newest and older views while others are committed, followed and built."""
    views = [world._views.refresh()]
    wanted = {views[0].snapshot.id: score(WORLD.documents(), ["rain", "window"])}
    done, wrong = threading.Event(), []
    asked = [0] * 4

    def ask(number: int) -> None:
        generator = np.random.default_rng(number)
        while not done.is_set():
            view = views[int(generator.integers(len(views)))]
            answer = found(words.at(view), "rain window")
            if answer != pytest.approx(wanted[view.snapshot.id], rel=1e-5):
                wrong.append((view.snapshot.id, answer))
            asked[number] += 1
            done.wait(0.002)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    model = Model(dict(WORLD.items), dict(WORLD.entities))
    for number in range(8):
        add(world, [model.put(f"n{number}", "e9", f"rain window {number}", {})])
        if number % 2:
            world.delete(f"n{number - 1}")
            del model.items[f"n{number - 1}"]
        view = world._views.refresh()
        wanted[view.snapshot.id] = score(model.documents(), ["rain", "window"])
        views.append(view)
        words.follow(view)
        if number == 5:
            words.build_due(view, everything=True)
    done.set()
    for thread in threads:
        thread.join()
    assert wrong == [] and all(asked)


IDS = [f"i{n}" for n in range(7)]
ENTITIES = ["e0", "e1", "e2"]
VOCABULARY = ["rain", "sea", "sun", "roof", "night"]
some_text = st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=6).map(" ".join)
steps = st.one_of(
    st.tuples(
        st.just("put"),
        st.lists(
            st.tuples(
                st.sampled_from(IDS),
                st.sampled_from(ENTITIES),
                st.none() | some_text,
                st.fixed_dictionaries({}, optional={"title": some_text, "rank": st.integers(0, 3)}),
            ),
            min_size=1,
            max_size=4,
            unique_by=lambda one: one[0],
        ),
    ),
    st.tuples(st.just("title"), st.tuples(st.sampled_from(IDS), some_text)),
    st.tuples(st.just("rank"), st.integers(0, 5)),
    st.tuples(st.just("entity"), st.tuples(st.sampled_from(ENTITIES), some_text)),
    st.tuples(st.just("delete"), st.sampled_from(IDS)),
    st.tuples(st.just("delete entity"), st.sampled_from(ENTITIES)),
    st.tuples(st.just("compact"), st.booleans()),
    st.tuples(st.just("build"), st.none()),
    st.tuples(st.just("reopen"), st.none()),
)


def apply(catalog: Catalog, words: LatestKeywords, model: Model, what: str, given_: Any) -> None:
    if what == "put":
        # An item keeps its modality: new content of another kind is another item.
        chosen = [
            one for one in given_
            if one[0] not in model.items or (model.items[one[0]][1] is None) == (one[2] is None)
        ]  # fmt: skip
        add(catalog, [model.put(*one) for one in chosen])
    elif what == "title" and given_[0] in model.items:
        entity, text, own = model.items[given_[0]]
        model.items[given_[0]] = entity, text, {**own, "title": given_[1]}
        add(catalog, [Record(given_[0], attributes={"title": given_[1]})])
    elif what == "rank" and model.items:
        add(catalog, [Record(item, attributes={"rank": given_}) for item in model.items])
        for item, (entity, text, own) in model.items.items():
            model.items[item] = entity, text, {**own, "rank": given_}
    elif what == "entity":
        model.entities[given_[0]] = {"title": given_[1]}
        add(catalog, [Record(entity_id=given_[0], attributes={"title": given_[1]})])
    elif what == "delete" and given_ in model.items:
        catalog.delete(given_)
        del model.items[given_]
    elif what == "delete entity":
        mine = [item for item, one in model.items.items() if one[0] == given_]
        if mine or given_ in model.entities:
            catalog.delete(entity_ids=given_)
        model.entities.pop(given_, None)
        for item in mine:
            del model.items[item]
    elif what == "compact":
        catalog.compact(**({"keep_snapshots": 1, "retain": timedelta(0)} if given_ else {}))
    elif what == "build":
        words.build_due(catalog._views.refresh(), everything=True)


@settings(
    deadline=None,
    max_examples=12,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.lists(steps, min_size=3, max_size=9))
def test_histories(history: list[tuple[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as place:
        run(Path(place) / "store", history)


def run(path: Path, history: list[tuple[str, Any]]) -> None:
    """Who follows every commit, who looks now and then, and who comes last see the same."""
    model = Model()
    asked = [*VOCABULARY, "rain sea", "sun roof night"]
    with (
        Catalog.open(path, space=HashSpace()) as catalog,
        Catalog.open(path, space=HashSpace()) as other,
    ):
        words, seldom = LatestKeywords(path), LatestKeywords(path)
        for number, (what, given_) in enumerate(history):
            if what == "reopen":
                words = LatestKeywords(path)
            else:
                apply(catalog, words, model, what, given_)
            agrees(latest(catalog, words), model, asked)
            if number % 3 == 2:
                agrees(latest(other, seldom), model, asked)
        agrees(latest(other, seldom), model, asked)
        agrees(latest(other, LatestKeywords(path)), model, asked)


@pytest.mark.parametrize("hard", [False, True])
def test_a_history_that_meets_everything(tmp_path: Path, hard: bool) -> None:
    run(
        tmp_path / "store",
        [
            ("put", [("i0", "e0", "rain sea", {"title": "sun"}), ("i1", "e0", None, {"rank": 1})]),
            ("entity", ("e0", "night roof")),
            ("build", None),
            ("rank", 3),
            ("put", [("i0", "e1", "rain", {}), ("i2", "e0", "sea sea", {})]),
            ("title", ("i1", "rain")),
            ("delete", "i2"),
            ("compact", hard),
            ("put", [("i2", "e0", "roof", {})]),
            ("reopen", None),
            ("delete entity", "e0"),
            ("entity", ("e1", "sun")),
            ("compact", hard),
            ("build", None),
            ("put", [("i1", "e1", None, {})]),
        ],
    )
