"""Device and precision choice, batches that fit, rows that are sound."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trichord.embedders import running
from trichord.embedders.backend import Runtime
from trichord.errors import InvalidInput, MediaError, ModelError, ResourceExhausted, TrichordError
from trichord.types import F32

CPU = torch.device("cpu")


def rows_of(indices: list[int]) -> F32:
    """Row i is (i, i squared): the order of an answer can be read off."""
    return np.array([(index, index**2) for index in indices], np.float32).reshape(-1, 2)


@settings(max_examples=80, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 40), max_size=40),
    limit=st.integers(1, 90),
    at_most=st.none() | st.integers(1, 10),
    by_size=st.booleans(),
    fits=st.integers(40, 100),
)
def test_every_index_once_within_bounds_in_order_and_halved(
    sizes: list[int], limit: int, at_most: int | None, by_size: bool, fits: int
) -> None:
    done: list[int] = []
    failed = 0

    def run(indices: list[int]) -> F32:
        nonlocal failed
        largest = max(max(1, sizes[index]) for index in indices) if by_size else 1
        padded = largest * len(indices)
        assert padded <= limit or len(indices) == 1
        assert at_most is None or len(indices) <= at_most
        if padded > fits:
            failed += 1
            raise torch.OutOfMemoryError("CUDA out of memory")
        done.extend(indices)
        return rows_of(indices)

    found = running.in_batches(
        len(sizes), sizes if by_size else None, limit, run, 2, at_most=at_most
    )
    assert sorted(done) == list(range(len(sizes)))
    np.testing.assert_array_equal(found, rows_of(list(range(len(sizes)))))
    assert found.shape == (len(sizes), 2) and found.dtype == np.float32
    taken = [max(1, sizes[index]) for index in done]
    assert not by_size or taken == sorted(taken, reverse=True)
    # what ran out of memory once is not tried again at that cost
    assert failed <= 2


def test_batches_are_as_large_as_they_may_be() -> None:
    seen: list[list[int]] = []

    def run(indices: list[int]) -> F32:
        seen.append(indices)
        return rows_of(indices)

    running.in_batches(5, [1, 9, 2, 2, 30], 10, run, 2)
    assert seen == [[4], [1], [2, 3, 0]]
    seen.clear()
    running.in_batches(5, None, 2, run, 2)
    assert seen == [[0, 1], [2, 3], [4]]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_one_item_that_does_not_fit_is_a_clear_error(error: Exception) -> None:
    tried: list[int] = []

    def run(indices: list[int]) -> F32:
        tried.append(len(indices))
        raise error

    with pytest.raises(ResourceExhausted, match="smaller model"):
        running.in_batches(9, None, 8, run, 2)
    assert tried == [8, 4, 2, 1]


def test_other_errors_and_other_shapes_are_not_swallowed() -> None:
    def broken(indices: list[int]) -> F32:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        running.in_batches(4, None, 2, broken, 2)
    with pytest.raises(ModelError, match="shape"):
        running.in_batches(4, None, 2, rows_of, 3)
    with pytest.raises(InvalidInput):
        running.in_batches(4, None, 0, rows_of, 2)
    with pytest.raises(InvalidInput):
        running.in_batches(4, [1, 2], 4, rows_of, 2)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.lists(st.floats(width=32, allow_nan=True, allow_infinity=True), min_size=3, max_size=3),
        max_size=8,
    )
)
def test_finished_rows_are_unit_or_named(values: list[list[float]]) -> None:
    vectors = np.array(values, np.float32).reshape(-1, 3)
    before = vectors.copy()
    found = running.finished(vectors, {}, "the tower")
    np.testing.assert_array_equal(vectors, before)
    assert found.vectors.dtype == np.float32 and found.vectors.flags.c_contiguous
    for index, row in enumerate(vectors.astype(np.float64)):
        length = float(np.linalg.norm(row))
        if np.isfinite(row).all() and length > 1e-37:
            assert index not in found.errors
            np.testing.assert_allclose(found.vectors[index], row / length, atol=1e-6)
        elif not np.isfinite(row).all() or length == 0:
            assert isinstance(found.errors[index], ModelError)
            assert not found.vectors[index].any()


def test_finished_keeps_the_errors_that_were_known() -> None:
    known: dict[int, TrichordError] = {0: MediaError("not a picture")}
    found = running.finished(np.array([[0, 0], [0, 0], [3, 4]], np.float32), known, "the tower")
    assert isinstance(found.errors[0], MediaError) and set(found.errors) == {0, 1}
    assert "the tower gave a vector of zeros" in str(found.errors[1])
    expected = np.array([[0, 0], [0, 0], [0.6, 0.8]], np.float32)
    np.testing.assert_allclose(found.vectors, expected, atol=1e-6)
    assert set(known) == {0}
    assert running.finished(np.zeros((0, 5), np.float32), {}, "x").vectors.shape == (0, 5)


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    assert running.pick_device(Runtime(device="cpu")) == CPU
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert running.pick_device(Runtime()) == CPU
    for name, message in [
        ("cuda", "0 CUDA devices"),
        ("mps", "not here"),
        ("meta", "not supported"),
        ("gpu", "device is"),
    ]:
        with pytest.raises(InvalidInput, match=message):
            running.pick_device(Runtime(device=name))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert running.pick_device(Runtime()).type == "cuda"
    assert running.pick_device(Runtime(device="cuda:1")) == torch.device("cuda:1")
    with pytest.raises(InvalidInput, match="2 CUDA devices"):
        running.pick_device(Runtime(device="cuda:2"))


def times(plain: float, low: float) -> Callable[[torch.dtype], float]:
    return lambda dtype: {torch.float32: plain, torch.bfloat16: low}[dtype]


@pytest.mark.parametrize(
    ("has", "measure", "expected"),
    [
        (True, times(2.0, 1.0), torch.bfloat16),
        (True, times(1.1, 1.0), torch.float32),  # not worth it
        (True, times(1.0, 4.0), torch.float32),
        (True, None, torch.float32),
        (False, times(2.0, 1.0), torch.float32),
    ],
)
def test_auto_takes_bf16_on_a_cpu_only_if_it_is_measured_faster(
    monkeypatch: pytest.MonkeyPatch,
    has: bool,
    measure: Callable[[torch.dtype], float] | None,
    expected: torch.dtype,
) -> None:
    monkeypatch.setattr(running, "cpu_has_bf16", lambda: has)
    assert running.pick_dtype(Runtime(precision="auto"), CPU, measure) is expected


def test_a_named_precision_is_taken_and_a_gpu_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(dtype: torch.dtype) -> float:
        raise AssertionError("nothing is measured")

    assert running.pick_dtype(Runtime(), CPU, never) is torch.float32
    assert running.pick_dtype(Runtime(precision="bf16"), CPU, never) is torch.bfloat16
    assert running.pick_dtype(Runtime(precision="fp16"), CPU, never) is torch.float16
    cuda = torch.device("cuda")
    for has, expected in [(True, torch.bfloat16), (False, torch.float32)]:
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda has=has, **_: has)
        assert running.pick_dtype(Runtime(precision="auto"), cuda, never) is expected
    with pytest.raises(InvalidInput, match="no bfloat16"):
        running.pick_dtype(Runtime(precision="bf16"), cuda, never)


def test_the_cpu_is_asked_the_same_way_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch says and what the kernel says agree, where both say something."""
    if not hasattr(torch.cpu, "get_capabilities"):
        pytest.skip("this torch does not say")
    by_torch = running.cpu_has_bf16.__wrapped__()
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert running.cpu_has_bf16.__wrapped__() == by_torch
