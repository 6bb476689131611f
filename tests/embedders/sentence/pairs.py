"""Small cross-encoders in their real formats, with random but fixed weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from sentence_transformers import CrossEncoder
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
)

from tests.embedders.sentence.folders import tokenizer

SIZE: dict[str, Any] = dict(
    hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
    pad_token_id=1, initializer_range=0.5,
)  # fmt: skip


def plain(folder: Path, *, labels: int = 1, positions: int = 48, limit: int = 48) -> None:
    """As most are on the hub: a classifier of transformers and its tokenizer."""
    torch.manual_seed(5)
    words = tokenizer()
    words.model_max_length = limit
    config = BertConfig(
        vocab_size=len(words), max_position_embeddings=positions, num_labels=labels, **SIZE
    )
    BertForSequenceClassification(config).eval().save_pretrained(folder)
    words.save_pretrained(folder)


def saved(folder: Path, work: Path, **options: Any) -> CrossEncoder:
    """As CrossEncoder.save writes them."""
    plain(work)
    model = CrossEncoder(str(work), local_files_only=True, device="cpu", **options)
    model.save(str(folder))
    return model


def headless(folder: Path) -> None:
    """An embedding model: whoever loads it as a cross-encoder gets a random head."""
    torch.manual_seed(5)
    words = tokenizer()
    config = BertConfig(vocab_size=len(words), max_position_embeddings=48, num_labels=1, **SIZE)
    BertModel(config).eval().save_pretrained(folder)
    words.save_pretrained(folder)


def offset_positions(folder: Path) -> None:
    """Like RoBERTa: of 40 positions two are never used, and the tokenizer knows no limit."""
    torch.manual_seed(6)
    words = tokenizer()
    words.model_max_length = int(1e30)
    config = XLMRobertaConfig(
        vocab_size=len(words), max_position_embeddings=40, num_labels=1, **SIZE
    )
    XLMRobertaForSequenceClassification(config).eval().save_pretrained(folder)
    words.save_pretrained(folder)
