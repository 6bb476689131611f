"""Weights on disk: fp16 safetensors named by a config.json with their sha256. No pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trichord.errors import ModelError
from trichord.types import Modality

if TYPE_CHECKING:
    from trichord.embedders.pocket.towers import Tower

BUNDLED = Path(__file__).resolve().parent / "weights"
SCHEMA = 1


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save(tower: Tower, path: Path) -> None:
    """Writes the tower's state in half precision."""
    import torch
    from safetensors.torch import save_file

    state = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in tower.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    if any(not bool(torch.isfinite(value).all()) for value in state.values()):
        raise ModelError("the weights are not finite: training has diverged")
    save_file(state, str(path))


def write_config(folder: Path, *, seed: int) -> None:
    """Writes config.json beside the two weight files; what a training run noted goes into it."""
    towers: dict[str, Any] = {}
    for modality in (Modality.IMAGE, Modality.AUDIO):
        path = folder / f"{modality.value}.safetensors"
        run = folder / f"{modality.value}.run.json"
        towers[modality.value] = {"file": path.name, "sha256": sha256(path)}
        if run.exists():
            towers[modality.value]["run"] = json.loads(run.read_text("utf-8"))
    config = {"schema": SCHEMA, "seed": seed, "towers": towers}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")


def read_config(folder: Path = BUNDLED) -> Mapping[str, Any]:
    """config.json of the folder. Raises ModelError when it is missing, damaged or too new."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text("utf-8"))
        towers = config["towers"]
        named = all(isinstance(towers[m]["sha256"], str) for m in ("image", "audio"))
    except FileNotFoundError:
        raise ModelError(f"no pocket weights: {path} is missing") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} is damaged: {error}") from error
    if config.get("schema") != SCHEMA or not named:
        raise ModelError(f"{path} has schema {config.get('schema')}, this code reads {SCHEMA}")
    return config  # type: ignore[no-any-return]


def verified(modality: Modality, folder: Path = BUNDLED) -> tuple[Path, str]:
    """(file, sha256) of a tower's weights, the checksum compared with config.json.

    Raises ModelError for a missing file or a wrong checksum.
    """
    entry = read_config(folder)["towers"][modality.value]
    path = folder / f"{modality.value}.safetensors"
    if not path.is_file():
        raise ModelError(f"no pocket weights: {path} is missing")
    found = sha256(path)
    if found != entry["sha256"]:
        raise ModelError(f"{path} is damaged: its sha256 is {found}, not {entry['sha256']}")
    return path, found


def load(tower: Tower, modality: Modality, folder: Path = BUNDLED) -> None:
    """Fills the tower with verified weights, in fp32, ready for inference."""
    from safetensors.torch import load_file

    path, _ = verified(modality, folder)
    state = {name: value.float() for name, value in load_file(str(path)).items()}
    missing, unexpected = tower.load_state_dict(state, strict=False)
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise ModelError(f"{path} does not fit this code: {[*missing, *unexpected][:3]}")
    tower.requires_grad_(False).eval()
