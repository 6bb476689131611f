"""Canaries: always the same inputs, and figures that tell another rounding from another model."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.embedders.spaces.making import Families, clip_and_clap
from tests.fakes import HashSpace
from trichord.embedders import canaries
from trichord.embedders.canaries import COUNTS, Canaries, agreement, vectors
from trichord.embedders.composed import ComposedSpace
from trichord.embedders.definition import read
from trichord.errors import FrameMismatch, InvalidInput, ModelError, StoreDamaged
from trichord.types import F32, Modality


def unit(rows: np.ndarray) -> F32:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def spread(modality: Modality, seed: int = 0, dim: int = 16) -> F32:
    return unit(np.random.default_rng(seed).standard_normal((COUNTS[modality], dim)))


def brute_force(stored: F32, now: F32) -> tuple[float, float]:
    """Cosine and overlap by loops, ties aside."""
    shared, cosines = [], []
    for i in range(len(stored)):
        cosines.append(float(stored[i] @ now[i]))
        others = [j for j in range(len(stored)) if j != i]
        own = sorted(others, key=lambda j: -float(stored[i] @ stored[j]))[: canaries.NEAREST]
        found = sorted(others, key=lambda j: -float(now[i] @ stored[j]))[: canaries.NEAREST]
        shared.append(len(set(own) & set(found)) / canaries.NEAREST)
    return min(cosines), float(np.mean(shared))


def test_the_inputs_are_always_the_same() -> None:
    texts, pictures, sounds = canaries.texts(), canaries.pictures(), canaries.sounds(16_000)
    assert (len(texts), len(pictures), len(sounds)) == (48, 32, 24)
    assert len(set(texts)) == 48
    assert len({picture.tobytes() for picture in pictures}) == 32
    assert len({sound.samples.tobytes() for sound in sounds}) == 24
    # Another digest means other inputs, and stored canaries that cannot be compared any more:
    # raise canaries.INPUTS. (Sines may differ in their last bit from machine to machine, so
    # pictures are compared by their means and sounds by their levels.)
    digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()
    assert digest[:16] == "5f5c0ba0491553c2"
    assert np.round([p.mean() for p in pictures[:4]], 1).tolist() == [154.0, 119.6, 181.7, 124.2]
    levels = [float(np.sqrt(np.mean(s.samples**2))) for s in sounds[:4]]
    assert np.round(levels, 3).tolist() == [0.125, 0.259, 0.147, 0.102]


def test_inputs_are_what_embedders_take() -> None:
    for picture in canaries.pictures():
        assert picture.dtype == np.uint8 and picture.shape == (72, 96, 3)
    for rate, longest in ((16_000, 4_000), (48_000, 4_000), (8_000, 1_000)):
        for sound in canaries.sounds(rate, longest):
            assert sound.rate == rate and sound.samples.dtype == np.float32
            assert rate * min(longest, 1_000) <= 1_000 * len(sound.samples) <= rate * longest
            assert float(np.abs(sound.samples).max()) <= 1
            assert float(np.sqrt(np.mean(sound.samples**2))) > 1e-2, "none of them is silence"


@given(st.integers(0, 2**31), st.floats(0, 0.3))
@settings(max_examples=25, deadline=None)
def test_figures_are_those_of_brute_force(seed: int, noise: float) -> None:
    stored = spread(Modality.AUDIO, seed)
    now = unit(stored + noise * spread(Modality.AUDIO, seed + 1))
    found = agreement(Canaries({Modality.AUDIO: stored}), Canaries({Modality.AUDIO: now}))
    cosine, overlap = brute_force(stored, now)
    assert found.figures[Modality.AUDIO].cosine == pytest.approx(cosine, abs=1e-6)
    # what ties with the tenth may only ever count for, never against
    assert overlap - 1e-9 <= found.figures[Modality.AUDIO].overlap <= overlap + 0.05


def test_rounding_agrees_and_another_model_does_not() -> None:
    stored = Canaries({m: spread(m) for m in Modality})
    half = Canaries({m: v.astype(np.float16).astype(np.float32) for m, v in stored.vectors.items()})
    assert agreement(stored, half).agrees
    turned = dict(stored.vectors)
    turned[Modality.IMAGE] = unit(turned[Modality.IMAGE] + 0.2 * spread(Modality.IMAGE, 7))
    found = agreement(stored, Canaries(turned))
    assert not found.agrees and found.figures[Modality.TEXT].agrees
    assert str(found).startswith("image cosine 0.9")
    assert set(found.to_json()) == {"audio", "image", "text"}
    # one bad canary among good ones is enough
    one = stored.vectors[Modality.TEXT].copy()
    one[5] = one[6]
    assert not agreement(stored, Canaries({Modality.TEXT: one})).agrees


def test_neighbours_count_even_where_every_cosine_is_high() -> None:
    rng = np.random.default_rng(3)
    heap = unit(np.eye(1, 64) + 0.2 * rng.standard_normal((48, 64)) / 8)
    shaken = unit(heap + 0.06 * rng.standard_normal((48, 64)) / 8)
    found = agreement(Canaries({Modality.TEXT: heap}), Canaries({Modality.TEXT: shaken}))
    figures = found.figures[Modality.TEXT]
    assert figures.cosine > canaries.MIN_COSINE
    assert figures.overlap < canaries.MIN_OVERLAP and not found.agrees


def test_what_cannot_be_compared() -> None:
    a = Canaries({Modality.TEXT: spread(Modality.TEXT)})
    with pytest.raises(InvalidInput, match="in common"):
        agreement(a, Canaries({Modality.AUDIO: spread(Modality.AUDIO)}))
    with pytest.raises(FrameMismatch, match="16 dimensions"):
        agreement(a, Canaries({Modality.TEXT: spread(Modality.TEXT, dim=8)}))


@given(st.sets(st.sampled_from(list(Modality)), min_size=1), st.integers(1, 24), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_json_keeps_them_to_half_precision(chosen: set[Modality], dim: int, seed: int) -> None:
    before = Canaries({m: spread(m, seed, dim) for m in chosen})
    after = Canaries.from_json(before.to_json())
    assert set(after.vectors) == chosen
    for modality, rows in before.vectors.items():
        assert np.array_equal(after.vectors[modality], rows.astype(np.float16).astype(np.float32))


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        {"inputs": 2, "vectors": {}},
        {"inputs": 1, "vectors": []},
        {"inputs": 1, "vectors": {"smell": {"shape": [1, 1], "fp16": ""}}},
        {"inputs": 1, "vectors": {"text": {"shape": [48, 2], "fp16": "AAAA"}}},
        {"inputs": 1, "vectors": {"text": {"shape": [48, 2], "fp16": "!"}}},
        {"inputs": 1, "vectors": {"text": {"shape": [2, 1], "fp16": "ADwAPA=="}}},
    ],
)
def test_damaged_json_is_said_to_be(value: object) -> None:
    with pytest.raises(StoreDamaged):
        Canaries.from_json(value)


def test_files(tmp_path: Path) -> None:
    before = Canaries({m: spread(m) for m in Modality})
    path = tmp_path / "c.safetensors"
    before.save(path)
    after = Canaries.load(path)
    assert all(np.array_equal(after.vectors[m], before.vectors[m]) for m in Modality)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ModelError, match="damaged"):
        Canaries.load(path)
    with pytest.raises(ModelError, match="missing"):
        Canaries.load(tmp_path / "none")


def test_a_space_computes_them_and_noise_shows(tmp_path: Path) -> None:
    definition = read(clip_and_clap(tmp_path))
    stored = vectors(ComposedSpace(definition, opener=Families()))
    assert {m: rows.shape for m, rows in stored.vectors.items()} == {
        Modality.TEXT: (48, 32), Modality.IMAGE: (32, 32), Modality.AUDIO: (24, 32)
    }  # fmt: skip
    again = vectors(ComposedSpace(definition, opener=Families()))
    assert agreement(stored, again).agrees
    shaken = vectors(ComposedSpace(definition, opener=Families(noise=0.2)))
    assert not agreement(stored, shaken).agrees
    only = vectors(ComposedSpace(definition, opener=Families()), [Modality.TEXT])
    assert set(only.vectors) == {Modality.TEXT}


def test_a_space_that_cannot_embed_them_says_so() -> None:
    class Deaf(HashSpace):
        def embedder(self, modality: Modality):  # type: ignore[no-untyped-def]
            inner = super().embedder(modality)
            if modality is not Modality.AUDIO:
                return inner

            class Silent:
                def embed(self, batch, *, role=None):  # type: ignore[no-untyped-def]
                    found = inner.embed(batch)
                    return replace(found, errors={3: InvalidInput("too quiet")})

            return Silent()

    with pytest.raises(ModelError, match="audio canary 3: too quiet"):
        vectors(Deaf())
