"""Where a sentence-transformers model lies, and the one checksum of all that makes its vectors."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from trichord.embedders.backend import Runtime
from trichord.embedders.hashing import sha256_of_files
from trichord.errors import InvalidInput, ModelError

MODULES = "modules.json"

_KEPT = {".json", ".safetensors", ".bin", ".txt", ".model", ".jinja", ".tiktoken", ".spm", ".vocab"}
_PICKLED = re.compile(r"pytorch_model(?:-\d+-of-\d+)?\.bin(?:\.index\.json)?")
_OTHER_FOLDERS = {"onnx", "openvino", "coreml", "eval", "runs"}
_OTHER_FILES = {
    "data_config.json",
    "README.json",
    "requirements.txt",
    "LICENSE.txt",
    "trainer_state.json",
    "train_results.json",
    "all_results.json",
    "eval_results.json",
}
_CHECKPOINT = re.compile(r"checkpoint-\d+")
_HUB_FOLDER = re.compile(r"models--(.+)")
_NOT_DOWNLOADED = [
    "*.onnx", "onnx/*", "openvino/*", "coreml/*", "*.h5", "*.msgpack", "*.ot", "*.gguf",
    "*.md", "*.png", "*.jpg", "*.gif", "*.pdf", "*.parquet",
]  # fmt: skip


def locate(model: str, revision: str | None, runtime: Runtime) -> Path:
    """The folder of a model: itself if `model` is one, else the hub's snapshot of that id.

    Raises ModelError for a folder that is no sentence-transformers model, for an id that is not
    in the cache while the network may not be used, and when the hub does not give it.
    """
    if not model.strip():
        raise InvalidInput("a sentence-transformers model is a folder or the id of a hub, not ''")
    folder = Path(model)
    if folder.is_dir():
        return _checked(folder.resolve(), model)
    if model.startswith((".", "/", "~")) or model.count("/") > 1 or "\\" in model:
        raise ModelError(f"there is no folder {model}: give a folder with {MODULES} or a hub id")
    return _checked(_snapshot(model, revision, runtime), model)


def _checked(folder: Path, model: str) -> Path:
    if not (folder / MODULES).is_file():
        raise ModelError(
            f"{model} has no {MODULES}: it is no sentence-transformers model, and how its tokens"
            " are pooled would be a guess; save it with SentenceTransformer.save",
            model=model,
        )
    return folder


def _snapshot(model: str, revision: str | None, runtime: Runtime) -> Path:
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.constants import HF_HUB_OFFLINE

    where: dict[str, Any] = {"repo_id": model, "revision": revision, "cache_dir": runtime.cache}
    try:
        try:
            found = Path(snapshot_download(**where, local_files_only=True))
            if (found / MODULES).is_file() and (
                runtime.offline or HF_HUB_OFFLINE or has_weights(found)
            ):
                return found
        except FileNotFoundError:  # LocalEntryNotFoundError: nothing of it is in the cache
            pass
        if runtime.offline or HF_HUB_OFFLINE:
            raise ModelError(
                f"{model} is not in the cache of downloaded models and the network is not to be"
                " used: fetch it once with `trichord space add`, or give its folder",
                model=model,
            )
        names = HfApi().list_repo_files(model, revision=revision)
        left_out = [*_NOT_DOWNLOADED, *_replaced(names)]
        return Path(snapshot_download(**where, ignore_patterns=left_out))
    except ModelError:
        raise
    except Exception as error:  # the hub's client raises nearly every class
        raise ModelError(
            f"the model hub did not give {model}: {error or type(error).__name__}", model=model
        ) from error


def _replaced(names: Iterable[str]) -> list[str]:
    """Pickled weights beside which the same lie as safetensors."""
    known = list(names)
    safe = {name.rpartition("/")[0] for name in known if name.endswith(".safetensors")}
    return [
        name
        for name in known
        if _PICKLED.fullmatch(name.rpartition("/")[2]) and name.rpartition("/")[0] in safe
    ]


def has_weights(folder: Path) -> bool:
    """Whether any file of weights lies in the folder."""
    return any(name.endswith((".safetensors", ".bin")) for name in files(folder))


def model_name(model: str, folder: Path) -> str:
    """How identities call it: the hub id's or the folder's last part, wherever it lies."""
    if not Path(model).is_dir():
        return model.rpartition("/")[2]
    if folder.parent.name == "snapshots":
        found = _HUB_FOLDER.fullmatch(folder.parent.parent.name)
        if found:
            return found[1].rpartition("--")[2]
    return folder.name


def files(folder: Path, *, code: bool = False) -> list[str]:
    """Relative names of the files that vectors depend on: weights, tokenizer, modules and
    configuration, and Python files if `code` of the folder is run. What stems from training, other
    formats of the same weights and documents are left out."""
    names: list[str] = []
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if any(part.startswith(".") or part == "__pycache__" for part in inside.parts):
            continue
        if any(p in _OTHER_FOLDERS or _CHECKPOINT.fullmatch(p) for p in inside.parts[:-1]):
            continue
        wanted = path.suffix in _KEPT or (code and path.suffix == ".py")
        if not wanted or inside.name in _OTHER_FILES or not path.is_file():
            continue
        if path.suffix == ".bin" and not _PICKLED.fullmatch(inside.name):
            continue
        names.append(inside.as_posix())
    replaced = set(_replaced(names))
    return [name for name in names if name not in replaced]


def checksum(folder: Path, *, code: bool = False) -> str:
    """sha256 over `files`; raises ModelError when there are no weights among them."""
    names = files(folder, code=code)
    if not any(name.endswith((".safetensors", ".bin")) for name in names):
        raise ModelError(f"{folder} holds no weights (model.safetensors): download it again")
    return sha256_of_files(folder, names)
