from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.evaluation.worlds import records
from tests.fakes import HashSpace

if TYPE_CHECKING:
    from trichord.catalog import Catalog


@pytest.fixture(scope="session")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    """Pictures, sounds and texts in a hash space; tests only read it."""
    from trichord.catalog import Catalog  # only here: most tests need no engine

    path: Path = tmp_path_factory.mktemp("evaluation") / "store"
    with Catalog.open(path, space=HashSpace()) as opened:
        with opened.ingestion() as ingestion:
            answers = ingestion.add(records())
        assert [answer.error for answer in answers if answer.error] == []
        yield opened
