"""Small CLAP models with random weights in the real formats, and sounds to embed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    ClapConfig,
    ClapFeatureExtractor,
    ClapModel,
    ClapProcessor,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging

from trichord.types import F32, Waveform

logging.disable_progress_bar()

RATE = 48_000
VOCABULARY = 400
TEXTS = [
    "a dog barks in the rain",
    "slow piano music",
    "rain",
    "somebody whistles a tune while the kettle boils, then a door closes and steps go away",
    "Ein Zug fährt über eine Brücke.",
]
_SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def tokenizer(size: int = VOCABULARY) -> PreTrainedTokenizerFast:
    """A byte-level BPE of RoBERTa's kind with exactly `size` tokens."""
    made = Tokenizer(models.BPE(unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    corpus = [f"{text} {number}" for number in range(200) for text in TEXTS]
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=_SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(corpus, trainer)
    made.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), add_prefix_space=False
    )
    assert made.get_vocab_size() == size
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
        cls_token="<s>",
        sep_token="</s>",
        model_max_length=512,
    )


def model(*, fused: bool = False, dim: int = 32, seed: int = 0, **audio: Any) -> ClapModel:
    """About 0.4 M parameters, random, of a size that tells inputs apart."""
    fusion = {"enable_fusion": True, "fusion_type": "aff_2d"} if fused else {}
    torch.manual_seed(seed)
    made = ClapModel(
        ClapConfig(
            text_config={
                "hidden_size": 64,
                "num_hidden_layers": 2,
                "num_attention_heads": 1,
                "intermediate_size": 96,
                "vocab_size": VOCABULARY,
                "max_position_embeddings": 100,
                "layer_norm_eps": 1e-5,
            },
            audio_config={
                "patch_embeds_hidden_size": 16,
                "depths": [1, 2, 1, 1],
                "num_attention_heads": [1, 2, 4, 8],
                "hidden_size": 128,
                "spec_size": 256,
                **fusion,
                **audio,
            },
            projection_dim=dim,
        )
    )
    made.eval()
    livelier(made)
    return made


@torch.no_grad()
def livelier(module: torch.nn.Module) -> None:
    """The usual first weights are so small that all inputs come out alike."""
    for name, parameter in module.named_parameters():
        if parameter.ndim >= 2 and "embeddings" not in name:
            parameter.normal_(0, 1.5 / parameter[0].numel() ** 0.5)
        elif parameter.ndim >= 1 and "embeddings" in name:
            parameter.normal_(0, 1)
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm2d) and part.num_features == 64:
            part.running_mean.normal_(-40, 5)
            part.running_var.uniform_(200, 600)


def extractor(*, fused: bool = False, low_hz: int = 50, **settings: Any) -> ClapFeatureExtractor:
    truncation = "fusion" if fused else "rand_trunc"
    return ClapFeatureExtractor(frequency_min=low_hz, truncation=truncation, **settings)


def checkpoint(folder: Path, *, fused: bool = False, **changes: Any) -> Path:
    """A checkpoint as `save_pretrained` writes it."""
    model(fused=fused, **changes).save_pretrained(folder)
    ClapProcessor(extractor(fused=fused), tokenizer()).save_pretrained(folder)
    return folder


def edit(path: Path, **values: Any) -> None:
    """Changes values of a JSON file; "a.b" is b inside a."""
    found = json.loads(path.read_text("utf-8"))
    for key, value in values.items():
        inner = found
        *parts, last = key.split(".")
        for part in parts:
            inner = inner[part]
        inner[last] = value
    path.write_text(json.dumps(found), "utf-8")


_TO_LAION = (
    ("audio_model.audio_encoder.batch_norm.", "audio_branch.bn0."),
    ("audio_model.audio_encoder.", "audio_branch."),
    ("text_model.", "text_branch."),
    ("_projection.linear1.", "_projection.0."),
    ("_projection.linear2.", "_projection.2."),
    (".layernorm_before.", ".norm1."),
    (".layernorm_after.", ".norm2."),
    (".attention.self.relative", ".attn.relative"),
)


def laion_state(clap: ClapModel) -> dict[str, torch.Tensor]:
    """The weights by LAION's names, with parts that only LAION's model has."""
    found: dict[str, torch.Tensor] = {}
    state = clap.state_dict()
    for key, value in state.items():
        if "audio_encoder" in key and key.endswith((".key.weight", ".key.bias")):
            continue
        if "audio_encoder" in key and key.endswith((".value.weight", ".value.bias")):
            continue
        name = key
        for ours, theirs in _TO_LAION:
            name = name.replace(ours, theirs)
        if name.startswith("audio_branch."):
            name = name.replace(".attention.output.dense.", ".attn.proj.")
            name = name.replace(".intermediate.dense.", ".mlp.fc1.")
            name = name.replace(".output.dense.", ".mlp.fc2.")
            if ".attention.self.query." in name:
                name = name.replace(".attention.self.query.", ".attn.qkv.")
                parts = [state[key.replace(".query.", f".{p}.")] for p in ("query", "key", "value")]
                value = torch.cat(parts)
        found[name] = value.clone()
    del found["text_branch.embeddings.token_type_ids"]
    filters = extractor().mel_filters_slaney
    found["audio_branch.logmel_extractor.melW"] = torch.from_numpy(filters).float()
    found["audio_branch.layers.1.blocks.1.attn_mask"] = torch.zeros(16, 64, 64)
    found["audio_branch.head.weight"] = torch.zeros(527, 527)
    found["audio_branch.tscam_conv.weight"] = torch.zeros(527, 128, 2, 3)
    found["audio_transform.sequential.0.weight"] = torch.zeros(32, 32)
    found["text_transform.sequential.0.weight"] = torch.zeros(32, 32)
    return found


def laion_file(folder: Path, state: dict[str, torch.Tensor]) -> Path:
    """A training checkpoint: parallel training's names, and numpy scalars beside the weights."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer().save_pretrained(folder)
    path = folder / "630k-audioset-best.pt"
    whole = {
        "epoch": 45,
        "name": "tiny",
        "state_dict": {f"module.{key}": value for key, value in state.items()},
        "best": np.float64(0.91),
    }
    torch.save(whole, path)
    return path


def chirp(seconds: float, start: float = 200, end: float = 4_000, seed: int = 0) -> F32:
    """A rising tone with some noise, float32 (n,) at 48 kHz."""
    n = round(seconds * RATE)
    t = np.arange(n) / RATE
    phase = 2 * np.pi * (start * t + (end - start) * t * t / (2 * max(seconds, 1e-9)))
    hiss = np.random.default_rng(seed).standard_normal(n)
    return (0.3 * np.sin(phase) + 0.02 * hiss).astype(np.float32)


def noise(seconds: float, level: float = 0.1, seed: int = 1) -> F32:
    made = np.random.default_rng(seed).standard_normal(round(seconds * RATE))
    return (level * made).astype(np.float32)


def sounds() -> list[Waveform]:
    """Whole windows, short sounds that are repeated, one of a few milliseconds."""
    return [
        Waveform(samples, RATE)
        for samples in (
            chirp(10.0),
            noise(10.0),
            chirp(1.5, 3_000, 100),
            noise(3.3, 0.01),
            chirp(0.01, 800, 900),
            noise(6.0, 0.5, 3) * np.linspace(0, 1, 6 * RATE, dtype=np.float32),
        )
    ]
