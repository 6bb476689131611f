"""What the embedders give, against open_clip's own functions on the same folder."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from trichord.embedders.backend import Runtime
from trichord.embedders.openclip.backend import OpenClip
from trichord.embedders.openclip.pictures import Preprocess
from trichord.errors import InvalidInput, MediaError, ModelError
from trichord.types import F32, Modality, Rgb, Role

from .conftest import TEXTS, TINY, local, pictures, write_model


def reference(folder: Path, images: list[Rgb], texts: list[str]) -> tuple[F32, F32]:
    """By open_clip alone, one picture at a time and texts at full length."""
    model, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    model.eval()
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    with torch.inference_mode():
        rows = [
            model.encode_image(preprocess(Image.fromarray(image))[None], normalize=True)
            for image in images
        ]
        words = model.encode_text(tokenizer(texts), normalize=True)
    return torch.cat(rows).numpy(), words.numpy()


def both(model: OpenClip, images: list[Rgb], texts: list[str]) -> tuple[F32, F32]:
    image = model.embedder(Modality.IMAGE).embed(images)
    text = model.embedder(Modality.TEXT).embed(texts)
    assert not image.errors and not text.errors
    return image.vectors, text.vectors


def test_saved_and_loaded_it_embeds_as_open_clip_does(tiny: Path, model: OpenClip) -> None:
    images, texts = reference(tiny, pictures(), TEXTS)
    found = both(model, pictures(), TEXTS)
    np.testing.assert_allclose(found[0], images, atol=1e-5)
    np.testing.assert_allclose(found[1], texts, atol=1e-5)
    for rows in found:
        assert rows.dtype == np.float32 and rows.shape[1] == model.frame.dim == 24
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
        # the reference tells its inputs apart, so equality says something
        assert np.abs(rows[0] - rows[1]).max() > 1e-3


@pytest.mark.parametrize(
    "text",
    [
        {"no_causal_mask": True, "pool_type": "last", "proj_bias": True},
        {"no_causal_mask": True},
        {"pool_type": "eos", "eos_id": 49_407},
        {},
    ],
)
def test_other_text_towers_embed_as_open_clip_does(tmp_path: Path, text: dict[str, Any]) -> None:
    """Padding is left out only where it counts for nothing."""
    config = TINY | {"custom_text": True, "text_cfg": TINY["text_cfg"] | text}
    folder = write_model(tmp_path / "model", config, {}, seed=3)
    found = both(local(folder), pictures()[:1], TEXTS)
    np.testing.assert_allclose(found[1], reference(folder, pictures()[:1], TEXTS)[1], atol=1e-5)


def test_padding_is_left_out_where_it_counts_for_nothing(
    model: OpenClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    text: Any = model.embedder(Modality.TEXT)
    seen: list[tuple[int, ...]] = []
    tower = text._tower
    monkeypatch.setattr(text, "_tower", _Watched(tower, seen))
    text.embed(["a dog", "a dog", "rain on a window", "a dog"])
    # start and end of text; equal texts once
    assert seen == [(2, 6)]


class _Watched:
    def __init__(self, tower: Any, seen: list[tuple[int, ...]]) -> None:
        self.modules, self.name, self.device = tower.modules, tower.name, tower.device
        self._tower, self._seen = tower, seen

    def __call__(self, inputs: torch.Tensor) -> F32:
        self._seen.append(tuple(inputs.shape))
        rows: F32 = self._tower(inputs)
        return rows


def test_a_text_tower_that_sees_no_text_is_refused(tmp_path: Path) -> None:
    config = TINY | {"text_cfg": TINY["text_cfg"] | {"pool_type": "first"}}
    folder = write_model(tmp_path / "model", config, {}, seed=3)
    with pytest.raises(ModelError, match="same vector"):
        local(folder).embedder(Modality.TEXT)


TOWERS: dict[str, dict[str, Any]] = {
    "coca": {
        "custom_text": True,
        "text_cfg": {**TINY["text_cfg"], "context_length": 76, "embed_cls": True}
        | {"output_tokens": True},
        "vision_cfg": {**TINY["vision_cfg"], "attentional_pool": True, "output_tokens": True}
        | {"attn_pooler_heads": 2, "attn_pooler_queries": 8},
        "multimodal_cfg": {"context_length": 76, "vocab_size": 49_408, "width": 32}
        | {"heads": 2, "layers": 1, "attn_pooler_heads": 2},
    },
    "resnet": {"vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 16}},
    "timm": {
        "custom_text": True,
        "vision_cfg": {"timm_model_name": "test_resnet", "image_size": 32}
        | {"timm_pool": "avg", "timm_proj": "linear"},
    },
}


@pytest.mark.parametrize("name", TOWERS)
def test_other_architectures_embed_as_open_clip_does(tmp_path: Path, name: str) -> None:
    folder = write_model(tmp_path / "model", TINY | TOWERS[name], {}, seed=4)
    images = pictures()
    found = both(local(folder), images, TEXTS)
    expected = reference(folder, images, TEXTS)
    np.testing.assert_allclose(found[0], expected[0], atol=1e-5)
    np.testing.assert_allclose(found[1], expected[1], atol=1e-5)
    low = both(local(folder, Runtime(device="cpu", precision="bf16")), images, TEXTS)
    for exact, rough in zip(found, low, strict=True):
        assert ((exact * rough).sum(axis=1) >= 0.99).all()


def test_an_architecture_that_does_not_fit_together_is_a_model_error(tmp_path: Path) -> None:
    """open_clip builds a head of the wrong width for this tower, and fails in its first pass."""
    vision = TOWERS["timm"]["vision_cfg"] | {"timm_model_name": "mobilenetv3_small_050"}
    folder = write_model(tmp_path / "model", TINY | {"vision_cfg": vision}, {}, seed=4)
    with pytest.raises(ModelError, match="does not run: .*shapes"):
        local(folder).warm_up()


def test_threads_share_a_model(tiny: Path) -> None:
    model = local(tiny)
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(both, model, pictures(), TEXTS) for _ in range(8)]
        rows = [job.result() for job in jobs]
    for found in rows:
        np.testing.assert_array_equal(found[0], rows[0][0])
        np.testing.assert_array_equal(found[1], rows[0][1])


SETTINGS = [
    {},
    {"resize_mode": "squash", "interpolation": "bilinear"},
    {"resize_mode": "longest", "fill_color": 127, "mean": [0.5] * 3, "std": [0.5] * 3},
]


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("size", [32, (24, 40)])
def test_preprocessing_is_open_clips_own(
    tmp_path: Path, settings: dict[str, Any], size: int | tuple[int, int]
) -> None:
    config = TINY | {"vision_cfg": TINY["vision_cfg"] | {"image_size": size}}
    folder = write_model(tmp_path / "model", config, settings, seed=1)
    _, transform = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    model = local(folder)
    images = [image for image in pictures() if max(image.shape) <= 15 * min(image.shape[:2])]
    preprocess = Preprocess(model.facts(Modality.IMAGE)["preprocessing"])
    found = preprocess.tensor([preprocess.picture(image) for image in images], torch.device("cpu"))
    expected = torch.stack([transform(Image.fromarray(image)) for image in images])
    np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=1e-5)
    np.testing.assert_allclose(
        model.embedder(Modality.IMAGE).embed(images).vectors,
        reference(folder, images, ["x"])[0],
        atol=1e-5,
    )


def test_a_very_long_picture_shows_its_middle_without_being_blown_up() -> None:
    settings = local_settings()
    preprocess = Preprocess(settings)
    strip = np.zeros((20, 600_000, 3), np.uint8)
    strip[:, 299_998:300_002] = 255
    found = preprocess.picture(strip)
    assert found.shape == (32, 32, 3)
    assert found[:, 15:17].min() > 200 and found[:, 0].max() == 0 and found[:, -1].max() == 0
    assert np.array_equal(preprocess.picture(strip.transpose(1, 0, 2)), found.transpose(1, 0, 2))
    narrow = Preprocess(settings | {"resize_mode": "longest"})
    with pytest.raises(MediaError, match="600000 x 20 pixels is too narrow"):
        narrow.picture(strip)


def local_settings() -> dict[str, Any]:
    return {
        "mode": "RGB",
        "size": [32, 32],
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
        "interpolation": "bicubic",
        "resize_mode": "shortest",
        "fill_color": 0,
    }


@pytest.mark.parametrize("modality", [Modality.IMAGE, Modality.TEXT])
def test_rows_depend_neither_on_batch_mates_nor_on_chance(tiny: Path, modality: Modality) -> None:
    items: list[Any] = pictures() if modality is Modality.IMAGE else [*TEXTS]
    whole = local(tiny).embedder(modality)
    small = local(tiny, Runtime(device="cpu", batch=3)).embedder(modality)
    together = whole.embed(items).vectors
    alone = np.concatenate([whole.embed([item], role=Role.QUERY).vectors for item in items])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(together, small.embed(items).vectors, atol=1e-5)
    np.testing.assert_allclose(together, whole.embed(items[::-1]).vectors[::-1], atol=1e-5)
    np.testing.assert_array_equal(together, whole.embed(items).vectors)
    np.testing.assert_array_equal(together, local(tiny).embedder(modality).embed(items).vectors)


def test_one_bad_item_does_not_fail_its_batch(model: OpenClip) -> None:
    good = pictures()[:4]
    grey = np.zeros((8, 8), np.uint8)
    bad: list[Any] = [
        grey,
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        np.zeros((0, 8, 3), np.uint8),
        "a path.png",
        None,
    ]
    found = model.embedder(Modality.IMAGE).embed([*good, *bad])
    assert set(found.errors) == set(range(4, 10))
    assert all(isinstance(error, MediaError) for error in found.errors.values())
    assert not found.vectors[4:].any()
    np.testing.assert_allclose(
        found.vectors[:4], model.embedder(Modality.IMAGE).embed(good).vectors, atol=1e-5
    )
    texts = model.embedder(Modality.TEXT).embed(["a dog", "", " \n", 7, "a dog", "a cat"])
    assert set(texts.errors) == {1, 2, 3}
    assert all(isinstance(error, InvalidInput) for error in texts.errors.values())
    np.testing.assert_array_equal(texts.vectors[0], texts.vectors[4])
    assert texts.vectors[5].any() and not np.array_equal(texts.vectors[0], texts.vectors[5])


def test_empty_batches(model: OpenClip) -> None:
    for modality in (Modality.IMAGE, Modality.TEXT):
        found = model.embedder(modality).embed([])
        assert found.vectors.shape == (0, 24) and found.vectors.dtype == np.float32
        assert not found.errors
    nothing = model.embedder(Modality.TEXT).embed(["", None])
    assert nothing.vectors.shape == (2, 24) and set(nothing.errors) == {0, 1}


def test_many_pictures_in_order_through_the_threads(tiny: Path) -> None:
    rng = np.random.default_rng(5)
    images = [rng.integers(0, 256, (9, 9, 3), dtype=np.uint8) for _ in range(50)]
    one = local(tiny, Runtime(device="cpu", batch=4)).embedder(Modality.IMAGE)
    expected = local(tiny).embedder(Modality.IMAGE).embed(images).vectors
    np.testing.assert_allclose(one.embed(images).vectors, expected, atol=1e-5)


def test_a_batch_that_runs_out_of_memory_is_halved(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = pictures()
    image: Any = local(tiny).embedder(Modality.IMAGE)
    expected = image.embed(images).vectors
    tower, sizes = image._tower, []

    class Small:
        name, device = tower.name, tower.device

        def __call__(self, inputs: torch.Tensor) -> F32:
            sizes.append(len(inputs))
            if len(inputs) > 2:
                raise torch.OutOfMemoryError("CUDA out of memory")
            rows: F32 = tower(inputs)
            return rows

    monkeypatch.setattr(image, "_tower", Small())
    np.testing.assert_allclose(image.embed(images).vectors, expected, atol=1e-5)
    assert sizes == [8, 4, 2, 2, 2, 2]


@pytest.mark.parametrize("precision", ["bf16", "auto"])
def test_low_precision_is_near_and_a_row_keeps_its_batch_mates_out(
    tiny: Path, model: OpenClip, precision: str
) -> None:
    exact = both(model, pictures(), TEXTS)
    low = local(tiny, Runtime(device="cpu", precision=precision))
    contents: list[list[Any]] = [pictures(), [*TEXTS]]
    for modality, want, items in zip((Modality.IMAGE, Modality.TEXT), exact, contents, strict=True):
        embedder = low.embedder(modality)
        found = embedder.embed(items).vectors
        assert found.dtype == np.float32
        assert ((found * want).sum(axis=1) >= 0.99).all()
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
        alone = np.concatenate([embedder.embed([item]).vectors for item in items])
        assert ((found * alone).sum(axis=1) >= 0.999).all()
        assert embedder.encoder.id == model.embedder(modality).encoder.id
    image: Any = low.embedder(Modality.IMAGE)
    if precision == "bf16":
        assert {value.dtype for value in image._tower.modules.parameters()} == {torch.bfloat16}


def test_vectors_that_are_not_finite_are_errors(
    model: OpenClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    image: Any = model.embedder(Modality.IMAGE)
    tower = image._tower

    class Broken:
        name, device = tower.name, tower.device

        def __call__(self, inputs: torch.Tensor) -> F32:
            rows: F32 = tower(inputs)
            rows[1] = np.nan
            return rows

    monkeypatch.setattr(image, "_tower", Broken())
    found = image.embed(pictures()[:3])
    assert isinstance(found.errors[1], ModelError) and "not finite" in str(found.errors[1])
    assert set(found.errors) == {1} and not found.vectors[1].any()


def test_sound_is_refused(model: OpenClip) -> None:
    with pytest.raises(InvalidInput, match="not audio"):
        model.embedder(Modality.AUDIO)
    with pytest.raises(InvalidInput, match="not audio"):
        model.facts(Modality.AUDIO)
    assert model.audio is None and model.image_side == 32
    assert model.modalities == {Modality.IMAGE, Modality.TEXT}
