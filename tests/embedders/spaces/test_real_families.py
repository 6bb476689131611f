"""Spaces of real families: an open_clip folder and a CLAP checkpoint in their own formats, with
random weights, joined by a projector; and the bundled pocket and duet."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.embedders.clap.making import checkpoint
from trichord.embedders import canaries
from trichord.embedders.backend import Runtime
from trichord.embedders.bridge.projector import Projector
from trichord.embedders.clap.backend import Clap
from trichord.embedders.composed import ComposedSpace
from trichord.embedders.definition import Definition, Part, read
from trichord.embedders.openclip.backend import OpenClip
from trichord.embedders.pocket.backend import Pocket
from trichord.embedders.pocket.space import load
from trichord.embedders.registry import Registry
from trichord.errors import EncoderMismatch, ModelError
from trichord.types import Frame, Modality

CPU = Runtime(device="cpu", offline=True)
TINY = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49_408, "width": 32, "heads": 2, "layers": 1},
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import open_clip
    import torch
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("models")
    (folder / "clip").mkdir()
    torch.manual_seed(0)
    clip = open_clip.CLIP(**TINY)
    save_file(clip.state_dict(), str(folder / "clip" / "open_clip_model.safetensors"))
    whole = {"model_cfg": TINY, "preprocess_cfg": {}}
    (folder / "clip" / "open_clip_config.json").write_text(json.dumps(whole))
    checkpoint(folder / "clap")
    frames = [
        Clap(str(folder / "clap"), runtime=CPU).frame,
        OpenClip(f"local-dir:{folder / 'clip'}", runtime=CPU).frame,
    ]
    random_projector(*frames).save(folder / "bridge.safetensors")
    (folder / "both.toml").write_text(
        'name = "both"\n[image]\nbackend = "open_clip"\nmodel = "local-dir:clip"\n'
        '[text]\nbackend = "open_clip"\nmodel = "local-dir:clip"\n'
        '[audio]\nbackend = "clap"\nmodel = "./clap"\nwindow_ms = 3000\nhop_ms = 2000\n'
        'projector = "bridge.safetensors"\n'
    )
    return folder


def random_projector(source: Frame, target: Frame) -> Projector:
    rng = np.random.default_rng(5)
    return Projector(
        "procrustes",
        source,
        target,
        {
            "centre": np.zeros(source.dim, np.float32),
            "linear": rng.standard_normal((source.dim, target.dim)).astype(np.float32),
            "target_mean": np.zeros(target.dim, np.float32),
        },
    )


def test_the_parts_are_what_their_families_compute(models: Path) -> None:
    joint = ComposedSpace(read(models / "both.toml"), CPU)
    clip = OpenClip(f"local-dir:{models / 'clip'}", runtime=CPU)
    clap = Clap(str(models / "clap"), window_ms=3_000, hop_ms=2_000, runtime=CPU)
    assert joint.frame == clip.frame
    assert (joint.audio_rate, joint.audio_window_ms, joint.audio_hop_ms) == (48_000, 3_000, 2_000)
    assert joint.image_side == 32
    assert clip.text is not None
    assert (joint.text_chunk_tokens, joint.text_overlap_tokens) == (
        clip.text.chunk_tokens, clip.text.overlap_tokens
    )  # fmt: skip
    assert list(joint.token_offsets("a dog barks")) == list(clip.token_offsets("a dog barks"))

    pictures, texts = canaries.pictures()[:4], canaries.texts()[:4]
    sounds = canaries.sounds(48_000, 3_000)[:4]
    for modality, batch in ((Modality.IMAGE, pictures), (Modality.TEXT, texts)):
        own = clip.embedder(modality).embed(batch).vectors
        assert np.allclose(joint.embedder(modality).embed(batch).vectors, own, atol=1e-5)
    heard = clap.embedder(Modality.AUDIO).embed(sounds).vectors
    projected = Projector.load(models / "bridge.safetensors").apply(heard)
    found = joint.embedder(Modality.AUDIO).embed(sounds)
    assert found.vectors.shape == (4, 24) and not found.errors
    assert np.allclose(found.vectors, projected, atol=1e-5)


def test_registered_moved_and_damaged(models: Path, tmp_path: Path) -> None:
    here = Path(shutil.copytree(models, tmp_path / "here"))
    spaces = Registry(tmp_path / "spaces")
    added = spaces.add(read(here / "both.toml"), CPU)
    joint = spaces.open("both", CPU)
    assert canaries.agreement(added.canaries, canaries.vectors(joint)).agrees

    there = Path(shutil.copytree(models, tmp_path / "there"))
    moved = ComposedSpace(read(there / "both.toml"), CPU)
    assert dict(moved.space.encoders) == dict(added.space.encoders), "the place is no identity"

    weights = here / "clip" / "open_clip_model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(EncoderMismatch, match="not the one that was registered"):
        spaces.open("both", CPU)
    weights.unlink()
    with pytest.raises(ModelError, match="image part of space 'both'.*no weights"):
        spaces.open("both", CPU)


def test_a_missing_model_offline_is_one_clear_error(tmp_path: Path) -> None:
    for part in (
        Part("open_clip", "hf-hub:nobody/nothing"),
        Part("clap", "nobody/nothing"),
        Part("sentence-transformers", "nobody/nothing"),
    ):
        joint = ComposedSpace(Definition("x", {Modality.TEXT: part}), Runtime(offline=True))
        with pytest.raises(ModelError, match="nobody/nothing") as caught:
            _ = joint.space
        assert "trichord space add" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_pocket_as_a_part_is_the_bundled_space() -> None:
    parts = dict.fromkeys((Modality.IMAGE, Modality.TEXT), Part("pocket"))
    joint, bundled = ComposedSpace(Definition("x", parts), CPU), load()
    assert joint.frame == bundled.frame
    assert joint.space.encoders[Modality.IMAGE] == bundled.space.encoders[Modality.IMAGE]
    assert Pocket().facts(Modality.TEXT) == bundled.encoders[Modality.TEXT].facts
    picture = canaries.pictures()[:2]
    own = bundled.embedder(Modality.IMAGE).embed(picture).vectors
    assert np.array_equal(joint.embedder(Modality.IMAGE).embed(picture).vectors, own)
