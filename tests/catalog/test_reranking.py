"""The reranker's thread: prefixes, turns, bounds, memory. Nothing here depends on how long
anything takes: models wait for events, and whoever waits for a model gives up when told to."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder

from tests.embedders.sentence import pairs
from trichord.catalog import reranking
from trichord.catalog.reranking import Reranking
from trichord.embedders.backend import Runtime
from trichord.embedders.rerank import open_reranker
from trichord.errors import InvalidInput, ModelError
from trichord.types import F32

PATIENT = 600.0


def fits(query: str, text: str) -> float:
    """What the fake model thinks: another number for every pair, exact in float32."""
    return zlib.crc32(f"{query}|{text}".encode()) % 65_536 / 16


@dataclass
class Fake:
    """A model that calls `before(query, texts)` when it is asked."""

    before: Callable[[str, Sequence[str]], None] = lambda query, texts: None
    batch: int = 2
    name: str = "fake"
    facts: Mapping[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)

    def load(self) -> None:
        self.asked.append(("load", ()))

    def score(self, query: str, texts: Sequence[str]) -> F32:
        self.asked.append((query, tuple(texts)))
        self.before(query, texts)
        return np.array([fits(query, text) for text in texts], np.float32)


def texts_of(word: str, count: int) -> list[str]:
    return [f"{word} {number}" for number in range(count)]


def expected(query: str, texts: Sequence[str]) -> list[float]:
    return [fits(query, text) for text in texts]


@pytest.fixture
def opened() -> Iterator[Callable[..., Reranking]]:
    made: list[Reranking] = []

    def make(fake: Fake, **options: Any) -> Reranking:
        made.append(Reranking(fake, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


class Gates:
    """A model stops at the n-th call until it is let on; a caller's time is up when it is said."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at = threading.Event()
        self.on = threading.Event()
        self.time_is_up = threading.Event()
        self.calls = 0
        self.stop_at = 1
        monkeypatch.setattr(reranking, "_wait", self._wait)

    def before(self, query: str, texts: Sequence[str]) -> None:
        self.calls += 1
        if self.calls == self.stop_at:
            self.at.set()
            assert self.on.wait(60)

    def _wait(self, over: threading.Event, seconds: float) -> None:
        """Until it is over, or the time is up: whichever a test lets come."""
        while not over.wait(0.002):
            if self.time_is_up.is_set():
                return


@pytest.fixture
def gates(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gates]:
    made = Gates(monkeypatch)
    yield made
    made.on.set()
    made.time_is_up.set()


def test_all_in_time(opened: Callable[..., Reranking]) -> None:
    fake = Fake()
    texts = texts_of("rain", 7)
    scores, why = opened(fake).scores("rainy", texts, PATIENT)
    assert scores.dtype == np.float32 and why is None
    assert scores.tolist() == expected("rainy", texts)
    assert [len(some) for _, some in fake.asked] == [2, 2, 2, 1]
    assert [text for _, some in fake.asked for text in some] == texts


def test_nothing_to_score(opened: Callable[..., Reranking]) -> None:
    fake = Fake()
    one = opened(fake)
    assert one.scores("rain", [], PATIENT)[0].tolist() == []
    scores, why = one.scores("rain", ["", "  "], PATIENT)
    assert scores.tolist() == [-np.inf, -np.inf] and why is None
    assert fake.asked == []


def test_empty_texts_are_last_and_no_work(opened: Callable[..., Reranking]) -> None:
    fake = Fake()
    scores, why = opened(fake).scores("rain", ["a", "", "rain", " \n"], PATIENT)
    assert scores.tolist() == [fits("rain", "a"), -np.inf, fits("rain", "rain"), -np.inf]
    assert why is None and fake.asked == [("rain", ("a", "rain"))]


def test_when_the_time_is_up_the_beginning_is_there(
    opened: Callable[..., Reranking], gates: Gates
) -> None:
    gates.stop_at = 3
    fake = Fake(gates.before)
    one = opened(fake)
    texts = texts_of("rain", 9)
    answers: list[Any] = []
    caller = threading.Thread(target=lambda: answers.append(one.scores("rainy", texts, 0.25)))
    caller.start()
    assert gates.at.wait(60)  # two slices are done, the model is stuck in the third
    gates.time_is_up.set()
    caller.join(60)
    scores, why = answers[0]
    assert scores.tolist() == expected("rainy", texts[:4])
    assert why is not None and "scored 4 of 9 hits within 250 ms" in why
    # The third slice is finished, and the rest of a request that nobody waits for is not begun.
    gates.time_is_up.clear()
    gates.on.set()
    assert one.scores("sun", ["sun"], PATIENT)[0].tolist() == expected("sun", ["sun"])
    assert [some for query, some in fake.asked if query == "rainy"] == [
        tuple(texts[0:2]), tuple(texts[2:4]), tuple(texts[4:6])
    ]  # fmt: skip
    # What was scored too late is known to who asks again.
    again, why = one.scores("rainy", texts, PATIENT)
    assert again.tolist() == expected("rainy", texts) and why is None
    assert [some for query, some in fake.asked if query == "rainy"][3:] == [
        tuple(texts[6:8]), tuple(texts[8:])
    ]  # fmt: skip


def test_a_model_that_is_stuck_at_once(opened: Callable[..., Reranking], gates: Gates) -> None:
    gates.time_is_up.set()
    one = opened(Fake(gates.before))
    for _ in range(40):  # more than are taken at a time: nothing is left behind
        scores, why = one.scores("rain", texts_of("rain", 3), 0.01)
        assert scores.tolist() == [] and why is not None and "nothing within 10 ms" in why
    assert len(one._waiting) <= 1


def test_a_deadline_without_any_help(opened: Callable[..., Reranking], gates: Gates) -> None:
    """With the clock as it is: the answer comes although the model never ends."""
    monkey = pytest.MonkeyPatch()
    monkey.setattr(reranking, "_wait", lambda over, seconds: over.wait(seconds))
    try:
        scores, why = opened(Fake(gates.before)).scores("rain", ["rain"], 0.01)
    finally:
        monkey.undo()
    assert scores.tolist() == [] and why is not None


def test_requests_take_turns(opened: Callable[..., Reranking], gates: Gates) -> None:
    fake = Fake(gates.before)
    one = opened(fake)
    long, short = texts_of("rain", 10), ["sun"]
    answers: dict[str, Any] = {}

    def ask(query: str, texts: list[str]) -> None:
        answers[query] = one.scores(query, texts, PATIENT)

    first = threading.Thread(target=ask, args=("rainy", long))
    first.start()
    assert gates.at.wait(60)  # in the first slice of the long request
    second = threading.Thread(target=ask, args=("sunny", short))
    second.start()
    while not one._waiting:  # the short one has come
        pass
    gates.on.set()
    first.join(60)
    second.join(60)
    assert [query for query, _ in fake.asked] == ["rainy", "sunny", *["rainy"] * 4]
    assert answers["rainy"][0].tolist() == expected("rainy", long)
    assert answers["sunny"][0].tolist() == expected("sunny", short)


def test_one_request_too_many_is_answered_at_once(
    opened: Callable[..., Reranking], gates: Gates
) -> None:
    one = opened(Fake(gates.before), at_once=2)
    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda: answers.append(one.scores("rainy", ["rain"], PATIENT)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    assert gates.at.wait(60)
    while one._taken < 2:
        pass
    scores, why = one.scores("sunny", ["sun"], PATIENT)
    assert scores.tolist() == [] and why is not None and "busy with 2 other" in why
    gates.on.set()
    for thread in threads:
        thread.join(60)
    assert [(scores.tolist(), why) for scores, why in answers] == [
        (expected("rainy", ["rain"]), None)
    ] * 2
    assert one.scores("sunny", ["sun"], PATIENT)[1] is None


@pytest.mark.parametrize("error", [ModelError("no weights"), RuntimeError("odd"), MemoryError()])
def test_a_model_that_fails_is_a_reason_and_no_error(
    opened: Callable[..., Reranking], error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(query: str, texts: Sequence[str]) -> None:
        if "rain 2" in texts:
            raise error

    one = opened(Fake(fail))
    scores, why = one.scores("rainy", texts_of("rain", 5), PATIENT)
    assert scores.tolist() == expected("rainy", texts_of("rain", 2))
    assert why is not None and f"failed ({error or 'MemoryError'})" in why
    assert bool(caplog.records) == (not isinstance(error, ModelError))
    assert one.scores("sunny", ["sun"], PATIENT)[1] is None  # the thread lives on


@pytest.mark.parametrize("answer", [np.zeros(1, np.float32), np.array([1, np.nan], np.float32)])
def test_a_model_that_answers_nonsense(
    opened: Callable[..., Reranking], answer: F32, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = Fake()
    monkeypatch.setattr(fake, "score", lambda query, texts: answer)
    scores, why = opened(fake).scores("rain", ["a", "b"], PATIENT)
    assert scores.tolist() == [] and why is not None and "failed" in why


def test_a_query_that_is_no_text(opened: Callable[..., Reranking]) -> None:
    def refuse(query: str, texts: Sequence[str]) -> None:
        raise InvalidInput("the query text is empty: write what to look for")

    with pytest.raises(InvalidInput, match="is empty"):
        opened(Fake(refuse)).scores("\ud800", ["rain"], PATIENT)
    with pytest.raises(InvalidInput, match="at least 1"):
        Reranking(Fake(), at_once=0)


def test_what_was_scored_is_remembered(
    opened: Callable[..., Reranking], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = Fake()
    one = opened(fake)
    texts = texts_of("rain", 4)
    first, _ = one.scores("rainy", texts, PATIENT)
    before = len(fake.asked)
    again, why = one.scores("rainy", [texts[3], texts[0]], PATIENT)
    assert again.tolist() == [first[3], first[0]] and why is None and len(fake.asked) == before
    assert one.scores("rainy", [*texts, "rain 9"], PATIENT)[0].tolist() == expected(
        "rainy", [*texts, "rain 9"]
    )
    assert fake.asked[before:] == [("rainy", ("rain 9",))]
    other, _ = one.scores("train", texts, PATIENT)  # another question is another score
    assert other.tolist() == expected("train", texts) != first.tolist()
    assert one.scores("a b", ["c"], PATIENT)[0].tolist() == expected("a b", ["c"])
    assert one.scores("a", [" bc"], PATIENT)[0].tolist() == expected("a", [" bc"])
    monkeypatch.setattr(reranking, "REMEMBERED", 3)
    one.scores("new", texts_of("new", 5), PATIENT)
    assert len(one._remembered) == 3


def test_loading_and_closing(opened: Callable[..., Reranking], gates: Gates) -> None:
    fake = Fake()
    one = opened(fake)
    one.load()
    assert fake.asked == [("load", ())]
    one.close()
    scores, why = one.scores("rain", ["rain"], PATIENT)
    assert scores.tolist() == [] and why is not None and "closed" in why
    used = opened(Fake())
    used.scores("rain", ["rain"], PATIENT)
    used.close()
    assert used._thread is not None and not used._thread.is_alive()


def test_with_a_real_model(opened: Callable[..., Reranking], tmp_path: Path) -> None:
    pairs.plain(tmp_path / "model")
    one = Reranking(
        open_reranker(tmp_path / "model", runtime=Runtime(device="cpu", offline=True, batch=3))
    )
    texts = ["a red cat on a wall", "rain and thunder", "", "x", "the sound of rain " * 9, "rain"]
    scores, why = one.scores("the sound of rain", texts, PATIENT)
    one.close()
    assert why is None and scores[2] == -np.inf
    theirs = CrossEncoder(str(tmp_path / "model"), local_files_only=True, device="cpu").predict(
        [("the sound of rain", text) for text in texts], activation_fn=torch.nn.Identity()
    )
    there = [0, 1, 3, 4, 5]
    np.testing.assert_allclose(scores[there], theirs[there], atol=1e-5)
