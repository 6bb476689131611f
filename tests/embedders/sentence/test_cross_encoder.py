"""Cross-encoders against sentence-transformers' own answers, and every trap of theirs provoked."""

from __future__ import annotations

import builtins
import json
import os
import shutil
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file, save_file
from sentence_transformers import CrossEncoder

from tests.embedders.sentence import folders, pairs
from tests.embedders.sentence.conftest import OFFLINE
from trichord.embedders.backend import Runtime
from trichord.embedders.rerank import Reranker, open_reranker
from trichord.errors import InvalidInput, ModelError

QUERY = "the sound of rain"
TEXTS = [
    "a red cat on a wall",
    "rain and distant thunder",
    "a picture of rain",
    "x",
    "the sound of distant thunder and rain on the wall, and a red cat " * 4,
    "",
    "a red cat on a wall",
]


@pytest.fixture(scope="module")
def plain_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain") / "small-pairs"
    pairs.plain(folder)
    return folder


@pytest.fixture(scope="module")
def model(plain_folder: Path) -> Reranker:
    return open_reranker(plain_folder, runtime=OFFLINE)


@pytest.fixture
def copied(plain_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(plain_folder, tmp_path / "small-pairs"))


def theirs(folder: Path, query: str, texts: list[str], **options: Any) -> np.ndarray:
    """Sentence-transformers' own predict, one pair after the other."""
    model = CrossEncoder(str(folder), local_files_only=True, device="cpu", **options)
    identity = torch.nn.Identity()
    return np.array([model.predict((query, text), activation_fn=identity) for text in texts])


def test_scores_are_those_of_the_library(plain_folder: Path, model: Reranker) -> None:
    scores = model.score(QUERY, TEXTS)
    assert scores.dtype == np.float32 and scores.shape == (len(TEXTS),)
    np.testing.assert_allclose(scores, theirs(plain_folder, QUERY, TEXTS), atol=1e-5)
    assert scores[0] == scores[6]
    assert len(set(scores.tolist())) == len(TEXTS) - 1
    assert np.ptp(scores) > 0.1  # so that the tolerance means something


def test_the_order_and_the_other_texts_change_nothing(model: Reranker) -> None:
    whole = model.score(QUERY, TEXTS)
    np.testing.assert_array_equal(whole, model.score(QUERY, TEXTS))
    alone = np.concatenate([model.score(QUERY, [text]) for text in TEXTS])
    np.testing.assert_allclose(whole, alone, atol=1e-5)
    np.testing.assert_allclose(whole[::-1], model.score(QUERY, TEXTS[::-1]), atol=1e-5)
    many = model.score(QUERY, TEXTS * 20)
    np.testing.assert_allclose(many, np.tile(whole, 20), atol=1e-5)
    assert model.score(QUERY, []).shape == (0,)
    # It reads both: another question gives other scores.
    assert np.abs(model.score("a red cat", TEXTS) - whole).max() > 0.01


def test_raw_outputs_whatever_the_model_puts_behind_them(tmp_path: Path) -> None:
    made = pairs.saved(tmp_path / "saved", tmp_path / "work", activation_fn=torch.nn.Sigmoid())
    scores = open_reranker(tmp_path / "saved", runtime=OFFLINE).score(QUERY, TEXTS)
    np.testing.assert_allclose(scores, theirs(tmp_path / "work", QUERY, TEXTS), atol=1e-5)
    squeezed = made.predict([(QUERY, text) for text in TEXTS])
    expected = 1 / (1 + np.exp(-scores.astype(np.float64)))
    np.testing.assert_allclose(squeezed, expected, atol=1e-5)


def test_texts_are_cut_to_the_models_length(plain_folder: Path, model: Reranker) -> None:
    long = "a red cat on a wall " * 100
    scores = model.score(QUERY, [long, long + "and distant thunder"])
    assert scores[0] == pytest.approx(scores[1], abs=1e-6)
    short = open_reranker(plain_folder, max_tokens=16, runtime=OFFLINE)
    found = short.score(QUERY, TEXTS)
    expected = theirs(plain_folder, QUERY, TEXTS, max_length=16)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert abs(found[4] - model.score(QUERY, TEXTS)[4]) > 1e-3
    with pytest.raises(InvalidInput, match="takes 48"):
        open_reranker(plain_folder, max_tokens=49, runtime=OFFLINE).load()
    with pytest.raises(InvalidInput, match="at least 8"):
        open_reranker(plain_folder, max_tokens=2, runtime=OFFLINE)


def test_positions_that_are_never_used_do_not_count(tmp_path: Path) -> None:
    pairs.offset_positions(tmp_path / "model")
    model = open_reranker(tmp_path / "model", runtime=OFFLINE)
    long = ["a red cat on a wall " * 50, "a"]
    expected = theirs(tmp_path / "model", QUERY, long, max_length=38)
    np.testing.assert_allclose(model.score(QUERY, long), expected, atol=1e-5)


def test_texts_that_look_like_media_stay_texts(
    model: Reranker, plain_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "real.png"
    Image.new("RGB", (4, 4)).save(there)
    texts = [str(there), "https://example.org/a.png", "data:image/png;base64,iVBORw0KGgo="]
    model.load()

    def refuse(*arguments: Any, **keywords: Any) -> Any:
        raise AssertionError(f"something was opened: {arguments[:1]}")

    with monkeypatch.context() as closed:
        for owner, name in (
            (builtins, "open"), (Image, "open"), (os, "open"), (socket, "socket")
        ):  # fmt: skip
            closed.setattr(owner, name, refuse)
        scores = model.score(texts[1], texts)
    assert len(set(scores.tolist())) == 3
    spaced = theirs(plain_folder, texts[1], texts)
    np.testing.assert_allclose(scores, spaced, atol=1e-5)


@pytest.mark.parametrize("what", [7, None, b"text"])
def test_what_is_no_text(model: Reranker, what: Any) -> None:
    with pytest.raises(InvalidInput, match="must be a str"):
        model.score(QUERY, ["fine", what])
    with pytest.raises(InvalidInput, match="must be a str"):
        model.score(what, ["fine"])


def test_an_empty_question_and_broken_unicode(model: Reranker) -> None:
    with pytest.raises(InvalidInput, match="empty"):
        model.score("  ", ["fine"])
    with pytest.raises(InvalidInput, match="Unicode"):
        model.score(QUERY, ["\ud800"])


def test_threads_share_it(model: Reranker) -> None:
    expected = model.score(QUERY, TEXTS)
    answers: list[np.ndarray] = []
    threads = [
        threading.Thread(target=lambda: answers.append(model.score(QUERY, TEXTS))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 4
    for answer in answers:
        np.testing.assert_array_equal(answer, expected)


def test_lower_precision_is_near(plain_folder: Path, model: Reranker) -> None:
    low = open_reranker(plain_folder, runtime=Runtime(device="cpu", precision="bf16", offline=True))
    scores, exact = low.score(QUERY, TEXTS), model.score(QUERY, TEXTS)
    assert scores.dtype == np.float32
    assert not np.array_equal(scores, exact)
    np.testing.assert_allclose(scores, exact, atol=0.1 * np.ptp(exact))
    auto = open_reranker(
        plain_folder, runtime=Runtime(device="cpu", precision="auto", offline=True)
    )
    np.testing.assert_allclose(auto.score(QUERY, TEXTS), exact, atol=0.1 * np.ptp(exact))


def test_where_an_order_comes_from(plain_folder: Path, model: Reranker, copied: Path) -> None:
    same = open_reranker(copied, runtime=OFFLINE)
    assert same.facts == model.facts and same.name == "small-pairs"
    assert open_reranker(copied, max_tokens=16, runtime=OFFLINE).facts != model.facts
    (copied / "README.md").write_text("other words")
    assert open_reranker(copied, runtime=OFFLINE).facts == model.facts
    weights = copied / "model.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert open_reranker(copied, runtime=OFFLINE).facts != model.facts
    json.dumps(dict(model.facts))


# Guards


def refused(folder: Path, match: str | None = None) -> None:
    with pytest.raises(ModelError, match=match):
        open_reranker(folder, runtime=OFFLINE).load()


def changed(weights: Path, name: str, change: Callable[[np.ndarray], np.ndarray | None]) -> None:
    loaded = load_file(weights)
    key = next(key for key in loaded if name in key)
    new = change(loaded.pop(key))
    if new is not None:
        loaded[key] = new
    save_file(loaded, weights, metadata={"format": "pt"})


def test_a_head_that_would_be_random(tmp_path: Path, copied: Path) -> None:
    pairs.headless(tmp_path / "model")
    refused(tmp_path / "model", "classifier")
    changed(copied / "model.safetensors", "classifier.weight", lambda array: None)
    refused(copied, r"lack classifier\.weight")


def test_a_layer_that_would_be_random(copied: Path) -> None:
    changed(copied / "model.safetensors", "pooler.dense.weight", lambda array: None)
    refused(copied, "pooler")


def test_a_head_of_another_shape(copied: Path) -> None:
    changed(copied / "model.safetensors", "classifier.weight", lambda array: array[:, :-1])
    refused(copied)


def test_no_weights_and_cut_off_weights(copied: Path) -> None:
    weights = copied / "model.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[: len(data) // 2])
    refused(copied, "cannot be loaded")
    weights.unlink()
    refused(copied, "no weights")


def test_weights_that_give_nan_or_one_score_for_all(copied: Path) -> None:
    weights = copied / "model.safetensors"
    data = weights.read_bytes()
    changed(weights, "classifier.weight", lambda array: np.full_like(array, np.nan))
    refused(copied, "the same score, or none")
    weights.write_bytes(data)
    changed(weights, "classifier.weight", np.zeros_like)
    refused(copied, "the same score, or none")


def test_a_missing_and_an_empty_tokenizer(copied: Path) -> None:
    path = copied / "tokenizer.json"
    saved = json.loads(path.read_text())
    saved["model"]["vocab"] = {folders.START: 0, folders.END: 1}
    saved["model"]["merges"] = []
    for token in saved["added_tokens"]:
        token["id"] = {folders.START: 0, folders.END: 1}[token["content"]]
    path.write_text(json.dumps(saved))
    refused(copied, "empty or cannot tell")
    path.unlink()
    refused(copied)


def test_a_classifier_of_several_classes(tmp_path: Path) -> None:
    pairs.plain(tmp_path / "model", labels=3)
    refused(tmp_path / "model", "3 numbers")


def test_a_tokenizer_that_promises_more_than_the_model_has(tmp_path: Path) -> None:
    pairs.plain(tmp_path / "model", positions=24, limit=512)
    model = open_reranker(tmp_path / "model", runtime=OFFLINE)
    long = ["a red cat on a wall " * 50]
    expected = theirs(tmp_path / "model", QUERY, long, max_length=24)
    np.testing.assert_allclose(model.score(QUERY, long), expected, atol=1e-5)


def test_folders_that_are_none(tmp_path: Path, copied: Path) -> None:
    refused(tmp_path / "nothing", "no folder")
    refused(tmp_path, "holds no cross-encoder")
    (copied / "config.json").write_text("[]")
    refused(copied, "holds no cross-encoder")


def test_an_embedding_model_and_code_of_its_own(
    clip_folder: Path, tmp_path: Path, copied: Path
) -> None:
    refused(clip_folder, "embeds texts one by one")
    pairs.saved(tmp_path / "saved", tmp_path / "work")
    modules = json.loads((tmp_path / "saved" / "modules.json").read_text())
    modules[0]["type"] = "scoring.Own"
    (tmp_path / "saved" / "modules.json").write_text(json.dumps(modules))
    refused(tmp_path / "saved", r"scoring\.Own")
    config = json.loads((copied / "config.json").read_text())
    config["auto_map"] = {"AutoModelForSequenceClassification": "own.Classifier"}
    (copied / "config.json").write_text(json.dumps(config))
    refused(copied, r"own\.Classifier")
