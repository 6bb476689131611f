"""Weights on disk: fp16 safetensors named by a config.json with their sha256. No pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trichord.embedders.hashing import sha256_of
from trichord.errors import ModelError

if TYPE_CHECKING:
    from torch import nn

BUNDLED = Path(__file__).resolve().parent / "weights"
SCHEMA = 1
TOWERS = ("text", "audio")


def save(folder: Path, towers: Mapping[str, nn.Module], run: Mapping[str, Any]) -> None:
    """Writes both towers in half precision, and config.json. Raises ModelError when a weight is
    not finite."""
    import torch
    from safetensors.torch import save_file

    entries: dict[str, Any] = {}
    for name, tower in towers.items():
        state = {
            key: (value.half() if value.is_floating_point() else value).contiguous()
            for key, value in tower.state_dict().items()
            if not key.endswith("num_batches_tracked")
        }
        if any(not bool(torch.isfinite(value).all()) for value in state.values()):
            raise ModelError("the weights are not finite: training has diverged")
        path = folder / f"{name}.safetensors"
        save_file(state, str(path))
        path.chmod(0o644)
        entries[name] = {"file": path.name, "sha256": sha256_of(path)}
    config = {"schema": SCHEMA, "run": dict(run), "towers": entries}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")


def verified(folder: Path = BUNDLED) -> dict[str, str]:
    """sha256 of each tower's weights, compared with config.json.

    Raises ModelError for a missing file, a damaged config or a wrong checksum.
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text("utf-8"))
        wanted = {name: str(config["towers"][name]["sha256"]) for name in TOWERS}
    except FileNotFoundError:
        raise ModelError(f"no duet weights: {path} is missing") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} is damaged: {error}") from error
    if config.get("schema") != SCHEMA:
        raise ModelError(f"{path} has schema {config.get('schema')}, this code reads {SCHEMA}")
    for name, digest in wanted.items():
        file = folder / f"{name}.safetensors"
        if not file.is_file():
            raise ModelError(f"no duet weights: {file} is missing")
        found = sha256_of(file)
        if found != digest:
            raise ModelError(f"{file} is damaged: its sha256 is {found}, not {digest}")
    return wanted


def load(tower: nn.Module, name: str, folder: Path = BUNDLED) -> None:
    """Fills the tower with verified weights, in fp32, ready for inference. Raises ModelError."""
    from safetensors.torch import load_file

    verified(folder)
    path = folder / f"{name}.safetensors"
    state = {key: value.float() for key, value in load_file(str(path)).items()}
    missing, unexpected = tower.load_state_dict(state, strict=False)
    missing = [key for key in missing if not key.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise ModelError(f"{path} does not fit this code: {[*missing, *unexpected][:3]}")
    tower.requires_grad_(False).eval()
