"""Projectors: their arithmetic by hand, files, refusals, identity."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from trichord.embedders.bridge.projector import FORMAT, KINDS, Projector
from trichord.errors import FrameMismatch, InvalidInput, ModelError, VectorError
from trichord.types import F32, Frame

SOURCE, TARGET = Frame("src@1", 5), Frame("dst@2", 7)


def made(kind: str = "procrustes", seed: int = 0) -> Projector:
    rng = np.random.default_rng(seed)

    def some(*shape: int) -> F32:
        return rng.normal(size=shape).astype(np.float32)

    tensors = {"centre": some(5), "linear": some(5, 7), "target_mean": some(7)}
    if kind == "mlp":
        tensors |= {"up": some(5, 4), "bias": some(4), "down": some(4, 7)}
    return Projector(kind, SOURCE, TARGET, tensors, {"seed": 3})


def rows(n: int = 9) -> F32:
    return np.random.default_rng(5).normal(size=(n, 5)).astype(np.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_apply_is_what_the_docstring_says(kind: str) -> None:
    projector, x = made(kind), rows()
    t = {name: tensor.astype(np.float64) for name, tensor in projector.tensors.items()}
    for row, found in zip(x, projector.apply(x), strict=True):
        c = row - t["centre"]
        y = c @ t["linear"] + t["target_mean"]
        if kind == "mlp":
            y = y + np.where(c @ t["up"] + t["bias"] > 0, c @ t["up"] + t["bias"], 0) @ t["down"]
        np.testing.assert_allclose(found, y / np.sqrt((y**2).sum()), atol=1e-5)
    assert projector.apply(x).dtype == np.float32
    assert projector.apply(x[:0]).shape == (0, 7)
    one = np.concatenate([projector.apply(x[i : i + 1]) for i in range(len(x))])
    np.testing.assert_allclose(one, projector.apply(x), atol=1e-6)


def test_rows_of_failed_items_stay_zero() -> None:
    x = rows(3)
    x[1] = 0
    found = made().apply(x)
    assert not found[1].any() and found[0].any()


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_gives_the_same_projector(tmp_path: Path, kind: str) -> None:
    projector = made(kind)
    projector.save(tmp_path / "deep" / "p.safetensors")
    found = Projector.load(tmp_path / "deep" / "p.safetensors", source=SOURCE, target=TARGET)
    assert (found.kind, found.source, found.target) == (kind, SOURCE, TARGET)
    assert found.sha256 == projector.sha256 and found.about == {"seed": 3}
    np.testing.assert_array_equal(found.apply(rows()), projector.apply(rows()))
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["p.safetensors"]


def test_identity_is_of_what_changes_a_vector() -> None:
    one = made()
    assert one.sha256 == made().sha256 != made(seed=1).sha256
    assert Projector("procrustes", SOURCE, TARGET, one.tensors, {"x": 1}).sha256 == one.sha256
    assert Projector("ridge", SOURCE, TARGET, one.tensors).sha256 != one.sha256
    other = Projector("procrustes", Frame("src@9", 5), TARGET, one.tensors)
    assert other.sha256 != one.sha256
    assert one.centred_on(rows()).sha256 != one.sha256


def test_other_frames_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.safetensors"
    made().save(path)
    with pytest.raises(FrameMismatch, match="from src@1/5"):
        Projector.load(path, source=Frame("src@2", 5))
    with pytest.raises(FrameMismatch, match="into dst@2/7"):
        Projector.load(path, target=Frame("dst@2", 8))


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.safetensors"
    with pytest.raises(ModelError, match="no projector at"):
        Projector.load(path)
    made().save(path)
    whole = path.read_bytes()
    for cut in (0, 5, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(ModelError, match="damaged"):
            Projector.load(path)
    for place in range(len(whole) - 200, len(whole), 13):
        changed = bytearray(whole)
        changed[place] ^= 4
        path.write_bytes(bytes(changed))
        with pytest.raises(ModelError, match="damaged"):
            Projector.load(path)


def test_files_of_other_makes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.safetensors"
    save_file({"x": rows()}, str(path))
    with pytest.raises(ModelError, match="is no projector"):
        Projector.load(path)
    made().save(path)
    tensors = load_file(str(path))
    save_file(tensors, str(path), {FORMAT: json.dumps({"format": FORMAT, "schema": 99})})
    with pytest.raises(ModelError, match="schema 99"):
        Projector.load(path)
    save_file(tensors, str(path), {FORMAT: json.dumps({"format": FORMAT, "schema": 1})})
    with pytest.raises(ModelError, match="damaged"):
        Projector.load(path)


@pytest.mark.parametrize(
    "bad", [np.zeros((2, 6), np.float32), np.zeros(5, np.float32), np.full((1, 5), np.inf)]
)
def test_vectors_that_do_not_fit_are_refused(bad: F32) -> None:
    with pytest.raises(VectorError):
        made().apply(bad)


def test_tensors_that_do_not_fit_are_refused() -> None:
    good = dict(made().tensors)
    with pytest.raises(InvalidInput, match="one of"):
        Projector("magic", SOURCE, TARGET, good)
    with pytest.raises(InvalidInput, match="has the tensors"):
        Projector("mlp", SOURCE, TARGET, good)
    with pytest.raises(InvalidInput, match="linear"):
        Projector("ridge", SOURCE, Frame("dst@2", 8), good)
    with pytest.raises(InvalidInput, match="not finite"):
        Projector("ridge", SOURCE, TARGET, good | {"centre": np.full(5, np.nan, np.float32)})


def test_centring_on_items_takes_their_mean_off() -> None:
    projector, items = made(), rows(40) + 3
    items[7] = 0
    moved = projector.centred_on(items)
    kept = np.delete(items, 7, axis=0)
    np.testing.assert_allclose(moved.tensors["centre"], kept.mean(axis=0), atol=1e-6)
    shift = projector.tensors["centre"] - moved.tensors["centre"]
    np.testing.assert_allclose(projector.apply(rows()), moved.apply(rows() - shift), atol=1e-5)
    for bad in (np.zeros((3, 5)), np.zeros((0, 5)), np.zeros((3, 6))):
        with pytest.raises(VectorError):
            projector.centred_on(bad.astype(np.float32))
