"""The page: nothing from outside, nothing unescaped, everything asked is there."""

from __future__ import annotations

import base64
import io
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from tests.fakes import png, wav
from trichord.demo.page import Contents, page, write_page
from trichord.demo.questions import Answer, Question, Right, Row, Score, Section, Shown, scores
from trichord.demo.tiles import (
    BARS,
    PICTURE_PIXELS,
    SOUND_RATE,
    SOUND_SECONDS,
    TEXT_CHARACTERS,
    excerpt,
    picture_uri,
    sound_tile,
)
from trichord.errors import MediaError
from trichord.query import Text
from trichord.results import Stats
from trichord.types import Item, Modality

HOSTILE = '<script>alert("x")</script> & \' " <img src=x onerror=alert(1)>'
NOW = datetime(2026, 1, 1, tzinfo=UTC)
VOID = {"meta", "img", "br", "hr", "link", "input", "path"}


class Reader(HTMLParser):
    """All start tags with their attributes, all text outside style and script; checks nesting."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> within {self.open}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("style", "script"):
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join("".join(self.text).split())


def item(item_id: str, modality: Modality, **given: object) -> Item:
    facts: dict[str, object] = {
        "entity_id": item_id, "uri": None, "text": None, "media_type": None, "content_hash": "",
        "segments": 1, "event_timestamp": None, "created_timestamp": NOW, "attributes": {},
    }  # fmt: skip
    return Item(item_id=item_id, modality=modality, **{**facts, **given})  # type: ignore[arg-type]


def row(item_id: str, modality: Modality, **given: object) -> Row:
    facts: dict[str, object] = {
        "entity_id": item_id, "score": 0.5, "start_ms": None, "end_ms": None,
        "start_char": None, "end_char": None, "attributes": {}, "right": None,
    }  # fmt: skip
    return Row(item_id=item_id, modality=modality, **{**facts, **given})  # type: ignore[arg-type]


def question(section: Section = Section.CONTENT, **given: object) -> Question:
    facts: dict[str, object] = {
        "asks": "text", "wants": "image", "asked": Text("x"),
        "shown": (Shown(Modality.TEXT, text="a red barn"),), "right": Right(frozenset(["a"])),
    }  # fmt: skip
    return Question(section, **{**facts, **given})  # type: ignore[arg-type]


@pytest.fixture
def contents(tmp_path: Path) -> Contents:
    (tmp_path / "a.png").write_bytes(png("red"))
    (tmp_path / "b.wav").write_bytes(wav(["low", "high", "middle"]))
    items = {
        "a": item("a", Modality.IMAGE, uri=str(tmp_path / "a.png")),
        "b": item("b", Modality.AUDIO, uri=str(tmp_path / "b.wav"), segments=3),
        "c": item("c", Modality.TEXT, text="The first sentence. The second one."),
        HOSTILE: item(HOSTILE, Modality.TEXT, text=HOSTILE),
    }
    rows = (
        row("a", Modality.IMAGE, right=True, attributes={"title": "Barn", "market": "SE"}),
        row("b", Modality.AUDIO, start_ms=1000, end_ms=2000),
        row("c", Modality.TEXT, start_char=20, end_char=35),
        row(HOSTILE, Modality.TEXT, attributes={"title": HOSTILE, "market": HOSTILE}),
    )
    answers = [
        Answer(question(), rows),
        Answer(
            question(
                Section.FILTER,
                asks="any",
                wants="any",
                where=f"market = '{HOSTILE}'",
                shown=(
                    Shown(Modality.TEXT, text=HOSTILE),
                    Shown(Modality.IMAGE, data=png("blue"), caption=HOSTILE),
                    Shown(Modality.AUDIO, data=wav("high"), caption=HOSTILE),
                    Shown(Modality.IMAGE, item_id="a", caption="a stored picture"),
                ),
            ),
            rows[:1],
        ),
        Answer(question(Section.MOMENT, asks="any", wants="tape"), ()),
    ]
    stats = Stats("store", 3, NOW, 4, {"audio": 1, "image": 1, "text": 2}, 6)
    return Contents(
        f"Headline {HOSTILE}", HOSTILE, stats, answers, scores(answers, 0.5), items, (HOSTILE,)
    )


def test_nothing_comes_from_outside(contents: Contents) -> None:
    html = page(contents)
    for tag, attributes in Reader(html).tags:
        assert tag not in ("link", "iframe", "object", "embed", "base", "form"), tag
        for name, value in attributes.items():
            assert not name.startswith("on"), f"{tag} {name}"
            if name in ("src", "href", "srcset", "poster", "data", "action"):
                assert value is not None and value.startswith(("data:", "#")), value[:80]
    bare = re.sub(r'src="data:[^"]*"', "", html)
    assert "http:" not in bare and "https:" not in bare and "//" not in bare.replace("<!--", "")
    assert "@import" not in html and "url(" not in html


def test_hostile_text_stays_text(contents: Contents) -> None:
    html = page(contents)
    reader = Reader(html)
    assert [tag for tag, _ in reader.tags].count("script") == 1
    assert "<script>alert" not in html
    assert all(attributes.get("src") != "x" for tag, attributes in reader.tags if tag == "img")
    # In the headline (twice), the lead, the note, the filter, the question, labels and hits.
    assert reader.words.count(HOSTILE) >= 9
    alts = [attributes.get("alt") for tag, attributes in reader.tags if tag == "img"]
    assert HOSTILE in alts


def test_what_is_asked_and_found_is_there(contents: Contents) -> None:
    html = page(contents)
    reader = Reader(html)
    for words in ("a red barn", "Barn", "0.50 · SE", "The second one.", "0:01–0:02"):
        assert words in reader.words, words
    assert "The first sentence." not in reader.words
    assert "Nothing passes." in reader.words
    assert [tag for tag, _ in reader.tags].count("audio") == 2
    assert [tag for tag, _ in reader.tags].count("img") == 4
    assert html.count('class="right"') == 2
    sections = [a.get("id") for tag, a in reader.tags if tag == "section"]
    assert sections == ["content", "filter", "moment"]


def test_scores_stand_in_a_table_that_links_to_its_answers() -> None:
    answers = [
        Answer(question(asks=asks, wants=wants), (row("a", Modality.IMAGE, right=True),))
        for asks in ("text", "image", "audio")
        for wants in ("text", "image", "audio")
    ]
    stats = Stats("store", 1, NOW, 1, {"image": 1})
    reader = Reader(page(Contents("T", "l", stats, answers, scores(answers, 0.9))))
    targets = {a["href"] for tag, a in reader.tags if tag == "a"}
    anchors = {f"#{a['id']}" for tag, a in reader.tags if a.get("id")}
    assert len(targets) == 9 and targets <= anchors
    assert reader.words.count("1 of 1") == 9


def test_items_that_are_gone_or_broken_do_not_break_the_page(
    contents: Contents, tmp_path: Path
) -> None:
    (tmp_path / "a.png").unlink()
    (tmp_path / "b.wav").write_bytes(b"RIFF no sound at all")
    reader = Reader(page(contents))
    assert "a: cannot be shown" in reader.words
    assert "b: cannot be played" in reader.words


def test_writes_what_it_says(contents: Contents, tmp_path: Path) -> None:
    size = write_page(tmp_path / "page.html", contents)
    data = (tmp_path / "page.html").read_bytes()
    assert len(data) == size
    assert data.decode("utf-8") == page(contents)


def test_a_picture_tile_is_a_small_jpeg_of_the_same_picture() -> None:
    out = io.BytesIO()
    Image.new("RGB", (1200, 600), (200, 30, 40)).save(out, "PNG")
    head, _, body = picture_uri(out.getvalue()).partition(",")
    assert head == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(body))) as picture:
        assert picture.format == "JPEG"
        assert picture.size == (PICTURE_PIXELS, PICTURE_PIXELS // 2)
        assert np.abs(np.asarray(picture)[5, 5].astype(int) - (200, 30, 40)).max() < 6


def test_a_sound_tile_starts_at_the_time_asked_for() -> None:
    tile = sound_tile(wav(["low", "high"]), start_ms=1000)
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(tile.uri.partition(",")[2])))
    assert tile.uri.startswith("data:audio/mpeg;base64,")
    assert rate == SOUND_RATE
    assert abs(len(samples) / rate - 1.0) < 0.15  # MP3 pads to frames
    spectrum = np.abs(np.fft.rfft(samples))
    assert abs(np.fft.rfftfreq(len(samples), 1 / rate)[spectrum.argmax()] - 2000) < 20
    assert np.abs(samples).max() == pytest.approx(0.8, abs=0.15)
    assert len(tile.bars) == BARS and max(tile.bars) == 1.0


def test_a_long_sound_is_cut() -> None:
    tile = sound_tile(wav(["low"] * 9))
    assert tile.seconds == pytest.approx(SOUND_SECONDS)


def test_the_bars_follow_the_loudness() -> None:
    out = io.BytesIO()
    ramp = np.linspace(0.001, 0.5, 2 * SOUND_RATE) * np.sin(np.arange(2 * SOUND_RATE) * 0.1)
    soundfile.write(out, ramp, SOUND_RATE, format="WAV")
    bars = sound_tile(out.getvalue()).bars
    assert all(a < b for a, b in zip(bars[:-1:4], bars[4::4], strict=False))


def test_tiles_refuse_what_they_cannot_show() -> None:
    with pytest.raises(MediaError):
        picture_uri(wav("low"))
    with pytest.raises(MediaError):
        sound_tile(png("red"))
    with pytest.raises(MediaError, match="ends before"):
        sound_tile(wav("low"), start_ms=5000)


def test_excerpts_end_at_words() -> None:
    assert excerpt("short  text\n here") == "short text here"
    assert excerpt("0123456789", 2, 5) == "234"
    long = "word " * 100
    cut = excerpt(long)
    assert cut.endswith("word …") and len(cut) <= TEXT_CHARACTERS + 2
    assert len(excerpt("x" * 1000)) == TEXT_CHARACTERS + 2


def test_a_score_passes_at_its_floor_and_only_if_filters_hold() -> None:
    right = row("a", Modality.IMAGE, right=True)
    wrong = row("b", Modality.IMAGE, right=False)
    answers = [
        Answer(question(), (right,)),
        Answer(question(), (wrong, wrong, right)),
        Answer(question(), (wrong, wrong, wrong, right)),
        Answer(question(), ()),
        Answer(question(right=None), (wrong,)),
    ]
    direction = (Section.CONTENT, "text", "image")
    assert scores(answers, 0.5) == [Score(direction, 4, 1, 2, True, 0.5)]
    assert scores(answers, 0.5)[0].passed
    assert not scores(answers, 0.51)[0].passed
    broken = [*answers, Answer(question(), (right,), obeyed=False)]
    assert scores(broken, 0.4) == [Score(direction, 5, 1, 2, False, 0.4)]
    assert not scores(broken, 0.0)[0].passed


def test_a_mix_must_find_each_of_its_things() -> None:
    both = Right(frozenset(), each=(frozenset(["a"]), frozenset(["b", "c"])))
    a, c, d = (row(name, Modality.IMAGE, right=name != "d") for name in "acd")
    assert Answer(question(right=both), (d, a, d, c)).near
    assert not Answer(question(right=both), (a, d, a)).near
    assert not Answer(question(right=both), (c, c)).near
