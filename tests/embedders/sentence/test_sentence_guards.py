"""Every trap of sentence-transformers, provoked."""

from __future__ import annotations

import builtins
import json
import os
import shutil
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from tests.embedders.sentence import folders
from tests.embedders.sentence.conftest import OFFLINE, picture, tone
from trichord.embedders.backend import Runtime
from trichord.embedders.sentence.backend import SentenceModel
from trichord.embedders.sentence.folder import files, model_name
from trichord.errors import InvalidInput, MediaError, ModelError
from trichord.types import Modality, Waveform


def test_texts_that_look_like_media_stay_texts(
    omni: SentenceModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "real.png"
    Image.fromarray(picture(1)).save(there)
    wave = tmp_path / "real.wav"
    wave.write_bytes(b"RIFF")
    texts = [
        str(there),
        str(wave),
        "https://example.org/a.png",
        "http://example.org/sound.mp3",
        "data:image/png;base64,iVBORw0KGgo=",
        "https://youtu.be/x",
    ]
    embedder = omni.embedder(Modality.TEXT)
    embedder.embed(["warm"])

    def refuse(*arguments: Any, **keywords: Any) -> Any:
        raise AssertionError(f"something was opened: {arguments[:1]}")

    with monkeypatch.context() as closed:
        closed.setattr(builtins, "open", refuse)
        closed.setattr(Image, "open", refuse)
        closed.setattr(os, "open", refuse)
        closed.setattr(socket, "socket", refuse)
        found = embedder.embed(texts)
    assert not found.errors
    # As texts they differ from each other, and they are what the text tower gives for the words.
    model = omni._running._model
    tokens = (
        model[0]
        .sub_modules["text"][0]
        .tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
    )
    clip = model[0].sub_modules["text"][0].model
    expected = clip.get_text_features(**tokens).pooler_output.detach().numpy()
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(found.vectors, expected, atol=1e-5)


def test_what_is_not_of_the_modality_is_the_error_of_its_row(omni: SentenceModel) -> None:
    text = omni.embedder(Modality.TEXT).embed(["fine", picture(1), "", "  ", tone(440, 1), 7])
    assert sorted(text.errors) == [1, 2, 3, 4, 5]
    assert all(isinstance(error, InvalidInput) for error in text.errors.values())
    grey = np.zeros((8, 8), np.uint8)
    pictures: list[Any] = [picture(1), "x.png", grey, picture(1).astype(np.float32), picture(1)[:0]]
    image = omni.embedder(Modality.IMAGE).embed(pictures)
    assert sorted(image.errors) == [1, 2, 3, 4]
    for result in (text, image):
        assert np.linalg.norm(result.vectors[0]) == pytest.approx(1, abs=1e-5)
        assert not result.vectors[sorted(result.errors)].any()


def test_sounds_of_another_rate_or_length_are_refused_each_by_itself(omni: SentenceModel) -> None:
    fine = tone(440, 1)
    nan = np.array(fine.samples)
    nan[5] = np.nan
    batch = [
        fine,
        tone(440, 1, rate=44_100),
        tone(440, 10.5),
        Waveform(np.zeros(48_000, np.float32), 48_000),
        Waveform(np.zeros(0, np.float32), 48_000),
        Waveform(nan, 48_000),
        Waveform(np.zeros((2, 100), np.float32), 48_000),
        {"array": fine.samples, "sampling_rate": 48_000},
        fine,
    ]
    found = omni.embedder(Modality.AUDIO).embed(batch)
    assert sorted(found.errors) == [1, 2, 3, 4, 5, 6, 7]
    assert all(isinstance(error, MediaError) for error in found.errors.values())
    assert "44100" in str(found.errors[1])
    assert "longer" in str(found.errors[2])
    np.testing.assert_array_equal(found.vectors[0], found.vectors[8])


def test_25_seconds_in_our_windows_are_the_same_every_time(omni: SentenceModel) -> None:
    long = tone(330, 25)
    cut = omni.audio
    assert cut is not None
    size = cut.rate * cut.window_ms // 1000
    windows = [
        Waveform(long.samples[at : at + size], cut.rate) for at in range(0, len(long.samples), size)
    ]
    embedder = omni.embedder(Modality.AUDIO)
    first = embedder.embed(windows)
    assert not first.errors
    for _ in range(3):
        np.testing.assert_array_equal(first.vectors, embedder.embed(windows).vectors)


def test_a_modality_that_the_model_lacks(minilm: SentenceModel) -> None:
    with pytest.raises(InvalidInput, match="no encoder for audio"):
        minilm.embedder(Modality.AUDIO)
    with pytest.raises(InvalidInput, match="no encoder for image"):
        minilm.facts(Modality.IMAGE)


def test_no_such_folder_and_not_in_the_cache(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no folder"):
        SentenceModel(str(tmp_path / "nothing"), runtime=OFFLINE)
    with pytest.raises(ModelError, match=r"trichord space add"):
        SentenceModel("someone/some-model", runtime=Runtime(offline=True, cache=tmp_path))
    # The tests run with HF_HUB_OFFLINE: what the user told the hub holds too.
    with pytest.raises(ModelError, match=r"trichord space add"):
        SentenceModel("someone/some-model", runtime=Runtime(cache=tmp_path))
    with pytest.raises(InvalidInput):
        SentenceModel(" ", runtime=OFFLINE)


def test_a_folder_without_modules_is_refused(copied: Path) -> None:
    (copied / "modules.json").unlink()
    with pytest.raises(ModelError, match=r"modules\.json"):
        SentenceModel(str(copied), runtime=OFFLINE)


@pytest.mark.parametrize("text", ["", "[]", "{", "[{}, 1"])
def test_damaged_modules(copied: Path, text: str) -> None:
    (copied / "modules.json").write_text(text)
    with pytest.raises(ModelError):
        SentenceModel(str(copied), runtime=OFFLINE)


def test_missing_weights(copied: Path) -> None:
    (copied / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="no weights"):
        SentenceModel(str(copied), runtime=OFFLINE)


def test_cut_off_weights(copied: Path) -> None:
    data = (copied / "model.safetensors").read_bytes()
    (copied / "model.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(ModelError, match="cannot be loaded"):
        SentenceModel(str(copied), runtime=OFFLINE).embedder(Modality.TEXT)


def test_weights_that_would_be_random(copied: Path) -> None:
    weights = load_file(copied / "model.safetensors")
    gone = next(name for name in weights if "visual_projection" in name)
    del weights[gone]
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="visual_projection"):
        SentenceModel(str(copied), runtime=OFFLINE).embedder(Modality.IMAGE)


def test_weights_of_another_shape(copied: Path) -> None:
    weights = load_file(copied / "model.safetensors")
    name = next(name for name in weights if "visual_projection" in name)
    weights[name] = weights[name][:-1]
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError):
        SentenceModel(str(copied), runtime=OFFLINE).embedder(Modality.IMAGE)


def test_missing_tokenizer(copied: Path) -> None:
    (copied / "tokenizer.json").unlink()
    model = SentenceModel(str(copied), runtime=OFFLINE)
    with pytest.raises(ModelError):
        model.token_offsets("a red cat")
    with pytest.raises(ModelError):
        model.embedder(Modality.TEXT)


def test_empty_tokenizer(copied: Path) -> None:
    saved = json.loads((copied / "tokenizer.json").read_text())
    saved["model"]["vocab"] = {folders.START: 0, folders.END: 1}
    saved["model"]["merges"] = []
    for token in saved["added_tokens"]:
        token["id"] = {folders.START: 0, folders.END: 1}[token["content"]]
    (copied / "tokenizer.json").write_text(json.dumps(saved))
    model = SentenceModel(str(copied), runtime=OFFLINE)
    with pytest.raises(ModelError, match="empty or cannot tell"):
        model.token_offsets("a red cat")
    with pytest.raises(ModelError, match="empty or cannot tell"):
        model.embedder(Modality.TEXT)


def test_weights_that_give_nan_are_errors_of_their_rows(copied: Path) -> None:
    weights = load_file(copied / "model.safetensors")
    name = next(name for name in weights if "visual_projection" in name)
    weights[name] = np.full_like(weights[name], np.nan)
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    model = SentenceModel(str(copied), runtime=OFFLINE)
    found = model.embedder(Modality.IMAGE).embed([picture(1), picture(2)])
    assert sorted(found.errors) == [0, 1]
    assert all(isinstance(error, ModelError) for error in found.errors.values())
    assert not found.vectors.any()
    assert not model.embedder(Modality.TEXT).embed(["a cat"]).errors


def test_one_text_for_all_is_noticed(copied: Path) -> None:
    weights = load_file(copied / "model.safetensors")
    name = next(name for name in weights if "text_projection" in name)
    weights[name] = np.zeros_like(weights[name])
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="same vector"):
        SentenceModel(str(copied), runtime=OFFLINE).embedder(Modality.TEXT)


def test_a_configuration_that_lies(copied: Path) -> None:
    sentence = json.loads((copied / "sentence_bert_config.json").read_text())
    sentence["max_seq_length"] = 64  # the model has 32 positions
    (copied / "sentence_bert_config.json").write_text(json.dumps(sentence))
    cut = SentenceModel(str(copied), runtime=OFFLINE).text
    assert cut is not None
    assert cut.chunk_tokens == 30
    config = json.loads((copied / "config.json").read_text())
    config["projection_dim"] = 25
    (copied / "config.json").write_text(json.dumps(config))
    model = SentenceModel(str(copied), runtime=OFFLINE)
    with pytest.raises(ModelError):
        model.embedder(Modality.TEXT)


def test_code_of_the_model_runs_only_when_asked(tmp_path: Path) -> None:
    folder = tmp_path / "letters"
    folders.own_code(folder)
    with pytest.raises(ModelError, match="trust_remote_code"):
        SentenceModel(str(folder), runtime=OFFLINE)
    model = SentenceModel(str(folder), trust_remote_code=True, runtime=OFFLINE)
    assert model.modalities == {Modality.TEXT}
    assert model.frame.dim == 26
    found = model.embedder(Modality.TEXT).embed(["aab", "zz"]).vectors
    counts = np.full((2, 26), 0.1)
    counts[0, 0], counts[0, 1], counts[1, 25] = 2.1, 1.1, 2.1
    expected = counts * (1 + np.arange(26) / 26)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    before = model.sha256
    (folder / "counting.py").write_text((folder / "counting.py").read_text() + "\n# changed\n")
    changed = SentenceModel(str(folder), trust_remote_code=True, runtime=OFFLINE)
    assert changed.sha256 != before


def test_the_identity_covers_what_matters_and_nothing_else(
    clip_folder: Path, clip: SentenceModel, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(clip_folder, tmp_path / "small-clip"))
    (folder / "README.md").write_text("other words")
    (folder / ".gitattributes").write_text("*")
    (folder / "onnx").mkdir()
    (folder / "onnx" / "config.json").write_text("{}")
    (folder / "pytorch_model.bin").write_bytes(b"the same weights, pickled")
    (folder / "training_args.bin").write_bytes(b"x")
    same = SentenceModel(str(folder), runtime=OFFLINE)
    assert same.frame == clip.frame
    assert same.facts(Modality.TEXT) == clip.facts(Modality.TEXT)
    for name in files(folder):
        path = folder / name
        kept = path.read_bytes()
        if name.endswith(".json"):
            path.write_bytes(kept + b"\n")
        else:
            path.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
        assert SentenceModel(str(folder), runtime=OFFLINE).frame != clip.frame, name
        path.write_bytes(kept)
    assert {"model.safetensors", "tokenizer.json", "modules.json", "config.json"} <= set(
        files(folder)
    )


def test_names_of_models(tmp_path: Path) -> None:
    snapshot = tmp_path / "models--org--some-model" / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    assert model_name(str(snapshot), snapshot) == "some-model"
    assert model_name("org/some-model", snapshot) == "some-model"
    assert model_name(str(tmp_path), tmp_path) == tmp_path.name


def test_a_cached_hub_id_is_found_offline(clip_folder: Path, tmp_path: Path) -> None:
    repository = tmp_path / "models--org--small-clip"
    commit = "0123456789abcdef0123456789abcdef01234567"
    shutil.copytree(clip_folder, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    model = SentenceModel("org/small-clip", runtime=Runtime(offline=True, cache=tmp_path))
    assert model.frame == SentenceModel(str(clip_folder), runtime=OFFLINE).frame
    assert model.embedder(Modality.TEXT).embed(["a cat"]).vectors.shape == (1, folders.DIM)
