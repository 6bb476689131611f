"""Runs in .cache/laion-clap: the package's own vectors beside ours from the same weights.

Usage: python against_package.py FOLDER; writes FOLDER/figures.json.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import warnings
from pathlib import Path
from typing import Any

os.environ.pop("HF_HUB_OFFLINE", None)  # a call to the hub is to fail, not to be answered
os.environ.pop("TRANSFORMERS_OFFLINE", None)


def _refuse(self: socket.socket, address: object) -> None:
    raise AssertionError(f"tried to reach {address}")


socket.socket.connect = _refuse  # type: ignore[method-assign, assignment]
socket.getaddrinfo = _refuse  # type: ignore[assignment]

import making  # noqa: E402  (beside this file; the package brings a module `tests` of its own)
import numpy as np  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402

from trichord.embedders.clap import package  # noqa: E402
from trichord.embedders.clap.backend import Clap  # noqa: E402
from trichord.types import F32, Modality  # noqa: E402


def small_roberta() -> transformers.RobertaModel:
    """RoBERTa of the base model's width with two layers and a small vocabulary."""
    return transformers.RobertaModel(
        transformers.RobertaConfig(
            vocab_size=making.VOCABULARY,
            num_hidden_layers=2,
            max_position_embeddings=514,
            type_vocab_size=1,
            layer_norm_eps=1e-5,
        )
    )


def tokenize(texts: list[str]) -> dict[str, torch.Tensor]:
    """As the package calls its tokenizer."""
    found = making.tokenizer()(
        texts, padding="max_length", truncation=True, max_length=77, return_tensors="pt"
    )
    return {key: found[key] for key in ("input_ids", "attention_mask")}


def cosines(a: F32, b: F32) -> dict[str, float]:
    found = (a * b).sum(axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
    return {"cosine": float(found.min()), "difference": float(np.abs(a - b).max())}


def compare(audio: str, folder: Path) -> dict[str, Any]:
    with package.without_hub(small_roberta):
        import laion_clap  # type: ignore[import-not-found,unused-ignore]

        torch.manual_seed(0)
        module = laion_clap.CLAP_Module(enable_fusion=False, device="cpu", amodel=audio)
    making.livelier(module.model.text_branch)
    making.livelier(module.model.audio_branch.bn0)
    for name, parameter in module.model.named_parameters():
        if "stft" not in name and "logmel" not in name and parameter.ndim >= 2:
            torch.nn.init.normal_(parameter, 0, 1.2 / parameter[0].numel() ** 0.5)
    torch.nn.init.uniform_(module.model.audio_branch.bn0.running_var, 200, 600)
    torch.nn.init.normal_(module.model.audio_branch.bn0.running_mean, -40, 5)
    path = making.laion_file(folder, dict(module.model.state_dict()))
    sounds = making.sounds() if audio == "HTSAT-tiny" else making.sounds()[1:3]
    texts = [*making.TEXTS, " and then".join(making.TEXTS * 9)]
    with torch.inference_mode():
        plain = [torch.from_numpy(sound.samples) for sound in sounds]
        heard = np.asarray(module.get_audio_embedding_from_data(plain, use_tensor=True))
        rounded = module.get_audio_embedding_from_data([s.samples for s in sounds])
        read = np.asarray(module.get_text_embedding(texts, tokenizer=tokenize))
    del module
    figures: dict[str, Any] = {"16 bit": cosines(heard, rounded)}
    for loader in ("laion-pt", "package"):
        clap = Clap(str(path), loader=loader)  # type: ignore[arg-type]
        figures[loader] = {"frame": clap.frame.id}
        for modality, batch, expected in (
            (Modality.AUDIO, sounds, heard),
            (Modality.TEXT, texts, read),
        ):
            if modality is Modality.TEXT and audio != "HTSAT-tiny":
                continue  # the same text tower again
            found = clap.embedder(modality).embed(batch)
            assert not found.errors, found.errors
            figures[loader][str(modality)] = cosines(found.vectors, expected)
    apart = [np.abs(rows[:, None] - rows[None]).max(axis=2) for rows in (heard, read)]
    figures["apart"] = min(float((found + np.eye(len(found))).min()) for found in apart)
    own = [
        "from_pretrained" in cls.__dict__
        for cls in (transformers.RobertaTokenizer, transformers.RobertaModel)
    ]
    figures["restored"] = not any(own) and not any("laion_clap" in entry for entry in sys.path)
    path.unlink()
    return figures


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    target = Path(sys.argv[1])
    found = {audio: compare(audio, target / audio) for audio in ("HTSAT-tiny", "HTSAT-base")}
    (target / "figures.json").write_text(json.dumps(found, indent=1), "utf-8")
