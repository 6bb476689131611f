"""LAION's names of CLAP's weights -> those of transformers' ClapModel.

The two libraries hold the same numbers under other names; LAION keeps the query, key and value of
the audio tower's attention in one matrix. Not taken over: the classification head of the audio
tower, its spectrogram filters, and the MLPs that only the training loss looked through.
"""

from __future__ import annotations

import re
from typing import Any

import torch

from trichord.embedders.clap.laion import ROBERTA_PAD, Shape, State
from trichord.errors import ModelError

_DROPPED = re.compile(
    r"(audio|text)_transform\.|attn_mask$"
    r"|audio_branch\.(tscam_conv|head|spectrogram_extractor|logmel_extractor)\."
    r"|audio_branch\..*\.(attn_mask|relative_position_index)$|audio_branch\..*num_batches_tracked$"
    r"|text_branch\.embeddings\.(position_ids|token_type_ids)$"
)
_RENAMES = (
    (r"^audio_branch\.bn0\.", "audio_model.audio_encoder.batch_norm."),
    (r"^audio_branch\.", "audio_model.audio_encoder."),
    (r"^text_branch\.", "text_model."),
    (r"^(audio|text)_projection\.0\.", r"\1_projection.linear1."),
    (r"^(audio|text)_projection\.2\.", r"\1_projection.linear2."),
    (r"(\.blocks\.\d+)\.norm1\.", r"\1.layernorm_before."),
    (r"(\.blocks\.\d+)\.norm2\.", r"\1.layernorm_after."),
    (r"(\.blocks\.\d+)\.mlp\.fc1\.", r"\1.intermediate.dense."),
    (r"(\.blocks\.\d+)\.mlp\.fc2\.", r"\1.output.dense."),
    (r"(\.blocks\.\d+)\.attn\.proj\.", r"\1.attention.output.dense."),
    (r"(\.blocks\.\d+)\.attn\.", r"\1.attention.self."),
)


def renamed(key: str) -> str | None:
    """transformers' name of one of LAION's weights, None for what ClapModel does not have.

    The fused matrix keeps "qkv" in its name: `converted` splits it.
    """
    if _DROPPED.match(key):
        return None
    for pattern, replacement in _RENAMES:
        key = re.sub(pattern, replacement, key)
    return key


def converted(state: State) -> dict[str, torch.Tensor]:
    """LAION's state dict -> ClapModel's; the tensors are views of the given ones.

    Raises ModelError for a fused matrix that cannot be split in three.
    """
    found: dict[str, torch.Tensor] = {}
    for key, tensor in state.items():
        name = renamed(key)
        if name is None:
            continue
        if ".attention.self.qkv." not in name:
            found[name] = tensor
            continue
        if tensor.shape[0] % 3:
            raise ModelError(f"{key} of shape {tuple(tensor.shape)} is no query, key and value")
        for part, piece in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
            found[name.replace(".qkv.", f".{part}.")] = piece
    return found


def config(shape: Shape) -> dict[str, Any]:
    """The arguments of ClapConfig for a checkpoint of this shape.

    What shapes do not show is as LAION trains it: RoBERTa's heads of 64 and its norms' 1e-5,
    a spectrogram folded to 256 x 256 and cut into patches of 4 x 4.
    """
    return {
        "projection_dim": shape.dim,
        "projection_hidden_act": "relu",
        "audio_config": {
            "patch_embeds_hidden_size": shape.width,
            "hidden_size": shape.width * 2 ** (len(shape.depths) - 1),
            "depths": list(shape.depths),
            "num_attention_heads": list(shape.heads),
            "num_hidden_layers": len(shape.depths),
            "window_size": shape.window,
            "num_mel_bins": shape.mels,
            "spec_size": 256,
            "patch_size": 4,
            "patch_stride": [4, 4],
            "enable_fusion": False,
        },
        "text_config": {
            "hidden_size": shape.text_width,
            "num_hidden_layers": shape.text_layers,
            "num_attention_heads": shape.text_width // 64,
            "intermediate_size": shape.text_inner,
            "vocab_size": shape.vocabulary,
            "max_position_embeddings": shape.positions,
            "pad_token_id": ROBERTA_PAD,
            "layer_norm_eps": 1e-5,
        },
    }
