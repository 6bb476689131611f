from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.server.serving import serving, stocked
from trichord.catalog import Catalog
from trichord.client import Client
from trichord.server.app import Server


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    """Only read by the tests of a module."""
    with stocked(tmp_path_factory.mktemp("store") / "store") as opened:
        yield opened


@pytest.fixture(scope="module")
def server(catalog: Catalog) -> Iterator[Server]:
    with serving(catalog) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Client]:
    with Client(server.address) as opened:
        yield opened
