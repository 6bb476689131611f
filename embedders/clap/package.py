"""The laion-clap package, kept from asking the hub, from running pickled code and from chance.

The package loads three tokenizers when it is imported and downloads RoBERTa's weights when a
model is built, only to overwrite them from the checkpoint; its own loading unpickles anything.
Here those calls get empty stand-ins, RoBERTa is built with the checkpoint's own sizes, the weights
come from `laion.read`, token ids from our tokenizer, and sound in whole windows, so that the
package neither crops nor quantises it. It needs an environment of its own (scripts/laion-clap).
"""

from __future__ import annotations

import importlib.util
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from trichord.embedders.clap.laion import ROBERTA_PAD, Shape
from trichord.embedders.clap.towers import check
from trichord.errors import MissingExtra, ModelError

AUDIO = {"htsat-tiny": "HTSAT-tiny", "htsat-base": "HTSAT-base", "htsat-large": "HTSAT-large"}

_patching = threading.Lock()


def require() -> None:
    """Raises MissingExtra when laion_clap is not installed here; imports nothing."""
    if "laion_clap" not in sys.modules and importlib.util.find_spec("laion_clap") is None:
        raise MissingExtra("laion_clap", "laion-clap")


@contextmanager
def without_hub(roberta: Callable[[], Any]) -> Iterator[None]:
    """While inside, the `from_pretrained` of the classes that the package calls asks nobody."""
    import transformers

    def nothing(cls: type, *args: Any, **kwargs: Any) -> None:
        return None

    def built(cls: type, *args: Any, **kwargs: Any) -> Any:
        return roberta()

    # A dict, because BART's tokenizer may be RoBERTa's by another name.
    stand_ins: dict[Any, Any] = {
        transformers.BertTokenizer: nothing,
        transformers.RobertaTokenizer: nothing,
        transformers.BartTokenizer: nothing,
        transformers.RobertaModel: built,
    }
    with _patching:
        path = list(sys.path)
        before = [(cls, cls.__dict__.get("from_pretrained")) for cls in stand_ins]
        for cls, stand_in in stand_ins.items():
            cls.from_pretrained = classmethod(stand_in)
        try:
            yield
        finally:
            for cls, own in before:
                if own is None:
                    del cls.from_pretrained  # it was inherited
                else:
                    cls.from_pretrained = own
            sys.path[:] = path  # the package appends its own folder


def build(shape: Shape, state: Mapping[str, torch.Tensor], source: str) -> Any:
    """The package's CLAP_Module with these weights, in evaluation mode, on the CPU.

    Raises MissingExtra without the package or what it needs, ModelError for weights that are not
    all there or sizes that the package does not know.
    """
    require()
    audio = AUDIO.get(shape.name)
    if audio is None:
        raise ModelError(f"the laion-clap package has no audio tower like {shape.name}'s")

    def roberta() -> Any:
        import transformers

        return transformers.RobertaModel(
            transformers.RobertaConfig(
                vocab_size=shape.vocabulary,
                hidden_size=shape.text_width,
                num_hidden_layers=shape.text_layers,
                num_attention_heads=shape.text_width // 64,
                intermediate_size=shape.text_inner,
                max_position_embeddings=shape.positions,
                type_vocab_size=1,
                layer_norm_eps=1e-5,
                pad_token_id=ROBERTA_PAD,
            )
        )

    with without_hub(roberta):
        try:
            import laion_clap  # type: ignore[import-not-found,unused-ignore]
        except ImportError as error:
            raise MissingExtra(error.name or "laion_clap", "laion-clap") from error
        try:
            module = laion_clap.CLAP_Module(enable_fusion=False, device="cpu", amodel=audio)
        except RuntimeError as error:
            # Whatever goes wrong in the audio tower comes out as one RuntimeError.
            cause = error.__context__
            if isinstance(cause, ImportError):
                raise MissingExtra(cause.name or "librosa", "laion-clap") from error
            raise ModelError(f"the laion-clap package cannot build {audio}: {error}") from error
    try:
        missing, unexpected = module.model.load_state_dict(dict(state), strict=False)
    except RuntimeError as error:
        raise ModelError(f"{source} does not fit the package's model: {error}") from error
    check(missing, unexpected, source)
    return module.model.eval().requires_grad_(False)


class PackageAudioTower:
    """Padded samples float32 (n, 480 000) -> float32 (n, 512); the log-mel is the package's own."""

    hears_samples = True

    def __init__(self, model: Any) -> None:
        self.module: nn.Module = model

    def cast(self, device: torch.device, dtype: torch.dtype) -> None:
        _only_float32(dtype)
        self.module.to(device)

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        model: Any = self.module
        heard = model.encode_audio({"waveform": x}, device=x.device)["embedding"]
        found: torch.Tensor = model.audio_projection(heard)
        return found


class PackageTextTower:
    """Token ids and mask int64 (n, length) -> float32 (n, 512), of any length."""

    def __init__(self, model: Any) -> None:
        self.module: nn.Module = model

    def cast(self, device: torch.device, dtype: torch.dtype) -> None:
        _only_float32(dtype)
        self.module.to(device)

    def embed(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        model: Any = self.module
        given = {"input_ids": ids, "attention_mask": mask}
        found: torch.Tensor = model.encode_text(given, device=ids.device)
        return found


def _only_float32(dtype: torch.dtype) -> None:
    if dtype is not torch.float32:
        raise ModelError("the laion-clap package runs in float32 only: choose precision fp32")
