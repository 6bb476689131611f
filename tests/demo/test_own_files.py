"""The demo over somebody's own small folder: really ingested, served by another process, asked."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile
from rich.console import Console

from tests.demo.test_page import Reader
from tests.fakes import png
from trichord.demo import own_questions, sample
from trichord.demo.questions import Section
from trichord.demo.run import PAGE, run
from trichord.errors import InvalidInput, NotFound
from trichord.query import Audio, Image, ItemRef, Text
from trichord.results import Found
from trichord.types import Item, Modality

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def told(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return " ".join(console.file.getvalue().split())


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=160)


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mine") / "my <media>"
    for name, concept in (("night_cat", "cat"), ("bell-tower", "bell"), ("myRain02", "rain")):
        (folder / "a").mkdir(parents=True, exist_ok=True)
        (folder / "b").mkdir(exist_ok=True)
        (folder / "a" / f"{name}.png").write_bytes(sample.picture_bytes(concept, 1, ".png"))
        sound = sample.sound_bytes([(concept, 1)], 2.0, 16_000, ".wav")
        (folder / "b" / f"{name}.wav").write_bytes(sound)
    (folder / "notes.txt").write_text("A cat, a bell, and the rain <b>outside</b>.")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    (folder / ".hidden.png").write_bytes(png("red"))
    rows = {"entity_id": ["night_cat", "bell-tower"], "mood": ["calm", "bright"]}
    pl.DataFrame(rows).write_parquet(folder / "moods.parquet")
    pl.DataFrame({"unrelated": [1, 2]}).write_csv(folder / "other.csv")
    return folder


def test_the_whole_way_and_then_nothing_changes(
    media: Path, tmp_path: Path, console: Console
) -> None:
    assert run(tmp_path, media, console=console) == 0
    said = told(console)
    # 3 pictures, 3 sounds, 1 text, and 2 rows of attributes; the broken picture is reported.
    assert "Ingest: 9 added, 0 changed, 0 unchanged, 1 failed" in said
    assert "broken.jpg" in said
    assert "Table left out" in said and "other.csv" in said
    assert "7 items" in said
    (written,) = tmp_path.glob(f"own/*/{PAGE}")
    reader = Reader(written.read_text())
    assert "night cat" in reader.words
    assert "mood = 'bright'" in reader.words
    assert "A cat, a bell, and the rain <b>outside</b>." in reader.words
    sections = [a.get("id") for tag, a in reader.tags if tag == "section"]
    assert sections == ["content", "item", "entity", "filter"]
    log = (written.parent / "server.log").read_text()
    assert "stopping" in log and "method=/trichord.v1.SearchService/Search code=OK" in log
    # The broken file is tried again, so the second run is not silent about it.
    (media / "broken.jpg").unlink()
    again = Console(file=io.StringIO(), width=160)
    assert run(tmp_path, media, console=again) == 0
    assert "nothing changed, 9 inputs are stored already" in told(again)


def test_an_empty_folder_is_refused(tmp_path: Path, console: Console) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput, match="holds no files"):
        run(tmp_path / "out", tmp_path / "empty", console=console)
    with pytest.raises(NotFound, match="no folder"):
        run(tmp_path / "out", tmp_path / "missing", console=console)


def test_names_are_read_as_words() -> None:
    cases = {
        "night_train-02.wav": "night train",
        "MyRainyDay.png": "my rainy day",
        "IMG_0001.jpg": "img",
        "01.ogg": "",
        "été à Paris.txt": "été paris",
    }
    assert {name: own_questions.words_of(Path(name)) for name in cases} == cases


def test_folders_speak_for_files_that_all_have_one_name() -> None:
    files = {
        Modality.AUDIO: [Path("cat-2/clip.wav"), Path("my dog/clip.wav"), Path("rain.wav")],
        Modality.IMAGE: [Path("cat-2/cover.png"), Path("rain.png"), Path("003.png")],
        Modality.TEXT: [],
    }
    assert own_questions.names_of(files) == ["cat", "my dog", "rain", "cover"]


def test_files_are_spread_over_the_folder() -> None:
    paths = [Path(str(number)) for number in range(10)]
    assert own_questions.spread(paths, 3) == [Path("0"), Path("3"), Path("6")]
    assert own_questions.spread(paths[:2], 3) == paths[:2]


def stored(item_id: str, modality: Modality, entity: str = "", **facts: str) -> Item:
    return Item(
        item_id, entity or item_id, modality, None, None, f"{modality}/x", "", 1, None, NOW, facts
    )


def test_all_directions_that_the_folder_allows(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / f"{name}.png").write_bytes(png("red"))
        out = io.BytesIO()
        soundfile.write(out, np.zeros(800), 8000, format="WAV")
        (tmp_path / f"{name}.wav").write_bytes(out.getvalue())
    found = Found(
        tuple(
            stored(f"{name}.{ending}", modality, name, genre="it's jazz")
            for name in ("cat", "dog")
            for ending, modality in (("png", Modality.IMAGE), ("wav", Modality.AUDIO))
        )
    )
    made = own_questions.questions(tmp_path, found, {"year": "int64", "genre": "string"})
    content = [q for q in made if q.section is Section.CONTENT]
    assert {(q.asks, q.wants) for q in content} == {
        (asks, wants) for asks in Modality for wants in (Modality.IMAGE, Modality.AUDIO)
    }
    kinds = {Modality.TEXT: Text, Modality.IMAGE: Image, Modality.AUDIO: Audio}
    assert all(isinstance(q.asked, kinds[Modality(q.asks)]) for q in content)
    # A file that asks among its like is left out of its own answer.
    assert all(bool(q.leave_out) == (q.asks == q.wants) for q in content)
    assert {q.shown[0].text for q in content if q.asks == "text"} == {"cat", "dog"}
    assert all(isinstance(q.asked, ItemRef) for q in made if q.section is Section.ITEM)
    assert len([q for q in made if q.section is Section.ENTITY]) == 2
    (filtered,) = [q for q in made if q.section is Section.FILTER]
    assert filtered.where == "genre = 'it''s jazz'"
    assert all(q.right is None for q in made)


def test_without_attributes_the_filter_is_on_the_media_type(tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(png("red"))
    found = Found((stored("cat.png", Modality.IMAGE),))
    made = own_questions.questions(tmp_path, found)
    assert [q.where for q in made if q.section is Section.FILTER] == ["media_type = 'image/x'"]


def test_large_files_do_not_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "001.png").write_bytes(png("red"))
    monkeypatch.setattr(own_questions, "MOST_BYTES", 10)
    found = Found((stored("001.png", Modality.IMAGE),))
    made = own_questions.questions(tmp_path, found)
    assert {q.section for q in made} == {Section.ITEM}
