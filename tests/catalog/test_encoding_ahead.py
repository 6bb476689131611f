"""Decoding ahead gives what decoding in turn gives, bounded, and leaves nothing behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes import HashEmbedder, HashSpace, png, wav
from trichord.catalog import decoding, encoding
from trichord.catalog.decoding import ahead, in_turn
from trichord.catalog.encoding import PLAIN_TEXT, Content, ContentEncoder, Segments
from trichord.errors import MediaError
from trichord.types import Embedded, Modality, Piece, Role, Span, Waveform


def decoder_threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("trichord-decode")]


def piece(position: int, number: int, size: int = 100) -> Piece:
    return Piece(Waveform(np.full(size, position, np.float32), 8_000), Span(start_ms=number))


def shown(came: Any) -> tuple[int, Any]:
    position, what = came
    if isinstance(what, Piece):
        return position, (what.span.start_ms, float(what.content.samples[0]))  # type: ignore[union-attr]
    return position, str(what)


@settings(deadline=None, max_examples=60)
@given(
    counts=st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=12),
    cuts=st.sets(st.integers(0, 12)),
    threads=st.integers(1, 4),
    most_bytes=st.sampled_from([1, 400, 1_000, 1_000_000]),
)
def test_ahead_is_in_turn(
    counts: list[tuple[int, bool]], cuts: set[int], threads: int, most_bytes: int
) -> None:
    def cut(position: int) -> Iterator[Piece]:
        count, fails = counts[position]
        for number in range(count):
            yield piece(position, number)
        if fails:
            raise MediaError(f"broken {position}")

    groups: list[list[int]] = [[]]
    for position in range(len(counts)):
        if position in cuts:
            groups.append([])
        groups[-1].append(position)
    groups = [group for group in groups if group]
    expected = [shown(came) for came in in_turn(range(len(counts)), cut)]
    found = [shown(came) for came in ahead(groups, cut, threads=threads, most_bytes=most_bytes)]
    assert found == expected
    assert decoder_threads() == []


def test_what_waits_is_bounded() -> None:
    lock = threading.Lock()
    made = taken = 0
    most = 0

    def cut(position: int) -> Iterator[Piece]:
        nonlocal made, most
        for number in range(20):
            with lock:
                made += 1
                most = max(most, made - taken)
            yield piece(position, number)

    groups = [[position] for position in range(10)]
    with closing(ahead(groups, cut, threads=3, most_bytes=5 * 400)) as pieces:
        for _ in pieces:
            with lock:
                taken += 1
    assert made == taken == 200
    # Five wait, one is in the hands of each of three threads, one in those of the reader.
    assert most <= 5 + 3 + 1 + 1


@pytest.mark.parametrize("read", [0, 1, 5])
def test_closed_early_it_leaves_no_thread(read: int) -> None:
    decoded = ahead(
        [[p] for p in range(50)], lambda p: iter([piece(p, 0)]), threads=4, most_bytes=1
    )
    for _ in range(read):
        next(decoded)
    decoded.close()
    assert decoder_threads() == []


def test_what_is_no_error_of_content_comes_out_in_its_turn() -> None:
    def cut(position: int) -> Iterator[Piece]:
        yield piece(position, 0)
        if position == 3:
            raise ZeroDivisionError("a bug")

    seen = []
    with pytest.raises(ZeroDivisionError, match="a bug"):
        for came in ahead([[p] for p in range(6)], cut, threads=2):
            seen.append(came[0])
    assert seen == [0, 1, 2, 3]
    assert decoder_threads() == []


def mixed() -> list[Content]:
    """Pictures, sounds of one to three segments, texts of one to many chunks, and broken ones."""
    png_type = encoding.sniff(png("red")[:64])
    wav_type = encoding.sniff(wav("low")[:64])
    contents: list[Content] = []
    for number in range(60):
        match number % 6:
            case 0:
                contents.append(Content(png_type, png(["red", "green", "blue"][number % 3])))
            case 1:
                contents.append(Content(wav_type, wav(["low", "high", "middle"][: 1 + number % 3])))
            case 2:
                contents.append(Content(PLAIN_TEXT, f"word{number} rain organ"))
            case 3:
                contents.append(Content(PLAIN_TEXT, " ".join(f"w{n}" for n in range(number))))
            case 4:
                contents.append(Content(png_type, png("blue")[: 20 + number // 2]))
            case _:
                contents.append(Content(PLAIN_TEXT, "   "))
    return contents


def plain(found: Sequence[Segments]) -> list[Any]:
    return [
        (
            [vector.tobytes() for vector in one.vectors],
            one.spans,
            one.text,
            (type(one.error), str(one.error)),
        )
        for one in found
    ]


def test_encoding_many_is_encoding_each() -> None:
    encoder = ContentEncoder(HashSpace())
    contents = mixed()
    together = plain(encoder.encode(contents))
    assert together == [plain(encoder.encode([content]))[0] for content in contents]
    assert sum(error is not type(None) for *_, (error, _) in together) == 20
    assert decoder_threads() == []


def test_several_threads_encode_at_once() -> None:
    encoder = ContentEncoder(HashSpace())
    contents = mixed()
    expected = plain(encoder.encode(contents))
    found: dict[int, list[Any]] = {}

    def work(number: int) -> None:
        found[number] = plain(encoder.encode(contents))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == dict.fromkeys(range(4), expected)
    assert decoder_threads() == []


def test_one_text_or_picture_starts_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **keywords: Any) -> Any:
        raise AssertionError("a thread was made")

    encoder = ContentEncoder(HashSpace())
    with monkeypatch.context() as closed:
        closed.setattr(decoding.threading, "Thread", refuse)
        assert encoder.encode([Content(PLAIN_TEXT, "red")])[0].error is None
        data = png("red")
        assert encoder.encode([Content(encoding.sniff(data[:64]), data)])[0].error is None
        assert len(encoder.encode([Content(PLAIN_TEXT, "red")] * 5)) == 5
        assert encoder.encode([]) == []


@dataclass(frozen=True)
class Watched:
    """An embedder that keeps what it was given, and may wait in its first call."""

    inner: HashEmbedder
    calls: list[list[Any]]
    until: threading.Event | None = None
    batch: int | None = None

    def embed(self, batch: Sequence[Any], *, role: Role = Role.DOCUMENT) -> Embedded:
        self.calls.append(list(batch))
        if self.until is not None and len(self.calls) == 1:
            assert self.until.wait(20), "nothing was decoded while the model worked"
        return self.inner.embed(batch, role=role)


@dataclass(frozen=True)
class WatchedSpace(HashSpace):
    calls: list[list[Any]] = field(default_factory=list)
    until: threading.Event | None = None
    batch: int | None = None
    image_side: int | None = None

    def embedder(self, modality: Modality) -> Any:
        return Watched(super().embedder(modality), self.calls, self.until, self.batch)


def test_what_comes_next_is_decoded_while_the_model_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decoded = threading.Event()
    data = png("red")
    contents = [Content(encoding.sniff(data[:64]), png("red", seed=n)) for n in range(40)]
    pieces = encoding.pieces

    def telling(media: Any, source: Any, *rest: Any) -> Any:
        if source == contents[-1].source:
            decoded.set()
        return pieces(media, source, *rest)

    monkeypatch.setattr(encoding, "pieces", telling)
    space = WatchedSpace(until=decoded)
    found = ContentEncoder(space).encode(contents)
    assert all(one.error is None for one in found)


def test_batches_grow_to_what_the_embedder_likes() -> None:
    data = png("red")
    contents = [Content(encoding.sniff(data[:64]), png("red", seed=n)) for n in range(150)]
    space = WatchedSpace(batch=32)
    ContentEncoder(space).encode(contents)
    assert [len(call) for call in space.calls] == [16, 32, 32, 32, 32, 6]
    space = WatchedSpace()
    ContentEncoder(space).encode(contents)
    assert [len(call) for call in space.calls] == [16, 32, 64, 38]
    space = WatchedSpace()
    ContentEncoder(space).encode([Content(PLAIN_TEXT, f"red {n}") for n in range(600)])
    assert [len(call) for call in space.calls] == [512, 88]


def test_pictures_are_reduced_to_what_the_tower_needs_if_that_is_known() -> None:
    data = png("red", size=600)
    content = Content(encoding.sniff(data[:64]), data)
    for side, expected in ((None, 600), (32, 67), (512, 600)):
        space = WatchedSpace(image_side=side)
        ContentEncoder(space).encode([content])
        assert space.calls[0][0].shape == (expected, expected, 3)
