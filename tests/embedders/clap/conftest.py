from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.embedders.clap import making


@pytest.fixture(autouse=True, scope="package")
def _one_thread() -> Iterator[None]:
    """The models are so small that threads would mostly wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small checkpoint without fusion; do not change it."""
    return making.checkpoint(tmp_path_factory.mktemp("clap"))


@pytest.fixture(scope="session")
def fused(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small checkpoint with fusion; do not change it."""
    return making.checkpoint(tmp_path_factory.mktemp("fused"), fused=True)


@pytest.fixture(scope="session")
def laion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights of `checkpoint` as LAION's `.pt` file, tokenizer beside it; do not change it."""
    return making.laion_file(tmp_path_factory.mktemp("laion"), making.laion_state(making.model()))
