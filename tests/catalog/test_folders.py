"""Folders and files: what forms an entity, what is left alone, what becomes of hostile input."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import numpy as np
import pytest

from tests.fakes import direction, embed_text, png, wav
from trichord.catalog import Catalog
from trichord.errors import NotFound
from trichord.hits import Hits
from trichord.query import Text
from trichord.types import Span

SRT = """1
00:00:01,000 --> 00:00:03,500
lantern on the river

2
00:01:40,000 --> 00:01:42,000
a violet harbour
"""


def write(folder: Path, files: dict[str, bytes | str]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def entities(catalog: Catalog) -> dict[str, str]:
    items = catalog.search(np.ones(32), limit=1000)
    return dict(zip(items.item_ids, items.entity_ids, strict=True))


def counts(report: object) -> tuple[int, int, int, int]:
    return tuple(getattr(report, n) for n in ("added", "changed", "unchanged", "failed"))  # type: ignore[return-value]


def test_what_forms_an_entity(catalog: Catalog, tmp_path: Path) -> None:
    folder = write(
        tmp_path / "media",
        {
            "covers/rain.png": png("red"),
            "clips/rain.wav": wav("low"),
            "lyrics/rain.txt": "rain on the roof",
            "one/cover.png": png("red", seed=1),
            "one/clip.wav": wav("high"),
            "two/cover.png": png("blue"),
            "two/clip.wav": wav("middle"),
            "many/a.png": png("green"),
            "many/b.png": png("green", seed=1),
            "many/c.wav": wav("low", seed=1),
            "top.txt": "alone",
            ".hidden/x.png": png("red", seed=2),
            "clips/.x.png": png("red", seed=3),
            "notes.pdf": b"%PDF-1.4",
            "table.csv": "id,text\nfrom-table,x\n",
        },
    )
    assert counts(catalog.ingest(folder)) == (11, 0, 0, 0)
    assert entities(catalog) == {
        "covers/rain.png": "rain",
        "clips/rain.wav": "rain",
        "lyrics/rain.txt": "rain",
        "one/cover.png": "one",
        "one/clip.wav": "one",
        "two/cover.png": "two",
        "two/clip.wav": "two",
        "many/a.png": "many/a.png",
        "many/b.png": "many/b.png",
        "many/c.wav": "many/c.wav",
        "top.txt": "top.txt",
    }
    before = catalog.refresh()
    assert counts(catalog.ingest(folder)) == (0, 0, 11, 0)
    assert catalog.refresh() == before


def test_files_change_between_runs(catalog: Catalog, tmp_path: Path) -> None:
    folder = write(tmp_path / "m", {"a.png": png("red"), "b.txt": "rain", "c.wav": wav("low")})
    progress: list[tuple[int, int]] = []
    report = catalog.ingest(folder, on_progress=lambda done, total: progress.append((done, total)))
    assert counts(report) == (3, 0, 0, 0) and report.segments == 3 and progress == [(3, 3)]
    write(folder, {"a.png": png("blue"), "c.wav": wav(["high", "low"]), "d.txt": "snow"})
    os.utime(folder / "b.txt", (1, 1))
    report = catalog.ingest(folder)
    assert counts(report) == (1, 2, 1, 0) and report.segments == 4
    assert catalog.search("blue", modality="image").item_ids == ["a.png"]
    assert catalog.search("blue", modality="image")[0].score == pytest.approx(1, abs=1e-5)
    assert catalog.search("high", modality="audio")[0].score == pytest.approx(1, abs=1e-5)
    item = catalog.get("c.wav").items[0]
    assert (item.segments, item.media_type, item.uri) == (2, "audio/wav", str(folder / "c.wav"))
    # The same id as another kind of content: the old segments are gone from the old modality.
    (folder / "a.png").rename(folder / "c.wav")
    assert counts(catalog.ingest(folder / "c.wav")) == (0, 1, 0, 0)
    assert catalog.search("high", modality="audio").item_ids == []
    assert set(catalog.search("blue", modality="image").item_ids) == {"a.png", "c.wav"}


def spans(hits: Hits) -> list[Span]:
    return [segment.span for hit in hits for segment in hit.segments]


def test_segments_say_where_they_are(catalog: Catalog, tmp_path: Path) -> None:
    words = " ".join(f"word{n}" for n in range(40))
    folder = write(
        tmp_path / "m",
        {
            "talk.srt": SRT,
            "long.wav": wav(["low", "high", "middle", "low", "high"]),
            "long.txt": words,
            "a.png": png("red"),
        },
    )
    assert counts(catalog.ingest(folder)) == (4, 0, 0, 0)
    (best,) = spans(catalog.search("violet harbour", where="media_type = 'application/x-subrip'"))
    assert (best.start_ms, best.end_ms) == (100_000, 102_000)
    found = catalog.search("high", modality="audio", segments=5)[0]
    assert [(s.start_ms, s.end_ms) for s in found.segments[:2]] == [(1000, 2000), (4000, 5000)]
    assert {s.ordinal for s in found.segments} == {0, 1, 2, 3, 4}
    np.testing.assert_allclose(
        [s.score for s in found.segments[2:]],
        sorted(
            [float(direction("high", 32) @ direction(p, 32)) for p in ("low", "low", "middle")],
            reverse=True,
        ),
        atol=1e-5,
    )
    chunks = spans(
        catalog.search("word30", where="item_id = 'long.txt'", group="segment", limit=10)
    )
    assert len(chunks) > 2 and chunks[0].start_ms is None
    assert "word30" in words[chunks[0].start_char : chunks[0].end_char]
    assert spans(catalog.search("red", modality="image")) == [Span()]


@pytest.mark.parametrize(
    "text",
    [
        "Ein Regenschauer über dem Hafen",
        "雨が港に降る",
        "дождь над гаванью",
        "مطر على الميناء",
        "naïve — “quotes” 🎵 e\u0301",
        "ช่วงเวลาฝนตก",
    ],
)
def test_languages(catalog: Catalog, tmp_path: Path, text: str) -> None:
    folder = write(tmp_path / "m", {"weather.txt": text, "other.txt": "something else"})
    assert catalog.ingest(folder).added == 2
    hit = catalog.search(text)[0]
    assert hit.item_id == "weather.txt" and hit.score == pytest.approx(1, abs=1e-5)
    assert catalog.get("weather.txt").items[0].text == text
    (embedded,) = catalog.embed([Text(text)]).vectors
    np.testing.assert_allclose(embedded, embed_text(text, 32), atol=1e-6)


def test_hostile_folder(catalog: Catalog, tmp_path: Path) -> None:
    folder = write(
        tmp_path / "m",
        {
            "good.txt": "rain",
            "empty.png": b"",
            "empty.txt": b"",
            "blank.txt": " \n ",
            "noise.wav": b"\x00\x01\x02\x03" * 50,
            "truncated.png": png("red")[:40],
            "latin.txt": b"caf\xe9 \x00",
            "new\nline.txt": "rain",
            "ü-é-日本.txt": "rain there",
            "a,b'c\"d.txt": "rain quoted",
        },
    )
    (folder / "directory.png").mkdir()
    (folder / "directory.png" / "inside.txt").write_text("inside")
    os.mkfifo(folder / "pipe.wav")
    (folder / "loop").symlink_to(folder)
    (folder / "self.png").symlink_to(folder / "self.png")
    (folder / "gone.png").symlink_to(folder / "nowhere")
    (folder / "also.txt").symlink_to(folder / "good.txt")
    (folder / os.fsdecode(b"bad\xff.txt")).write_text("rain bytes")
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(os.path.relpath(folder / "door.txt"))
        report = catalog.ingest(folder)
    taken = {"good.txt", "ü-é-日本.txt", "a,b'c\"d.txt", "directory.png/inside.txt", "also.txt"}
    assert set(entities(catalog)) == taken and report.added == len(taken)
    failed = {Path(failure.source).name for failure in report.errors}
    assert failed == {
        "empty.png",
        "empty.txt",
        "blank.txt",
        "noise.wav",
        "truncated.png",
        "latin.txt",
        "new\nline.txt",
        "bad\\udcff.txt",
    }
    assert {f.source for f in catalog.failures()} == {f.source for f in report.errors}
    assert all(len(failure.message) >= 10 for failure in report.errors)
    again = catalog.ingest(folder)
    assert counts(again) == (0, 0, len(taken), len(failed))
    # What is repaired is taken, and its failure forgotten.
    for name in failed - {"new\nline.txt", "bad\\udcff.txt"}:
        (folder / name).unlink()
    write(folder, {"empty.png": png("green"), "noise.wav": wav("low")})
    assert counts(catalog.ingest(folder)) == (2, 0, len(taken), 2)
    left = {Path(failure.source).name for failure in catalog.failures()}
    assert left == failed - {"empty.png", "noise.wav"}


def test_single_files_and_wrong_paths(catalog: Catalog, tmp_path: Path) -> None:
    folder = write(tmp_path / "m", {"x/a.png": png("red"), "x/b.xyz": b"rain as text"})
    assert counts(catalog.ingest(folder / "x" / "a.png", str(folder / "x" / "b.xyz"))) == (
        2,
        0,
        0,
        0,
    )
    assert set(entities(catalog)) == {"a.png", "b.xyz"}
    with pytest.raises(NotFound, match="nowhere"):
        catalog.ingest(folder, folder / "nowhere")
    os.mkfifo(folder / "pipe.wav")
    with pytest.raises(NotFound):
        catalog.ingest(folder / "pipe.wav")
    assert counts(catalog.ingest()) == (0, 0, 0, 0)


def test_an_unreadable_file(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(tmp_path / "m", {"a.txt": "rain", "b.txt": "snow"})
    opened = Path.open

    def refused(self: Path, *args: object, **options: object) -> object:
        if self.name == "a.txt":
            raise PermissionError(13, "Permission denied")
        return opened(self, *args, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", refused)
    report = catalog.ingest(folder)
    assert counts(report) == (1, 0, 0, 1) and "Permission denied" in report.errors[0].message


def test_no_socket_is_opened(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    folder = write(
        tmp_path / "m", {"a.txt": "rain", "b.png": png("red"), "t.csv": "uri\nhttp://x/y\n"}
    )
    assert counts(catalog.ingest(folder, folder / "t.csv")) == (2, 0, 0, 1)
    (failure,) = catalog.failures()
    assert failure.reason == "PERMISSION_DENIED" and "nothing is fetched" in failure.message
    catalog.search("rain")
    catalog.build_indexes()
    catalog.delete("a.txt")
    catalog.compact()
    assert catalog.verify().problems == ()
