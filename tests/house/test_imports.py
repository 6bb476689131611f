"""A client is light, and the layers are what the architecture says."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "faiss", "lancedb", "lance", "pyarrow", "polars", "sentence_transformers", "PIL")


def modules_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "from trichord import Audio, Client, Image, Text",
        "import trichord.cli",
        "import trichord.embedders, trichord.index, trichord.store, trichord.server",
        "import trichord",
    ],
)
def test_light_imports_load_nothing_heavy(statement: str) -> None:
    loaded = modules_after(statement)
    assert not loaded & set(HEAVY)


def test_the_pocket_space_is_known_without_torch() -> None:
    loaded = modules_after(
        "from trichord.embedders.spaces import open_space\nopen_space('pocket').space.encoders"
    )
    assert "torch" not in loaded


def test_opening_a_catalogue_waits_for_no_model_and_no_statistics() -> None:
    loaded = modules_after("import trichord.catalog, trichord.server.app")
    assert not loaded & {"torch", "scipy", "sklearn", "transformers", "open_clip", "matplotlib"}


def test_the_index_needs_no_table_engine() -> None:
    loaded = modules_after("import trichord.index.build, trichord.index.persist")
    assert "faiss" in loaded
    assert not loaded & {"lance", "lancedb", "polars", "torch"}


def test_the_public_names() -> None:
    import trichord

    assert set(trichord.__all__) == {
        "AsyncClient",
        "Audio",
        "Boost",
        "Client",
        "EntityRef",
        "Image",
        "ItemRef",
        "Query",
        "Record",
        "SegmentRef",
        "Text",
        "TrichordError",
        "Vector",
        "Vectors",
        "history",
        "__version__",
    }
    for name in trichord.__all__:
        assert getattr(trichord, name) is not None


def test_the_index_needs_only_numpy_faiss_and_xxhash() -> None:
    loaded = modules_after(
        "import trichord.index.build, trichord.index.live, trichord.index.groups"
    )
    assert not loaded & {"grpc", "google.protobuf", "lark", "click", "polars", "scipy"}
