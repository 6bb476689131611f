"""What the README and docstrings show is executed, and their links lead somewhere."""

from __future__ import annotations

import contextlib
import doctest
import importlib
import os
import pkgutil
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import trichord
from trichord.errors import Unavailable

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def modules() -> list[str]:
    found = pkgutil.walk_packages(trichord.__path__, "trichord.", onerror=lambda name: None)
    return [m.name for m in found if "_pb2" not in m.name and not m.name.endswith("__main__")]


@pytest.mark.parametrize("name", modules())
def test_docstring_examples(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0


@pytest.mark.parametrize("path", [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")], ids=str)
def test_links_in_documents_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_the_readme_names_every_dependency() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    for requirement in {r for members in lists for r in members}:
        name = re.match(r"[A-Za-z0-9_-]+", requirement).group()  # type: ignore[union-attr]
        assert name == "trichord" or name in README, f"README gives no reason for {name}"


def wait_until_ready(address: str) -> None:
    until = time.monotonic() + 60
    with trichord.Client(address) as client:
        while time.monotonic() < until:
            with contextlib.suppress(Unavailable):
                if client.health():
                    return
            time.sleep(0.2)
    raise AssertionError(f"no server at {address}")


def test_the_readme_example_runs(tmp_path: Path) -> None:
    """The shell session of the README in an empty folder with a few real files, then its Python."""
    from tests.fakes import png, wav

    media = tmp_path / "media"
    media.mkdir()
    (media / "red.png").write_bytes(png("red", size=64))
    (media / "tone.wav").write_bytes(wav("high"))
    (media / "story.txt").write_text("It rained on the window all night.")
    shutil.copy(media / "red.png", tmp_path / "cover.png")
    shutil.copy(media / "tone.wav", tmp_path / "drums.wav")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    section = README.split("## Use it")[1].replace("50051", port)
    (shell,) = re.findall(r"```console\n(.*?)```", section, re.S)
    lines = [line[2:] for line in shell.splitlines() if line.startswith("$ ")]
    server = None
    try:
        for line in lines:
            if " serve" in line:
                server = subprocess.Popen(shlex.split(line), cwd=tmp_path, env=environment)
                continue
            done = subprocess.run(
                line, shell=True, cwd=tmp_path, env=environment, capture_output=True, timeout=300
            )
            assert done.returncode == 0, f"{line}: {done.stderr.decode()}"
        assert server is not None
        (code,) = re.findall(r"```python\n(.*?)```", section, re.S)
        wait_until_ready(f"localhost:{port}")
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
    finally:
        if server is not None:
            server.terminate()
            server.wait(30)
