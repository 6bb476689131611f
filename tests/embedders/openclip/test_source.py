"""Names, files and every way in which a model can be false: each has one clear error."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file

from trichord.embedders.backend import Runtime
from trichord.embedders.openclip.backend import OpenClip
from trichord.embedders.openclip.files import Hub
from trichord.embedders.openclip.source import PREPROCESSING, WEIGHTS, find
from trichord.embedders.openclip.source import open_clip as imported
from trichord.errors import InvalidInput, MissingExtra, ModelError, TrichordError
from trichord.types import Modality

from .conftest import TEXTS, TINY, change_config, local, pictures, write_model

SAFETENSORS = "open_clip_model.safetensors"


@pytest.mark.parametrize(
    ("model", "options", "error", "message"),
    [
        ("ViT-B-33", {"pretrained": "openai"}, ModelError, "near it: ViT-B-32"),
        ("vit-b-32", {"pretrained": "openai"}, ModelError, "near it: ViT-B-32"),
        ("nothing like it", {"pretrained": "x"}, ModelError, "open_clip has no model"),
        ("ViT-B-32", {}, ModelError, "would be a random model; its tags: .*laion2b_s34b_b79k"),
        (
            "ViT-B-32",
            {"pretrained": "laion2b_s34b_b97k"},
            ModelError,
            "near it: laion2b_s34b_b79k",
        ),
        ("ViT-B-32", {"pretrained": "openai"}, ModelError, "use ViT-B-32-quickgelu"),
        ("ViT-B-32", {"pretrained": "x", "revision": "y"}, InvalidInput, "revision"),
        ("hf-hub:org/name", {"pretrained": "openai"}, InvalidInput, "brings its own weights"),
        ("hf-hub:name", {}, InvalidInput, "org/name"),
        ("local-dir:", {}, ModelError, "no folder"),
        ("local-dir:/nowhere/at/all", {}, ModelError, "no folder"),
        ("local-dir:/", {}, ModelError, "open_clip_config.json is missing"),
    ],
)
def test_names_that_mean_nothing(
    model: str, options: dict[str, Any], error: type[TrichordError], message: str
) -> None:
    with pytest.raises(error, match=message):
        OpenClip(model, runtime=Runtime(offline=True), **options)


def test_a_folder_without_weights_is_no_random_model(copied: Path) -> None:
    (copied / SAFETENSORS).unlink()
    open_clip.create_model(f"local-dir:{copied}")  # open_clip gives a random one
    with pytest.raises(ModelError, match="has no weights"):
        local(copied)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"model_cfg": {"embed_dim": 3}}', "null"])
def test_a_damaged_configuration(copied: Path, text: str) -> None:
    (copied / "open_clip_config.json").write_text(text)
    with pytest.raises(ModelError, match="open_clip_config.json is damaged"):
        local(copied)


@pytest.mark.parametrize(
    "settings",
    [
        {"interpolation": "lanczos"},
        {"resize_mode": "stretch"},
        {"mode": "L"},
        {"mean": [0.5]},
        {"std": [1, 1, 0]},
        {"std": "x"},
    ],
)
def test_preprocessing_that_open_clip_does_not_have(copied: Path, settings: dict[str, Any]) -> None:
    path = copied / "open_clip_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"preprocess_cfg": settings}))
    with pytest.raises(ModelError, match="open_clip_config.json is damaged"):
        local(copied)


@pytest.mark.parametrize("field", [{"context_length": 0}, {"vocab_size": "many"}])
def test_numbers_of_the_text_tower(copied: Path, field: dict[str, Any]) -> None:
    change_config(copied, lambda config: config["text_cfg"].update(field))
    with pytest.raises(ModelError, match="positive integers"):
        local(copied)


def test_weights_that_are_cut_off_or_another_models(copied: Path, tmp_path: Path) -> None:
    whole = (copied / SAFETENSORS).read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"\0" * 64):
        (copied / SAFETENSORS).write_bytes(damaged)
        with pytest.raises(ModelError, match="cannot be loaded as this model"):
            local(copied).embedder(Modality.IMAGE)
    wider = TINY | {"vision_cfg": TINY["vision_cfg"] | {"layers": 3}}
    other = write_model(tmp_path / "other", wider, {}, seed=0)
    (copied / SAFETENSORS).write_bytes((other / SAFETENSORS).read_bytes())
    with pytest.raises(ModelError, match="cannot be loaded as this model"):
        local(copied).embedder(Modality.TEXT)


def test_one_missing_tensor_is_not_left_random(copied: Path) -> None:
    state = load_file(copied / SAFETENSORS)
    del state["visual.proj"]
    save_file(state, str(copied / SAFETENSORS))
    with pytest.raises(ModelError, match=r"visual\.proj"):
        local(copied).embedder(Modality.IMAGE)


def test_weights_that_are_not_finite(copied: Path) -> None:
    state = load_file(copied / SAFETENSORS)
    state["visual.proj"][0, 0] = float("nan")
    save_file(state, str(copied / SAFETENSORS))
    with pytest.raises(ModelError, match="not finite"):
        local(copied).embedder(Modality.IMAGE)


def test_a_dimension_that_is_not_the_configured_one(copied: Path) -> None:
    # no projection: the tower is as wide as its layers, whatever the configuration says
    state = load_file(copied / SAFETENSORS)
    del state["text_projection"]
    save_file(state, str(copied / SAFETENSORS))
    change_config(copied, lambda config: config["text_cfg"].update(proj_type="none"))
    with pytest.raises(ModelError, match=r"text tower .* \(32,\), its configuration says \(24,\)"):
        local(copied).embedder(Modality.TEXT)


def test_pickled_weights_are_read_but_no_code_in_them_is_run(tiny: Path, copied: Path) -> None:
    state = load_file(copied / SAFETENSORS)
    (copied / SAFETENSORS).unlink()
    torch.save(state, copied / "open_clip_pytorch_model.bin")
    expected = local(tiny).embedder(Modality.TEXT).embed(TEXTS).vectors
    np.testing.assert_array_equal(
        local(copied).embedder(Modality.TEXT).embed(TEXTS).vectors, expected
    )

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (copied / "was-run",)

    torch.save({"state_dict": Evil()}, copied / "open_clip_pytorch_model.bin")
    with pytest.raises(ModelError, match="cannot be loaded"):
        local(copied).embedder(Modality.TEXT)
    (copied / "open_clip_pytorch_model.bin").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ModelError, match="cannot be loaded"):
        local(copied).embedder(Modality.TEXT)
    assert not (copied / "was-run").exists()


def test_the_weights_are_those_that_open_clip_would_take(tiny: Path, tmp_path: Path) -> None:
    from open_clip.factory import _find_checkpoint_in_dir

    for count in range(1, len(WEIGHTS) + 1):
        folder = tmp_path / str(count)
        folder.mkdir()
        (folder / "open_clip_config.json").write_bytes(
            (tiny / "open_clip_config.json").read_bytes()
        )
        for name in WEIGHTS[-count:]:
            (folder / name).write_bytes(b"")
        found = find(f"local-dir:{folder}", "", None, Hub(offline=True))
        assert str(found.weights) == _find_checkpoint_in_dir(folder)


def test_defaults_of_preprocessing_are_open_clips() -> None:
    from dataclasses import asdict

    from open_clip.transform import PreprocessCfg

    assert {k: v for k, v in asdict(PreprocessCfg()).items() if k != "size"} == PREPROCESSING


def test_loading_leaves_the_root_logger_as_it_was(tiny: Path) -> None:
    import logging

    before = list(logging.getLogger().handlers)
    local(tiny).warm_up()
    assert logging.getLogger().handlers == before


def test_the_identity_is_the_files_not_the_folder(tiny: Path, copied: Path) -> None:
    first, second = local(tiny), local(copied)
    assert first.frame == second.frame
    assert first.frame.anchor == f"open_clip/local-dir@{first.facts(Modality.TEXT)['weights'][:12]}"
    for modality in (Modality.IMAGE, Modality.TEXT):
        assert first.embedder(modality).encoder == second.embedder(modality).encoder
        assert json.loads(json.dumps(first.facts(modality))) == first.facts(modality)
        assert str(tiny) not in json.dumps(first.facts(modality))


def test_one_changed_byte_of_the_weights_is_another_encoder_and_frame(
    tiny: Path, copied: Path
) -> None:
    data = bytearray((copied / SAFETENSORS).read_bytes())
    data[-1] ^= 1
    (copied / SAFETENSORS).write_bytes(data)
    before, after = local(tiny), local(copied)
    assert before.frame != after.frame
    for modality in (Modality.IMAGE, Modality.TEXT):
        assert before.facts(modality) != after.facts(modality)
        assert before.embedder(modality).encoder.id != after.embedder(modality).encoder.id


def test_settings_that_change_vectors_change_the_encoder(tiny: Path, copied: Path) -> None:
    path = copied / "open_clip_config.json"
    whole = json.loads(path.read_text())
    path.write_text(json.dumps(whole | {"preprocess_cfg": {"resize_mode": "squash"}}))
    before, after = local(tiny), local(copied)
    assert before.frame == after.frame
    assert before.facts(Modality.IMAGE) != after.facts(Modality.IMAGE)
    assert before.facts(Modality.TEXT) == after.facts(Modality.TEXT)
    change_config(copied, lambda config: config.update(quick_gelu=True))
    assert local(copied).facts(Modality.TEXT) != before.facts(Modality.TEXT)


def test_precision_is_not_part_of_the_identity(tiny: Path) -> None:
    low = local(tiny, Runtime(device="cpu", precision="bf16"))
    assert low.facts(Modality.IMAGE) == local(tiny).facts(Modality.IMAGE)


def test_a_tag_is_an_identity_too(tmp_path: Path, tiny: Path) -> None:
    cache_repo(tmp_path, "laion/CLIP-ViT-B-32-laion2B-s34B-b79K", tiny, [SAFETENSORS])
    runtime = Runtime(device="cpu", offline=True, cache=tmp_path)
    tagged = OpenClip("ViT-B-32", pretrained="laion2b_s34b_b79k", runtime=runtime)
    assert tagged.frame.anchor.startswith("open_clip/ViT-B-32@") and tagged.frame.dim == 512
    facts = tagged.facts(Modality.IMAGE)
    assert facts["version"] == "laion2b_s34b_b79k" and tagged.image_side == 224
    assert "config" not in facts
    spelled = OpenClip("ViT-B-32", pretrained="LAION2B-s34b-b79k", runtime=runtime)
    assert spelled.facts(Modality.TEXT) == tagged.facts(Modality.TEXT)
    with pytest.raises(ModelError, match="cannot be loaded as this model"):
        tagged.embedder(Modality.IMAGE)


def test_offline_names_what_is_missing_and_how_to_get_it(tmp_path: Path) -> None:
    runtime = Runtime(offline=True, cache=tmp_path)
    with pytest.raises(ModelError, match="laion2B.*offline.*trichord space add"):
        OpenClip("ViT-B-32", pretrained="laion2b_s34b_b79k", runtime=runtime)
    with pytest.raises(ModelError, match=r"org/name.*open_clip_config.json.*trichord space add"):
        OpenClip("hf-hub:org/name", runtime=runtime)


def test_weights_outside_of_the_hub_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = {"url": "https://example.org/weights.pt"}
    monkeypatch.setattr(open_clip, "get_pretrained_cfg", lambda name, tag: entry)
    with pytest.raises(ModelError, match=r"download https://example.org/weights.pt"):
        OpenClip("ViT-B-32", pretrained="anything")


def test_a_hub_that_cannot_be_reached(tmp_path: Path) -> None:
    """Not offline by our settings, but there is no network: the same kind of error."""
    with pytest.raises(ModelError, match=r"org/name.*(reached|fetched)"):
        OpenClip("hf-hub:org/name", runtime=Runtime(cache=tmp_path))


def cache_repo(
    cache: Path, repo: str, files: Path, names: list[str], commit: str = "a" * 40
) -> None:
    """A repository as the hub's client keeps it."""
    folder = cache / f"models--{repo.replace('/', '--')}"
    snapshot = folder / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir(exist_ok=True)
    (folder / "refs" / "main").write_text(commit)
    for name in names:
        (snapshot / name).write_bytes((files / name).read_bytes())


def test_a_model_of_the_hub_from_its_cache(tiny: Path, tmp_path: Path) -> None:
    names = ["open_clip_config.json", SAFETENSORS]
    cache_repo(tmp_path, "org/name", tiny, names)
    other = write_model(tmp_path / "other", TINY, {}, seed=9)
    cache_repo(tmp_path, "org/name", other, names, commit="b" * 40)
    runtime = Runtime(device="cpu", offline=True, cache=tmp_path)
    newest = OpenClip("hf-hub:org/name", runtime=runtime)
    pinned = OpenClip("hf-hub:org/name", revision="a" * 40, runtime=runtime)
    assert newest.frame != pinned.frame and newest.frame.anchor.startswith("open_clip/org/name@")
    expected = local(tiny).embedder(Modality.IMAGE).embed(pictures()).vectors
    found = pinned.embedder(Modality.IMAGE).embed(pictures()).vectors
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(ModelError, match="offline"):
        OpenClip("hf-hub:org/name", revision="c" * 40, runtime=runtime)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(MissingExtra, match="open_clip"):
        imported()
