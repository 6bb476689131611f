"""Where a model's files are: a folder, or a repository of the hub and its cache."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trichord.embedders.backend import Runtime
from trichord.embedders.hashing import sha256_of, sha256_of_files
from trichord.errors import ModelError

SETTINGS = ("config.json", "preprocessor_config.json", "processor_config.json")
TOKENIZER = (
    "tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt",
    "special_tokens_map.json", "added_tokens.json",
)  # fmt: skip
SAFE = ("model.safetensors", "model.safetensors.index.json", "model-*.safetensors")
PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json", "pytorch_model-*.bin")


def is_local(model: str) -> bool:
    """Whether the name means a place on this machine rather than a repository of the hub."""
    path = Path(model)
    return path.exists() or path.is_absolute() or model.startswith((".", "~")) or "\\" in model


def find(model: str, revision: str | None, runtime: Runtime) -> Path:
    """The folder of a transformers checkpoint with its settings, tokenizer and weights.

    A repository is looked up in the hub's cache and, unless `runtime.offline`, downloaded.
    Raises ModelError when the folder or the repository is not there.
    """
    if is_local(model):
        folder = Path(model).expanduser()
        if not folder.is_dir():
            raise ModelError(f"there is no folder {folder}", path=folder)
        return folder
    folder = fetch(model, revision, runtime, (*SETTINGS, *TOKENIZER, *SAFE))
    if not weight_names(folder, missing_ok=True):
        # Only where there are no safetensors: both together would be downloaded for nothing.
        folder = fetch(model, revision, runtime, (*SETTINGS, *TOKENIZER, *PICKLED))
    return folder


def fetch(repository: str, revision: str | None, runtime: Runtime, names: Sequence[str]) -> Path:
    """The snapshot of a repository that holds those of `names` (patterns) that exist in it.

    Raises ModelError when it is not in the cache and may not or cannot be downloaded.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        found = snapshot_download(
            repository,
            revision=revision,
            cache_dir=runtime.cache,
            allow_patterns=list(names),
            local_files_only=runtime.offline,
        )
    except HFValidationError as error:
        raise ModelError(f"{repository!r} is neither a folder nor a hub id") from error
    except (HfHubHTTPError, OSError, RuntimeError) as error:
        # The hub library raises OSErrors of its own for what is not cached, not reachable or gated.
        cache = runtime.cache or "the hub library's cache"
        why = "and the hub may not be asked" if runtime.offline else f"nor fetched: {error}"
        raise ModelError(
            f"{repository!r} is not in {cache} {why}. Fetch it once with network: "
            "trichord space add NAME, or download its folder and name that",
            model=repository,
        ) from error
    return Path(found)


def weight_names(folder: Path, *, missing_ok: bool = False) -> tuple[str, ...]:
    """The files that hold the weights: one or several of safetensors, else of pickled tensors.

    Raises ModelError when there are none or one is missing.
    """
    for single in ("model.safetensors", "pytorch_model.bin"):
        if (folder / single).is_file():
            return (single,)
        index = folder / f"{single}.index.json"
        if index.is_file():
            places = read_json(index).get("weight_map")
            if not isinstance(places, dict) or not places:
                raise ModelError(f"{index} names no weights", path=index)
            names = tuple(sorted({str(name) for name in places.values()}))
            lost = [name for name in names if not (folder / name).is_file()]
            if lost:
                raise ModelError(f"{folder} lacks {', '.join(lost)}", path=folder)
            return names
    if missing_ok:
        return ()
    raise ModelError(
        f"no weights in {folder}: model.safetensors or pytorch_model.bin is expected", path=folder
    )


def weights_sha256(folder: Path, names: Sequence[str]) -> str:
    """Of the only file its own sha256, of several one over their names and contents."""
    return sha256_of(folder / names[0]) if len(names) == 1 else sha256_of_files(folder, names)


def tokenizer_sha256(folder: Path) -> str:
    """Of tokenizer.json, else of vocab.json and merges.txt; raises ModelError without them."""
    if (folder / "tokenizer.json").is_file():
        return sha256_of(folder / "tokenizer.json")
    names = ("vocab.json", "merges.txt")
    if all((folder / name).is_file() for name in names):
        return sha256_of_files(folder, names)
    raise ModelError(
        f"no tokenizer in {folder}: tokenizer.json, or vocab.json and merges.txt are expected",
        path=folder,
    )


def read_json(path: Path) -> Mapping[str, Any]:
    """Raises ModelError when the file is missing or holds no JSON object."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}", path=path) from error
    except ValueError as error:
        raise ModelError(f"{path} is no JSON: {error}", path=path) from error
    if not isinstance(found, dict):
        raise ModelError(f"{path} is no JSON object", path=path)
    return found


def sound_settings(folder: Path) -> Mapping[str, Any]:
    """The stored feature extractor: a file of its own, or a part of the processor's."""
    if (folder / "preprocessor_config.json").is_file():
        return read_json(folder / "preprocessor_config.json")
    if (folder / "processor_config.json").is_file():
        found = read_json(folder / "processor_config.json").get("feature_extractor")
        if isinstance(found, dict):
            return found
    raise ModelError(
        f"{folder} does not say how it hears sound: preprocessor_config.json is missing",
        path=folder,
    )
