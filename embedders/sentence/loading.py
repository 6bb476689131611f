"""A folder -> a model that is what its files say: no weight left at random, no empty tokenizer."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from transformers.utils import logging as transformers_logging

from trichord.errors import ModelError

Model = TypeVar("Model", bound=torch.nn.Module)

_LOADING = threading.RLock()
"""Loading switches transformers' process-wide progress bars and listens to its reports."""

_REPORTED = re.compile(r"^\s*(\S+)\s*\|\s*(MISSING|MISMATCH)\b", re.MULTILINE)
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_NOT_USED = re.compile(r"(^|\.)pooler\.|position_ids$|inv_freq$")
"""Heads that models are saved without and that pooled tokens never pass through, and tables that
are computed."""


def load(
    folder: Path, *, device: torch.device, trust_remote_code: bool, offline: bool
) -> SentenceTransformer:
    """The model of a folder in float32 on the device, ready to run.

    Nothing is fetched, unless code of the folder is run and the network may be used. Raises
    ModelError for anything missing, damaged or initialised at random.
    """
    model = _sound(
        folder,
        lambda: SentenceTransformer(
            str(folder),
            device=str(device),
            local_files_only=offline or not trust_remote_code,
            trust_remote_code=trust_remote_code,
            model_kwargs={"dtype": torch.float32},
        ),
    )
    cast_inputs(model)
    model.eval()
    return model


def load_cross_encoder(folder: Path, *, device: torch.device) -> CrossEncoder:
    """The cross-encoder of a folder in float32 on the device, by the same rules; nothing is fetched
    and no code of the folder is run."""
    model = _sound(
        folder,
        lambda: CrossEncoder(
            str(folder),
            device=str(device),
            local_files_only=True,
            model_kwargs={"dtype": torch.float32},
        ),
    )
    model.eval()
    return model


def _sound(folder: Path, make: Callable[[], Model]) -> Model:
    """What `make` makes of the folder, if all its weights come from there."""
    with _LOADING, _quietly(), _reports() as reports:
        try:
            model = make()
        except ModelError:
            raise
        except Exception as error:  # whatever the classes of a model raise
            raise ModelError(
                f"the model in {folder} cannot be loaded: {error or type(error).__name__}"
            ) from error
    pools = any(type(module).__name__ == "Pooling" for module in model.modules())
    missing = [name for name in _missing(reports) if not (pools and _NOT_USED.search(name))]
    if missing:
        shown = ", ".join(missing[:5]) + (" …" if len(missing) > 5 else "")
        raise ModelError(
            f"the weights in {folder} lack {shown}, which would be random numbers:"
            " download the model again"
        )
    return model


def cast_inputs(model: SentenceTransformer) -> None:
    """Makes features as precise as the weights: processors give float32, which weights in
    bfloat16 refuse."""

    def cast(module: torch.nn.Module, arguments: tuple[Any, ...]) -> None:
        dtype = next((p.dtype for p in module.parameters() if p.is_floating_point()), None)
        if dtype is not None and arguments and isinstance(arguments[0], MutableMapping):
            features = arguments[0]  # a dict or one of transformers' kinds of it
            for name, value in list(features.items()):
                if isinstance(value, torch.Tensor) and value.is_floating_point():
                    features[name] = value.to(dtype)

    model.register_forward_pre_hook(cast)


def _missing(reports: list[str]) -> list[str]:
    found: list[str] = []
    for report in reports:
        found += [name for name, _ in _REPORTED.findall(_ANSI.sub("", report))]
    return found


@contextmanager
def _quietly() -> Iterator[None]:
    """A bar for a load of a second would only spoil a program's output."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()


@contextmanager
def _reports() -> Iterator[list[str]]:
    """What transformers says about weights, however it is told to log."""
    logger = logging.getLogger("transformers.modeling_utils")
    heard: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage())

    ear = Ear()
    before = logger.level, logger.propagate, logger.disabled
    logger.addHandler(ear)
    # Just below WARNING: at WARNING itself transformers also reports what it did not shard.
    logger.setLevel(logging.WARNING - 1)
    logger.propagate = logger.disabled = False
    try:
        yield heard
    finally:
        logger.removeHandler(ear)
        logger.setLevel(before[0])
        logger.propagate, logger.disabled = before[1], before[2]
