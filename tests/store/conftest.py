from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store.history import prepare_store
from trichord.store import Store, Writer


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store with two spaces and attributes."""
    store = Store.create(tmp_path / "store")
    with store.writer() as writer:
        prepare_store(writer)
    return store


@pytest.fixture
def writer(store: Store) -> Iterator[Writer]:
    with store.writer(owner="test") as writer:
        yield writer
