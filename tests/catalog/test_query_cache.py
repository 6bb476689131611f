"""Content that is asked by: remembered, and embedded together where several ask at once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes import HashEmbedder, HashSpace, direction, embed_text, png, wav
from tests.server.serving import eventually
from trichord.catalog import Catalog
from trichord.catalog.encoding import PLAIN_TEXT, Content, ContentEncoder
from trichord.catalog.encoding_queue import TOGETHER, EncodingQueue
from trichord.catalog.query_cache import ENTRY_BYTES, QueryCache, key_of
from trichord.errors import InvalidInput, MediaError, TrichordError
from trichord.query import Audio, Image, Record, Text
from trichord.types import Embedded, Modality, Role

DIM = 8
SIZE = 4 * DIM + ENTRY_BYTES


def vector(number: int) -> np.ndarray[Any, Any]:
    return np.full(DIM, number, np.float32)


# The cache


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 5),
    st.lists(st.tuples(st.sampled_from("gp"), st.integers(0, 7)), max_size=60),
)
def test_it_forgets_what_was_used_least_recently(
    room: int, steps: Sequence[tuple[str, int]]
) -> None:
    """Against a plain model of the same rule."""
    cache = QueryCache(room * SIZE)
    model: OrderedDict[int, int] = OrderedDict()
    for step, number in steps:
        key = bytes([number])
        if step == "g":
            got = cache.get(key)
            assert (None if got is None else int(got[0])) == model.get(number)
            if number in model:
                model.move_to_end(number)
        else:
            kept = cache.put(key, vector(number))
            np.testing.assert_array_equal(kept, vector(number))
            model.setdefault(number, number)
            while len(model) > room:
                model.popitem(last=False)
        assert (len(cache), cache.used) == (len(model), len(model) * SIZE)


def test_the_first_vector_stands_and_nobody_changes_it() -> None:
    cache = QueryCache()
    first = cache.put(b"a", vector(1))
    assert cache.put(b"a", vector(2)) is first
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 7
    np.testing.assert_array_equal(cache.get(b"a"), vector(1))


def test_what_is_larger_than_the_cache_is_not_kept() -> None:
    cache = QueryCache(SIZE - 1)
    np.testing.assert_array_equal(cache.put(b"a", vector(3)), vector(3))
    assert (len(cache), cache.used) == (0, 0)


@given(st.lists(st.text(st.characters(codec=None), max_size=4), min_size=4, max_size=4))
def test_keys_tell_all_their_parts_apart(parts: Sequence[str]) -> None:
    maker, kind, content, other = parts
    key = key_of(maker, Role.QUERY, kind, content)
    assert key == key_of(maker, Role.QUERY, kind, content.encode("utf-8", "surrogatepass"))
    assert key != key_of(maker, Role.DOCUMENT, kind, content)
    if other != content:
        assert key != key_of(maker, Role.QUERY, kind, other)
    if other != kind:
        assert key != key_of(maker, Role.QUERY, other, content)
    if other != maker:
        assert key != key_of(other, Role.QUERY, kind, content)


def test_many_threads_share_it() -> None:
    cache = QueryCache(20 * SIZE)
    wrong: list[int] = []

    def work(seed: int) -> None:
        generator = np.random.default_rng(seed)
        for number in generator.integers(0, 40, 2_000):
            key = int(number).to_bytes(4, "big")
            found = cache.get(key)
            if found is None:
                found = cache.put(key, vector(int(number)))
            if found[0] != number:
                wrong.append(int(number))

    _together([lambda seed=seed: work(seed) for seed in range(6)])
    assert not wrong
    assert len(cache) == 20 and cache.used == 20 * SIZE


def _together(tasks: Sequence[Callable[[], Any]]) -> None:
    threads = [threading.Thread(target=task) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not [thread for thread in threads if thread.is_alive()]


# The queue


@dataclass
class Work:
    """Squares numbers, in batches that are noted; waits while a test says so."""

    batches: list[list[int]] = field(default_factory=list)
    free: threading.Event = field(default_factory=threading.Event)

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.batches.append(list(numbers))
        assert self.free.wait(30)
        if -1 in numbers:
            raise ZeroDivisionError("minus one")
        return [number * number for number in numbers]


def asked(queue: EncodingQueue[int, int], numbers: Sequence[int], out: dict[Any, Any]) -> None:
    try:
        out[tuple(numbers)] = list(queue.do(numbers))
    except ZeroDivisionError as error:
        out[tuple(numbers)] = error


@pytest.fixture
def work() -> Iterator[Work]:
    made = Work()
    yield made
    made.free.set()


def crowd(queue: EncodingQueue[int, int], work: Work, groups: Sequence[Sequence[int]]) -> Any:
    """What each group was answered; all but the first came while that one was worked at."""
    out: dict[Any, Any] = {}
    tasks = [threading.Thread(target=asked, args=(queue, group, out)) for group in groups]
    tasks[0].start()
    eventually(lambda: work.batches)
    for number, task in enumerate(tasks[1:], 1):
        task.start()
        eventually(lambda number=number: len(queue._waiting) == number)
    work.free.set()
    for task in tasks:
        task.join(60)
    assert not queue._running and not queue._waiting
    return out


def test_one_alone_is_done_at_once_by_its_own_thread() -> None:
    threads: list[threading.Thread] = []

    def noting(numbers: Sequence[int]) -> list[int]:
        threads.append(threading.current_thread())
        return list(numbers)

    queue: EncodingQueue[int, int] = EncodingQueue(noting)
    assert list(queue.do([3])) == [3] and list(queue.do([4, 5])) == [4, 5]
    assert threads == [threading.current_thread()] * 2


def test_those_who_come_meanwhile_are_the_next_batch(work: Work) -> None:
    queue: EncodingQueue[int, int] = EncodingQueue(work)
    groups = [[1], [2, 3], [4], [5, 6, 7]]
    out = crowd(queue, work, groups)
    assert work.batches == [[1], [2, 3, 4, 5, 6, 7]]
    assert out == {tuple(group): [number**2 for number in group] for group in groups}


def test_a_batch_has_an_end(work: Work) -> None:
    queue: EncodingQueue[int, int] = EncodingQueue(work)
    half = TOGETHER // 2 + 1
    groups = [[1], list(range(half)), list(range(half, 2 * half)), [7], list(range(TOGETHER + 9))]
    out = crowd(queue, work, groups)
    assert [len(batch) for batch in work.batches] == [1, half, half + 1, TOGETHER + 9]
    assert all(out[tuple(group)] == [number**2 for number in group] for group in groups)


def test_an_error_is_raised_to_whom_it_concerns(work: Work) -> None:
    queue: EncodingQueue[int, int] = EncodingQueue(work)
    out = crowd(queue, work, [[1], [2], [-1, 3], [4]])
    assert isinstance(out.pop((-1, 3)), ZeroDivisionError)
    assert out == {(1,): [1], (2,): [4], (4,): [16]}
    assert list(queue.do([5])) == [25]


def test_a_thread_that_is_interrupted_leaves_the_others_their_turn() -> None:
    began, free = threading.Event(), threading.Event()
    interrupt = True

    def interrupted(numbers: Sequence[int]) -> list[int]:
        nonlocal interrupt
        began.set()
        assert free.wait(30)
        if 2 in numbers and interrupt:
            interrupt = False
            raise KeyboardInterrupt
        return [number * number for number in numbers]

    queue: EncodingQueue[int, int] = EncodingQueue(interrupted)
    out: dict[Any, Any] = {}

    def ask(number: int) -> None:
        try:
            out[number] = list(queue.do([number]))
        except KeyboardInterrupt:
            out[number] = "interrupted"

    tasks = [threading.Thread(target=ask, args=(number,)) for number in (1, 2, 3, 4)]
    tasks[0].start()
    assert began.wait(30)
    for number, task in enumerate(tasks[1:], 1):
        task.start()
        eventually(lambda number=number: len(queue._waiting) == number)
    free.set()
    for task in tasks:
        task.join(60)
    assert out == {1: [1], 2: "interrupted", 3: [9], 4: [16]}
    assert list(queue.do([5])) == [25]


def test_a_crowd_gets_its_own_answers() -> None:
    queue: EncodingQueue[int, int] = EncodingQueue(lambda numbers: [n * n for n in numbers])
    wrong: list[int] = []

    def ask(seed: int) -> None:
        for number in range(seed, 2_000, 7):
            if list(queue.do([number, number + 1])) != [number**2, (number + 1) ** 2]:
                wrong.append(number)

    _together([lambda seed=seed: ask(seed) for seed in range(7)])
    assert not wrong and not queue._running


# Both, in a catalogue


@dataclass
class Calls:
    """Batches that reached the embedders; they wait while `free` is not set."""

    batches: list[tuple[Modality, Role, int]] = field(default_factory=list)
    free: threading.Event = field(default_factory=threading.Event)
    began: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class Counting(HashSpace):
    calls: Calls = field(default_factory=Calls, compare=False)

    def embedder(self, modality: Modality) -> Any:
        inner: HashEmbedder = HashSpace.embedder(self, modality)
        calls = self.calls

        class Counted:
            def embed(self, batch: Sequence[Any], *, role: Role = Role.DOCUMENT) -> Embedded:
                calls.batches.append((modality, role, len(batch)))
                calls.began.set()
                assert calls.free.wait(30)
                return inner.embed(batch, role=role)

        return Counted()


@pytest.fixture
def space() -> Iterator[Counting]:
    made = Counting()
    made.calls.free.set()
    yield made
    made.calls.free.set()


@pytest.fixture
def catalog(tmp_path: Path, space: Counting) -> Iterator[Catalog]:
    with Catalog.open(tmp_path / "store", space=space) as opened:
        yield opened


@pytest.mark.parametrize(
    ("content", "modality"),
    [
        (Text("a red barn"), Modality.TEXT),
        (Image(png("red")), Modality.IMAGE),
        (Audio(wav(["high", "low"])), Modality.AUDIO),
    ],
)
def test_equal_content_is_embedded_once(
    catalog: Catalog, space: Counting, content: Any, modality: Modality
) -> None:
    first = catalog.embed([content]).vectors
    same = type(content)(
        content.text[:] if isinstance(content, Text) else bytes(bytearray(content.data))
    )
    again = catalog.embed([same, same]).vectors
    assert len(space.calls.batches) == 1
    assert first.tobytes() == again[0].tobytes() == again[1].tobytes()
    # Byte for byte what a catalogue computes that was never asked before.
    fresh = ContentEncoder(HashSpace())
    made = fresh.content(content.data) if modality is not Modality.TEXT else None
    (expected,) = fresh.pooled([made or Content(PLAIN_TEXT, content.text)], Role.QUERY)
    assert isinstance(expected, np.ndarray) and expected.tobytes() == first[0].tobytes()
    # Another role is another vector, even if this space makes the same one of it.
    catalog.embed([content], role=Role.DOCUMENT)
    catalog.embed([content], role=Role.DOCUMENT)
    assert [role for _, role, _ in space.calls.batches] == [Role.QUERY, Role.DOCUMENT]


def test_equal_content_of_one_call_is_embedded_once(catalog: Catalog, space: Counting) -> None:
    found = catalog.embed([Text("red"), Text("blue"), Text("red"), Image(png("red"))] * 2)
    assert sorted(space.calls.batches) == [
        (Modality.IMAGE, Role.QUERY, 1),
        (Modality.TEXT, Role.QUERY, 2),
    ]
    expected = [direction(word, 32) for word in ("red", "blue", "red", "red")] * 2
    np.testing.assert_allclose(found.vectors, expected, atol=1e-6)


def test_spaces_and_encoders_do_not_share_vectors() -> None:
    cache = QueryCache()
    spaces = [HashSpace(), HashSpace(version=2), HashSpace(anchor="other"), HashSpace(dim=16)]
    encoders = [ContentEncoder(one, known=cache) for one in spaces]
    for one, encoder in zip(spaces, encoders, strict=True):
        (found,) = encoder.pooled([Content(PLAIN_TEXT, "red")], Role.QUERY)
        expected = embed_text("red", one.dim, one.anchor)
        np.testing.assert_allclose(found, expected, atol=1e-6)  # type: ignore[arg-type]
    assert len(cache) == 4


def test_text_that_looks_like_timed_text_is_not_mistaken_for_it() -> None:
    """What content is read as belongs to the key."""
    encoder = ContentEncoder(HashSpace())
    source = b"1\n00:00:01,000 --> 00:00:02,000\nred\n"
    timed = encoder.content(source, name="a.srt")
    plain = Content(PLAIN_TEXT, source.decode())
    assert timed.media.modality is plain.media.modality is Modality.TEXT
    one, other = (encoder.pooled([content], Role.QUERY)[0] for content in (timed, plain))
    np.testing.assert_allclose(one, direction("red", 32), atol=1e-6)  # type: ignore[arg-type]
    assert not np.allclose(one, other, atol=1e-3)  # type: ignore[arg-type]


def test_files_are_read_anew(tmp_path: Path, space: Counting) -> None:
    encoder = ContentEncoder(space)
    path = tmp_path / "a.png"
    for colour in ("red", "blue"):
        path.write_bytes(png(colour))
        (found,) = encoder.pooled([encoder.content(path)], Role.QUERY)
        np.testing.assert_allclose(found, direction(colour, 32), atol=1e-6)  # type: ignore[arg-type]


def test_errors_are_not_remembered(catalog: Catalog, space: Counting) -> None:
    for _ in range(2):
        found = catalog.embed([Text("?!"), Text("red")])
        assert isinstance(found.errors[0], InvalidInput)
        np.testing.assert_allclose(found.vectors[1], direction("red", 32), atol=1e-6)
    assert [count for _, _, count in space.calls.batches] == [2, 1]


def test_those_who_ask_at_once_are_embedded_together(catalog: Catalog, space: Counting) -> None:
    calls = space.calls
    calls.free.clear()
    asked: list[Any] = ["first", "red", "?!", "blue", "red", "green"]
    out: dict[int, Any] = {}

    def ask(number: int) -> None:
        found = catalog.embed([Text(asked[number])])
        out[number] = found.errors.get(0, found.vectors[0])

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(asked))]
    threads[0].start()
    assert calls.began.wait(30)
    for thread in threads[1:]:
        thread.start()
    queue = catalog._models.get(space.name)._asked._queue(Modality.TEXT, Role.QUERY)
    eventually(lambda: len(queue._waiting) == 5)
    # A picture does not wait for texts.
    picture = threading.Thread(target=lambda: catalog.embed([Image(png("green"))]))
    picture.start()
    eventually(lambda: len(calls.batches) == 2)
    calls.free.set()
    for thread in [*threads, picture]:
        thread.join(60)
    assert calls.batches == [
        (Modality.TEXT, Role.QUERY, 1),
        (Modality.IMAGE, Role.QUERY, 1),
        (Modality.TEXT, Role.QUERY, 4),  # "red" once
    ]
    assert isinstance(out.pop(2), TrichordError)
    for number, found in out.items():
        np.testing.assert_allclose(found, direction(asked[number], 32), atol=1e-6)


def test_many_at_once_hold_up_nobody(catalog: Catalog, space: Counting) -> None:
    calls = space.calls
    calls.free.clear()
    many = [Text(f"word{number}") for number in range(TOGETHER + 1)]
    big = threading.Thread(target=lambda: catalog.embed(many))
    big.start()
    assert calls.began.wait(30)
    small = threading.Thread(target=lambda: catalog.embed([Text("red")]))
    small.start()
    eventually(lambda: len(calls.batches) == 2)  # it does not wait for the big one
    calls.free.set()
    for thread in (big, small):
        thread.join(60)
    assert [count for _, _, count in calls.batches] == [TOGETHER + 1, 1]


def test_a_broken_picture_among_others_fails_alone(catalog: Catalog, space: Counting) -> None:
    broken = Image(png("red")[:40])
    out: dict[int, Any] = {}

    def ask(number: int) -> None:
        given = broken if number % 3 == 1 else Image(png("blue", seed=number))
        found = catalog.embed([given])
        out[number] = found.errors.get(0, found.vectors[0])

    _together([lambda number=number: ask(number) for number in range(9)])
    for number, found in out.items():
        if number % 3 == 1:
            assert isinstance(found, MediaError)
        else:
            np.testing.assert_allclose(found, direction("blue", 32), atol=1e-6)


def test_a_search_by_content_uses_what_is_remembered(catalog: Catalog, space: Counting) -> None:
    with catalog.ingestion() as ingestion:
        ingestion.add([Record("barn", text="red barn"), Record("sea", text="blue sea")])
    catalog.refresh()
    space.calls.batches.clear()
    first = catalog.search("red", limit=2)
    again = catalog.search("red", limit=2)
    mixed = catalog.search(Text("red") - 0.5 * Text("blue"), limit=2)
    assert [count for _, _, count in space.calls.batches] == [1, 1]  # "blue" was new
    assert first.item_ids == again.item_ids == mixed.item_ids == ["barn", "sea"]
    assert first.scores.tobytes() == again.scores.tobytes()
