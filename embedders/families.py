"""Model families by the name that definitions call them, imported when one is opened."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trichord.embedders.backend import Backend, Runtime
from trichord.errors import InvalidInput
from trichord.types import Modality

WINDOWS = ("window_ms", "hop_ms")
"""Options of sound that are also understood by the composition (see `composed`)."""


@dataclass(frozen=True)
class Family:
    """Where a family's class is and what its constructor takes.

    `options`: name -> type, for the part of a definition. `paths`: options that are folders of this
    machine. `modalities`: None when only the model says it. `bundled`: needs no model name.
    `windows`: the constructor itself takes `window_ms` and `hop_ms`.
    """

    module: str
    attribute: str
    options: Mapping[str, type]
    modalities: frozenset[Modality] | None
    paths: frozenset[str] = frozenset()
    bundled: bool = False
    windows: bool = False


_FOLDER = frozenset({"folder"})

FAMILIES: Mapping[str, Family] = {
    "open_clip": Family(
        "trichord.embedders.openclip.backend",
        "OpenClip",
        {"pretrained": str, "revision": str},
        frozenset({Modality.IMAGE, Modality.TEXT}),
    ),
    "clap": Family(
        "trichord.embedders.clap.backend",
        "Clap",
        {"loader": str, "revision": str, "tokenizer": str},
        frozenset({Modality.AUDIO, Modality.TEXT}),
        windows=True,
    ),
    "sentence-transformers": Family(
        "trichord.embedders.sentence.backend",
        "SentenceModel",
        {"revision": str, "prompts": dict, "truncate_dim": int, "trust_remote_code": bool},
        None,
    ),
    "pocket": Family(
        "trichord.embedders.pocket.backend",
        "Pocket",
        {"folder": str},
        frozenset(Modality),
        paths=_FOLDER,
        bundled=True,
    ),
    "duet": Family(
        "trichord.embedders.duet.backend",
        "Duet",
        {"folder": str},
        frozenset({Modality.AUDIO, Modality.TEXT}),
        paths=_FOLDER,
        bundled=True,
    ),
}


def open_backend(backend: str, model: str, options: Mapping[str, Any], runtime: Runtime) -> Backend:
    """The model of a family: configuration and checksums are read, no weights are loaded.

    Downloads what is missing unless `runtime.offline`. Raises InvalidInput for an unknown family
    and for what the family refuses, ModelError, MissingExtra.
    """
    family = FAMILIES.get(backend)
    if family is None:
        raise InvalidInput(f"there is no backend {backend!r}; there are {', '.join(FAMILIES)}")
    made = getattr(importlib.import_module(family.module), family.attribute)
    given = {
        name: Path(value) if name in family.paths else value for name, value in options.items()
    }
    positional = () if family.bundled else (model,)
    opened: Backend = made(*positional, **given, runtime=runtime)
    return opened
