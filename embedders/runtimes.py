"""What a space runs on here: recorded beside vectors, never part of an encoder's identity."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from trichord.embedders.backend import Runtime

LIBRARIES = (
    "numpy", "torch", "transformers", "sentence-transformers", "open_clip_torch", "tokenizers",
    "safetensors", "pillow", "soundfile", "soxr", "laion-clap",
)  # fmt: skip
"""Packages of which another version may compute vectors a little differently."""

_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16")


@cache
def libraries() -> Mapping[str, str]:
    """Versions of those of LIBRARIES that are installed; imports none of them."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@cache
def cpu() -> str:
    """The kind of processor, with the instructions that change how sums are rounded."""
    name, flags = platform.processor() or platform.machine(), set[str]()
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            name = value.strip()
        elif key.strip() in ("flags", "Features"):
            flags.update(value.split())
    return " ".join([name, *(flag for flag in _FLAGS if flag in flags)])


def device(runtime: Runtime) -> str:
    """The device on which models run, resolved, with the GPU's own name.

    Imports torch, unless the runtime says "cpu". Raises InvalidInput for a device not here."""
    if runtime.device == "cpu":
        return "cpu"
    import torch

    from trichord.embedders.running import pick_device

    picked = pick_device(runtime)
    if picked.type == "cuda":
        return f"cuda {torch.cuda.get_device_name(picked)}"
    return picked.type


def facts(runtime: Runtime) -> dict[str, Any]:
    """Device, precision, processor and library versions as JSON values; see `device`."""
    return {
        "device": device(runtime),
        "precision": runtime.precision,
        "cpu": cpu(),
        "libraries": dict(libraries()),
    }


def key(found: Mapping[str, Any]) -> str:
    """A short name of such facts: equal if and only if they are."""
    canonical = json.dumps(found, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
