"""Tokenizers: the same tokens as open_clip's, guards, and offsets whose pieces always fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerFast, XLMRobertaConfig

from trichord.embedders.media.chunks import text_pieces
from trichord.embedders.openclip.backend import OpenClip
from trichord.embedders.openclip.offsets import SLACK
from trichord.errors import InvalidInput, ModelError
from trichord.types import Modality

from .conftest import TEXTS, TINY, change_config, local

SENTENCES = [
    "The quick brown fox jumps over the lazy dog near the riverbank.",
    "A violin plays a slow melody, and rain falls on the window.",
    "Unbelievable! Trichord's 42 e-mails weren't misunderstood\u2026",
    "\u6f22\u5b57\u304b\u306a\u4ea4\u3058\u308a\u6587 caf\u00e9 \u0441\u043d\u0435\u0433",
]


def hub_files(folder: Path) -> None:
    """A small byte-level tokenizer, trained here, in the files that Hugging Face reads."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES * 3, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
    ).save_pretrained(folder)


@pytest.fixture(scope="module")
def hugging(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose text tower and tokenizer are Hugging Face's."""
    folder = tmp_path_factory.mktemp("hugging")
    tower = folder / "tower"
    XLMRobertaConfig(
        vocab_size=400,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=80,
        pad_token_id=1,
    ).save_pretrained(tower)
    config: dict[str, Any] = {
        "embed_dim": 24,
        "vision_cfg": TINY["vision_cfg"],
        "text_cfg": {
            "hf_model_name": str(tower),
            "hf_tokenizer_name": "someone/elses",
            "hf_proj_type": "mlp",
            "hf_pooler_type": "mean_pooler",
            "context_length": 40,
            "vocab_size": 400,
        },
    }
    torch.manual_seed(0)
    text = config["text_cfg"] | {"hf_model_pretrained": False}
    made = open_clip.CustomTextCLIP(**(config | {"text_cfg": text}))
    save_file(made.state_dict(), str(folder / "open_clip_model.safetensors"))
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
    hub_files(folder)
    return folder


def test_a_hugging_face_text_tower_embeds_as_open_clip_does(hugging: Path) -> None:
    model = local(hugging)
    texts = [*TEXTS, *SENTENCES]
    reference = open_clip.create_model_from_pretrained(
        f"local-dir:{hugging}", return_transform=False
    )
    reference.eval()  # open_clip leaves a Hugging Face tower's dropout on
    tokenizer = open_clip.get_tokenizer(f"local-dir:{hugging}")
    with torch.inference_mode():
        expected = reference.encode_text(tokenizer(texts), normalize=True).numpy()
    found = model.embedder(Modality.TEXT).embed(texts)
    assert not found.errors
    np.testing.assert_allclose(found.vectors, expected, atol=1e-5)
    assert model.text is not None and model.text.chunk_tokens == 40 - 2 - SLACK


def test_an_empty_tokenizer_is_refused(hugging: Path, tmp_path: Path) -> None:
    import shutil

    folder = Path(shutil.copytree(hugging, tmp_path / "model"))
    before = local(folder).facts(Modality.TEXT)["tokenizer"]
    vocabulary = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3}
    empty = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    empty.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>"])
    empty.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=empty,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
    ).save_pretrained(folder)
    with pytest.raises(ModelError, match="knows 4 tokens, its text tower 400"):
        local(folder).embedder(Modality.TEXT)
    # as if the model were so small that the count says nothing
    change_config(folder, lambda config: config["text_cfg"].update(vocab_size=4))
    with pytest.raises(ModelError, match="different texts get the same tokens"):
        local(folder).embedder(Modality.TEXT)
    assert local(folder).facts(Modality.TEXT)["tokenizer"] != before
    for path in folder.glob("*token*"):
        path.unlink()
    with pytest.raises(ModelError, match="tokenizer"):
        local(folder).embedder(Modality.TEXT)


def test_the_brought_along_tokenizer_needs_its_vocabulary(copied: Path) -> None:
    change_config(copied, lambda config: config["text_cfg"].update(vocab_size=30_000))
    with pytest.raises(ModelError, match="knows 30000 tokens, its tokenizer 49408"):
        local(copied).embedder(Modality.TEXT)


def test_a_token_beyond_the_vocabulary_is_the_error_of_its_text(
    model: OpenClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    text: Any = model.embedder(Modality.TEXT)
    ids = text._tokens.ids

    def beyond(texts: list[str]) -> Any:
        found = ids(texts)
        found[1, 1] = 49_408
        return found

    monkeypatch.setattr(text._tokens, "ids", beyond)
    found = text.embed(["a dog", "a cat", "a bird"])
    assert set(found.errors) == {1} and isinstance(found.errors[1], ModelError)
    assert found.vectors[0].any() and found.vectors[2].any()


def test_text_of_which_nothing_is_left(model: OpenClip) -> None:
    text = model.embedder(Modality.TEXT)
    found = text.embed(["&nbsp;", "a dog", "\ud800 lone", "\ud800", "\x00"])
    assert set(found.errors) == {0, 4}
    assert all("no tokens" in str(error) for error in found.errors.values())
    assert not found.vectors[[0, 4]].any() and found.vectors[1:4].any(axis=1).all()
    assert len(model.token_offsets("\ud800 lone")) >= 2


def test_random_reduction_of_long_text_is_left_out(copied: Path) -> None:
    change_config(
        copied,
        lambda config: config["text_cfg"].update(tokenizer_kwargs={"reduction_mask": "random"}),
    )
    long = " ".join(f"word{number}" for number in range(90))
    text = local(copied).embedder(Modality.TEXT)
    np.testing.assert_array_equal(text.embed([long]).vectors, text.embed([long]).vectors)


def test_memory_of_words_is_bounded(model: OpenClip, monkeypatch: pytest.MonkeyPatch) -> None:
    from trichord.embedders.openclip import tokens

    monkeypatch.setattr(tokens, "_BPE_REMEMBERS", 100)
    held: Any = model._tokens
    expected = held.ids(["a dog"])
    for start in range(0, 1000, 50):
        held.ids([f"zq{number}x" for number in range(start, start + 50)])
        assert len(held._inner.cache) <= 400
    np.testing.assert_array_equal(held.ids(["a dog"]), expected)


def test_offsets_of_plain_english_are_the_tokens(model: OpenClip) -> None:
    text = "A dog barks, and 3 cats   sleep."
    offsets = model.token_offsets(text)
    assert [text[start:end] for start, end in offsets] == [
        *("A", "dog", "barks", "barks", ",", "and", "3", "cats", "sleep", "."),
    ]
    tokenizer = open_clip.get_tokenizer("ViT-B-32")
    assert len(offsets) == len(tokenizer.encode(text))  # barks is two tokens
    with pytest.raises(InvalidInput):
        model.token_offsets(3)  # type: ignore[arg-type]
    assert model.token_offsets(" \n") == []


@pytest.mark.parametrize("text", SENTENCES)
def test_no_text_has_more_tokens_than_offsets(model: OpenClip, text: str) -> None:
    tokenizer = open_clip.get_tokenizer("ViT-B-32")
    offsets = model.token_offsets(text)
    assert len(offsets) >= len(tokenizer.encode(text))
    assert offsets == sorted(offsets) and all(0 <= a < b <= len(text) for a, b in offsets)


ODD = st.sampled_from(
    [
        *("&amp;", "&lt;b&gt;", "&nbsp;", "\ufb01ne", "caf\u00c3\u00a9", "\u00e2\u20ac\u2122s"),
        *("\uff28\uff45\uff4c\uff4c\uff4f", "\u0130stanbul", "\u6f22\u5b57\u304b\u306a" * 9),
        *("\U0001f469\u200d\U0001f692", "don't", "e\u0301tude", "\ufdfa", "a" * 90, "0123456789"),
        *("http://example.org/a?b=c&copy=1", "\x1b[31mred\x1b[0m", "<end_of_text>", "\u00c3\u00a0"),
        *("Unbelievable", "trichord", "antidisestablishmentarianism", "\n\n", ". ", "\t"),
    ]
)
LONG = st.lists(
    st.one_of(ODD, st.text(max_size=12), st.text("abcdefghij", min_size=1, max_size=9)),
    max_size=60,
).map(" ".join)


def fits(model: OpenClip, text: str, count: Any, most: int) -> None:
    cut = model.text
    assert cut is not None
    offsets = model.token_offsets(text)
    assert offsets == sorted(offsets) and all(0 <= a < b <= len(text) for a, b in offsets)
    if not offsets:
        return
    pieces = text_pieces(
        text,
        model.token_offsets,
        chunk_tokens=cut.chunk_tokens,
        overlap_tokens=cut.overlap_tokens,
    )
    for piece in pieces:
        assert count(piece.content) <= most, piece
    # also where a caller cuts without regard to words
    step = max(1, len(offsets) // 7)
    for first in range(0, len(offsets), step):
        part = offsets[first : first + cut.chunk_tokens]
        assert count(text[part[0][0] : max(end for _, end in part)]) <= most


@settings(max_examples=40, deadline=None)
@given(text=LONG)
def test_no_chunk_exceeds_the_context_of_the_byte_pairs(model: OpenClip, text: str) -> None:
    tokenizer = open_clip.get_tokenizer("ViT-B-32")
    fits(model, text, lambda part: len(tokenizer.encode(part)), 75)


@settings(max_examples=40, deadline=None)
@given(text=LONG)
def test_no_chunk_exceeds_the_context_of_a_hub_tokenizer(hugging: Path, text: str) -> None:
    held = local(hugging)
    inner: Any = held._tokens
    tokenizer = inner._inner

    def count(part: str) -> int:
        return len(tokenizer.tokenizer(tokenizer.clean_fn(part), truncation=False).input_ids) - 2

    fits(held, text, count, 38)
