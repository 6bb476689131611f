"""How every family runs its models: device, precision, batches that fit, rows that are sound."""

from __future__ import annotations

import gc
import platform
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch

from trichord.embedders.backend import Runtime
from trichord.errors import InvalidInput, ModelError, ResourceExhausted, TrichordError
from trichord.types import F32, Embedded

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

WORTHWHILE = 1.15
"""How much faster a lower precision must be measured before "auto" takes it."""


def pick_device(runtime: Runtime) -> torch.device:
    """The device that the runtime names; "auto" is the first GPU if there is one, else the CPU.

    Raises InvalidInput for a name that torch does not know or a device that is not here.
    """
    if runtime.device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(runtime.device)
    except RuntimeError as error:
        raise InvalidInput(
            f'device is "auto", "cpu", "cuda", "cuda:1" or "mps", not {runtime.device!r}'
        ) from error
    if device.type == "cuda":
        here = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= here:
            raise InvalidInput(
                f'device {runtime.device!r} is not here: torch sees {here} CUDA devices; use "auto"'
            )
    elif device.type == "mps":
        if not torch.backends.mps.is_available():
            raise InvalidInput('device "mps" is not here; use "auto"')
    elif device.type != "cpu":
        raise InvalidInput(f"device {runtime.device!r} is not supported; use cpu, cuda or mps")
    return device


@cache
def cpu_has_bf16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware (AVX512-BF16, AMX, or Arm's BF16)."""
    ask = getattr(torch.cpu, "get_capabilities", None)  # torch 2.10 and later
    if ask is not None:
        found = ask()
        return any(
            bool(found.get(name)) for name in ("avx512_bf16", "amx_bf16", "bf16", "arm_bf16")
        )
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return platform.system() == "Darwin" and platform.machine() == "arm64"
    named = [line.split() for line in lines if line.lower().startswith(("flags", "features"))]
    flags = {flag for words in named for flag in words}
    return bool(flags & {"avx512_bf16", "amx_bf16", "bf16"})


def pick_dtype(
    runtime: Runtime,
    device: torch.device,
    measure: Callable[[torch.dtype], float] | None = None,
) -> torch.dtype:
    """The precision to which a tower's weights are cast (never autocast).

    `measure(dtype)` runs the tower with its weights in `dtype` and returns the seconds that a
    fixed amount of work took. For "auto" a GPU that has bfloat16 takes it; a CPU that has its
    instructions measures both and takes it when it is at least `WORTHWHILE` times as fast;
    everything else, and a CPU without `measure`, stays at fp32. Raises InvalidInput for a
    precision that the device cannot compute in.
    """
    if runtime.precision != "auto":
        dtype = DTYPES[runtime.precision]
        if dtype is torch.bfloat16 and device.type == "cuda" and not torch.cuda.is_bf16_supported():
            raise InvalidInput("this GPU has no bfloat16: choose precision fp16 or fp32")
        return dtype
    if device.type == "cuda":
        has = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if has else torch.float32
    if device.type != "cpu" or measure is None or not cpu_has_bf16():
        return torch.float32
    plain, low = measure(torch.float32), measure(torch.bfloat16)
    return torch.bfloat16 if plain >= WORTHWHILE * low else torch.float32


def in_batches(
    count: int,
    sizes: Sequence[int] | None,
    limit: int,
    run: Callable[[list[int]], F32],
    dim: int,
    *,
    at_most: int | None = None,
) -> F32:
    """Calls `run` with lists of indices, every index of range(count) once, and returns the rows
    float32 (count, dim) in the order of the indices.

    Without `sizes` a batch holds at most `limit` items. With `sizes` the items are taken largest
    first, so that those of a batch are of nearly equal size, and a batch costs at most `limit`
    after padding (its largest size times its length); an item larger than `limit` runs alone.
    `at_most` bounds the number of items of a batch besides. When a batch runs out of memory, it
    and all later ones cost at most half as much; raises ResourceExhausted when a single item does
    not fit, ModelError when `run` gives rows of another shape than (len(indices), dim).
    """
    if limit < 1 or (at_most is not None and at_most < 1):
        raise InvalidInput(f"batches of at most {limit if limit < 1 else at_most} cannot be run")
    if sizes is not None and len(sizes) != count:
        raise InvalidInput(f"{len(sizes)} sizes for {count} items")
    rows = np.zeros((count, dim), np.float32)
    weights = [1] * count if sizes is None else [max(1, int(size)) for size in sizes]
    order = sorted(range(count), key=lambda index: -weights[index])
    most = count if at_most is None else at_most
    start = 0
    while start < count:
        length = max(1, min(limit // weights[order[start]], most, count - start))
        batch = order[start : start + length]
        try:
            found = run(batch)
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not _out_of_memory(error):
                raise
            if length == 1:
                raise ResourceExhausted(
                    "one item alone does not fit into the device's memory: choose a smaller model,"
                    " a lower precision or another device"
                ) from error
            limit, found = weights[batch[0]] * (length // 2), None
        if found is None:
            _release()  # outside of the handler, whose traceback holds the failed pass's tensors
            continue
        found = np.asarray(found)
        if found.shape != (length, dim):
            raise ModelError(f"the model gave rows of shape {found.shape}, not {(length, dim)}")
        rows[batch] = found
        start += length
    return rows


def _out_of_memory(error: BaseException) -> bool:
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    # The CPU's allocator and cuBLAS say it in words only.
    text = str(error).lower()
    return any(
        words in text
        for words in ("out of memory", "can't allocate memory", "cublas_status_alloc_failed")
    )


def _release() -> None:
    # The CPU's allocator has its memory back already.
    if torch.cuda.is_available():
        gc.collect()
        torch.cuda.empty_cache()


def finished(vectors: F32, errors: dict[int, TrichordError], what: str) -> Embedded:
    """Rows of a model -> unit float32 rows, C-contiguous.

    A row that is not finite or has no length becomes a ModelError of its item, named by `what`
    ("the image tower of ViT-B-32"); rows with errors are all zeros. `errors` is not changed.
    """
    rows = np.array(vectors, np.float32, order="C")
    # The largest component first: the square of 1e30 is no float32.
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        largest = np.abs(rows).max(axis=1, initial=0.0, keepdims=True)
        scaled = rows / largest
        units = scaled / np.linalg.norm(scaled, axis=1, keepdims=True)
    found = dict(errors)
    sound = np.isfinite(units).all(axis=1) & np.isfinite(largest[:, 0])
    for index in np.flatnonzero(~sound).tolist():
        finite = bool(np.isfinite(rows[index]).all())
        found.setdefault(
            index,
            ModelError(
                f"{what} gave {'a vector of zeros' if finite else 'a vector that is not finite'}"
                " for this item"
            ),
        )
    units[sorted(found)] = 0
    return Embedded(units, found)
