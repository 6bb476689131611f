"""The wheel, installed into an empty environment, works without the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**kept, **env},
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    built = run(
        sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT,
        cwd=folder,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    (path,) = folder.glob("*.whl")
    return path


def test_it_holds_real_files_and_only_one_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"trichord"}
    for expected in (
        "trichord/py.typed",
        "trichord/client.py",
        "trichord/v1/search_pb2.py",
        "trichord/v1/search.proto",
        "trichord/catalog/catalog.py",
        "trichord/embedders/pocket/weights/image.safetensors",
        "trichord/embedders/pocket/weights/audio.safetensors",
        "trichord/embedders/pocket/concepts.toml",
    ):
        assert expected in names
    assert not [name for name in names if name.startswith(("trichord/tests", "tests"))]


def test_a_client_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    assert run(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path).returncode == 0
    python = tmp_path / "venv/bin/python"
    installed = run(
        python, "-m", "pip", "install", "-q", "--disable-pip-version-check",
        "-c", ROOT / "constraints/cpu.txt", wheel, cwd=tmp_path,
    )  # fmt: skip
    assert installed.returncode == 0, installed.stderr
    code = "import trichord, sys; print(trichord.__file__); from trichord import Client, Text"
    used = run(python, "-c", code, cwd=tmp_path)
    assert used.returncode == 0, used.stderr
    assert str(tmp_path) in used.stdout

    trichord = tmp_path / "venv/bin/trichord"
    assert "ingest" in run(trichord, "--help", cwd=tmp_path).stdout
    # No engine is installed here: the command says which extra brings it, without a traceback.
    lacking = run(trichord, "search", "rain", cwd=tmp_path)
    assert lacking.returncode == 1
    assert "pip install 'trichord[cpu]'" in lacking.stderr and "Traceback" not in lacking.stderr
    unreachable = run(trichord, "search", "rain", "--server", "127.0.0.1:1", cwd=tmp_path)
    assert unreachable.returncode == 5
    assert "Traceback" not in unreachable.stderr


def test_the_engine_from_the_wheel(wheel: Path, tmp_path: Path) -> None:
    """The packages of the development environment, but Trichord itself from the wheel."""
    target = tmp_path / "site"
    put = run(
        sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps",
        "--target", target, wheel, cwd=tmp_path,
    )  # fmt: skip
    assert put.returncode == 0, put.stderr
    (tmp_path / "words.txt").write_text("rain falls on the roof of a small house")
    command = (sys.executable, "-m", "trichord")
    taken = run(*command, "ingest", "words.txt", cwd=tmp_path, PYTHONPATH=str(target))
    assert taken.returncode == 0, taken.stderr
    assert "1 added" in taken.stdout
    found = run(*command, "search", "a wet day", "--json", cwd=tmp_path, PYTHONPATH=str(target))
    assert '"item_id": "words.txt"' in found.stdout
    where = run(
        sys.executable, "-c", "import trichord.catalog; print(trichord.catalog.__file__)",
        cwd=tmp_path, PYTHONPATH=str(target),
    )  # fmt: skip
    assert where.stdout.startswith(str(target))
