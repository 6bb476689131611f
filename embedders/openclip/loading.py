"""Loads a model of open_clip, proves that it is the one it should be, and casts its towers."""

from __future__ import annotations

import copy
import json
import logging
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from open_clip.factory import create_model
from open_clip.model import CLIP
from open_clip.transformer import TextTransformer, text_global_pool

from trichord.embedders.backend import Runtime
from trichord.embedders.openclip.source import CONFIG, LOCAL, Source
from trichord.embedders.running import pick_device, pick_dtype
from trichord.errors import ModelError
from trichord.types import F32

Run = Callable[[torch.Tensor], torch.Tensor]


def load(source: Source) -> torch.nn.Module:
    """The model in fp32 on the CPU, ready for inference.

    Weights are loaded strictly and never by running pickled code. Raises ModelError when they are
    damaged or another model's, or when the model is not what its configuration says.
    """
    try:
        # A folder that holds nothing but this configuration and these weights: no other file can
        # be picked, and no name is resolved by a hub.
        with tempfile.TemporaryDirectory(prefix="trichord-") as folder, _root_logger_untouched():
            config = copy.deepcopy(dict(source.config))
            if source.text_config is not None:
                config["text_cfg"]["hf_model_name"] = str(source.text_config)
            whole = {"model_cfg": config, "preprocess_cfg": dict(source.preprocessing)}
            Path(folder, CONFIG).write_text(json.dumps(whole), "utf-8")
            safe = source.weights.suffix == ".safetensors"
            link = Path(folder, "open_clip_model.safetensors" if safe else "pytorch_model.bin")
            link.symlink_to(source.weights.resolve())
            model: torch.nn.Module = create_model(
                LOCAL + folder, require_pretrained=True, weights_only=True
            )
    except Exception as error:  # open_clip and torch raise nearly every class here
        raise ModelError(
            f"{source.name}: {source.weights.name} cannot be loaded as this model:"
            f" {str(error)[:500] or type(error).__name__}",
            path=source.weights,
        ) from error
    model.requires_grad_(False).eval()
    _check(model, source)
    return model


@contextmanager
def _root_logger_untouched() -> Iterator[None]:
    # open_clip logs through the functions of the logging module, which give a root logger without
    # handlers one that writes to stderr for the rest of the process.
    root, silent = logging.getLogger(), logging.NullHandler()
    root.addHandler(silent)
    try:
        yield
    finally:
        root.removeHandler(silent)


def _check(model: Any, source: Source) -> None:
    own = dict(model.visual.preprocess_cfg)
    size = own["size"]
    own["size"] = [size, size] if isinstance(size, int) else size
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in own.items()}
    if plain != dict(source.preprocessing):
        raise ModelError(
            f"{source.name} wants pictures as {plain}, its configuration says"
            f" {dict(source.preprocessing)}: this version of open_clip is not supported"
        )
    if not all(bool(torch.isfinite(value).all()) for value in model.parameters()):
        raise ModelError(
            f"{source.weights.name} has weights that are not finite: it is damaged",
            path=source.weights,
        )


class Tower:
    """One tower, cast and on its device: a tensor of inputs -> float32 (n, dim) rows."""

    def __init__(
        self, modules: torch.nn.Module, run: Run, dim: int, device: torch.device, name: str
    ) -> None:
        self.modules, self._run, self.device = modules, run, device
        self.dim, self.name = dim, name

    def __call__(self, inputs: torch.Tensor) -> F32:
        with torch.inference_mode():
            found = self._run(inputs.to(self.device))
            rows: F32 = found.to(torch.float32).cpu().numpy()
        if rows.shape != (len(inputs), self.dim):
            raise ModelError(
                f"{self.name} gives rows of shape {rows.shape[1:]}, its configuration says"
                f" ({self.dim},)"
            )
        return rows


def image_tower(model: Any, source: Source, runtime: Runtime) -> Tower:
    def run_of(visual: Any, dtype: torch.dtype) -> Run:
        def run(pictures: torch.Tensor) -> torch.Tensor:
            return _first(visual(pictures.to(dtype)))

        return run

    height, width = source.size
    sample = torch.zeros(4, 3, height, width)
    return _tower(model.visual, run_of, sample, source, runtime, "image")


def text_tower(model: Any, source: Source, runtime: Runtime, ids: torch.Tensor) -> Tower:
    """`ids`: tokens of some ordinary texts, int64 (n, context length), to measure with."""
    text = getattr(model, "text", None)
    if text is None:  # the parts of the text tower lie in the model itself
        text = copy.copy(model)
        text._modules = {k: v for k, v in model._modules.items() if k != "visual"}

    def run_of(text: Any, dtype: torch.dtype) -> Run:
        if not shortens(text):
            whole = text.encode_text if isinstance(text, CLIP) else text
            return lambda ids: _first(whole(ids))
        return lambda ids: short(text, ids, dtype)

    if shortens(text):
        ids = ids[:, : int(end_of_text(text, ids).max()) + 1]
    return _tower(text, run_of, ids, source, runtime, "text")


def _first(found: Any) -> torch.Tensor:
    # CoCa's towers give their tokens besides.
    pooled: torch.Tensor = found[0] if isinstance(found, tuple) else found
    return pooled


def _tower(
    module: torch.nn.Module,
    run_of: Callable[[Any, torch.dtype], Run],
    sample: torch.Tensor,
    source: Source,
    runtime: Runtime,
    kind: str,
) -> Tower:
    device = pick_device(runtime)
    module.to(device)

    def measure(dtype: torch.dtype) -> float:
        # A copy: what bfloat16 rounds off does not come back.
        cast = module if dtype is torch.float32 else copy.deepcopy(module).to(dtype)
        run, taken = run_of(cast, dtype), []
        with torch.inference_mode():
            for _ in range(3):
                start = time.perf_counter()
                run(sample)
                taken.append(time.perf_counter() - start)
        return min(taken[1:])  # the first one fills caches

    dtype = pick_dtype(runtime, device, measure)
    module.to(dtype)
    name = f"the {kind} tower of {source.name}"
    return Tower(module, run_of(module, dtype), source.dim, device, name)


def shortens(text: Any) -> bool:
    """Whether the text tower gives the same vector for a text without its padding.

    It does if no token looks at a later one (a causal mask), no token is added at the end, and the
    vector is read off at the end-of-text token: then what follows that token changes nothing.
    """
    if not isinstance(text, (CLIP, TextTransformer)):
        return False
    pool = text.text_pool_type if isinstance(text, CLIP) else text.pool_type
    return (
        text.attn_mask is not None
        and pool in ("argmax", "eos")
        and getattr(text, "cls_emb", None) is None
        and not getattr(text, "use_pad_mask", False)
    )


def end_of_text(text: Any, ids: torch.Tensor) -> torch.Tensor:
    """int64 (n,): where in its row each text's vector is read off."""
    if _pool(text)[0] == "argmax":
        return ids.argmax(dim=-1)
    return (ids == _pool(text)[1]).int().argmax(dim=-1)


def _pool(text: Any) -> tuple[str, int]:
    if isinstance(text, CLIP):
        return text.text_pool_type, text.text_eos_id
    return text.pool_type, text.eos_id


def short(text: Any, ids: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """What the text tower computes, for ids of any length up to the context's."""
    length = ids.shape[1]
    x = text.token_embedding(ids).to(dtype) + text.positional_embedding[:length].to(dtype)
    x = text.transformer(x, attn_mask=text.attn_mask[:length, :length])
    pool, eos = _pool(text)
    x = text_global_pool(text.ln_final(x), ids, pool, eos_token_id=eos)
    projection = text.text_projection
    if isinstance(projection, torch.nn.Linear):
        x = projection(x)
    elif projection is not None:
        x = x @ projection
    return _first(x)


def lengths(tower: Tower, ids: np.ndarray[Any, np.dtype[np.int64]]) -> list[int] | None:
    """Tokens of each text up to its end, None where the padding counts."""
    if not shortens(tower.modules):
        return None
    ends = end_of_text(tower.modules, torch.from_numpy(ids))
    return [int(end) + 1 for end in ends]
