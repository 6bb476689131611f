"""Real-sized models with random weights in the formats that are loaded, and spaces of one model."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from trichord.embedders.backend import AudioCut, Backend, TextCut
from trichord.types import Embedder, Encoder, Modality, Space

IMAGE_MODEL = "ViT-B-32"


@dataclass(frozen=True)
class OneModel:
    """A joint space of one model family, as `trichord.embedders.spaces.JointSpace`."""

    name: str
    backend: Backend

    @cached_property
    def encoders(self) -> Mapping[Modality, Encoder]:
        return {m: Encoder(m, self.backend.facts(m)) for m in self.backend.modalities}

    @cached_property
    def space(self) -> Space:
        ids = {modality: encoder.id for modality, encoder in self.encoders.items()}
        return Space(self.name, self.backend.frame, ids)

    @property
    def _audio(self) -> AudioCut:
        return self.backend.audio or AudioCut(48_000, 10_000, 10_000)

    @property
    def _text(self) -> TextCut:
        return self.backend.text or TextCut(200, 32)

    @property
    def audio_rate(self) -> int:
        return self._audio.rate

    @property
    def audio_window_ms(self) -> int:
        return self._audio.window_ms

    @property
    def audio_hop_ms(self) -> int:
        return self._audio.hop_ms

    @property
    def text_chunk_tokens(self) -> int:
        return self._text.chunk_tokens

    @property
    def text_overlap_tokens(self) -> int:
        return self._text.overlap_tokens

    @property
    def image_side(self) -> int | None:
        return self.backend.image_side

    @property
    def token_offsets(self) -> Callable[[str], Sequence[tuple[int, int]]]:
        return self.backend.token_offsets

    def embedder(self, modality: Modality) -> Embedder:
        return self.backend.embedder(modality)


def open_clip_folder(folder: Path) -> Any:
    """Writes a `local-dir:` of ViT-B-32; returns open_clip's own model of it."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    model = open_clip.create_model(IMAGE_MODEL, pretrained=None).eval()
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "model_cfg": open_clip.get_model_config(IMAGE_MODEL),
        "preprocess_cfg": open_clip.get_model_preprocess_cfg(model),
    }
    (folder / "open_clip_config.json").write_text(json.dumps(config), encoding="utf-8")
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    return model


def clap_folder(folder: Path) -> Any:
    """Writes a checkpoint of CLAP with HTSAT-tiny as transformers does; returns its own model."""
    import torch
    from tokenizers import ByteLevelBPETokenizer
    from transformers import (
        ClapConfig,
        ClapFeatureExtractor,
        ClapModel,
        ClapProcessor,
        RobertaTokenizerFast,
    )

    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    words = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    words.train_from_iterator(
        ["rain and thunder over the harbour, a dog barks"] * 4,
        vocab_size=400,
        special_tokens=special,
        show_progress=False,
    )
    words.save_model(str(folder))
    tokenizer = RobertaTokenizerFast.from_pretrained(str(folder), model_max_length=512)
    model = ClapModel(ClapConfig()).eval()
    model.save_pretrained(folder)
    extractor = ClapFeatureExtractor(truncation="rand_trunc", padding="repeatpad")
    ClapProcessor(feature_extractor=extractor, tokenizer=tokenizer).save_pretrained(folder)
    return model
