"""LAION's own `.pt` files: read without running code in them, and described by their shapes."""

from __future__ import annotations

import codecs
import pickle
import re
import warnings
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.serialization import safe_globals

from trichord.embedders.clap.frontend import FrontEnd, mel_filters
from trichord.errors import ModelError

State = Mapping[str, torch.Tensor]

ROBERTA_PAD = 1
SIZES: dict[tuple[int, tuple[int, ...]], str] = {
    (96, (2, 2, 6, 2)): "tiny",
    (128, (2, 2, 12, 2)): "base",
    (256, (2, 2, 12, 2)): "large",
}
_FETCH = "use LAION's file of a model without fusion, or loader='transformers' with a hub id"


def _harmless() -> AbstractContextManager[None]:
    """Training state beside the weights (a loss, a learning rate) holds numpy scalars. They are
    data; numpy refuses to unpickle one of objects. Older files name numpy's module otherwise."""
    from numpy._core.multiarray import scalar

    named: list[Any] = [
        (scalar, "numpy.core.multiarray.scalar"),
        (scalar, "numpy._core.multiarray.scalar"),
        (codecs.encode, "_codecs.encode"),
        np.dtype,
        *(type(np.dtype(kind)) for kind in ("f8", "f4", "i8", "i4", "?")),
    ]
    return safe_globals(named)


def read(path: Path) -> dict[str, torch.Tensor]:
    """The state dict of a LAION checkpoint, "module." of parallel training removed.

    Files in torch's zip format are mapped: their weights are read when they are used.
    Raises ModelError when the file is missing, damaged, no state dict, or would run code.
    """
    if not path.is_file():
        raise ModelError(f"there is no file {path}: {_FETCH}", path=path)
    try:
        with warnings.catch_warnings(), _harmless():
            warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)
            found = torch.load(
                path,
                map_location="cpu",
                weights_only=True,
                mmap=_is_zip(path),
            )
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path} holds more than weights, or is damaged; nothing of it was run: "
            f"{_first_line(error)}. {_FETCH}",
            path=path,
        ) from error
    except Exception as error:  # damaged pickles raise whatever their bytes lead to
        raise ModelError(f"{path} cannot be read: {_first_line(error)}", path=path) from error
    if isinstance(found, Mapping) and isinstance(found.get("state_dict"), Mapping):
        found = found["state_dict"]
    if not isinstance(found, Mapping) or not found:
        raise ModelError(f"{path} holds no weights: {_FETCH}", path=path)
    state = {str(key).removeprefix("module."): value for key, value in found.items()}
    if not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ModelError(f"{path} holds more than weights: {_FETCH}", path=path)
    return state


def _is_zip(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = next((line for line in lines if "WeightsUnpickler error" in line), "")
    return (told or (lines[0] if lines else type(error).__name__))[:300]


@dataclass(frozen=True)
class Shape:
    """What the shapes of a checkpoint say: HTSAT audio tower and RoBERTa text tower."""

    width: int
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    window: int
    mels: int
    text_width: int
    text_layers: int
    text_inner: int
    vocabulary: int
    positions: int
    dim: int

    @property
    def name(self) -> str:
        return architecture(self.width, self.depths)


def architecture(width: int, depths: Iterable[int]) -> str:
    """ "htsat-tiny", "htsat-base", "htsat-large", or the sizes of another HTSAT."""
    known = SIZES.get((width, tuple(depths)))
    return f"htsat-{known or f'{width}x' + '.'.join(map(str, depths))}"


_REFUSED = (
    (r"audio_branch\.patch_embed\.(fusion_model|mel_conv2d)|audio_branch\.mel_conv1d",
     "a fused model: take its transformers checkpoint (laion/clap-htsat-fused)"),
    (r"audio_branch\.conv_block", "a PANN audio tower, which transformers does not have"),
    (r"audio_branch\.absolute_pos_embed", "an audio tower with absolute positions"),
    (r"token_embedding\.|positional_embedding", "CLIP's text transformer instead of RoBERTa"),
    (r"text_branch\.(shared|decoder)\.", "BART as its text tower instead of RoBERTa"),
)  # fmt: skip


def describe(state: State, path: Path) -> Shape:
    """Raises ModelError when it is no CLAP checkpoint, or one of a kind that is not supported."""
    for pattern, what in _REFUSED:
        if any(re.match(pattern, key) for key in state):
            raise ModelError(f"{path} holds {what}; this is not supported", path=path)

    def shape(key: str, rank: int) -> tuple[int, ...]:
        tensor = state.get(key)
        if tensor is None or tensor.ndim != rank:
            raise ModelError(f"{path} is no CLAP checkpoint of LAION: {key} is missing", path=path)
        return tuple(tensor.shape)

    width = shape("audio_branch.patch_embed.proj.weight", 4)[0]
    table = "audio_branch.layers.{}.blocks.0.attn.relative_position_bias_table"
    layers = _count(state, r"audio_branch\.layers\.(\d+)\.")
    depths = [_count(state, rf"audio_branch\.layers\.{i}\.blocks\.(\d+)\.") for i in range(layers)]
    tables = [shape(table.format(i), 2) for i in range(layers)]
    text = "text_branch.embeddings."
    vocabulary, text_width = shape(f"{text}word_embeddings.weight", 2)
    if shape(f"{text}token_type_embeddings.weight", 2)[0] != 1:
        raise ModelError(f"{path} holds BERT as its text tower; this is not supported", path=path)
    if not tables or text_width % 64:
        raise ModelError(f"{path} is no CLAP checkpoint of LAION: its sizes are odd", path=path)
    return Shape(
        width=width,
        depths=tuple(depths),
        heads=tuple(found[1] for found in tables),
        window=(isqrt(tables[0][0]) + 1) // 2,
        mels=shape("audio_branch.bn0.weight", 1)[0],
        text_width=text_width,
        text_layers=_count(state, r"text_branch\.encoder\.layer\.(\d+)\."),
        text_inner=shape("text_branch.encoder.layer.0.intermediate.dense.weight", 2)[0],
        vocabulary=vocabulary,
        positions=shape(f"{text}position_embeddings.weight", 2)[0],
        dim=shape("audio_projection.2.weight", 2)[0],
    )


def _count(state: State, pattern: str) -> int:
    found = (re.match(pattern, key) for key in state)
    return 1 + max((int(match[1]) for match in found if match), default=-1)


def check_filters(state: State, front: FrontEnd, path: Path) -> None:
    """Raises ModelError when the checkpoint's own mel filters are not those of `front`."""
    stored = state.get("audio_branch.logmel_extractor.melW")
    if stored is None:
        return
    ours = torch.from_numpy(mel_filters(front)).float()
    if stored.shape != ours.shape or not torch.allclose(stored.float(), ours, atol=1e-5):
        raise ModelError(f"{path} was trained with other mel filters than LAION's", path=path)
