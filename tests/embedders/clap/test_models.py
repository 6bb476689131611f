"""Small checkpoints in the real formats, against transformers' own functions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, ClapModel, ClapProcessor

from tests.embedders.clap import making
from trichord.embedders.backend import Runtime
from trichord.embedders.clap.backend import Clap
from trichord.types import F32, Encoder, Modality, Role, Waveform

AUDIO, TEXT = Modality.AUDIO, Modality.TEXT


def rows(clap: Clap, modality: Modality, batch: list[Waveform] | list[str]) -> F32:
    found = clap.embedder(modality).embed(batch)
    assert not found.errors
    assert found.vectors.dtype == np.float32 and found.vectors.flags.c_contiguous
    assert np.allclose(np.linalg.norm(found.vectors, axis=1), 1, atol=1e-5)
    return found.vectors


@torch.inference_mode()
def expected_audio(folder: Path, batch: list[Waveform], *, fused: bool = False) -> F32:
    clap = ClapModel.from_pretrained(folder).eval()
    processor = ClapProcessor.from_pretrained(folder)
    given = processor(
        audio=[wave.samples for wave in batch], sampling_rate=making.RATE, return_tensors="pt"
    )
    given["input_features"] = given["input_features"].float()
    if fused:
        given["is_longer"] = torch.zeros(len(batch), 1, dtype=torch.bool)
    return np.asarray(clap.get_audio_features(**given).pooler_output)


@torch.inference_mode()
def expected_text(folder: Path, batch: list[str]) -> F32:
    clap = ClapModel.from_pretrained(folder).eval()
    given = AutoTokenizer.from_pretrained(folder)(batch, padding=True, return_tensors="pt")
    return np.asarray(clap.get_text_features(**given).pooler_output)


def test_saved_models_give_transformers_own_vectors(checkpoint: Path) -> None:
    clap = Clap(str(checkpoint))
    sounds = rows(clap, AUDIO, making.sounds())
    assert np.abs(sounds - expected_audio(checkpoint, making.sounds())).max() < 1e-4
    texts = rows(clap, TEXT, making.TEXTS)
    assert np.abs(texts - expected_text(checkpoint, making.TEXTS)).max() < 1e-5
    for vectors in (sounds, texts):  # or equality would prove nothing
        apart = np.abs(vectors[:, None] - vectors[None]).max(axis=2)
        assert (apart + np.eye(len(vectors))).min() > 3e-3


def test_fused_models_without_chance(fused: Path) -> None:
    clap = Clap(str(fused))
    assert clap.frame.anchor.startswith("clap/htsat-16x1.2.1.1-fused@")
    batch = making.sounds()
    together = rows(clap, AUDIO, batch)
    assert np.abs(together - expected_audio(fused, batch, fused=True)).max() < 1e-4
    for wave, row in zip(batch, together, strict=True):
        assert np.abs(rows(clap, AUDIO, [wave])[0] - row).max() < 1e-5
    # What is being avoided: transformers' extractor marks one short sound of a batch as longer.
    marked = expected_audio(fused, batch[:1])
    assert np.abs(marked[0] - together[0]).max() > 1e-3


def test_laions_file_gives_the_vectors_of_the_same_weights(checkpoint: Path, laion: Path) -> None:
    ours, theirs = Clap(str(laion), loader="laion-pt"), Clap(str(checkpoint))
    for modality, batch in ((AUDIO, making.sounds()), (TEXT, making.TEXTS)):
        assert np.abs(rows(ours, modality, batch) - rows(theirs, modality, batch)).max() < 1e-5
    assert ours.frame.dim == theirs.frame.dim
    assert ours.frame.anchor.split("@")[0] == theirs.frame.anchor.split("@")[0]
    assert ours.frame != theirs.frame  # another file, another hash
    assert ours.audio == theirs.audio and ours.text == theirs.text


def test_batch_mates_and_batch_size_make_no_difference(checkpoint: Path) -> None:
    sounds = making.sounds() * 3
    texts = making.TEXTS * 2
    whole = Clap(str(checkpoint))
    small = Clap(str(checkpoint), runtime=Runtime(batch=2))
    for modality, batch in ((AUDIO, sounds), (TEXT, texts)):
        expected = rows(whole, modality, batch)
        assert np.abs(rows(small, modality, batch) - expected).max() < 1e-5
        assert np.abs(rows(whole, modality, batch[::-1]) - expected[::-1]).max() < 1e-5
        for item, row in zip(batch[:6], expected, strict=False):
            assert np.abs(rows(whole, modality, [item])[0] - row).max() < 1e-5
        again = whole.embedder(modality).embed(batch, role=Role.QUERY).vectors
        assert np.array_equal(again, expected)


def test_long_sound_is_cut_and_always_the_same(checkpoint: Path) -> None:
    import io

    import soundfile as sf

    from trichord.embedders.media.windows import windows

    sound = making.chirp(25.0)
    file = io.BytesIO()
    sf.write(file, sound, making.RATE, format="WAV", subtype="FLOAT")
    clap = Clap(str(checkpoint))
    cut = clap.audio

    def vectors() -> F32:
        pieces = windows(file.getvalue(), rate=cut.rate, window_ms=cut.window_ms, hop_ms=cut.hop_ms)
        heard = [piece.content for piece in pieces]
        assert all(isinstance(content, Waveform) for content in heard)
        return rows(clap, AUDIO, heard)  # type: ignore[arg-type]

    first = vectors()
    assert np.array_equal(first, vectors())
    assert np.array_equal(first, _fresh(checkpoint, vectors_of=sound))
    parts = [sound[:480_000], sound[480_000:960_000], sound[960_000:]]
    manual = expected_audio(checkpoint, [Waveform(part, making.RATE) for part in parts])
    assert np.abs(first - manual).max() < 1e-4


def _fresh(checkpoint: Path, *, vectors_of: F32) -> F32:
    """By a model that was loaded anew, from windows cut by hand."""
    parts = [vectors_of[start : start + 480_000] for start in range(0, len(vectors_of), 480_000)]
    return rows(Clap(str(checkpoint)), AUDIO, [Waveform(part, making.RATE) for part in parts])


def test_identity(checkpoint: Path, laion: Path) -> None:
    clap = Clap(str(checkpoint))
    from trichord.embedders.hashing import sha256_of

    weights = sha256_of(checkpoint / "model.safetensors")
    assert clap.frame.id == f"clap/htsat-16x1.2.1.1@{weights[:12]}/32"
    assert clap.facts(AUDIO)["weights"] == clap.facts(TEXT)["weights"] == weights
    for modality in (AUDIO, TEXT):
        embedder = clap.embedder(modality)
        assert embedder is clap.embedder(modality)
        assert embedder.frame == clap.frame and embedder.modality is modality
        assert embedder.encoder == Encoder(modality, clap.facts(modality))
        assert len(embedder.encoder.id) == 64  # canonical JSON: the facts are JSON values
    short = Clap(str(checkpoint), window_ms=5_000, hop_ms=2_500)
    assert short.frame == clap.frame
    assert short.facts(TEXT) == clap.facts(TEXT)
    assert short.embedder(AUDIO).encoder.id != clap.embedder(AUDIO).encoder.id
    assert (clap.audio.rate, short.audio.window_ms, short.audio.hop_ms) == (48_000, 5_000, 2_500)
    assert Clap(str(laion), loader="laion-pt").frame == Clap(str(laion), loader="laion-pt").frame


def test_identity_follows_every_ingredient(tmp_path: Path, checkpoint: Path) -> None:
    import shutil

    def changed(name: str, file: str, **values: object) -> Clap:
        folder = tmp_path / name
        shutil.copytree(checkpoint, folder)
        making.edit(folder / file, **values)
        return Clap(str(folder))

    clap = Clap(str(checkpoint))
    same = changed("same", "config.json")
    assert same.frame == clap.frame and same.facts(AUDIO) == clap.facts(AUDIO)
    low = changed("low", "processor_config.json", **{"feature_extractor.frequency_min": 0})
    assert low.facts(AUDIO) != clap.facts(AUDIO) and low.facts(TEXT) == clap.facts(TEXT)
    heads = changed("heads", "config.json", **{"text_config.num_attention_heads": 2})
    assert heads.facts(TEXT) != clap.facts(TEXT) and heads.facts(AUDIO) == clap.facts(AUDIO)
    folder = tmp_path / "weights"
    shutil.copytree(checkpoint, folder)
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    assert Clap(str(folder)).frame != clap.frame
    tokens = tmp_path / "tokens"
    shutil.copytree(checkpoint, tokens)
    (tokens / "tokenizer.json").write_text((tokens / "tokenizer.json").read_text() + "\n")
    assert Clap(str(tokens)).facts(TEXT) != clap.facts(TEXT)
    assert Clap(str(tokens)).facts(AUDIO) == clap.facts(AUDIO)


def test_token_offsets_cover_the_text(checkpoint: Path) -> None:
    clap = Clap(str(checkpoint))
    text = "Ein Zug fährt über eine Brücke. " * 40
    offsets = clap.token_offsets(text)
    assert len(offsets) > 100  # never cut
    assert offsets[0][0] == 0 and offsets[-1][1] == len(text)
    assert all(a <= b for a, b in offsets)
    assert clap.token_offsets("") == []
    chunk = text[: offsets[clap.text.chunk_tokens - 1][1]]
    whole = rows(clap, TEXT, [chunk, chunk + " and much more after it " * 20, "something else"])
    # A chunk of as many tokens as the model takes is not cut; what follows it is.
    assert np.abs(whole[0] - whole[1]).max() < 1e-5 < np.abs(whole[0] - whole[2]).max()


def test_equal_texts_run_once(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from trichord.embedders.clap.towers import ClapTextTower

    seen = []
    embed = ClapTextTower.embed

    def counted(self: ClapTextTower, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        seen.append(len(ids))
        return embed(self, ids, mask)

    monkeypatch.setattr(ClapTextTower, "embed", counted)
    found = rows(Clap(str(checkpoint)), TEXT, ["rain", "dogs", "rain", "rain", "dogs"])
    assert sum(seen) == 2
    assert np.array_equal(found[0], found[2]) and np.array_equal(found[1], found[4])


def test_empty_batches(checkpoint: Path) -> None:
    clap = Clap(str(checkpoint))
    for modality in (AUDIO, TEXT):
        found = clap.embedder(modality).embed([])
        assert found.vectors.shape == (0, 32) and not found.errors


def test_memory_that_runs_out_halves_the_batch(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trichord.embedders.clap.towers import ClapAudioTower

    batch = making.sounds()
    expected = rows(Clap(str(checkpoint)), AUDIO, batch)
    embed = ClapAudioTower.embed
    sizes = []

    def small(self: ClapAudioTower, x: torch.Tensor) -> torch.Tensor:
        sizes.append(len(x))
        if len(x) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return embed(self, x)

    monkeypatch.setattr(ClapAudioTower, "embed", small)
    clap = Clap(str(checkpoint), runtime=Runtime(batch=6))
    assert np.abs(rows(clap, AUDIO, batch) - expected).max() < 1e-5
    assert sizes[0] == 6 and max(sizes[-3:]) <= 2


def test_low_precision_is_close(checkpoint: Path) -> None:
    exact = Clap(str(checkpoint))
    cast = Clap(str(checkpoint), runtime=Runtime(precision="bf16"))
    assert cast.frame == exact.frame and cast.facts(AUDIO) == exact.facts(AUDIO)
    for modality, batch in ((AUDIO, making.sounds()), (TEXT, making.TEXTS)):
        cosines = (rows(cast, modality, batch) * rows(exact, modality, batch)).sum(axis=1)
        assert cosines.min() > 0.99
        assert cosines.min() < 1  # it did run in another precision


def test_automatic_precision_and_warm_up(checkpoint: Path) -> None:
    clap = Clap(str(checkpoint), runtime=Runtime(precision="auto"))
    exact = Clap(str(checkpoint))
    for modality, batch in ((AUDIO, making.sounds()[:2]), (TEXT, making.TEXTS)):
        clap.embedder(modality).warm_up()
        cosines = (rows(clap, modality, batch) * rows(exact, modality, batch)).sum(axis=1)
        assert cosines.min() > 0.99
