"""The sample catalogue: counts, formats, determinism, what stays and what is drawn again."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile
from PIL import Image

from trichord.demo import inventory, sample, words
from trichord.demo.inventory import Entry, File
from trichord.embedders.media.sniff import EXTENSIONS, sniff
from trichord.embedders.media.timed import parse_timed
from trichord.embedders.pocket import captions, concepts, dataset
from trichord.sources import sources
from trichord.types import Modality

PLENTY = inventory.entries()


def few() -> list[Entry]:
    """One entry per ending of sounds, a boxed one, and a talk: every way to write a file."""
    names = ["rain", "thunderstorm", "wind", "tornado", "boxes/cat-2", "talk-sea"]
    by_id = {entry.entity_id: entry for entry in PLENTY}
    return [by_id[name] for name in names]


def decoded(path: Path) -> object:
    """What the file holds, whatever its container adds (Ogg streams have random serials)."""
    match path.suffix:
        case ".png" | ".jpg":
            with Image.open(path) as picture:
                return np.asarray(picture).tobytes()
        case ".wav" | ".flac" | ".mp3" | ".ogg":
            samples, rate = soundfile.read(path, dtype="int16")
            return rate, samples.tobytes()
        case _:
            return path.read_bytes()


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> sample.Sample:
    return sample.render(tmp_path_factory.mktemp("sample"), entries=few(), workers=1)


def test_enough_of_everything() -> None:
    files = [file for entry in PLENTY for file in entry.files]
    endings = Counter(Path(file.path).suffix for file in files)
    assert len(PLENTY) >= 150
    assert len(files) >= 400
    assert len({file.path for file in files}) == len(files)
    assert len({entry.entity_id for entry in PLENTY}) == len(PLENTY)
    for ending in (".png", ".jpg", ".wav", ".flac", ".mp3", ".ogg", ".txt", ".md"):
        assert endings[ending] >= 30, ending
    assert endings[".srt"] == len(words.TALKS) > 1


def test_metadata_has_one_typed_row_per_entity() -> None:
    frame = inventory.metadata(PLENTY)
    assert frame["entity_id"].to_list() == [entry.entity_id for entry in PLENTY]
    assert frame.schema == {
        "entity_id": pl.String,
        "title": pl.String,
        "kind": pl.String,
        "market": pl.String,
        "genre": pl.String,
        "release_date": pl.Date,
        "year": pl.Int64,
        "explicit": pl.Boolean,
        "popularity": pl.Float64,
        "tags": pl.List(pl.String),
    }
    assert frame["year"].to_list() == frame["release_date"].dt.year().to_list()
    assert frame["market"].n_unique() == len(words.MARKETS)
    assert frame["genre"].n_unique() >= 6
    assert sum(frame.null_count().row(0)) == 0


def test_another_seed_is_another_sample() -> None:
    other = inventory.entries(1)
    assert [entry.entity_id for entry in other] == [entry.entity_id for entry in PLENTY]
    mine = {render for e in PLENTY for file in e.files for render in file.renders}
    theirs = {render for e in other for file in e.files for render in file.renders}
    assert mine.isdisjoint(theirs)


def test_nothing_is_drawn_with_a_seed_of_the_training() -> None:
    seeds = {seed for e in PLENTY for file in e.files for _, seed in file.renders}
    assert max(seeds) < dataset.TRAIN_SEEDS
    assert len(PLENTY) < inventory.SEEDS_PER_SAMPLE - 1


def test_no_text_is_a_caption_of_the_training() -> None:
    trained = {
        line.lower()
        for modality in (Modality.IMAGE, Modality.AUDIO)
        for concept in concepts.of(modality)
        for line in captions.training_captions(concept, modality)
    }
    written = {file.text.strip().lower() for e in PLENTY for file in e.files if file.text}
    assert written.isdisjoint(trained)
    assert {question.lower() for question in words.ASKED.values()}.isdisjoint(trained)


def test_what_is_asked_has_two_tracks_with_texts_of_their_own() -> None:
    assert words.ASKED.keys() == words.NOTES.keys()
    for concept in words.ASKED:
        twins = [e for e in PLENTY if e.about == (concept,) and e.attributes["kind"] == "track"]
        texts = {file.text for entry in twins for file in entry.files if file.kind == "text"}
        assert len(twins) == 2 and len(texts) == 2, concept


def test_files_hold_what_their_endings_say(rendered: sample.Sample) -> None:
    endings = set()
    for path in sorted(p for p in rendered.media.rglob("*") if p.is_file()):
        kind = EXTENSIONS[path.suffix]
        found = sniff(path.read_bytes(), path.name)
        assert found.format == kind.format, path
        endings.add(path.suffix)
    assert endings >= {".png", ".jpg", ".wav", ".flac", ".mp3", ".ogg", ".txt", ".md", ".srt"}


def test_sounds_last_as_long_as_planned(rendered: sample.Sample) -> None:
    for entry in rendered.entries:
        for file in entry.files:
            if file.kind == "sound":
                info = soundfile.info(rendered.folder / file.path)
                assert info.samplerate == file.rate
                # MP3 comes in frames of 1152 samples and with padding.
                assert abs(info.duration - file.seconds) < 0.2, file.path


def test_ingest_sees_the_entities_of_the_table(rendered: sample.Sample) -> None:
    found = {record.item_id: record.entity_id for record in sources([rendered.media])}
    wanted = {
        file.path.removeprefix("media/"): entry.entity_id
        for entry in rendered.entries
        for file in entry.files
    }
    assert found == wanted
    table = pl.read_parquet(rendered.table)
    assert set(table["entity_id"]) == set(found.values())


def test_twice_the_same(rendered: sample.Sample, tmp_path: Path) -> None:
    other = sample.render(tmp_path / "again", entries=few(), workers=1)
    assert other.written == rendered.items == len(list(other.media.rglob("*.*")))
    for entry in few():
        for file in entry.files:
            mine, theirs = rendered.folder / file.path, other.folder / file.path
            assert decoded(mine) == decoded(theirs), file.path
            if mine.suffix != ".ogg":
                assert mine.read_bytes() == theirs.read_bytes(), file.path
    assert rendered.table.read_bytes() == other.table.read_bytes()


def test_processes_draw_the_same_as_one(rendered: sample.Sample, tmp_path: Path) -> None:
    some = [entry for entry in few() if entry.entity_id != "talk-sea"]
    other = sample.render(tmp_path / "pool", entries=some, workers=2)
    for entry in some:
        for file in entry.files:
            mine, theirs = rendered.folder / file.path, other.folder / file.path
            assert decoded(mine) == decoded(theirs), file.path


def test_only_what_is_missing_or_damaged_is_drawn_again(tmp_path: Path) -> None:
    entries = few()[:2]
    first = sample.render(tmp_path, entries=entries, workers=1)
    assert first.written == first.items
    assert sample.render(tmp_path, entries=entries, workers=1).written == 0
    paths = [tmp_path / file.path for entry in entries for file in entry.files]
    before = {path: path.read_bytes() for path in paths}
    paths[0].unlink()
    paths[1].write_bytes(b"damaged")
    reported: list[tuple[int, int]] = []
    again = sample.render(
        tmp_path, entries=entries, workers=1, on_progress=lambda d, t: reported.append((d, t))
    )
    assert again.written == 2
    assert reported[0] == (first.items - 2, first.items)
    assert reported[-1] == (first.items, first.items)
    assert paths[0].read_bytes() == before[paths[0]]
    assert decoded(paths[1]) is not None


def test_a_changed_recipe_is_drawn_again_and_leftovers_go(tmp_path: Path) -> None:
    note = File("media/notes/one.txt", "text", text="one\n")
    other = File("media/notes/two.txt", "text", text="two\n")
    entry = Entry("one", ("rain",), (note, other), {"title": "One"})
    sample.render(tmp_path, entries=[entry], workers=1)
    (tmp_path / "media" / "notes" / "mine.txt").write_text("a file of somebody's own")
    changed = Entry("one", ("rain",), (File(note.path, "text", text="new\n"),), {"title": "One"})
    assert sample.render(tmp_path, entries=[changed], workers=1).written == 1
    assert (tmp_path / note.path).read_text() == "new\n"
    assert not (tmp_path / other.path).exists()
    assert (tmp_path / "media" / "notes" / "mine.txt").exists()


@pytest.mark.parametrize("ledger", ["", "not json", "[1]", '{"../../outside.txt": ["a", "b"]}'])
def test_a_broken_ledger_only_costs_time(tmp_path: Path, ledger: str) -> None:
    folder = tmp_path / "deep" / "down"
    outside = tmp_path / "outside.txt"
    outside.write_text("keep me")
    folder.mkdir(parents=True)
    (folder / sample.LEDGER).write_text(ledger)
    entry = Entry("one", (), (File("media/one.txt", "text", text="one\n"),), {"title": "One"})
    assert sample.render(folder, entries=[entry], workers=1).written == 1
    assert outside.exists()


@pytest.mark.parametrize("talk", words.TALKS, ids=lambda talk: talk.slug)
def test_subtitles_say_when_each_part_is_spoken(talk: words.Talk) -> None:
    timed = parse_timed(inventory.subtitles(talk), "srt")
    sentences = [
        (1000 * (start + place * words.SECONDS_PER_CUE), sentence)
        for start, part in talk.parts
        for place, sentence in enumerate(part)
    ]
    spoken = [(cue.start_ms, timed.text[cue.start_char : cue.end_char]) for cue in timed.cues]
    assert spoken == sentences


def test_pictures_can_be_had_in_both_formats() -> None:
    for ending, name in ((".png", "PNG"), (".jpg", "JPEG")):
        with Image.open(io.BytesIO(sample.picture_bytes("cat", 700_000, ending))) as picture:
            assert picture.format == name
            assert picture.size == (sample.PICTURE_SIZE, sample.PICTURE_SIZE)
