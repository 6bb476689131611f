"""Which model a name means: its configuration and its files, found without loading anything."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

from trichord.embedders.openclip.files import Hub
from trichord.errors import InvalidInput, MissingExtra, ModelError

LOCAL, HUB = "local-dir:", "hf-hub:"
CONFIG = "open_clip_config.json"
# In the order in which open_clip itself prefers them.
WEIGHTS = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
    "open_clip_pytorch_model.pth",
    "model.safetensors",
    "pytorch_model.bin",
    "pytorch_model.pth",
    "model.pth",
)
HUB_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
SUFFIXES = (".safetensors", ".bin", ".pth", ".pt")
TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "spiece.model",
    "tokenizer.model",
    "sentencepiece.bpe.model",
)

PREPROCESSING: dict[str, Any] = {
    "mode": "RGB",
    "mean": (0.48145466, 0.4578275, 0.40821073),
    "std": (0.26862954, 0.26130258, 0.27577711),
    "interpolation": "bicubic",
    "resize_mode": "shortest",
    "fill_color": 0,
}
"""What open_clip takes where a model says nothing; compared with the loaded model's own."""

CHOICES = {
    "mode": ("RGB",),
    "interpolation": ("bicubic", "bilinear", "random"),
    "resize_mode": ("shortest", "longest", "squash"),
}


@dataclass(frozen=True)
class Source:
    """A model's identity and files. `name` and `version` (pretrained tag or revision) are what the
    user named, without any path of this machine; `tokenizer` is the folder of a Hugging Face
    tokenizer, None for the byte-pair encoding that open_clip brings along; `text_config` the
    folder of a Hugging Face text tower's config.json. `tagged`: the configuration is the one that
    open_clip has for the name, it did not come with the weights."""

    name: str
    version: str
    config: Mapping[str, Any]
    preprocessing: Mapping[str, Any]
    weights: Path
    tokenizer: Path | None = None
    text_config: Path | None = None
    tagged: bool = False

    @property
    def dim(self) -> int:
        return int(self.config["embed_dim"])

    @property
    def text(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.config["text_cfg"]
        return found

    @property
    def context_length(self) -> int:
        return int(self.text.get("context_length", 77))

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the pictures that the image tower sees."""
        height, width = self.preprocessing["size"]
        return height, width


def open_clip() -> ModuleType:
    """The package, imported when it is first needed; raises MissingExtra without it."""
    try:
        import open_clip as package
    except ImportError as error:
        raise MissingExtra("open_clip_torch", "engine") from error
    return package  # type: ignore[no-any-return,unused-ignore]


def find(model: str, pretrained: str, revision: str | None, hub: Hub) -> Source:
    """The files of `model`: "ViT-B-32" with its pretrained tag, "hf-hub:org/name" or
    "local-dir:/path".

    Downloads what is missing unless `hub.offline`. Raises InvalidInput for a name that makes no
    sense, ModelError for an unknown model or tag (naming near ones) and for missing or damaged
    files.
    """
    if model.startswith((LOCAL, HUB)) and pretrained:
        raise InvalidInput(
            f"{model!r} brings its own weights: a pretrained tag ({pretrained!r}) goes with a bare"
            " model name only"
        )
    if revision is not None and not model.startswith(HUB):
        raise InvalidInput(f"only a model of a hub has a revision, not {model!r}")
    if model.startswith(LOCAL):
        return _local(model.removeprefix(LOCAL), hub)
    if model.startswith(HUB):
        return _from_hub(model.removeprefix(HUB), revision, hub)
    return _tagged(model, pretrained, hub)


def _local(path: str, hub: Hub) -> Source:
    folder = Path(path)
    if not path or not folder.is_dir():
        raise ModelError(f"there is no folder {path!r}: {LOCAL} is followed by an absolute path")
    config, preprocessing = _read(folder / CONFIG)
    weights = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    if weights is None:
        raise ModelError(
            f"{folder} has no weights, only a configuration: put {WEIGHTS[0]} there"
            " (a model without them would be a random one)",
            path=folder,
        )
    tokenizer = folder if config["text_cfg"].get("hf_tokenizer_name") else None
    # Where the folder lies is not part of what the model is.
    return _checked(
        Source(
            LOCAL.rstrip(":"), "", config, preprocessing, weights, tokenizer, _tower(config, hub)
        )
    )


def _from_hub(repo: str, revision: str | None, hub: Hub) -> Source:
    if repo.count("/") != 1 or not all(repo.split("/")):
        raise InvalidInput(f"{HUB} is followed by org/name, not {repo!r}")
    config, preprocessing = _read(hub.one_of(repo, [CONFIG], revision))
    weights = hub.one_of(repo, HUB_WEIGHTS, revision)
    return _checked(
        Source(
            repo,
            revision or "",
            config,
            preprocessing,
            weights,
            _tokenizer(config, hub, repo, revision),
            _tower(config, hub),
        )
    )


def _tagged(model: str, pretrained: str, hub: Hub) -> Source:
    package = open_clip()
    name = model.replace("/", "-")
    if name not in package.list_models():
        raise ModelError(
            f"open_clip has no model {model!r}{_near(name, package.list_models())}", model=model
        )
    tags = package.list_pretrained_tags_by_model(name)
    if not pretrained:
        raise ModelError(
            f"{name} without a pretrained tag would be a random model; its tags:"
            f" {', '.join(tags) or 'none are known'}",
            model=model,
        )
    entry = package.get_pretrained_cfg(name, pretrained)
    if not entry:
        raise ModelError(
            f"open_clip has no tag {pretrained!r} of {name}{_near(pretrained, tags)}; its tags:"
            f" {', '.join(tags) or 'none are known'}",
            model=model,
        )
    config = package.get_model_config(name)
    if bool(entry.get("quick_gelu")) != bool(config.get("quick_gelu")):
        right = [
            other
            for other in package.list_pretrained_models_by_tag(pretrained)
            if other != name and other.removesuffix("-quickgelu") == name.removesuffix("-quickgelu")
        ]
        raise ModelError(
            f"{name} computes another activation than the weights {pretrained!r} were trained with"
            f" (QuickGELU): use {' or '.join(right) or 'the model of that name with -quickgelu'}",
            model=model,
        )
    repo, _, file = entry.get("hf_hub", "").rpartition("/")
    if not repo:
        raise ModelError(
            f"the weights {pretrained!r} of {name} are in no repository of the hub: download"
            f" {entry.get('url')} and put it into a folder for {LOCAL}",
            model=model,
        )
    stem, _, ending = file.rpartition(".")
    safe = [f"{stem}.safetensors"] if ending in ("bin", "pth") else []
    weights = hub.one_of(repo, [*safe, file] if file not in ("", HUB_WEIGHTS[1]) else HUB_WEIGHTS)
    return _checked(
        Source(
            name,
            pretrained.lower().replace("-", "_"),
            config,
            _merged(config, entry),
            weights,
            _tokenizer(config, hub),
            _tower(config, hub),
            tagged=True,
        )
    )


def _near(name: str, known: list[str]) -> str:
    by_lower = {other.lower(): other for other in known}
    near = [by_lower[other] for other in get_close_matches(name.lower(), by_lower, 5, 0.5)]
    return f"; near it: {', '.join(near)}" if near else ""


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        whole = json.loads(path.read_text("utf-8"))
        config = whole["model_cfg"]
        numbers = [config["embed_dim"]]
        numbers += [config["text_cfg"].get(key, 1) for key in ("context_length", "vocab_size")]
        if not all(type(number) is int and number > 0 for number in numbers):
            raise ValueError("embed_dim, context_length and vocab_size must be positive integers")
        return config, _merged(config, whole.get("preprocess_cfg") or {})
    except FileNotFoundError:
        raise ModelError(f"{path} is missing: this is no model of open_clip") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} is damaged: {type(error).__name__} {error}", path=path) from error


def _merged(config: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The preprocessing as JSON values; the size is always the image tower's. Raises ValueError
    for what open_clip has no transform for."""
    size = config["vision_cfg"].get("image_size", 224)
    found = PREPROCESSING | {key: own[key] for key in PREPROCESSING if own.get(key) is not None}
    for key in ("mean", "std"):
        values = found[key]
        values = [values] * 3 if isinstance(values, int | float) else list(values)
        if len(values) != 3 or (key == "std" and not all(value > 0 for value in values)):
            raise ValueError(f"{key} {values} must be three numbers, of std above 0")
        found[key] = values
    for key, known in CHOICES.items():
        if found[key] not in known:
            raise ValueError(f"{key} {found[key]!r} is none of {', '.join(known)}")
    height, width = (size, size) if isinstance(size, int) else size
    return found | {"size": [int(height), int(width)]}


def _tokenizer(
    config: Mapping[str, Any], hub: Hub, own: str = "", revision: str | None = None
) -> Path | None:
    name = config["text_cfg"].get("hf_tokenizer_name")
    if not name:
        return None
    at = revision if name == own else None
    found = [path for file in TOKENIZER if (path := hub.file(name, file, at)) is not None]
    if not found:
        raise ModelError(
            f"the tokenizer {name} is not on this machine: fetch it once where there is a network:"
            " trichord space add NAME",
            repo=name,
        )
    hub.file(name, "config.json", at)  # some repositories name the tokenizer's class only there
    return found[0].parent


def _tower(config: Mapping[str, Any], hub: Hub) -> Path | None:
    name = config["text_cfg"].get("hf_model_name")
    if not name or Path(name).is_dir():
        return Path(name) if name else None
    return hub.one_of(name, ["config.json"]).parent


def _checked(source: Source) -> Source:
    if source.weights.suffix not in SUFFIXES:
        raise ModelError(
            f"{source.weights.name}: weights are read from {', '.join(SUFFIXES)} only",
            path=source.weights,
        )
    return source
