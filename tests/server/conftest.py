from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.serving import channel, serving, stocked
from trichord.catalog import Catalog
from trichord.server.app import Server
from trichord.wire.plans import Stubs


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    """Only read by the tests of a module."""
    with stocked(tmp_path_factory.mktemp("store") / "store") as opened:
        yield opened


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The media root of `server`."""
    return tmp_path_factory.mktemp("media")


@pytest.fixture(scope="module")
def server(catalog: Catalog, media: Path) -> Iterator[Server]:
    with serving(catalog, media_root=media, max_message_bytes=1 << 20) as running:
        yield running


@pytest.fixture(scope="module")
def stubs(server: Server) -> Iterator[Stubs]:
    with channel(server) as opened:
        yield Stubs(opened)
