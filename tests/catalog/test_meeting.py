"""Searches that come while another one runs: one batch, and to each its own answer."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.catalog.conftest import add, some_records
from tests.fakes import HashSpace
from trichord.catalog import Catalog, quick
from trichord.hits import Hits


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
        assert served._meeting is not None
        at_once = quick._alone

        def slowly(*given: Any) -> Any:
            time.sleep(0.002)  # others come meanwhile
            return at_once(*given)

        monkeypatch.setattr(quick, "_alone", slowly)

        def asked(number: int) -> list[Hits]:
            return [served.search(matrix[number % 40], **way) for way in ways]

        with ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(asked, range(200)))
        assert served._meeting.runs < served._meeting.jobs == 600
        for number, found in enumerate(answers):
            for mine, alone in zip(found, expected[number % 40], strict=True):
                assert mine.item_ids == alone.item_ids and mine.entity_ids == alone.entity_ids
                assert mine.attributes == alone.attributes
                assert np.array_equal(mine.scores, alone.scores)
                assert np.array_equal(mine.segment_ordinals, alone.segment_ordinals)
                assert np.array_equal(mine.start_char, alone.start_char)
                assert np.array_equal(mine.segment_offsets, alone.segment_offsets)
                assert mine.next_page_token == alone.next_page_token
