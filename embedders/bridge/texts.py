"""Whose texts a bridge is fitted on: a space by name, or a model of a family."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from trichord.embedders.backend import Backend, Runtime
from trichord.errors import InvalidInput, ModelError
from trichord.types import F32, Embedder, Frame, Modality, Role

if TYPE_CHECKING:
    from trichord.embedders.registry import Registry

FAMILIES = ("duet", "clap", "openclip", "sentence")
BATCH = 512


def open_texts(name: str, runtime: Runtime, registry: Registry | None = None) -> Embedder:
    """The text embedder of a source or target of a bridge.

    `name` is a bundled space ("pocket"), one of the registry, or a model of a family: "duet",
    "clap:MODEL" (a .pt file is read in LAION's own layout), "openclip:MODEL:PRETRAINED",
    "openclip:hf-hub:ORG/NAME", "openclip:local-dir:PATH" or "sentence:MODEL", with what the
    family's own class takes for MODEL. Raises NotFound for an unknown name, InvalidInput for one
    without a text encoder, ModelError and MissingExtra as the families do.
    """
    family, colon, model = name.partition(":")
    if name == "duet" or (colon and family in FAMILIES):
        opened = _family(family, model, runtime)
        if Modality.TEXT not in opened.modalities:
            raise InvalidInput(f"{name} has no text encoder: a bridge is fitted on texts")
        return opened.embedder(Modality.TEXT)
    from trichord.embedders.spaces import open_space

    space = open_space(name, registry, runtime)
    if Modality.TEXT not in space.encoders:
        raise InvalidInput(f"the space {name!r} has no text encoder: a bridge is fitted on texts")
    return space.embedder(Modality.TEXT)


def _family(family: str, model: str, runtime: Runtime) -> Backend:
    if family == "duet":
        if model:
            raise InvalidInput("duet is one bundled model: write duet, without more")
        from trichord.embedders.duet.backend import Duet

        return Duet(runtime=runtime)
    if not model:
        raise InvalidInput(f"name the model: {family}:MODEL")
    if family == "clap":
        from trichord.embedders.clap.backend import Clap

        laion = model.endswith(".pt")
        return Clap(model, loader="laion-pt" if laion else "transformers", runtime=runtime)
    if family == "sentence":
        from trichord.embedders.sentence.backend import SentenceModel

        return SentenceModel(model, runtime=runtime)
    from trichord.embedders.openclip.backend import OpenClip

    if model.startswith(("hf-hub:", "local-dir:")):
        return OpenClip(model, runtime=runtime)
    architecture, _, pretrained = model.partition(":")
    return OpenClip(architecture, pretrained=pretrained, runtime=runtime)


def embed_texts(embedder: Embedder, lines: Sequence[str]) -> F32:
    """float32 (n, dim) vectors of the lines as documents. Raises ModelError for the first line
    that cannot be embedded, named by its number from 1."""
    parts = []
    for start in range(0, len(lines), BATCH):
        found = embedder.embed(lines[start : start + BATCH], role=Role.DOCUMENT)
        if found.errors:
            index = min(found.errors)
            raise ModelError(
                f"caption {start + index + 1} cannot be embedded in {embedder.frame.id}: "
                f"{found.errors[index]}"
            )
        parts.append(found.vectors)
    return np.concatenate(parts)


def distinct_frames(source: Frame, target: Frame) -> None:
    """Raises InvalidInput when there is nothing to bridge."""
    if source == target:
        raise InvalidInput(f"source and target are both {source.id}: there is nothing to bridge")
