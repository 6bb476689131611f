"""Searches that come while another one runs: one batch, and to each its own answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.catalog.conftest import add, some_records
from tests.fakes import HashSpace
from trichord.catalog import Catalog, quick
from trichord.catalog.together import Together
from trichord.hits import Hits
from trichord.types import F32

WAIT_S = 30.0


def vector(number: float) -> F32:
    return np.array([number, 1], np.float32)


class Room:
    """Asks by threads, whose searches begin but do not end before they are let go."""

    def __init__(self, *, at_most: int = 64, fails: bool = False) -> None:
        self.together: Together[float] = Together(at_most=at_most)
        self.pool = ThreadPoolExecutor(32)
        self.gate = threading.Event()
        self.begun = threading.Event()
        self.alone: list[float] = []
        self.batches: list[list[float]] = []
        self.fails = fails

    def ask(self, number: float, key: Any = "key") -> float:
        def alone() -> float:
            self.begun.set()
            assert self.gate.wait(WAIT_S)
            self.alone.append(number)
            if number < 0:
                raise ValueError(f"no {number}")
            return 10 * number

        def many(matrix: F32) -> Sequence[float]:
            self.batches.append(matrix[:, 0].tolist())
            if self.fails:
                raise ValueError("not as a batch")
            return [10 * float(row[0]) for row in matrix]

        return self.together.ask(key, vector(number), alone, many)

    def full(self, numbers: Sequence[float], keys: Sequence[Any] | None = None) -> list[Any]:
        """The first is at work, the others wait."""
        keys = keys or ["key"] * len(numbers)
        first = self.pool.submit(self.ask, numbers[0], keys[0])
        assert self.begun.wait(WAIT_S)
        others = []
        for count, (number, key) in enumerate(zip(numbers[1:], keys[1:], strict=True), start=1):
            others.append(self.pool.submit(self.ask, number, key))
            while len(self.together._waiting) < count:
                threading.Event().wait(0.001)
        self.gate.set()
        return [first, *others]


def test_who_is_alone_goes_alone() -> None:
    room = Room()
    room.gate.set()
    assert [room.ask(number) for number in (1, 2, 3)] == [10, 20, 30]
    assert room.alone == [1, 2, 3] and not room.batches


def test_those_that_wait_are_answered_as_one_batch() -> None:
    room = Room()
    asked = room.full([1, 2, 3, 4, 5])
    assert [one.result(WAIT_S) for one in asked] == [10, 20, 30, 40, 50]
    assert room.batches == [[2, 3, 4, 5]] and room.alone == [1]
    assert room.ask(6) == 60 and room.alone == [1, 6]  # and then there is nobody


def test_only_what_asks_alike_goes_together() -> None:
    room = Room()
    asked = room.full([1, 2, 3, 4, 5, 6], ["a", "b", "c", "b", "c", "d"])
    assert [one.result(WAIT_S) for one in asked] == [10, 20, 30, 40, 50, 60]
    assert sorted(room.batches) == [[2, 4], [3, 5]] and sorted(room.alone) == [1, 6]


def test_a_batch_has_a_bound() -> None:
    room = Room(at_most=3)
    asked = room.full([1, 2, 3, 4, 5, 6, 7, 8])
    assert [one.result(WAIT_S) for one in asked] == [10 * n for n in range(1, 9)]
    assert [len(batch) for batch in room.batches] == [3, 3] and room.alone == [1, 8]


def test_where_a_batch_fails_each_learns_of_its_own_fault() -> None:
    room = Room(fails=True)
    asked = room.full([1, 2, -3, 4])
    assert [asked[n].result(WAIT_S) for n in (0, 1, 3)] == [10, 20, 40]
    with pytest.raises(ValueError, match="no -3"):
        asked[2].result(WAIT_S)
    assert sorted(room.alone) == [-3, 1, 2, 4]


def test_one_that_fails_alone_does_not_keep_the_others_waiting() -> None:
    room = Room()
    asked = room.full([-1, 2, 3])
    with pytest.raises(ValueError, match="no -1"):
        asked[0].result(WAIT_S)
    assert [one.result(WAIT_S) for one in asked[1:]] == [20, 30]
    assert room.ask(4) == 40


def test_many_threads_get_their_own_answers() -> None:
    """A race: nobody waits for ever, nobody gets another's answer."""
    together: Together[float] = Together(at_most=7)

    def asks(seed: int) -> bool:
        for number in np.random.default_rng(seed).integers(0, 1000, 200).tolist():
            answer = together.ask(
                number % 3,
                vector(number),
                lambda number=number: 10.0 * number,
                lambda matrix: [10.0 * float(row[0]) for row in matrix],
            )
            if answer != 10 * number:
                return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(asks, range(16), timeout=WAIT_S))


def test_a_served_catalogue_answers_each_thread_as_if_it_were_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Catalog.open(tmp_path / "store", space=HashSpace(), create=True) as writer:
        add(writer, some_records())
    matrix = np.random.default_rng(1).standard_normal((40, 32)).astype(np.float32)
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    ways: list[dict[str, Any]] = [
        {"modality": "text", "group": "segment", "attributes": "number"},
        {"modality": "image", "where": "number < 3", "attributes": "*"},
        {"modality": "image", "limit": 1000},
    ]
    with Catalog.open(tmp_path / "store", space=HashSpace(), create=False) as catalog:
        expected = [[catalog.search(row, **way) for way in ways] for row in matrix]
    with Catalog.open(
        tmp_path / "store", space=HashSpace(), create=False, background=True
    ) as served:
        assert served._together is not None
        met: list[int] = []
        ask = served._together.ask

        def heard(key: Any, vector: F32, alone: Any, many: Any) -> Any:
            def counted(rows: F32) -> Any:
                met.append(len(rows))
                return many(rows)

            return ask(key, vector, alone, counted)

        served._together.ask = heard  # type: ignore[method-assign]

        at_once = quick._alone

        def slowly(*given: Any) -> Any:
            time.sleep(0.002)  # others come meanwhile
            return at_once(*given)

        monkeypatch.setattr(quick, "_alone", slowly)

        def asked(number: int) -> list[Hits]:
            return [served.search(matrix[number % 40], **way) for way in ways]

        with ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(asked, range(200)))
        assert max(met) > 1
        for number, found in enumerate(answers):
            for mine, alone in zip(found, expected[number % 40], strict=True):
                assert mine.item_ids == alone.item_ids and mine.entity_ids == alone.entity_ids
                assert mine.attributes == alone.attributes
                assert np.array_equal(mine.scores, alone.scores)
                assert np.array_equal(mine.segment_ordinals, alone.segment_ordinals)
                assert np.array_equal(mine.start_char, alone.start_char)
                assert np.array_equal(mine.segment_offsets, alone.segment_offsets)
                assert mine.next_page_token == alone.next_page_token
