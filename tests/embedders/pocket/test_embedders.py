"""The contract of the three embedders, their identity and their checks of weights."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from trichord.embedders.pocket import weights
from trichord.embedders.pocket.audio import PocketAudio
from trichord.embedders.pocket.image import PocketImage
from trichord.embedders.pocket.space import PocketSpace, load
from trichord.embedders.pocket.text import FRAME, PocketText, find_minilm
from trichord.errors import InvalidInput, MediaError, ModelError
from trichord.types import F32, Embedder, Modality, Rgb, Waveform


@pytest.fixture(scope="module")
def space() -> PocketSpace:
    return load()


def pictures() -> list[Rgb]:
    rng = np.random.default_rng(0)
    sizes = [(72, 72), (200, 120), (31, 300), (1, 1), (72, 72)]
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]


def sounds() -> list[Waveform]:
    rng = np.random.default_rng(1)
    shapes = [(16000, 16000), (48000, 44100), (3000, 16000), (80000, 8000), (441000, 44100)]
    return [Waveform(rng.normal(0, 0.1, n).astype(np.float32), rate) for n, rate in shapes]


def texts() -> list[str]:
    return ["rain on a window", "a violin", "rain on a window", "one red cat on the left"]


def everything(space: PocketSpace) -> list[tuple[Embedder, list[object]]]:
    return [
        (space.embedder(Modality.IMAGE), [*pictures()]),
        (space.embedder(Modality.AUDIO), [*sounds()]),
        (space.embedder(Modality.TEXT), [*texts()]),
    ]


def test_rows_are_unit_in_order_and_independent_of_batch_mates(space: PocketSpace) -> None:
    for embedder, batch in everything(space):
        assert embedder.frame == FRAME
        together = embedder.embed(batch)
        assert together.vectors.dtype == np.float32 and together.vectors.shape == (len(batch), 384)
        assert not together.errors
        np.testing.assert_allclose(np.linalg.norm(together.vectors, axis=1), 1, atol=1e-4)
        alone = np.concatenate([embedder.embed([item]).vectors for item in batch])
        np.testing.assert_allclose(together.vectors, alone, atol=1e-5)
        backwards = embedder.embed(batch[::-1]).vectors[::-1]
        np.testing.assert_allclose(together.vectors, backwards, atol=1e-5)
        assert np.array_equal(together.vectors, embedder.embed(batch).vectors)
        assert embedder.embed([]).vectors.shape == (0, 384)


def test_a_bad_item_fails_alone(space: PocketSpace) -> None:
    wave = sounds()[0]
    long = Waveform(np.full(16000 * 11, 0.1, np.float32), 16000)
    cases: list[tuple[Modality, object, list[object], type[InvalidInput]]] = [
        (
            Modality.IMAGE,
            pictures()[0],
            [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), "cat.png",
             np.zeros((0, 4, 3), np.uint8)],
            MediaError,
        ),
        (
            Modality.AUDIO,
            wave,
            [Waveform(np.zeros(9000, np.float32), 16000), Waveform(np.zeros(0, np.float32), 16000),
             Waveform(np.full(9000, np.nan, np.float32), 16000), "dog.wav", long,
             Waveform(np.ones(9000, np.float32), 0)],
            MediaError,
        ),
        (Modality.TEXT, "a dog", ["", "  \n", 7], InvalidInput),
    ]  # fmt: skip
    for modality, good, bad, kind in cases:
        embedder = space.embedder(modality)
        mixed = embedder.embed([bad[0], good, *bad[1:]])
        assert set(mixed.errors) == {0, *range(2, len(bad) + 1)}
        assert all(isinstance(error, kind) for error in mixed.errors.values())
        np.testing.assert_allclose(mixed.vectors[1], embedder.embed([good]).vectors[0], atol=1e-5)
        assert not mixed.vectors[list(mixed.errors)].any()


def test_text_is_never_opened_as_a_file(space: PocketSpace, tmp_path: Path) -> None:
    from PIL import Image

    path = tmp_path / "cat.png"
    Image.new("RGB", (8, 8)).save(path)
    vector = space.embedder(Modality.TEXT).embed([str(path), "http://localhost/cat.png"])
    assert not vector.errors
    assert np.isfinite(vector.vectors).all()


def test_text_vectors_are_those_of_the_model_itself(space: PocketSpace) -> None:
    """Against the formula: mean of the last hidden states over real tokens, unit length."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    folder = str(find_minilm())
    tokens = AutoTokenizer.from_pretrained(folder)(texts(), padding=True, return_tensors="pt")
    with torch.inference_mode():
        hidden = AutoModel.from_pretrained(folder).eval()(**tokens).last_hidden_state
    mask = tokens["attention_mask"].unsqueeze(-1).float()
    mean = ((hidden * mask).sum(1) / mask.sum(1)).numpy()
    mean /= np.linalg.norm(mean, axis=1, keepdims=True)
    np.testing.assert_allclose(
        space.embedder(Modality.TEXT).embed(texts()).vectors, mean, atol=2e-5
    )


def test_token_offsets_cover_the_words(space: PocketSpace) -> None:
    sentence = "Slow melodies, underwater! " * 200
    offsets = space.token_offsets(sentence)
    assert len(offsets) == 1000
    assert all(0 <= a < b <= len(sentence) for a, b in offsets)
    assert all(a[1] <= b[0] for a, b in zip(offsets, offsets[1:], strict=False))
    assert "".join(sentence[a:b] for a, b in offsets) == sentence.replace(" ", "")
    assert space.token_offsets("") == []
    with pytest.raises(InvalidInput):
        space.token_offsets(3)  # type: ignore[arg-type]


def test_level_and_place_reach_the_vector(space: PocketSpace) -> None:
    def cosine(a: F32, b: F32) -> float:
        return float(a @ b)

    wave = sounds()[0]
    quiet = Waveform(wave.samples * np.float32(0.02), wave.rate)
    a, b = space.embedder(Modality.AUDIO).embed([wave, quiet]).vectors
    assert cosine(a, b) < 0.999
    left = np.full((72, 72, 3), 128, np.uint8)
    left[20:50, 4:30] = (200, 30, 30)
    a, b = space.embedder(Modality.IMAGE).embed([left, left[:, ::-1].copy()]).vectors
    assert cosine(a, b) < 0.999


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(weights.BUNDLED, tmp_path / "weights"))


def flip(path: Path, offset: int = -3) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("modality", [Modality.IMAGE, Modality.AUDIO])
def test_a_changed_weight_byte_is_refused(copied: Path, modality: Modality) -> None:
    make = PocketImage if modality is Modality.IMAGE else PocketAudio
    item: object = pictures()[0] if modality is Modality.IMAGE else sounds()[0]
    before = make(copied)
    known = before.encoder.id
    assert not before.embed([item]).errors
    path = copied / f"{modality.value}.safetensors"
    flip(path)
    with pytest.raises(ModelError, match="sha256"):
        make(copied).embed([item])
    with pytest.raises(ModelError, match="sha256"):
        _ = make(copied).encoder
    config = json.loads((copied / "config.json").read_text())
    config["towers"][modality.value]["sha256"] = weights.sha256(path)
    (copied / "config.json").write_text(json.dumps(config))
    assert make(copied).encoder.id != known
    path.unlink()
    with pytest.raises(ModelError, match="missing"):
        make(copied).embed([item])


def test_a_damaged_config_is_refused(copied: Path) -> None:
    (copied / "config.json").write_text("{")
    with pytest.raises(ModelError, match="damaged"):
        load(folder=copied)
    (copied / "config.json").unlink()
    with pytest.raises(ModelError, match="missing"):
        load(folder=copied)


def test_another_text_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model.safetensors"):
        load(minilm=tmp_path)
    source = find_minilm()
    for path in source.iterdir():
        if path.is_file() and path.name != "model.safetensors":
            shutil.copy(path, tmp_path / path.name)
    shutil.copytree(source / "1_Pooling", tmp_path / "1_Pooling")
    shutil.copy(source / "model.safetensors", tmp_path / "model.safetensors")
    flip(tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match="is not all-MiniLM-L6-v2: sha256"):
        PocketText(tmp_path).embed(["a dog"])


def test_another_tokenizer_is_refused(tmp_path: Path) -> None:
    source = json.loads((find_minilm() / "tokenizer.json").read_text())
    (tmp_path / "model.safetensors").touch()
    source["model"]["vocab"] = {
        word: number for word, number in source["model"]["vocab"].items() if number < 2000
    }
    (tmp_path / "tokenizer.json").write_text(json.dumps(source))
    with pytest.raises(ModelError, match="tokenizer"):
        PocketText(tmp_path).token_offsets("a dog")


def test_the_hub_cache_comes_before_the_package(tmp_path: Path) -> None:
    snapshot = tmp_path / "models--sentence-transformers--all-MiniLM-L6-v2" / "snapshots" / "abc"
    assert find_minilm(hub_cache=tmp_path) != snapshot
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").touch()
    assert find_minilm(hub_cache=tmp_path) == snapshot


def test_space_names_three_encoders_of_one_frame(space: PocketSpace) -> None:
    assert space.space.frame == FRAME and space.space.name == "pocket"
    for modality in Modality:
        embedder = space.embedder(modality)
        assert embedder.modality is modality
        assert space.space.encoders[modality] == embedder.encoder.id
    assert len(set(space.space.encoders.values())) == 3
    assert sum(p.stat().st_size for p in weights.BUNDLED.iterdir()) < 20_000_000


def test_importing_and_identifying_the_space_imports_no_torch() -> None:
    code = (
        "import sys\n"
        "from trichord.embedders.pocket.space import load\n"
        "space = load()\n"
        "assert len(space.space.encoders) == 3\n"
        "assert space.token_offsets('a dog')\n"
        "assert 'torch' not in sys.modules, 'torch was imported'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
