"""Small models in open_clip's real formats, with random weights, made by open_clip itself."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file

from trichord.embedders.backend import Runtime
from trichord.embedders.openclip.backend import OpenClip
from trichord.types import Rgb

TINY: dict[str, Any] = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 8},
    "text_cfg": {
        "context_length": 77,
        "vocab_size": 49_408,
        "width": 32,
        "heads": 2,
        "layers": 2,
    },
}
CPU = Runtime(device="cpu")


def write_model(
    folder: Path, config: dict[str, Any], preprocessing: dict[str, Any], seed: int
) -> Path:
    """A folder as `local-dir:` and hub repositories have it."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    custom = config.get("custom_text", False)
    made = {key: value for key, value in config.items() if key != "custom_text"}
    kind = open_clip.CustomTextCLIP if custom else open_clip.CLIP
    model = (open_clip.CoCa if "multimodal_cfg" in config else kind)(**made)
    save_file(model.state_dict(), str(folder / "open_clip_model.safetensors"))
    whole = {"model_cfg": config, "preprocess_cfg": preprocessing}
    (folder / "open_clip_config.json").write_text(json.dumps(whole))
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("openclip") / "tiny", TINY, {}, seed=0)


@pytest.fixture
def copied(tiny: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model that a test may damage."""
    return Path(shutil.copytree(tiny, tmp_path / "model"))


@pytest.fixture(scope="session")
def model(tiny: Path) -> OpenClip:
    return local(tiny)


def local(folder: Path, runtime: Runtime = CPU) -> OpenClip:
    return OpenClip(f"local-dir:{folder}", runtime=runtime)


def change_config(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "open_clip_config.json"
    whole = json.loads(path.read_text())
    change(whole["model_cfg"])
    path.write_text(json.dumps(whole))


def pictures(seed: int = 0) -> list[Rgb]:
    """Smooth ones and noise, of many shapes."""
    rng = np.random.default_rng(seed)
    sizes = [(40, 50), (32, 32), (300, 20), (7, 9), (100, 333), (1, 1), (768, 1024)]
    noise = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    ramp = np.linspace(0, 255, 64 * 48 * 3).reshape(64, 48, 3).astype(np.uint8)
    return [*noise, ramp]


TEXTS = [
    "rain on a window",
    "A dog barks & a cat sleeps; caf\u00e9 \u6f22\u5b57",
    "x",
    "a slow melody " * 60,
    "two red lamps on a long wooden table in the evening, seen from above",
]
