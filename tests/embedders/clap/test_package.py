"""Our converter and our loader against the laion-clap package, in its own environment."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
PYTHON = ROOT / ".cache" / "laion-clap" / "bin" / "python"

pytestmark = [
    pytest.mark.laion_clap,
    pytest.mark.skipif(
        not (ROOT / ".cache" / "laion-clap" / ".ready").is_file(),
        reason="the environment of the laion-clap package is not there: run scripts/laion-clap",
    ),
]


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("package")
    done = subprocess.run(
        [str(PYTHON), str(Path(__file__).with_name("against_package.py")), str(folder)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads((folder / "figures.json").read_text("utf-8"))
    return found


@pytest.mark.parametrize("audio", ["HTSAT-tiny", "HTSAT-base"])
def test_our_vectors_are_the_packages(figures: dict[str, Any], audio: str) -> None:
    found = figures[audio]
    converted, package = found["laion-pt"], found["package"]
    assert converted["audio"]["cosine"] >= 0.9999
    assert package["audio"]["cosine"] >= 0.99999
    if audio == "HTSAT-tiny":
        assert converted["text"]["cosine"] >= 0.99999
        assert package["text"]["cosine"] >= 0.99999
    assert converted["frame"] == package["frame"]
    assert converted["frame"].startswith(f"clap/{audio.lower()}@")
    # Different inputs lie further apart than ours and the package's answers for the same one.
    assert found["apart"] > 10 * converted["audio"]["difference"]
    assert found["restored"]
