"""Models in the folders of sentence-transformers against sentence-transformers itself."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sentence_transformers import SentenceTransformer

from tests.embedders.sentence.conftest import OFFLINE, picture, tone
from trichord.embedders.backend import AudioCut, Runtime, TextCut
from trichord.embedders.sentence.backend import SentenceModel
from trichord.errors import InvalidInput
from trichord.types import Modality, Role

TEXTS = [
    "a red cat",
    "rain on a tin roof, and thunder far away; then silence for a long time",
    "x",
    "a red cat",
    "the sound of rain and distant thunder " * 3,
]


def test_minilm_is_what_sentence_transformers_gives(
    minilm: SentenceModel, minilm_folder: Path
) -> None:
    theirs = SentenceTransformer(str(minilm_folder), device="cpu", local_files_only=True)
    expected = theirs.encode(TEXTS, normalize_embeddings=True)
    found = minilm.embedder(Modality.TEXT).embed(TEXTS)
    assert not found.errors
    assert found.vectors.dtype == np.float32
    np.testing.assert_allclose(found.vectors, expected, atol=1e-5)


def test_what_the_configuration_says_without_loading(
    minilm_folder: Path, clip_folder: Path, omni_folder: Path
) -> None:
    text = SentenceModel(str(minilm_folder), runtime=OFFLINE)
    both = SentenceModel(str(clip_folder), runtime=OFFLINE)
    three = SentenceModel(str(omni_folder), runtime=OFFLINE)
    assert text.modalities == {Modality.TEXT}
    assert both.modalities == {Modality.TEXT, Modality.IMAGE}
    assert three.modalities == set(Modality)
    assert (text.frame.dim, both.frame.dim, three.frame.dim) == (384, 24, 24)
    assert (text.text, text.audio, text.image_side) == (TextCut(200, 32), None, None)
    assert (both.text, both.image_side) == (TextCut(30, 4), 32)
    assert (three.audio, three.image_side) == (AudioCut(48_000, 10_000, 10_000), 32)
    assert both.frame.anchor == f"sentence-transformers/small-clip@{both.sha256[:12]}"
    for model in (text, both, three):
        assert "_running" not in vars(model)


def test_clip_folder_embeds_both_modalities_as_saved(
    clip: SentenceModel, clip_folder: Path
) -> None:
    theirs = SentenceTransformer(str(clip_folder), device="cpu", local_files_only=True)
    pictures = [picture(1), picture(2, 64, 32), picture(3, 200, 300)]
    expected = theirs.encode([Image.fromarray(p) for p in pictures], normalize_embeddings=True)
    found = clip.embedder(Modality.IMAGE).embed(pictures)
    np.testing.assert_allclose(found.vectors, expected, atol=1e-5)
    words = clip.embedder(Modality.TEXT).embed(TEXTS)
    expected = theirs.encode(TEXTS, normalize_embeddings=True)
    np.testing.assert_allclose(words.vectors, expected, atol=1e-5)
    assert np.abs(words.vectors[0] - words.vectors[1]).max() > 1e-3


def test_omni_folder_embeds_three_modalities_as_saved(
    omni: SentenceModel, omni_folder: Path
) -> None:
    theirs = SentenceTransformer(str(omni_folder), device="cpu", local_files_only=True)
    sounds = [tone(440, 10), tone(880, 2.5), tone(220, 10)]
    expected = theirs.encode(
        [sound.samples for sound in sounds],
        normalize_embeddings=True,
        processing_kwargs={"audio": {"sampling_rate": 48_000}},
    )
    found = omni.embedder(Modality.AUDIO).embed(sounds)
    assert not found.errors
    np.testing.assert_allclose(found.vectors, expected, atol=1e-5)
    for modality, items in ((Modality.TEXT, TEXTS), (Modality.IMAGE, [picture(4)])):
        assert not omni.embedder(modality).embed(items).errors


def test_saved_again_and_reloaded_it_is_the_same(
    omni: SentenceModel, omni_folder: Path, tmp_path: Path
) -> None:
    again = tmp_path / "small-omni"
    loaded = SentenceTransformer(str(omni_folder), device="cpu", local_files_only=True)
    loaded.save(str(again), create_model_card=False)
    reloaded = SentenceModel(str(again), runtime=OFFLINE)
    for modality, items in (
        (Modality.TEXT, TEXTS),
        (Modality.IMAGE, [picture(5)]),
        (Modality.AUDIO, [tone(300, 1)]),
    ):
        before = omni.embedder(modality).embed(items).vectors
        after = reloaded.embedder(modality).embed(items).vectors
        np.testing.assert_array_equal(before, after)


def test_a_row_depends_neither_on_its_mates_nor_on_chance(omni: SentenceModel) -> None:
    batches = {
        Modality.TEXT: [f"{word} and thunder" * n for n, word in enumerate("abcdefgh", 1)],
        Modality.IMAGE: [picture(seed, 30 + seed, 90 - seed) for seed in range(5)],
        Modality.AUDIO: [tone(100 * n, 0.5 * n) for n in range(1, 4)],
    }
    for modality, items in batches.items():
        embedder = omni.embedder(modality)
        together = embedder.embed(items)
        assert not together.errors
        np.testing.assert_array_equal(together.vectors, embedder.embed(items).vectors)
        for index, item in enumerate(items):
            alone = embedder.embed([item]).vectors[0]
            np.testing.assert_allclose(alone, together.vectors[index], atol=1e-5)
        backwards = embedder.embed(items[::-1]).vectors[::-1]
        np.testing.assert_allclose(backwards, together.vectors, atol=1e-5)


def test_no_items_make_no_rows(omni: SentenceModel) -> None:
    for modality in Modality:
        found = omni.embedder(modality).embed([])
        assert (found.vectors.shape, dict(found.errors)) == ((0, 24), {})


def test_equal_texts_run_once_and_batches_are_of_similar_length(
    minilm: SentenceModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder = minilm.embedder(Modality.TEXT)
    seen: list[list[int]] = []
    run = embedder._run  # type: ignore[attr-defined]

    def listening(items: list[dict[str, str]], role: Role) -> np.ndarray:
        seen.append([len(item["text"]) for item in items])
        return np.asarray(run(items, role))

    monkeypatch.setattr(embedder, "_run", listening)
    monkeypatch.setattr(embedder, "_most", 4)
    texts = [("word " * (1 + 7 * n % 10)).strip() for n in range(10)] + ["word"] * 5
    found = embedder.embed(texts).vectors
    assert sum(map(len, seen)) == 10
    assert [length for batch in seen for length in batch] == sorted(
        (len(text) for text in texts[:10]), reverse=True
    )
    one_by_one = np.concatenate([embedder.embed([text]).vectors for text in texts])
    np.testing.assert_allclose(found, one_by_one, atol=1e-5)


def test_prompts_of_the_roles(minilm_folder: Path, minilm: SentenceModel) -> None:
    prompted = SentenceModel(
        str(minilm_folder), prompts={"query": "query: ", "document": ""}, runtime=OFFLINE
    )
    texts = ["a red cat", "rain"]
    asked = prompted.embedder(Modality.TEXT).embed(texts, role=Role.QUERY).vectors
    by_hand = minilm.embedder(Modality.TEXT).embed([f"query: {text}" for text in texts]).vectors
    np.testing.assert_allclose(asked, by_hand, atol=1e-5)
    stored = prompted.embedder(Modality.TEXT).embed(texts, role=Role.DOCUMENT).vectors
    np.testing.assert_allclose(
        stored, minilm.embedder(Modality.TEXT).embed(texts).vectors, atol=1e-5
    )
    assert prompted.facts(Modality.TEXT) != minilm.facts(Modality.TEXT)
    assert prompted.frame == minilm.frame
    with pytest.raises(InvalidInput, match="prompts are for"):
        SentenceModel(str(minilm_folder), prompts={"question": "?"}, runtime=OFFLINE)


@pytest.mark.parametrize("stored", ["a picture of ", None])
def test_prompts_of_the_configuration_are_used_as_encode_query_does(
    clip_folder: Path, tmp_path: Path, stored: str | None
) -> None:
    folder = Path(shutil.copytree(clip_folder, tmp_path / "prompted"))
    config = json.loads((folder / "config_sentence_transformers.json").read_text())
    config["prompts"] = {"query": "the sound of ", "document": stored, "passage": "the red "}
    config["default_prompt_name"] = "passage"
    (folder / "config_sentence_transformers.json").write_text(json.dumps(config))
    theirs = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    ours = SentenceModel(str(folder), runtime=OFFLINE)
    assert ours.facts(Modality.TEXT)["prompts"]["query"] == "the sound of "
    for role, encode in (
        (Role.QUERY, theirs.encode_query),
        (Role.DOCUMENT, theirs.encode_document),
    ):
        found = ours.embedder(Modality.TEXT).embed(["a cat"], role=role).vectors
        np.testing.assert_allclose(found, encode(["a cat"], normalize_embeddings=True), atol=1e-5)


def test_truncated_dimensions(minilm_folder: Path) -> None:
    short = SentenceModel(str(minilm_folder), truncate_dim=64, runtime=OFFLINE)
    theirs = SentenceTransformer(str(minilm_folder), device="cpu", local_files_only=True)
    expected = theirs.encode(TEXTS, truncate_dim=64, normalize_embeddings=True)
    assert short.frame.dim == 64
    found = short.embedder(Modality.TEXT).embed(TEXTS).vectors
    np.testing.assert_allclose(found, expected, atol=1e-5)
    for wrong in (0, 385):
        with pytest.raises(InvalidInput, match="truncate_dim"):
            SentenceModel(str(minilm_folder), truncate_dim=wrong, runtime=OFFLINE)


def test_bfloat16_is_near_and_does_not_spoil_float32(
    omni_folder: Path, omni: SentenceModel
) -> None:
    low = SentenceModel(
        str(omni_folder), runtime=Runtime(device="cpu", precision="bf16", offline=True)
    )
    for modality, items in (
        (Modality.TEXT, TEXTS[:2]),
        (Modality.IMAGE, [picture(6)]),
        (Modality.AUDIO, [tone(500, 2)]),
    ):
        near = low.embedder(modality).embed(items)
        assert not near.errors
        cosines = np.sum(near.vectors * omni.embedder(modality).embed(items).vectors, axis=1)
        assert cosines.min() > 0.99
    assert low.frame == omni.frame
    assert low.facts(Modality.IMAGE) == omni.facts(Modality.IMAGE)


def test_measuring_the_precision_leaves_the_weights_as_they_were(
    clip_folder: Path, clip: SentenceModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trichord.embedders.sentence import running_model

    def slow_at_both(runtime: Runtime, device: object, measure: object) -> torch.dtype:
        assert callable(measure)
        assert measure(torch.float32) > 0
        assert measure(torch.bfloat16) > 0
        return torch.float32

    monkeypatch.setattr(running_model, "pick_dtype", slow_at_both)
    auto = SentenceModel(
        str(clip_folder), runtime=Runtime(device="cpu", precision="auto", offline=True)
    )
    np.testing.assert_array_equal(
        auto.embedder(Modality.TEXT).embed(TEXTS).vectors,
        clip.embedder(Modality.TEXT).embed(TEXTS).vectors,
    )


def test_token_offsets_point_at_the_words(minilm: SentenceModel, clip: SentenceModel) -> None:
    text = "Rain, on a tin roof — und dann Stille."
    for model in (minilm, clip):
        offsets = list(model.token_offsets(text))
        assert offsets == sorted(offsets)
        assert all(0 <= start < end <= len(text) for start, end in offsets)
        covered = "".join(text[start:end] for start, end in offsets)
        assert "Rain" in covered
    assert ["red cat"[a:b] for a, b in minilm.token_offsets("red cat")] == ["red", "cat"]
    assert list(minilm.token_offsets("")) == []
    with pytest.raises(InvalidInput, match="must be a str"):
        minilm.token_offsets(b"bytes")  # type: ignore[arg-type]


def test_several_threads_share_one_model(omni: SentenceModel) -> None:
    texts = [[f"{word} rain {n}" for n in range(6)] for word in ("red", "cold", "loud", "far")]
    expected = [omni.embedder(Modality.TEXT).embed(some).vectors for some in texts]
    found: dict[int, np.ndarray] = {}

    def work(number: int) -> None:
        for _ in range(3):
            found[number] = omni.embedder(Modality.TEXT).embed(texts[number]).vectors

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, vectors in enumerate(expected):
        np.testing.assert_allclose(found[number], vectors, atol=1e-5)
