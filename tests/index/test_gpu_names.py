"""Every name of FAISS that the code for GPUs uses exists in the wheel that is installed.

The wheels for GPUs import on any machine: `faiss-gpu` or `faiss-gpu-cuvs` in an environment of its
own (never beside faiss-cpu), with numpy, xxhash, pytest and hypothesis, runs these tests without a
device. With faiss-cpu they are skipped.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trichord.index import gpu as gpu_module
from trichord.index._faiss import faiss
from trichord.index.cuda import Facts
from trichord.index.gpu import CLASSIC_LIMIT, CUVS_LIMIT, Gpu, NoGpu

pytestmark = pytest.mark.skipif(
    not hasattr(faiss, "StandardGpuResources"), reason="this FAISS is built for the CPU"
)
CUVS = hasattr(faiss, "GpuIndexCagra")
CUVS_ONLY = {"GpuIndexCagra", "GpuIndexCagraConfig", "SearchParametersCagra"}
FOLDER = Path(gpu_module.__file__).parent


def used() -> dict[str, set[str]]:
    """File -> the attributes of `faiss` that it names."""
    found: dict[str, set[str]] = {}
    for path in sorted(FOLDER.glob("*.py")):
        names = {
            node.attr
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "faiss"
        }
        if names:
            found[path.name] = names
    return found


def test_every_name_exists() -> None:
    names = used()
    assert "GpuIndexIVFPQConfig" in names["gpu.py"] and "IndexHNSWCagra" in names["gpu_cagra.py"]
    missing = {
        f"{file}: {name}"
        for file, each in names.items()
        for name in each
        if not hasattr(faiss, name) and (CUVS or name not in CUVS_ONLY)
    }
    assert not missing


METHODS: dict[str, tuple[str, ...]] = {
    "GpuIndexFlat": ("add", "reset", "search_c", "ntotal", "d"),
    "GpuIndexIVFFlat": ("add", "train", "search_c", "ntotal", "d", "nlist", "cp", "reserveMemory"),
    "GpuIndexIVFPQ": ("add", "train", "search_c", "ntotal", "d", "nlist", "cp"),
    "GpuIndexCagra": ("train", "search_c", "ntotal", "d", "copyTo"),
    "IndexHNSWCagra": ("hnsw", "ntotal"),
    "IndexHNSWSQ": ("hnsw", "ntotal", "storage", "train"),
    "IndexIVFPQFastScan": ("clustering_index", "quantizer", "own_fields", "nlist"),
}


@pytest.mark.parametrize("name", sorted(METHODS))
def test_the_classes_have_what_is_called(name: str) -> None:
    if name in CUVS_ONLY and not CUVS:
        pytest.skip("this FAISS has no cuVS")
    lacking = [each for each in METHODS[name] if not hasattr(getattr(faiss, name), each)]
    assert not lacking


def gpu() -> Gpu:
    return Gpu(0, Facts("some GPU", (9, 0), 1 << 34))


FACTORIES: dict[str, Callable[[Gpu], Any]] = {
    "flat": lambda gpu: gpu.flat(32, half=False),
    "flat in 16 bits": lambda gpu: gpu.flat(32, half=True),
    "coarse": lambda gpu: gpu.coarse(32),
    "ivf-flat": lambda gpu: gpu.ivf_flat(32, 16),
    "ivf-pq": lambda gpu: gpu.ivf_pq(32, 16, 8),
    "cagra": lambda gpu: gpu.cagra(32, 64),
}


@pytest.mark.parametrize("name", list(FACTORIES))
def test_the_constructors_take_what_they_are_given(name: str) -> None:
    """Wrong arguments fail before the device is asked for."""
    make = FACTORIES[name]
    if name == "cagra" and not CUVS:
        with pytest.raises(NoGpu, match="needs FAISS with cuVS"):
            make(gpu())
    elif faiss.get_num_gpus():
        with gpu().use("a constructor"):
            assert make(gpu()).d == 32
    else:
        with pytest.raises(RuntimeError, match="Invalid GPU device 0"):
            make(gpu())


def configured() -> dict[str, set[str]]:
    """Configuration class -> the fields of it that gpu.py sets."""
    found: dict[str, set[str]] = {}
    for function in ast.walk(ast.parse(Path(gpu_module.__file__).read_text(encoding="utf-8"))):
        if not isinstance(function, ast.FunctionDef):
            continue
        attributes = [node for node in ast.walk(function) if isinstance(node, ast.Attribute)]
        owners = [
            (node.value.id, node.attr) for node in attributes if isinstance(node.value, ast.Name)
        ]
        for name in {attr for owner, attr in owners if owner == "faiss" and "Config" in attr}:
            fields = {attr for owner, attr in owners if owner == "config"}
            found.setdefault(name, set()).update(fields)
    return found


def test_every_field_exists() -> None:
    """FAISS's configurations take any attribute in silence, so a wrong name would do nothing."""
    fields = configured()
    assert fields["GpuIndexFlatConfig"] == {"device", "use_cuvs", "useFloat16"}
    assert "interleavedLayout" in fields["GpuIndexIVFPQConfig"]
    assert "intermediate_graph_degree" in fields["GpuIndexCagraConfig"]
    missing = {
        f"{name}.{field}"
        for name, each in fields.items()
        for field in each
        if (CUVS or name not in CUVS_ONLY) and not hasattr(getattr(faiss, name)(), field)
    }
    assert not missing


def test_search_parameters() -> None:
    assert gpu().probing(7).nprobe == 7
    if CUVS:
        assert gpu().beam(96).itopk_size == 96


def test_cuvs_is_used_where_the_build_and_the_device_have_it() -> None:
    assert gpu().cuvs == CUVS
    assert gpu().lists_limit == (CUVS_LIMIT if CUVS else CLASSIC_LIMIT)
    for facts in (Facts("an old one", (6, 1), 1 << 33), None):
        old = Gpu(0, facts)
        assert not old.cuvs and old.lists_limit == old.flat_limit == CLASSIC_LIMIT
    # The flag of a configuration is not set by itself, even in a build with cuVS.
    assert not faiss.GpuIndexIVFFlatConfig().use_cuvs
