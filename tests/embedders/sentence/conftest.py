from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.embedders.sentence import folders
from trichord.embedders.backend import Runtime
from trichord.embedders.pocket.text import find_minilm
from trichord.embedders.sentence.backend import SentenceModel
from trichord.types import Waveform

OFFLINE = Runtime(device="cpu", offline=True)


@pytest.fixture(autouse=True, scope="package")
def _one_thread() -> Iterator[None]:
    """The models are so small that threads would mostly wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tone(hertz: float, seconds: float, rate: int = 48_000) -> Waveform:
    time = np.arange(int(seconds * rate)) / rate
    return Waveform((0.4 * np.sin(2 * np.pi * hertz * time)).astype(np.float32), rate)


def picture(seed: int, height: int = 40, width: int = 56) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("clip")
    folders.clip(made / "small-clip", made / "work")
    return made / "small-clip"


@pytest.fixture(scope="session")
def omni_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("omni")
    folders.omni(made / "small-omni", made / "work")
    return made / "small-omni"


@pytest.fixture(scope="session")
def minilm_folder() -> Path:
    return find_minilm()


@pytest.fixture(scope="session")
def minilm(minilm_folder: Path) -> SentenceModel:
    return SentenceModel(str(minilm_folder), runtime=OFFLINE)


@pytest.fixture(scope="session")
def clip(clip_folder: Path) -> SentenceModel:
    return SentenceModel(str(clip_folder), runtime=OFFLINE)


@pytest.fixture(scope="session")
def omni(omni_folder: Path) -> SentenceModel:
    return SentenceModel(str(omni_folder), runtime=OFFLINE)


@pytest.fixture
def copied(clip_folder: Path, tmp_path: Path) -> Path:
    """A copy of the CLIP-like folder, to be damaged."""
    return Path(shutil.copytree(clip_folder, tmp_path / "copied"))
