"""Small models in the folders that sentence-transformers writes: real formats, random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Router, Transformer
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers.trainers import BpeTrainer
from transformers import (
    ClapConfig,
    ClapFeatureExtractor,
    ClapModel,
    ClapProcessor,
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPProcessor,
    PreTrainedTokenizerFast,
)

DIM = 24
START, END = "<|startoftext|>", "<|endoftext|>"
SENTENCES = [
    "a picture of a red cat on a wall",
    "the sound of rain and distant thunder",
    "abcdefghijklmnopqrstuvwxyz 0123456789 . , : / ' \" - _ ; ? = & % # @ + ( )",
]


def tokenizer() -> Any:
    """A BPE tokenizer of a few hundred tokens, made on the spot."""
    made = Tokenizer(models.BPE(unk_token=END, end_of_word_suffix="</w>"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.decoder = decoders.BPEDecoder()
    trainer = BpeTrainer(
        vocab_size=300,
        special_tokens=[START, END],
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    made.train_from_iterator(SENTENCES * 3, trainer)
    ids = [(START, made.token_to_id(START)), (END, made.token_to_id(END))]
    made.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {END}", special_tokens=ids
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        bos_token=START,
        eos_token=END,
        pad_token=END,
        unk_token=END,
        model_max_length=32,
    )


def clip_module(work: Path) -> Transformer:
    torch.manual_seed(1)
    words = tokenizer()
    start, end = words.convert_tokens_to_ids([START, END])
    text = dict(
        vocab_size=len(words), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=32, bos_token_id=start, eos_token_id=end,
        pad_token_id=end, projection_dim=DIM,
    )  # fmt: skip
    vision = dict(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        image_size=32, patch_size=8, projection_dim=DIM,
    )  # fmt: skip
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=DIM))
    pictures = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    model.eval().save_pretrained(work)
    CLIPProcessor(image_processor=pictures, tokenizer=words).save_pretrained(work)
    return Transformer(str(work))


def clap_module(work: Path) -> Transformer:
    torch.manual_seed(2)
    words = tokenizer()
    text = dict(
        vocab_size=len(words), hidden_size=32, intermediate_size=64, num_hidden_layers=1,
        num_attention_heads=4, max_position_embeddings=40, pad_token_id=1, projection_dim=DIM,
    )  # fmt: skip
    audio = dict(
        patch_embeds_hidden_size=16, depths=[1, 1], num_attention_heads=[2, 2], hidden_size=32,
        spec_size=256, num_mel_bins=64, projection_dim=DIM, enable_fusion=False, fusion_type=None,
    )  # fmt: skip
    model = ClapModel(ClapConfig(text_config=text, audio_config=audio, projection_dim=DIM))
    sounds = ClapFeatureExtractor(truncation="rand_trunc", padding="repeatpad")
    model.eval().save_pretrained(work)
    ClapProcessor(feature_extractor=sounds, tokenizer=words).save_pretrained(work)
    return Transformer(str(work))


def save(modules: list[Any], folder: Path, **options: Any) -> SentenceTransformer:
    model = SentenceTransformer(modules=modules, device="cpu", **options)
    model.save(str(folder), create_model_card=False)
    return model


def clip(folder: Path, work: Path) -> SentenceTransformer:
    """Text and images, as one CLIP transformer."""
    return save([clip_module(work)], folder)


def omni(folder: Path, work: Path) -> SentenceTransformer:
    """Text and images by one transformer, sound by another, behind a router."""
    shared, sounds = clip_module(work / "clip"), clap_module(work / "clap")
    router = Router(
        {"text": [shared], "image": [shared], "audio": [sounds]},
        route_mappings={
            (None, "text"): "text",
            (None, "image"): "image",
            (None, "audio"): "audio",
        },
    )
    return save([router], folder)


OWN_CODE = '''
import json
from pathlib import Path

import torch
from sentence_transformers.base.modules import InputModule


class Counting(InputModule):
    """Letters of a text, counted."""

    modalities = ["text"]
    config_keys = []

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(26))

    def preprocess(self, inputs, prompt=None, **kwargs):
        rows = []
        for item in inputs:
            text = item["text"] if isinstance(item, dict) else item
            rows.append([float(text.count(chr(97 + i))) + 0.1 for i in range(26)])
        return {"counts": torch.tensor(rows)}

    def forward(self, features, **kwargs):
        features["sentence_embedding"] = features["counts"] * self.scale
        return features

    def get_embedding_dimension(self):
        return 26

    def save(self, output_path, *args, safe_serialization=True, **kwargs):
        self.save_config(output_path)
        self.save_torch_weights(output_path, safe_serialization=safe_serialization)

    @classmethod
    def load(cls, model_name_or_path, **kwargs):
        module = cls()
        names = ("subfolder", "token", "cache_folder", "revision", "local_files_only")
        hub = {name: kwargs[name] for name in names if name in kwargs}
        return cls.load_torch_weights(model_name_or_path, model=module, **hub)
'''


def own_code(folder: Path) -> None:
    """A model whose only module is a Python file beside its weights."""
    folder.mkdir()
    (folder / "counting.py").write_text(OWN_CODE)
    namespace: dict[str, Any] = {"__name__": "counting"}
    exec(compile(OWN_CODE, "counting.py", "exec"), namespace)
    module = namespace["Counting"]()
    with torch.no_grad():
        module.scale += torch.arange(26) / 26
    module.save(str(folder))
    tokenizer().save_pretrained(folder)
    (folder / "modules.json").write_text(
        '[{"idx": 0, "name": "0", "path": "", "type": "counting.Counting"}]'
    )
