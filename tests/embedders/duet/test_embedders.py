"""The bundled duet model: rows, errors, batches, long sound, identity."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from trichord.embedders.backend import Backend, Runtime
from trichord.embedders.duet.backend import BUNDLED, Duet
from trichord.embedders.pocket.sounds import render_sound
from trichord.errors import InvalidInput, MediaError, ModelError, NotFound
from trichord.types import F32, Encoder, Modality, Role, Waveform

LINES = [
    "a dog barking",
    "the sound of rain",
    "a red bicycle on the left",
    "rain",
    "one word and then some more of them, with a comma",
]


@pytest.fixture(scope="module")
def duet() -> Duet:
    return Duet()


def tone(seconds: float, hz: float = 440.0, rate: int = 16_000) -> Waveform:
    t = np.arange(round(seconds * rate)) / rate
    return Waveform((0.2 * np.sin(2 * np.pi * hz * t)).astype(np.float32), rate)


def test_it_is_a_backend(duet: Duet) -> None:
    checked: Backend = duet
    assert checked.modalities == {Modality.TEXT, Modality.AUDIO}
    assert checked.frame.dim == 256 and checked.frame.anchor.startswith("trichord-duet@")
    assert checked.image_side is None
    assert checked.audio is not None and checked.audio.window_ms == 10_000
    assert checked.text is not None and checked.text.chunk_tokens == 48
    assert checked.token_offsets("two words") == [(0, 3), (4, 9)]
    with pytest.raises(NotFound):
        checked.embedder(Modality.IMAGE)


def test_rows_are_unit_and_in_order_alone_as_in_a_batch(duet: Duet) -> None:
    text = duet.embedder(Modality.TEXT)
    together = text.embed(LINES).vectors
    assert together.dtype == np.float32 and together.shape == (5, 256)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    alone = np.concatenate([text.embed([line]).vectors for line in LINES])
    np.testing.assert_allclose(alone, together, atol=1e-5)
    again = text.embed(LINES, role=Role.QUERY).vectors
    np.testing.assert_array_equal(again, together)
    assert text.embed([]).vectors.shape == (0, 256)


def test_different_texts_have_different_vectors(duet: Duet) -> None:
    cosine = duet.embedder(Modality.TEXT).embed(LINES).vectors
    cosine = cosine @ cosine.T
    assert (cosine[~np.eye(len(LINES), dtype=bool)] < 0.995).all()
    swapped = duet.embedder(Modality.TEXT).embed(["dog bites man", "man bites dog"]).vectors
    assert float(swapped[0] @ swapped[1]) < 0.9999


def test_sounds_do_not_depend_on_their_batch(duet: Duet) -> None:
    audio = duet.embedder(Modality.AUDIO)
    clips = [tone(0.4), tone(3, 300), tone(3, 900), tone(10, 500), tone(2, 440, 44_100)]
    together = audio.embed(clips)
    assert not together.errors
    alone = np.concatenate([audio.embed([clip]).vectors for clip in clips])
    np.testing.assert_allclose(alone, together.vectors, atol=1e-5)
    small = Duet(runtime=Runtime(batch=1)).embedder(Modality.AUDIO).embed(clips).vectors
    np.testing.assert_allclose(small, together.vectors, atol=1e-5)


def test_25_seconds_are_cut_into_windows_the_same_every_time(duet: Duet) -> None:
    whole = tone(25)
    rng = np.random.default_rng(0)
    samples = whole.samples * (1 + 0.3 * rng.standard_normal(len(whole.samples)))
    wave = Waveform(samples.astype(np.float32), whole.rate)
    audio = duet.embedder(Modality.AUDIO)
    refused = audio.embed([wave])
    assert isinstance(refused.errors[0], MediaError) and not refused.vectors.any()
    assert duet.audio is not None
    cut = [(0, 10), (10, 20), (20, 25)]
    pieces = [Waveform(wave.samples[a * 16_000 : b * 16_000], 16_000) for a, b in cut]
    first, second = audio.embed(pieces), Duet().embedder(Modality.AUDIO).embed(pieces[::-1])
    assert not first.errors
    np.testing.assert_allclose(first.vectors, second.vectors[::-1], atol=1e-5)


def test_bad_items_fail_alone(duet: Duet) -> None:
    silent = Waveform(np.zeros(16_000, np.float32), 16_000)
    broken = Waveform(np.full(16_000, np.nan, np.float32), 16_000)
    found = duet.embedder(Modality.AUDIO).embed([silent, tone(1), "no sound", broken])
    assert sorted(found.errors) == [0, 2, 3]
    assert all(isinstance(e, MediaError) for e in found.errors.values())
    assert not found.vectors[0].any() and found.vectors[1].any()
    texts = duet.embedder(Modality.TEXT).embed(["", "fine", 3])
    assert sorted(texts.errors) == [0, 2]
    assert all(isinstance(e, InvalidInput) for e in texts.errors.values())


def test_it_knows_its_sounds(duet: Duet) -> None:
    names = ["siren", "rain", "cat", "helicopter", "owl", "clock", "cricket", "telephone"]
    clips = [Waveform(render_sound(n, seed=910_000 + k), 16_000) for n in names for k in range(3)]
    heard = duet.embedder(Modality.AUDIO).embed(clips).vectors
    said = duet.embedder(Modality.TEXT).embed([f"an audio clip with a {n}" for n in names]).vectors
    found: F32 = (heard @ said.T).argmax(axis=1)
    assert (found == np.repeat(np.arange(len(names)), 3)).mean() >= 0.8


def copied(folder: Path) -> Path:
    shutil.copytree(BUNDLED, folder)
    return folder


@pytest.mark.parametrize("name", ["text", "audio"])
def test_a_changed_byte_of_the_weights_is_refused(tmp_path: Path, name: str) -> None:
    path = copied(tmp_path / "duet") / f"{name}.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(ModelError, match="damaged"):
        Duet(tmp_path / "duet")


def test_other_weights_are_another_encoder_and_frame(tmp_path: Path) -> None:
    import json

    from trichord.embedders.hashing import sha256_of

    folder = copied(tmp_path / "duet")
    config = json.loads((folder / "config.json").read_text("utf-8"))
    for name in ("text", "audio"):
        path = folder / f"{name}.safetensors"
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(bytes(data))
        config["towers"][name]["sha256"] = sha256_of(path)
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    before, after = Duet(), Duet(folder)
    assert before.frame != after.frame
    for modality in (Modality.TEXT, Modality.AUDIO):
        ids = [Encoder(modality, d.facts(modality)).id for d in (before, after)]
        assert ids[0] != ids[1]


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"config\.json"):
        Duet(tmp_path)
    folder = copied(tmp_path / "duet")
    (folder / "text.safetensors").unlink()
    with pytest.raises(ModelError, match=r"text\.safetensors"):
        Duet(folder)
    (folder / "config.json").write_text("{", "utf-8")
    with pytest.raises(ModelError, match="damaged"):
        Duet(folder)
