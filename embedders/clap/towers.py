"""The two halves of a ClapModel, with weights that are all there or a ModelError."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from trichord.errors import ModelError

_COUNTERS = re.compile(
    r"\.(position_ids|token_type_ids|relative_position_index|num_batches_tracked)$|^logit_scale_"
)
"""What may be missing: counters that the code makes itself, and the scales of the training loss."""


class AudioTower(Protocol):
    """Log-mel frames float32 (n, frames, mels), or where `hears_samples` the padded samples
    themselves float32 (n, samples) -> float32 (n, dim), of any length."""

    @property
    def hears_samples(self) -> bool: ...
    @property
    def module(self) -> nn.Module: ...

    def cast(self, device: torch.device, dtype: torch.dtype) -> None: ...
    def embed(self, x: torch.Tensor) -> torch.Tensor: ...


class TextTower(Protocol):
    """Token ids and mask int64 (n, length) -> float32 (n, dim), of any length."""

    @property
    def module(self) -> nn.Module: ...

    def cast(self, device: torch.device, dtype: torch.dtype) -> None: ...
    def embed(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor: ...


class ClapAudioTower:
    """Half of a ClapModel; the other half is given up."""

    hears_samples = False

    def __init__(self, model: Any) -> None:
        self.module = nn.ModuleDict(
            {"tower": model.audio_model, "projection": model.audio_projection}
        )
        self._fused = bool(model.config.audio_config.enable_fusion)

    def cast(self, device: torch.device, dtype: torch.dtype) -> None:
        self.module.to(device, dtype)
        encoder: Any = self.module["tower"].audio_encoder
        if dtype is torch.float32:
            return
        # A level of -80 dB has half a dB of precision in bfloat16: the dB values are normalised
        # and resampled in float32 and cast where the patches are cut.
        encoder.batch_norm.float()
        encoder.patch_embed.register_forward_pre_hook(
            lambda _, given: (given[0].to(dtype), *given[1:])
        )

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        x = x.unsqueeze(1)
        longer = None
        if self._fused:
            # Windows are never longer than the model's clip. transformers' extractor would mark
            # one of the batch as longer by chance; LAION's own code marks none, and so do we.
            x = x.expand(-1, 4, -1, -1)
            longer = torch.zeros((len(x), 1), dtype=torch.bool, device=x.device)
        heard = self.module["tower"](input_features=x, is_longer=longer).pooler_output
        found: torch.Tensor = self.module["projection"](heard)
        return found.float()


class ClapTextTower:
    """Half of a ClapModel; the other half is given up."""

    def __init__(self, model: Any) -> None:
        self.module = nn.ModuleDict(
            {"tower": model.text_model, "projection": model.text_projection}
        )

    def cast(self, device: torch.device, dtype: torch.dtype) -> None:
        self.module.to(device, dtype)

    def embed(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        read = self.module["tower"](input_ids=ids, attention_mask=mask).pooler_output
        found: torch.Tensor = self.module["projection"](read)
        return found.float()


def configuration(values: Mapping[str, Any], source: str = "LAION's sizes") -> Any:
    """ClapConfig of stored values; raises ModelError for those that it does not take."""
    from transformers import ClapConfig

    try:
        return ClapConfig.from_dict(dict(values))
    except Exception as error:  # the library's errors have no common class
        raise ModelError(f"{source} cannot be read: {_told(error)}") from error


def from_folder(folder: Path, *, pickled: bool) -> Any:
    """ClapModel from a transformers checkpoint, float32 on the CPU.

    transformers fills weights that it does not find with random numbers and says so in its log
    only. Raises ModelError for that, for weights of another shape or architecture, and for
    pickled weights with code in them.
    """
    from transformers import ClapModel

    try:
        with _quiet():
            model, info = ClapModel.from_pretrained(
                str(folder),
                dtype=torch.float32,
                local_files_only=True,
                use_safetensors=not pickled,
                output_loading_info=True,
            )
    except Exception as error:  # the library's errors have no common class
        raise ModelError(
            f"the CLAP model in {folder} does not load: {_told(error)}", path=folder
        ) from error
    check(info["missing_keys"], info["unexpected_keys"], str(folder))
    return model.eval().requires_grad_(False)


def from_state(config: Mapping[str, Any], state: Mapping[str, torch.Tensor], source: str) -> Any:
    """ClapModel of that configuration with these weights; raises ModelError as `from_folder`."""
    from transformers import ClapModel

    with _quiet():
        model = ClapModel(configuration(config))
    try:
        missing, unexpected = model.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise ModelError(f"the CLAP model in {source} does not load: {_told(error)}") from error
    check(missing, unexpected, source)
    return model.eval().requires_grad_(False)


def check(missing: Any, unexpected: Any, source: str) -> None:
    """Raises ModelError for weights that are missing, or that nothing here takes."""
    lost = sorted(str(key) for key in missing if not _COUNTERS.search(str(key)))
    if lost:
        raise ModelError(
            f"{source} lacks {len(lost)} of the model's weights ({', '.join(lost[:3])} …): they "
            "would be random numbers. The file is incomplete, or of another architecture"
        )
    extra = sorted(str(key) for key in unexpected if not _COUNTERS.search(str(key)))
    if extra:
        raise ModelError(
            f"{source} has {len(extra)} weights that its model does not take "
            f"({', '.join(extra[:3])} …): it is of another architecture"
        )


def _told(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:4])[:400] or type(error).__name__


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars, and no report of keys: `check` says what matters."""
    from transformers.utils import logging

    level, shown = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()
