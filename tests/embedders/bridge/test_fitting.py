"""Fitting against independent references: scipy, the normal equations, planted maps."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import orthogonal_procrustes

from trichord.embedders.bridge import fitting, mlp
from trichord.embedders.bridge.fitting import choose, fit, procrustes, ridge, split
from trichord.embedders.bridge.scores import figures
from trichord.errors import InvalidInput, VectorError
from trichord.types import F32, Frame


def unit(x: F32) -> F32:
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def normal(seed: int, *shape: int) -> F32:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def planted(n: int = 900, ds: int = 24, dt: int = 32, seed: int = 0) -> tuple[F32, F32, F32]:
    """Unit rows, the same rows turned into more dimensions, and the rotation."""
    x = unit(normal(seed, n, ds) + 0.2)
    turn = np.linalg.qr(normal(seed + 1, dt, ds))[0].T.astype(np.float32)
    return x, (x @ turn).astype(np.float32), turn


@pytest.fixture(autouse=True)
def _quick_mlp(monkeypatch: pytest.MonkeyPatch) -> None:
    """One setting and few steps of the MLP: what is tested here does not need more."""
    settings = functools.partial(mlp.MlpSettings, hidden=32, steps=40, batch=128)
    monkeypatch.setattr(mlp, "MlpSettings", settings)
    monkeypatch.setattr(fitting, "NOISES", (0.1, 0.3))


FRAMES = {"source": Frame("s", 24), "target": Frame("t", 32)}


def test_procrustes_is_scipys() -> None:
    a, b = normal(1, 200, 12), normal(2, 200, 12)
    wanted, _ = orthogonal_procrustes(a, b)
    np.testing.assert_allclose(procrustes(a, b), wanted, atol=1e-5)


@pytest.mark.parametrize(("ds", "dt"), [(8, 13), (13, 8), (9, 9)])
def test_procrustes_is_an_isometry_of_what_fits(ds: int, dt: int) -> None:
    found = procrustes(normal(3, 100, ds), normal(4, 100, dt))
    product = found @ found.T if ds <= dt else found.T @ found
    np.testing.assert_allclose(product, np.eye(min(ds, dt)), atol=1e-5)


def test_a_planted_rotation_is_recovered() -> None:
    x, y, turn = planted()
    found = procrustes(x - x.mean(0), y - y.mean(0))
    np.testing.assert_allclose(found, turn, atol=1e-4)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10_000), st.sampled_from([1e-4, 1e-2, 1.0, 30.0]))
def test_ridge_is_least_squares_with_rows_for_the_penalty(seed: int, strength: float) -> None:
    x, y = normal(seed, 60, 7), normal(seed + 1, 60, 4)
    penalty = strength * float((x.astype(np.float64) ** 2).sum()) / 7
    more = np.vstack([x, np.sqrt(penalty) * np.eye(7)])
    wanted = np.linalg.lstsq(more, np.vstack([y, np.zeros((7, 4))]), rcond=None)[0]
    np.testing.assert_allclose(ridge(x, y, strength), wanted, atol=1e-4)


def test_fit_recovers_a_planted_rotation_and_takes_procrustes() -> None:
    x, y, turn = planted()
    report = fit(x * 3, y, **FRAMES, seed=3)
    assert report.chosen.kind == "procrustes" and "procrustes" in report.reason
    assert report.candidate("procrustes").scores.r1.value == 1.0
    np.testing.assert_allclose(report.chosen.tensors["linear"], turn, atol=1e-3)
    np.testing.assert_allclose(report.chosen.apply(x), y, atol=1e-3)
    assert report.fitted + report.tuned + report.scored == 900
    assert report.chosen.about["seed"] == 3 and report.chosen.about["held_out"]["r1"] == 1.0


def test_another_kind_is_taken_where_it_is_clearly_better() -> None:
    # A rotation keeps lengths: it cannot leave out the directions that say nothing.
    loud = np.where(np.arange(24) < 20, 5, 1).astype(np.float32)
    says = np.where(np.arange(24) < 20, 0.02, 1).astype(np.float32)
    x = unit(normal(7, 1500, 24) * loud)
    y = unit((x * says) @ np.linalg.qr(normal(8, 32, 24))[0].T.astype(np.float32))
    report = fit(x, y, **FRAMES, kinds=("procrustes", "ridge"))
    ridges, plain = (report.candidate(kind).scores.mrr for kind in ("ridge", "procrustes"))
    assert ridges.low > plain.high
    assert report.chosen.kind == "ridge" and "lies above" in report.reason


def test_the_rule_of_choice() -> None:
    def candidate(kind: str, ranks: list[int]) -> fitting.Candidate:
        x, y, _ = planted(300)
        made = fit(x, y, **FRAMES, kinds=("procrustes",)).chosen
        numbers = np.array(ranks, np.int64)
        scores = figures(numbers, 50, np.arange(len(numbers)))
        return fitting.Candidate(kind, {}, scores, made)

    plain = candidate("procrustes", [1, 2] * 50)
    near, far = candidate("ridge", [1, 2, 1] * 33), candidate("mlp", [1] * 100)
    assert choose([plain, near])[0] is plain
    assert choose([plain, near, far])[0] is far
    assert choose([near, far])[0] is far
    assert choose([near]) == (near, "ridge was asked for")


def test_shuffled_pairs_teach_nothing() -> None:
    x, y, _ = planted(1500)
    shuffled = x[np.random.default_rng(0).permutation(len(x))]
    for kind in ("procrustes", "ridge", "mlp"):
        report = fit(shuffled, y, **FRAMES, kinds=(kind,), held_out=0.4)
        found = report.candidate(kind).scores
        assert found.r1.low <= 1 / report.scored <= found.r1.high or found.r1.value < 0.01
        assert found.r10.value < 5 * 10 / report.scored


def test_the_same_seed_gives_the_same_projectors() -> None:
    x, y, _ = planted(400)
    noisy = unit(y + 0.1 * normal(9, *y.shape))
    one, two = (fit(x, noisy, **FRAMES, seed=4) for _ in range(2))
    for a, b in zip(one.candidates, two.candidates, strict=True):
        assert a.projector.sha256 == b.projector.sha256 and a.scores == b.scores
    other = fit(x, noisy, **FRAMES, seed=5)
    for a, b in zip(one.candidates, other.candidates, strict=True):
        assert a.projector.sha256 != b.projector.sha256


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 99), st.integers(200, 500), st.floats(0.1, 0.5), st.integers(1, 6))
def test_a_split_divides_no_group(seed: int, count: int, share: float, size: int) -> None:
    groups = [f"g{i // size}" for i in range(count)]
    parts = split(count, share, groups, seed)
    assert sorted(np.concatenate(parts).tolist()) == list(range(count))
    names = [{groups[i] for i in part} for part in parts]
    assert not (names[0] & names[1] or names[0] & names[2] or names[1] & names[2])
    assert abs(len(parts[1]) + len(parts[2]) - share * count) <= size + 1


def test_bad_input_is_refused() -> None:
    x, y, _ = planted(300)
    with pytest.raises(InvalidInput, match="too few"):
        fit(x[:150], y[:150], **FRAMES)
    with pytest.raises(VectorError, match="299"):
        fit(x, y[:-1], **FRAMES)
    with pytest.raises(VectorError, match="source"):
        fit(y, y, **FRAMES)
    with pytest.raises(VectorError, match="finite"):
        fit(np.where(np.arange(24) == 3, np.nan, x).astype(np.float32), y, **FRAMES)
    with pytest.raises(InvalidInput, match="kinds"):
        fit(x, y, **FRAMES, kinds=("spline",))
    with pytest.raises(InvalidInput, match="share"):
        fit(x, y, **FRAMES, held_out=0.9)
    with pytest.raises(InvalidInput, match="groups"):
        fit(x, y, **FRAMES, groups=["one"] * 300)
